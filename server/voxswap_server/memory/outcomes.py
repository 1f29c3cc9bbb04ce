"""What work and time come to."""

from __future__ import annotations

from voxswap_server.memory.actions import (
    Action,
    Cancelled,
    DeviceRefused,
    Failed,
    Loaded,
    News,
    NotLocal,
    Outcome,
    Refuse,
    Stage,
    Tell,
    Why,
)
from voxswap_server.memory.allotment import Allotment
from voxswap_server.memory.entries import MisuseError
from voxswap_server.memory.part import Part, State
from voxswap_server.memory.plans import Rank, Token
from voxswap_server.memory.timers import Due


class Outcomes(Allotment):
    """The events that threads and the clock bring."""

    def loaded(self, number: int, outcome: Outcome, now: float) -> list[Action]:
        """No thread is at the work ``number`` any more."""
        self._begin(now)
        part = self.work.get(number)
        if part is None or part.state not in (State.RUNNING, State.ABANDONED, State.STUCK):
            raise MisuseError(f"{number} is not under way: {part}")
        self._slots[part.stage].leave(part)
        self._dirty = True
        if isinstance(outcome, Cancelled) and part.claims:
            part.begin_anew()  # It was told to stop, and to go on, and had stopped.
            self._slots[part.stage].add(part)
        elif part.stage is Stage.FETCH:
            self._fetched(part, outcome)
        elif isinstance(outcome, Loaded):
            self._publish(part, outcome.size_bytes)
        elif part.state is not State.RUNNING:
            self._drop(part)
        elif isinstance(outcome, DeviceRefused):
            self._refused(part, outcome.error)
        elif isinstance(outcome, NotLocal):
            self._fetch_after_all(part)
        else:
            error = outcome.error if isinstance(outcome, Failed) else None
            self._fail(part, Why.FAILED, error)
        return self._done()

    def _fetched(self, fetch: Part, outcome: Outcome) -> None:
        claims = tuple(fetch.claims)
        self._drop(fetch)
        for claim in claims:
            if isinstance(outcome, Loaded):
                del claim.unfetched[fetch.key]
                if not claim.unfetched:
                    self._stand_in_line(claim)
            else:
                error = outcome.error if isinstance(outcome, Failed) else None
                self._end(claim, Why.FAILED, error)

    def _publish(self, part: Part, size_bytes: int) -> None:
        claims = tuple(part.claims)
        part.claims.clear()
        self.holdings.publish(part, size_bytes, self._now)
        if claims:
            settled_s = self._now + self._limits.settle_s
            self.holdings.touch(part, self._now, protected_until_s=settled_s)
        for claim in claims:
            claim.missing -= 1
            self._finish_if_ready(claim)
        if part.is_idle and (self._closed or self.holdings.spare_bytes < 0):
            # Nobody wanted it any more, and its memory was promised to somebody meanwhile.
            self._evict(part, "abandoned")

    def _refused(self, part: Part, error: object) -> None:
        """The device has less than the ledger says, or it has it in pieces: as much as the part
        takes has to leave, or else all that is idle.

        That is not spare then, but kept for the second try. If nothing is idle there is none.
        """
        victims: list[Part] = []
        if not part.was_refused and part.rank is Rank.PLAYER:
            idle = self.holdings.idle
            victims = idle.victims(part.size_bytes) or list(idle)
        if not victims:
            self._fail(part, Why.DEVICE, error)
            return
        self.holdings.refuse(part, set(victims))
        for victim in victims:
            self._evict(victim, "refused")
        self._try_again(part)

    def _try_again(self, part: Part) -> None:
        if not part.awaits:
            part.begin_anew()
            self._slots[Stage.LOAD].add(part)

    def _fetch_after_all(self, part: Part) -> None:
        """Its bytes went from this machine after somebody had seen them here."""
        claims = tuple(part.claims)
        self._drop(part)
        for claim in claims:
            self._let_go_of(claim)
            self._fetch(claim, part.plan)

    def _fail(self, part: Part, why: Why, error: object = None) -> None:
        """A load came to nothing; so do claims on it, and those in line that would repeat it."""
        claims = list(part.claims)
        players, ahead = self.line.in_order()
        claims += [c for c in (*players, *ahead) if part.key in c.plan.keys and not c.insists]
        part.claims.clear()
        self._drop(part)
        self._end_all(claims, why, error)

    def freed(self, number: int, now: float) -> list[Action]:
        """The memory of what `Free` named is free."""
        self._begin(now)
        part = self.work.get(number)
        if part is None or part.state is not State.EVICTING:
            raise MisuseError(f"{number} is not being freed: {part}")
        began_s = now if part.left_s is None else part.left_s
        self._do(
            Tell(
                News.EVICTED,
                part.key,
                part.refs,
                size_bytes=part.size_bytes,
                reason=part.reason,
                source=part.plan.source,
                duration_s=now - began_s,
                age_s=began_s - part.last_use_s,
            )
        )
        del self.work[number]
        self.holdings.freed(part)
        for other in self.holdings.second_tries():
            if part in other.awaits:
                other.awaits.discard(part)
                self._try_again(other)
        self._dirty = True
        return self._done()

    # Time

    def _see_time(self) -> None:
        for what, whom in self._timers.due(self._now):
            if what is Due.LOOK:
                self._dirty = True
            elif what is Due.WAITED:
                self._has_waited(whom)
            elif isinstance(whom, Part) and what is Due.LATE:
                self._is_late(whom)
            elif isinstance(whom, Part):
                self._is_stuck(whom)

    def _has_waited(self, token: Token) -> None:
        claim = self._claim_of.get(token)
        if claim is None or claim not in self.line:
            return  # What was promised it is not taken away for its having waited.
        self._do(Refuse(token, claim.plan.key, Why.BUSY))
        self._leave(token, Why.BUSY)

    def _is_late(self, part: Part) -> None:
        if part.left_s is None or part.late or self._now < part.left_s + self._limits.leaving_s:
            return
        self.holdings.give_up_on(part)
        self._dirty = True
        for other in self.holdings.second_tries():
            if part in other.awaits:
                self._fail(other, Why.DEVICE)

    def _is_stuck(self, part: Part) -> None:
        under_way = part.state in (State.RUNNING, State.ABANDONED)
        if not under_way or self._now < part.began_s + self._limits.load_timeout_s:
            return
        self._slots[part.stage].leave(part)
        self.holdings.stick(part)
        self._dirty = True
        claims = tuple(part.claims)
        part.claims.clear()
        self._end_all(claims, Why.STUCK)
