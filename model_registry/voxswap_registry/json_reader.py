"""Reads JSON that others wrote: bounded, typed, and with faults that say where they are."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NoReturn, Self, TypeVar

from voxswap_registry.errors import ManifestError

MAX_VERSION = 999_999_999

_MAX_INTEGER = 1 << 53  # what every JSON reader holds exactly
_MAX_LEVELS = 32  # far below where Python's own recursion ends
_MOST_SHOWN = 80  # characters of what others wrote that are repeated in a message
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")

_T = TypeVar("_T")


def read_json(data: bytes, *, where: str, limit_bytes: int) -> dict[str, Any]:
    """A JSON object of bounded size from whoever wrote it. Raises `ManifestError`.

    It is UTF-8 without a mark at its beginning, and no object has a key twice: what one reader
    takes and another does not, or reads otherwise, is not taken.
    """
    if len(data) > limit_bytes:
        raise ManifestError(
            f"{where}: more than {limit_bytes} bytes, the most that it may have; publish a smaller "
            "one"
        )
    try:
        # `json.loads` of bytes would take UTF-16 and UTF-32 as well, and guess which.
        raw = json.loads(
            data.decode(), parse_constant=_refuse_constant, object_pairs_hook=_without_twins
        )
        # What cannot be written again is not taken: infinities, half surrogate pairs.
        json.dumps(raw, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{where}: not JSON ({error}); publish the version anew") from error
    if _is_deeper(raw, _MAX_LEVELS):
        raise ManifestError(
            f"{where}: nested deeper than {_MAX_LEVELS} levels, the most that are read; publish a "
            "flatter version"
        )
    if not isinstance(raw, dict):
        raise ManifestError(f"{where}: not a JSON object; publish the version anew")
    return raw


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, if each of its keys is there once."""
    found = dict(pairs)
    if len(found) < len(pairs):
        key = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise ValueError(f"the key {key!r:.60} is there twice")
    return found


def _is_deeper(raw: object, limit: int) -> bool:
    """Whether objects and lists are nested deeper than ``limit``; found without recursion."""
    level: list[Any] = [raw]
    for _ in range(limit + 1):
        level = [outer for outer in level if isinstance(outer, dict | list)]
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return True


class Reader:
    """Typed access to foreign JSON; each fault is a `ManifestError` with document and key."""

    def __init__(self, where: str, path: str = "") -> None:
        """Reads the object at ``path`` of the document ``where``; with "", its outermost one."""
        self.where = where
        self._path = path

    def inside(self, key: str) -> Self:
        """A reader of the object under ``key``."""
        return type(self)(self.where, f"{self._path}{key}.")

    def fault(self, message: str) -> ManifestError:
        """The error for this document."""
        return ManifestError(f"{self.where}: {message}")

    def _named(self, key: str) -> str:
        return repr(f"{self._path}{key}"[:_MOST_SHOWN])

    def take(self, raw: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
        """A value of this kind."""
        value = raw.get(key)
        # bool is an int to Python, not to a manifest.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.fault(
                f"{self._named(key)} must be {kind.__name__}, found {type(value).__name__}"
            )
        return value

    def optional(self, raw: Mapping[str, Any], key: str) -> str | None:
        """A text, or None if there is none."""
        return None if raw.get(key) is None else self.take(raw, key, str)

    def positive(self, raw: Mapping[str, Any], key: str, *, limit: int = _MAX_INTEGER) -> int:
        """A whole number above 0."""
        value = self.take(raw, key, int)
        if value <= 0:
            raise self.fault(
                f"{self._named(key)} must be above 0, found {str(value)[:_MOST_SHOWN]}"
            )
        if value > limit:
            raise self.fault(f"{self._named(key)} must be {limit} at most, found more")
        return value

    def instant(self, raw: Mapping[str, Any], key: str) -> str:
        """A time in ISO 8601, with its offset from UTC, that exists in UTC too; as it is written.

        The first and the last hours of the calendar with an offset may lie outside it in UTC.
        """
        value = self.take(raw, key, str)
        try:
            read = datetime.fromisoformat(value)
            read.astimezone(UTC)
            has_offset = read.tzinfo is not None
        except (ValueError, OverflowError):
            has_offset = False
        if not has_offset:
            raise self.fault(f"{self._named(key)} must be a time such as 2026-01-02T12:00:00Z")
        return value

    def frozen(self, raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """An object, whatever is in it."""
        return MappingProxyType(dict(self.take(raw, key, dict)))

    def items(self, raw: Mapping[str, Any], key: str, kind: type[_T]) -> Mapping[str, _T]:
        """An object whose values are all of this kind."""
        found, inner = self.take(raw, key, dict), self.inside(key)
        return MappingProxyType({str(name): inner.take(found, name, kind) for name in found})

    def numbers(self, raw: Mapping[str, Any], key: str) -> Mapping[str, float]:
        """An object whose values are all finite numbers."""
        found = self.take(raw, key, dict)
        for name, value in found.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise self.fault(
                    f"{self._named(f'{key}.{name}')} must be a number, found {type(value).__name__}"
                )
            # Compared, not converted: float() of a huge integer raises OverflowError.
            if not -_MAX_INTEGER <= value <= _MAX_INTEGER:
                raise self.fault(f"{self._named(f'{key}.{name}')} must be within +-{_MAX_INTEGER}")
        return MappingProxyType({str(name): float(value) for name, value in found.items()})

    def integers(self, raw: object, key: str) -> tuple[int, ...]:
        """A list of whole numbers."""
        if not isinstance(raw, list) or not all(type(item) is int for item in raw):
            raise self.fault(f"{self._named(key)} must hold lists of int")
        return tuple(raw)

    def strings(self, raw: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """A list of texts."""
        found = self.take(raw, key, list)
        if not all(isinstance(item, str) for item in found):
            raise self.fault(f"{self._named(key)} must hold str")
        return tuple(found)

    def check_versions(self, numbers: Iterable[int], key: str) -> None:
        """Raise if one of ``numbers`` cannot be a version's."""
        if not all(0 < number <= MAX_VERSION for number in numbers):
            raise self.fault(f"{self._named(key)} must name versions from 1 to {MAX_VERSION}")

    def traffic(self, raw: Mapping[str, Any], *, max_weight: int) -> Mapping[int, int]:
        """Weights by version."""
        found = self.items(raw, "traffic", int)
        if not all(_NUMBER.fullmatch(v) and 0 < n <= max_weight for v, n in found.items()):
            raise self.fault(f"'traffic' must map versions to weights from 1 to {max_weight}")
        return MappingProxyType({int(version): weight for version, weight in found.items()})
