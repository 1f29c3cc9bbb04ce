"""When time alone changes something."""

from __future__ import annotations

import enum
import heapq
import itertools
from dataclasses import dataclass, field

from voxswap_server.memory.claims import Claim
from voxswap_server.memory.part import Part
from voxswap_server.memory.plans import Token


class Due(enum.Enum):
    """WAITED: a waiter's patience, or rather the server's. LATE: memory on its way out. STUCK: work
    on a part. LOOK: a turn in line begins or ends.
    """

    WAITED = "waited"
    LATE = "late"
    STUCK = "stuck"
    LOOK = "look"


@dataclass(order=True, frozen=True, slots=True)
class Timer:
    """At ``at_s``, look whether ``what`` is so of ``whom``; it may have come otherwise since."""

    at_s: float
    number: int
    what: Due = field(compare=False)
    whom: Part | Claim | Token | None = field(compare=False, default=None)


class Timers:
    """Those that are to come, the next first. Not thread-safe."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._numbers = itertools.count()

    @property
    def next_s(self) -> float | None:
        """When the next one is due."""
        return self._heap[0].at_s if self._heap else None

    def add(self, at_s: float, what: Due, whom: Part | Claim | Token | None = None) -> None:
        """Look at that time."""
        heapq.heappush(self._heap, Timer(at_s, next(self._numbers), what, whom))

    def due(self, now: float) -> list[Timer]:
        """Those whose time has come; they are forgotten."""
        found = []
        while self._heap and self._heap[0].at_s <= now:
            found.append(heapq.heappop(self._heap))
        return found

    def __len__(self) -> int:
        return len(self._heap)
