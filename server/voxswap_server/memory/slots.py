"""Slots: how much work of one stage is under way at a time, and whose goes next."""

from __future__ import annotations

from voxswap_server.memory.part import Part, State
from voxswap_server.memory.plans import Rank


class Slots:
    """``limit`` slots; players first, then first come first served. Not thread-safe.

    Work that was told to stop for a player's sake gives its slot up before its thread has ended; at
    most ``limit`` do so at a time. So threads should be twice as many, and some to spare for those
    that hang.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"{limit} slots; there must be one at least")
        self._limit = limit
        self._waiting: dict[Part, None] = {}
        self._running: dict[Part, None] = {}
        self._beside: set[Part] = set()

    @property
    def waiting(self) -> tuple[Part, ...]:
        """Those without a slot."""
        return tuple(self._waiting)

    @property
    def running(self) -> tuple[Part, ...]:
        """Those with one."""
        return tuple(self._running)

    @property
    def beside(self) -> tuple[Part, ...]:
        """Those that gave theirs up, and whose threads have not ended."""
        return tuple(self._beside)

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken."""
        return len(self._running) >= self._limit

    def add(self, part: Part) -> None:
        """It waits for a slot."""
        self._waiting[part] = None

    def first(self) -> Part | None:
        """Who is next."""
        return min(self._waiting, key=lambda part: part.rank, default=None)

    def in_the_way(self) -> Part | None:
        """Work that a player's may take the slot of, the latest begun first."""
        if len(self._beside) >= self._limit:
            return None
        ahead = (part for part in reversed(self._running) if part.rank is Rank.AHEAD)
        return next(ahead, None)

    def start(self, part: Part) -> None:
        """It has a slot. REQUIRES: there is one."""
        if self.is_full:
            raise AssertionError(f"no slot for {part}")
        del self._waiting[part]
        self._running[part] = None

    def step_aside(self, part: Part) -> None:
        """It was told to stop; its slot is free. REQUIRES: it was `in_the_way`."""
        if part.state is not State.ABANDONED:
            raise AssertionError(f"{part} goes on, and gives up its slot")
        del self._running[part]
        self._beside.add(part)

    def come_back(self, part: Part) -> None:
        """It is to go on: with a slot of its own, even if that is one too many for a while."""
        if part in self._beside:
            self._beside.discard(part)
            self._running[part] = None

    def leave(self, part: Part) -> None:
        """It waits no more, or runs no more."""
        self._waiting.pop(part, None)
        self._running.pop(part, None)
        self._beside.discard(part)
