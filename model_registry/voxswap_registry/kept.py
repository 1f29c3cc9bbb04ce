"""Values that are kept because they may be asked for again: the latest used, within their bytes."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections import OrderedDict
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
_CONTAINERS = frozenset({dict, MappingProxyType, list, tuple, set, frozenset})


class Kept(Generic[_T]):
    """Values by key, of which the latest used stay, in as many bytes as there may be.

    Not thread-safe. A value that is larger than all of them may be is not kept.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._values: OrderedDict[str, tuple[int, _T]] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def get(self, key: str) -> _T | None:
        """The value of ``key``, which is the latest used now; None if it is not here."""
        kept = self._values.get(key)
        if kept is None:
            return None
        self._values.move_to_end(key)
        return kept[1]

    def put(self, key: str, value: _T, size_bytes: int) -> int:
        """Keep ``value``, and drop those that were not used for longest if it takes their room.

        How many of these there were.
        """
        self.drop(key)
        if size_bytes > self._limit_bytes:
            return 0
        dropped = 0
        while self.size_bytes + size_bytes > self._limit_bytes:
            self.drop(next(iter(self._values)))
            dropped += 1
        self._values[key] = (size_bytes, value)
        self.size_bytes += size_bytes
        return dropped

    def drop(self, key: str) -> None:
        """Keep it no longer; nothing if it is not here."""
        size_bytes, _ = self._values.pop(key, (0, None))
        self.size_bytes -= size_bytes

    def check_integrity(self) -> None:
        """Raise AssertionError if what is counted is not what is here, or is too much."""
        held_bytes = sum(size_bytes for size_bytes, _ in self._values.values())
        if not held_bytes == self.size_bytes <= self._limit_bytes:
            raise AssertionError(f"{held_bytes} bytes are kept, and {self.size_bytes} counted")


def held_bytes(value: Any) -> int:
    """What ``value`` takes in memory with all that it holds: dataclasses, containers, texts.

    What it holds twice counts twice. Takes about 0.2 us for each object.
    """
    total, left = sys.getsizeof(value), [value]
    while left:
        one = left.pop()
        inner: Iterable[object]
        if isinstance(one, dict | MappingProxyType):
            # A proxy tells its own size, and not that of the dictionary behind it.
            total += 0 if isinstance(one, dict) else sys.getsizeof(dict(one))
            inner = itertools.chain(one, one.values())
        elif isinstance(one, list | tuple | set | frozenset):
            inner = one
        else:
            inner = [getattr(one, field.name) for field in dataclasses.fields(one)]
            total += sys.getsizeof(getattr(one, "__dict__", None))
        for found in inner:
            total += sys.getsizeof(found)
            kind = type(found)
            if kind not in _PLAIN and (kind in _CONTAINERS or dataclasses.is_dataclass(kind)):
                left.append(found)
    return total
