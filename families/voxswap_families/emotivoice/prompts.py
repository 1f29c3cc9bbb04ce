"""Vectors of prompts and sentences, kept by what was read of them, so that none is made twice."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from torch import Tensor

from voxswap_families.contract import PromptStatistics
from voxswap_families.emotivoice.bert import StyleEncoder
from voxswap_families.work import Steps

#: Of what is kept beside one style encoder: some 600 of published ones' vectors.
MOST_BYTES: Final = 2 << 20
# Of a Python object beside a vector: the entry, the key, the tensor's own fields.
_ENTRY_BYTES, _ID_BYTES = 512, 36


class PromptCounts:
    """What became of the prompts of an engine's style encoders. Thread-safe, by its lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found = self._made = self._forgotten = 0
        self._all: weakref.WeakSet[Prompts] = weakref.WeakSet()

    def watch(self, prompts: Prompts) -> None:
        """Count what it keeps, for as long as it is there."""
        with self._lock:
            self._all.add(prompts)

    def add(self, *, found: int = 0, made: int = 0, forgotten: int = 0) -> None:
        """Count so many more."""
        with self._lock:
            self._found += found
            self._made += made
            self._forgotten += forgotten

    def statistics(self) -> PromptStatistics:
        """As of now."""
        with self._lock:
            kept = sum(prompts.size_bytes for prompts in self._all)
            return PromptStatistics(self._found, self._made, self._forgotten, kept)


class Prompts:
    """A style encoder, and the vectors that it gave of late. Thread-safe, by its lock.

    The least recently used go first. Two works that want one vector at the same time may both make
    it: they are the same numbers, and neither waits for the other.
    """

    def __init__(
        self, encoder: StyleEncoder, counts: PromptCounts, most_bytes: int = MOST_BYTES
    ) -> None:
        self.encoder = encoder
        self._counts = counts
        self.most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, ...], Tensor] = OrderedDict()
        self._size_bytes = 0
        counts.watch(self)

    @property
    def size_bytes(self) -> int:
        """Of what is kept now."""
        return self._size_bytes

    def steps(self, ids: Sequence[int]) -> Steps[Tensor]:
        """The ``(units,)`` vector of a text's tokens: at once if it is kept, else in steps.

        Raises as `StyleEncoder.steps`.
        """
        key = tuple(ids)
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        if found is not None:
            self._counts.add(found=1)
            return found
        made = yield from self.encoder.steps(key)
        self._keep(key, made)
        return made

    def _keep(self, key: tuple[int, ...], vector: Tensor) -> None:
        with self._lock:
            forgotten = 0
            if key not in self._kept:
                self._size_bytes += _bytes_of(key, vector)
            self._kept[key] = vector
            while self._size_bytes > self.most_bytes:
                self._size_bytes -= _bytes_of(*self._kept.popitem(last=False))
                forgotten += 1
        self._counts.add(made=1, forgotten=forgotten)


def _bytes_of(key: tuple[int, ...], vector: Tensor) -> int:
    return vector.nbytes + _ENTRY_BYTES + _ID_BYTES * len(key)
