"""How a segment is cut: into the chunks that a client gets, and into what is decoded at a time."""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

_LEAST_SIZE, _FIRST_SIZE, _LARGEST_SIZE = 8, 64, 512
_LATEST = 4
# Twice as many frames take twice as long at the most, and that with a tail must leave a little.
_ROOM = 0.6


@dataclass(frozen=True, slots=True)
class Chunking:
    """How much audio a chunk has: little at first, then twice as much each time."""

    first_ms: float = 80.0
    largest_ms: float = 1_500.0

    def windows(self, frames: int, frame_ms: float, largest_yet: int) -> Iterator[tuple[int, int]]:
        """Cut ``[0, frames)``; ``largest_yet`` is the size of the stream's last window, or 0."""
        largest = max(1, round(self.largest_ms / frame_ms))
        size = 2 * largest_yet or max(1, math.ceil(self.first_ms / frame_ms))
        first = 0
        while first < frames:
            size, left = min(size, largest), frames - first
            # A tail shorter than half a window goes along with it.
            taken = left if left < 1.5 * size else size
            yield first, first + taken
            first, size = first + taken, 2 * size


class StepSizes:
    """How many frames may be decoded at a time, so that each step ends in time. Thread-safe.

    Learnt by kind of voice, from pieces of the size that is allowed now. Of the last few the
    quickest counts: whoever else computes may make a step longer, and never shorter.
    """

    def __init__(self, bound_s: float = 0.02) -> None:
        """No step should take longer than ``bound_s``."""
        self._bound_s = bound_s
        self._sizes: dict[Hashable, int] = {}
        self._latest: dict[Hashable, list[float]] = {}
        self._lock = threading.Lock()

    def cut(self, kind: Hashable, first: int, last: int) -> Iterator[tuple[int, int]]:
        """``[first, last)`` in pieces; a short tail goes along with the piece before it."""
        size = self.size(kind)
        while first < last:
            left = last - first
            taken = left if left < 1.5 * size else size
            yield first, first + taken
            first += taken

    def size(self, kind: Hashable) -> int:
        """Frames of a piece, as it is now."""
        with self._lock:
            return self._sizes.get(kind, _FIRST_SIZE)

    def record(self, kind: Hashable, frames: int, longest_s: float) -> None:
        """The longest step of decoding so many frames took so long."""
        with self._lock:
            size = self._sizes.setdefault(kind, _FIRST_SIZE)
            latest = self._latest.setdefault(kind, [])
            # A smaller piece says nothing, unless it was too long already.
            if frames < size and longest_s <= self._bound_s:
                return
            latest.append(longest_s)
            if len(latest) < _LATEST:
                return
            quickest = min(latest)
            latest.clear()
            if quickest > self._bound_s and size > _LEAST_SIZE:
                self._sizes[kind] = size // 2
            elif quickest <= _ROOM * self._bound_s / 2 and size < _LARGEST_SIZE:
                self._sizes[kind] = 2 * size
