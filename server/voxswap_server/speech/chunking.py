"""How a segment is cut: into the chunks that a client gets, and into what is decoded at a time."""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

# Steps have multiples of so many frames, but for one in a segment: a convolution's kernel is
# compiled for a length, which takes a millisecond and 100 KB.
GRID_FRAMES = 8


@dataclass(frozen=True, slots=True)
class Chunking:
    """How much audio a chunk has: little at first, then twice as much each time."""

    first_ms: float = 80.0
    largest_ms: float = 1_500.0

    def windows(self, frames: int, frame_ms: float, largest_yet: int) -> Iterator[tuple[int, int]]:
        """Cut ``[0, frames)``; ``largest_yet`` is the size of the stream's last window, or 0.

        All windows but the stream's first and each segment's next one are of whole grids.
        """
        largest = max(1, round(self.largest_ms / frame_ms))
        grid = GRID_FRAMES if largest >= 2 * GRID_FRAMES else 1
        size = 2 * largest_yet or max(1, math.ceil(self.first_ms / frame_ms))
        first = 0
        while first < frames:
            size, left = min(size, largest), frames - first
            # A tail shorter than half a window goes along with it.
            taken = left if left < 1.5 * size else size
            if taken < left and (first or largest_yet):
                taken = max(grid, size - size % grid) + left % grid
            yield first, first + taken
            first, size = first + taken, 2 * size


class StepSizes:
    """How many frames may be decoded at a time, so that each step ends in time. Thread-safe.

    Learnt by kind of voice from the longest steps that there were. Sizes are powers of two of the
    grid: a step that differs a little from the one before would have to be compiled anew.
    """

    def __init__(self, bound_s: float = 0.02) -> None:
        """No step should take longer than ``bound_s``."""
        self._bound_s = bound_s
        self._frame_s: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    @property
    def bound_s(self) -> float:
        """See the constructor."""
        return self._bound_s

    def cut(self, kind: Hashable, first: int, last: int) -> Iterator[tuple[int, int]]:
        """``[first, last)`` in pieces; what is no whole grid goes along with the first one."""
        size = self._size(kind)
        odd = (last - first) % GRID_FRAMES
        until = first
        while until < last:
            taken = min(size, last - until - odd) + odd
            yield until, until + taken
            until, odd = until + taken, 0

    def record(self, kind: Hashable, frames: int, took_s: float) -> None:
        """The longest step of decoding so many frames took so long."""
        measured = took_s / frames
        with self._lock:
            known = self._frame_s.get(kind, measured)
            # Up at once and down slowly: what is measured varies with who else computes.
            weight = 0.5 if measured > known else 0.05
            self._frame_s[kind] = known + weight * (measured - known)

    def _size(self, kind: Hashable) -> int:
        with self._lock:
            frame_s = self._frame_s.get(kind)
        if frame_s is None:
            return 2 * GRID_FRAMES
        # Three quarters: a step also pays for what comes with each one.
        grids = max(1.0, 0.75 * self._bound_s / frame_s / GRID_FRAMES)
        return int(GRID_FRAMES * 2 ** min(6, math.floor(math.log2(grids))))
