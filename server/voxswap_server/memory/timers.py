"""When time alone changes something."""

from __future__ import annotations

import enum
import heapq
import itertools

from voxswap_server.memory.plans import Token


class Due(enum.Enum):
    """WAITED: a waiter's patience, or rather the server's. LATE: memory on its way out. STUCK: work
    on a part. LOOK: a turn in line begins or ends.
    """

    WAITED = "waited"
    LATE = "late"
    STUCK = "stuck"
    LOOK = "look"


class Timers:
    """What is to be looked at, the next first: it may have come otherwise since. Not thread-safe.

    ``whom`` is a part, or the token of a waiter.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Due, Token]] = []
        self._numbers = itertools.count()

    @property
    def next_s(self) -> float | None:
        """When the next one is due."""
        return self._heap[0][0] if self._heap else None

    def add(self, at_s: float, what: Due, whom: Token = None) -> None:
        """Look at that time whether ``what`` is so of ``whom``."""
        heapq.heappush(self._heap, (at_s, next(self._numbers), what, whom))

    def due(self, now: float) -> list[tuple[Due, Token]]:
        """Those whose time has come; they are forgotten."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            _, _, what, whom = heapq.heappop(self._heap)
            found.append((what, whom))
        return found
