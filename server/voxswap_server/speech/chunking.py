"""How a segment is cut into the chunks that a client gets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunking:
    """How much audio a chunk has: little at first, then twice as much each time."""

    first_ms: float = 80.0
    largest_ms: float = 1_500.0

    def after_s(self, last_s: float) -> float:
        """The seconds of the window after one of ``last_s``, or of the first one after 0."""
        return min(max(self.first_ms, 2e3 * last_s), self.largest_ms) / 1e3

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
