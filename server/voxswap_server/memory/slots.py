"""Slots: how much work of one stage is under way at a time, and whose goes next."""

from __future__ import annotations

from voxswap_server.memory.part import Part, State
from voxswap_server.memory.plans import Rank


class Slots:
    """``limit`` slots; players first, then first come first served. Not thread-safe.

    Work that was told to stop for a player's sake gives its slot up before its thread has ended; at
    most ``limit`` do so at a time. So threads should be twice as many, and some to spare for those
    that hang. Raises ValueError without any.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"{limit} slots; there must be one at least")
        self._limit = limit
        self.waiting: dict[Part, None] = {}
        self.running: dict[Part, None] = {}
        self.beside: set[Part] = set()  # gave theirs up, and their threads have not ended

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken."""
        return len(self.running) >= self._limit

    def add(self, part: Part) -> None:
        """It waits for a slot."""
        self.waiting[part] = None

    def first(self) -> Part | None:
        """Who is next."""
        return min(self.waiting, key=lambda part: part.rank, default=None)

    def in_the_way(self) -> Part | None:
        """Work that a player's may take the slot of, the latest begun first."""
        if len(self.beside) >= self._limit:
            return None
        ahead = (part for part in reversed(self.running) if part.rank is Rank.AHEAD)
        return next(ahead, None)

    def start(self, part: Part) -> None:
        """It has a slot. REQUIRES: there is one."""
        if self.is_full:
            raise AssertionError(f"no slot for {part}")
        del self.waiting[part]
        self.running[part] = None

    def step_aside(self, part: Part) -> None:
        """It was told to stop; its slot is free. REQUIRES: it was `in_the_way`."""
        if part.state is not State.ABANDONED:
            raise AssertionError(f"{part} goes on, and gives up its slot")
        del self.running[part]
        self.beside.add(part)

    def come_back(self, part: Part) -> None:
        """It is to go on: with a slot of its own, even if that is one too many for a while."""
        if part in self.beside:
            self.beside.discard(part)
            self.running[part] = None

    def leave(self, part: Part) -> None:
        """It waits no more, or runs no more."""
        self.waiting.pop(part, None)
        self.running.pop(part, None)
        self.beside.discard(part)
