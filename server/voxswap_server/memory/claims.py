"""Claims (voices that are wanted and not there) and voices (that are)."""

from __future__ import annotations

from dataclasses import dataclass, field

from voxswap_server.memory.part import Part
from voxswap_server.memory.plans import Asker, Plan, Rank, Token


@dataclass(frozen=True, slots=True)
class Waiter:
    """One who asked, and when."""

    who: Asker
    asked_s: float
    turn: int  # counts those who ask: the place in line


@dataclass(eq=False, slots=True)
class Claim:
    """One voice that is wanted, by everybody who asked for it.

    ::

        fetching   bytes of it are not on this machine                       takes no memory
        in line    for memory, all of it at once                             takes no memory
        promised   memory is found: parts are PROMISED, or on their way      holds its parts

    It ends when all parts are RESIDENT (waiters get leases), a part cannot be had (they are told
    why), or the last waiter gave up. It goes back in line, or to fetching, if the promise cannot be
    kept: it then holds nothing, so that two of them cannot each hold what the other needs.
    """

    plan: Plan
    waiters: dict[Token, Waiter] = field(default_factory=dict)
    unfetched: dict[str, Part] = field(default_factory=dict)
    in_line_s: float | None = None
    promised_s: float | None = None
    parts: tuple[Part, ...] = ()  # held, while it is promised
    missing: int = 0  # of these, not RESIDENT
    retired: set[str] = field(default_factory=set)
    players: int = 0  # of the waiters
    had_exclusive: bool = False  # each has it once

    def join(self, waiter: Waiter) -> None:
        """One more wants it."""
        self.waiters[waiter.who.token] = waiter
        self.players += waiter.who.rank is Rank.PLAYER
        self.retired.discard(waiter.who.ref)

    def leave(self, token: Token) -> Waiter:
        """One less."""
        waiter = self.waiters.pop(token)
        self.players -= waiter.who.rank is Rank.PLAYER
        return waiter

    @property
    def rank(self) -> Rank:
        """Of the most urgent waiter."""
        return Rank.PLAYER if self.players else Rank.AHEAD

    @property
    def first(self) -> Waiter:
        """The one of that rank who asked first."""
        rank = self.rank
        return next(waiter for waiter in self.waiters.values() if waiter.who.rank is rank)

    @property
    def place(self) -> tuple[Rank, int]:
        """In line: players first, then who asked first."""
        return self.rank, self.first.turn

    @property
    def waits_since_s(self) -> float:
        """For memory, with this rank."""
        return max(self.first.asked_s, self.in_line_s or 0.0)

    @property
    def asked_s(self) -> float:
        """When the first one asked that waits still."""
        return next(iter(self.waiters.values())).asked_s

    @property
    def insists(self) -> bool:
        """Whether anybody does."""
        return any(waiter.who.insists for waiter in self.waiters.values())

    @property
    def refs(self) -> tuple[str, ...]:
        """Versions that it is wanted as."""
        return tuple(sorted({waiter.who.ref for waiter in self.waiters.values()}))

    def __repr__(self) -> str:
        where = "promised" if self.parts else "fetching" if self.unfetched else "in line"
        return f"<claim {self.plan.key} {where}, {len(self.waiters)} waiters>"


@dataclass(eq=False, slots=True)
class Voice:
    """A voice that can speak: its parts are RESIDENT as long as it is found.

    If one is withdrawn, the voice lives on for the leases that are held.
    """

    plan: Plan
    parts: tuple[Part, ...]
    loaded_s: float
    load_s: float = 0.0
    refs: set[str] = field(default_factory=set)
    retired: set[str] = field(default_factory=set)  # of these, those that the registry has no more
    leases: int = 0
    uses: int = 0
    pinned: bool = False
    last_use_s: float = 0.0

    @property
    def is_retired(self) -> bool:
        """Whether every version of it is gone from the registry."""
        return self.refs <= self.retired

    def __repr__(self) -> str:
        pinned = ", pinned" if self.pinned else ""
        return f"<voice {self.plan.key}, {self.leases} leases{pinned}>"
