"""One part: its states, and what each transition requires."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voxswap_server.memory.actions import Stage
from voxswap_server.memory.plans import PartPlan, Rank

if TYPE_CHECKING:
    from voxswap_server.memory.claims import Claim, Voice


class State(enum.Enum):
    """Where a part stands; `Part` has the transitions."""

    PROMISED = "promised"
    WAITING = "waiting"
    RUNNING = "running"
    REFUSED = "refused"
    ABANDONED = "abandoned"
    STUCK = "stuck"
    RESIDENT = "resident"
    WITHDRAWN = "withdrawn"
    EVICTING = "evicting"
    GONE = "gone"


class IllegalTransitionError(AssertionError):
    """A transition that a part cannot make from where it stands: a defect of the caller."""


@dataclass(eq=False, slots=True)
class Part:
    """A part in memory or on its way there; or, with the stage FETCH, a fetch, which takes none.

    ::

        PROMISED   memory was found for it, and is not free yet            not charged
        WAITING    for a slot; a fetch begins here                         charged from here on
        RUNNING    a thread is at it
        ABANDONED  nobody wants it, or a player needs what it has: its thread was told to stop
        REFUSED    the device would not have it: others leave to make room
        STUCK      its thread takes longer than any may; who wants it is told
        RESIDENT   in memory, and idle while nobody holds it
        WITHDRAWN  its file was changed: nobody else gets it, and who holds it has to let go
        EVICTING   it is being freed
        GONE       nobody's: no entry, no charge

        PROMISED  -> WAITING                                charge
        WAITING   -> RUNNING                                begin
        RUNNING   -> WAITING                                begin_anew: it had stopped too soon
        RUNNING   -> REFUSED -> WAITING                     refuse, begin_anew; once in its life
        RUNNING   -> ABANDONED -> RUNNING                   abandon, resume
        ABANDONED -> WAITING                                begin_anew: a fetch that stepped back
        RUNNING, ABANDONED -> STUCK                         stick
        RUNNING, ABANDONED, STUCK -> RESIDENT               publish: REQUIRES no thread at it
        RESIDENT  -> WITHDRAWN                              withdraw: while it is held
        RESIDENT, WITHDRAWN -> EVICTING                     evict: REQUIRES that nobody holds it
        all but RESIDENT and WITHDRAWN -> GONE              end: REQUIRES no thread at it

    What it is charged, and who counts on that, is `Holdings`' to keep with each transition.
    """

    number: int
    plan: PartPlan
    stage: Stage = Stage.LOAD
    state: State = State.PROMISED
    size_bytes: int = 0  # charged, or promised to it: at first its bound, then what it measures
    claims: dict[Claim, None] = field(default_factory=dict)  # that wait for it
    holds: int = 0  # of claims, leases and pins: what is held does not leave
    pins: int = 0
    voices: dict[Voice, None] = field(default_factory=dict)  # that speak with it
    began_s: float = 0.0
    loaded_s: float = 0.0
    last_use_s: float = 0.0
    protected_until_s: float = 0.0
    left_s: float | None = None  # since when its memory is on its way out
    late: bool = False  # it takes so long that nobody counts on it any more
    was_refused: bool = False
    room_bytes: int = 0  # what stays free for its second try
    awaits: set[Part] = field(default_factory=set)  # those that leave for it
    reason: str = ""  # why it leaves
    refs: tuple[str, ...] = ()  # versions that can no longer speak because it does

    @property
    def key(self) -> str:
        """Of its plan."""
        return self.plan.key

    @property
    def is_idle(self) -> bool:
        """Whether it may leave."""
        return self.state is State.RESIDENT and not self.holds

    @property
    def stamp_s(self) -> float:
        """By which idle parts are ordered: to be protected is to be used until then."""
        return max(self.last_use_s, self.protected_until_s)

    @property
    def rank(self) -> Rank:
        """Of the most urgent who waits for it."""
        return min((claim.rank for claim in self.claims), default=Rank.AHEAD)

    def charge(self) -> None:
        """Its memory is free, and its own."""
        self._move(State.WAITING, State.PROMISED)

    def begin(self, now: float) -> None:
        """It has a slot."""
        self._move(State.RUNNING, State.WAITING)
        self.began_s = now

    def begin_anew(self) -> None:
        """Another try: REQUIRES no thread at it."""
        fetch = (State.ABANDONED,) if self.stage is Stage.FETCH else ()
        self._move(State.WAITING, State.RUNNING, State.REFUSED, *fetch)

    def abandon(self, now: float) -> None:
        """Nobody waits for it."""
        self._move(State.ABANDONED, State.RUNNING)
        self.left_s = now

    def resume(self) -> None:
        """Somebody does again."""
        self._move(State.RUNNING, State.ABANDONED)

    def refuse(self, room_bytes: int, awaits: set[Part]) -> None:
        """The device has no memory: so much comes free as ``awaits`` leave, and is kept for it."""
        if self.was_refused:
            raise IllegalTransitionError(f"{self.key} is refused a second time")
        self._move(State.REFUSED, State.RUNNING)
        self.was_refused, self.room_bytes, self.awaits = True, room_bytes, awaits

    def stick(self) -> None:
        """It takes too long."""
        self._move(State.STUCK, State.RUNNING, State.ABANDONED)

    def publish(self, size_bytes: int, now: float) -> None:
        """It is there, and takes so much."""
        self._move(State.RESIDENT, State.RUNNING, State.ABANDONED, State.STUCK)
        self.size_bytes = size_bytes
        self.loaded_s = self.last_use_s = now

    def withdraw(self, reason: str) -> None:
        """Nobody else gets it."""
        self._move(State.WITHDRAWN, State.RESIDENT)
        self.reason = reason

    def evict(self, now: float, reason: str) -> None:
        """It is being freed."""
        if self.holds:
            raise IllegalTransitionError(f"{self.key} leaves, and has {self.holds} holds")
        self._move(State.EVICTING, State.RESIDENT, State.WITHDRAWN)
        self.left_s, self.reason = now, reason

    def end(self) -> None:
        """It is gone."""
        if self.state in (State.RESIDENT, State.WITHDRAWN, State.GONE):
            raise IllegalTransitionError(f"{self.key} is {self.state.value}, and cannot be gone")
        self._move(State.GONE, self.state)

    def _move(self, to: State, *allowed: State) -> None:
        if self.state not in allowed:
            raise IllegalTransitionError(f"{self.key}: {self.state.value} -> {to.value}")
        self.state = to
        self.left_s, self.late = None, False

    def __repr__(self) -> str:
        held = f", {self.holds} holds" if self.holds else ""
        return f"<{self.stage.value} {self.key} {self.state.value}, {self.size_bytes} bytes{held}>"
