"""Parts, claims and voices, and the steps that events consist of."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from voxswap_server.memory.actions import (
    Action,
    Cancel,
    Free,
    Grant,
    News,
    Refuse,
    Resume,
    Stage,
    Tell,
    Why,
)
from voxswap_server.memory.claims import Claim, Voice, Waiter
from voxswap_server.memory.holdings import Holdings
from voxswap_server.memory.line import Line
from voxswap_server.memory.part import Part, State
from voxswap_server.memory.plans import Asker, Limits, PartPlan, Plan, Token
from voxswap_server.memory.slots import Slots
from voxswap_server.memory.timers import Due, Timers


class MisuseError(AssertionError):
    """An event that cannot have happened: a defect of the caller."""


class Entries:
    """State of `Memory`, and what changes it. Decides nothing.

    What has no underscore is there for others to look at, and theirs to change in no way.

    `Memory` is four layers, each of which calls those below it alone: `Entries`, `Allotment` (who
    gets memory and slots), `Outcomes` (what work and time come to), and `Memory` (what is asked).
    """

    def __init__(
        self,
        budget_bytes: int,
        *,
        limits: Limits | None = None,
        carved: Mapping[str, int] | None = None,
    ) -> None:
        """``carved`` names bytes that are kept for other things for the life of the process.

        Raises ValueError if the budget has no room for more than these.
        """
        self._limits = limits = limits or Limits()
        self.holdings = Holdings(budget_bytes, carved or {})
        self.line = Line(limits)
        self._timers = Timers()
        self._slots = {
            Stage.LOAD: Slots(limits.load_slots),
            Stage.FETCH: Slots(limits.fetch_slots),
        }
        self.work: dict[int, Part] = {}  # every part and fetch that is not gone
        self._fetches: dict[str, Part] = {}
        self.claims: dict[str, Claim] = {}  # voices that are wanted and not there
        self._promised_claims: dict[Claim, None] = {}
        self._claim_of: dict[Token, Claim] = {}
        self.voices: dict[str, Voice] = {}  # those that can speak
        self.leases: dict[Token, Voice] = {}
        self._turns = itertools.count()
        self._actions: list[Action] = []
        self._dirty = False
        self._ahead_waits = False  # whether anything in line is ahead of need
        self._next_look_s = 0.0  # when that is looked at again, if nothing else happens
        self._closed = False
        self._now = 0.0
        self.walks = 0  # of the line, so that tests need no clock

    def _begin(self, now: float) -> None:
        self._now = max(self._now, now)

    def _do(self, action: Action) -> None:
        self._actions.append(action)

    # Parts

    def _abandon(self, part: Part) -> None:
        self.holdings.abandon(part, self._now)
        self._do(Cancel(part.number, part.key))
        self._timers.add(self._now + self._limits.leaving_s, Due.LATE, part)

    def _resume(self, part: Part) -> None:
        self.holdings.resume(part)
        self._slots[part.stage].come_back(part)
        self._do(Resume(part.number, part.key))

    def _nobody_wants(self, part: Part) -> None:
        if part.state is State.RUNNING:
            self._abandon(part)
        elif part.state in (State.PROMISED, State.WAITING, State.REFUSED):
            self._drop(part)

    def _drop(self, part: Part) -> None:
        self._slots[part.stage].leave(part)
        self.holdings.drop(part)
        del self.work[part.number]
        if part.stage is Stage.FETCH:
            del self._fetches[part.key]

    # Claims

    def _hopeless(self, plan: Plan) -> Why | None:
        """Why waiting for ``plan`` would be in vain."""
        if self.holdings.is_too_large(plan):
            return Why.TOO_LARGE
        return None if self.stuck_of(plan) is None else Why.STUCK

    def stuck_of(self, plan: Plan) -> Part | None:
        """A part of ``plan`` whose work hangs."""
        for needed in plan.parts:
            part = self.holdings.find(needed.key)
            if part is None and not needed.is_local:
                part = self._fetches.get(needed.key)
            if part is not None and part.state is State.STUCK:
                return part
        return None

    def _fetch(self, claim: Claim, plan: PartPlan) -> None:
        fetch = self._fetches.get(plan.key)
        if fetch is None:
            fetch = self._fetches[plan.key] = self.holdings.fetch(plan)
            self.work[fetch.number] = fetch
            self._slots[Stage.FETCH].add(fetch)
        elif fetch.state is State.ABANDONED:
            self._resume(fetch)
        fetch.claims[claim] = None
        claim.unfetched[plan.key] = fetch

    def _stand_in_line(self, claim: Claim) -> None:
        if claim.in_line_s is None:
            claim.in_line_s = self._now
        self.line.add(claim)
        self._time(claim, claim.waiters.values())
        self._dirty = True

    def _time(self, claim: Claim, waiters: Iterable[Waiter]) -> None:
        for waiter in waiters:
            at_s = max(waiter.asked_s, claim.in_line_s or 0.0) + self._limits.wait_s
            self._timers.add(at_s, Due.WAITED, waiter.who.token)
        self._timers.add(claim.waits_since_s + self._limits.ageing_s, Due.LOOK)

    def _leave(self, token: Token, why: Why = Why.GIVEN_UP) -> None:
        claim = self._claim_of.pop(token)
        waiter = claim.leave(token)
        if not claim.waiters:
            del self.claims[claim.plan.key]
            self._let_go_of(claim)
            self._do(
                Tell(
                    News.NOT_LOADED,
                    claim.plan.key,
                    (waiter.who.ref,),
                    why=why,
                    duration_s=self._now - waiter.asked_s,
                )
            )
        self._dirty = True

    def _back_in_line(self, claim: Claim) -> None:
        """It holds nothing any more, and keeps its place."""
        self._let_go_of(claim)
        self._stand_in_line(claim)

    def _let_go_of(self, claim: Claim) -> None:
        """Give back all that ``claim`` has or waits for; loads that nobody else wants stop."""
        self.line.discard(claim)
        self._promised_claims.pop(claim, None)
        fetches, claim.unfetched = claim.unfetched, {}
        parts, claim.parts, claim.added = claim.parts, (), ()
        claim.missing = 0
        for fetch in fetches.values():
            fetch.claims.pop(claim, None)
            if not fetch.claims:
                self._nobody_wants(fetch)
        for part in parts:
            part.claims.pop(claim, None)
            self._let_go(part)
        for part in parts:
            if not part.claims:
                self._nobody_wants(part)
        self.holdings.lanes.leave(claim)
        self._dirty = True

    def _end_all(self, claims: Iterable[Claim], why: Why, error: object = None) -> None:
        for claim in claims:
            self._end(claim, why, error)

    def _end(self, claim: Claim, why: Why, error: object = None) -> None:
        """Everybody who waits is told."""
        del self.claims[claim.plan.key]
        refs, asked_s = claim.refs, claim.asked_s
        for token in claim.waiters:
            del self._claim_of[token]
            self._do(Refuse(token, claim.plan.key, why, error))
        waited_s = self._now - asked_s
        self._do(
            Tell(News.NOT_LOADED, claim.plan.key, refs, why=why, error=error, duration_s=waited_s)
        )
        self._let_go_of(claim)

    def _finish_if_ready(self, claim: Claim) -> None:
        """Everything is there: waiters get their leases, in the order in which they asked."""
        lanes, plan = self.holdings.lanes, claim.plan
        if claim.missing or not claim.parts or not lanes.has(plan):
            return
        del self.claims[plan.key]
        del self._promised_claims[claim]
        lanes.use(plan)
        took_s = self._now - claim.asked_s
        voice = Voice(plan, claim.parts, self._now, took_s, retired=claim.retired)
        self.voices[plan.key] = voice
        for part in voice.parts:
            part.voices[voice] = None
        queued_s = (claim.promised_s or self._now) - (claim.in_line_s or self._now)
        for waiter in claim.waiters.values():
            del self._claim_of[waiter.who.token]
            self._lease(voice, waiter.who, waited_s=self._now - waiter.asked_s)
        self._do(
            Tell(
                News.LOADED,
                plan.key,
                claim.refs,
                size_bytes=sum(part.size_bytes for part in claim.added),
                duration_s=took_s,
                queue_s=queued_s,
            )
        )
        for part in claim.parts:
            self._let_go(part)
        lanes.leave(claim)

    # Voices

    def _lease(self, voice: Voice, who: Asker, *, waited_s: float | None = None) -> None:
        voice.refs.add(who.ref)
        voice.leases += 1
        voice.uses += 1
        voice.last_use_s = self._now
        self.leases[who.token] = voice
        for part in voice.parts:
            self.holdings.hold(part)
        numbers = tuple(part.number for part in voice.parts)
        cold, waited_s = waited_s is not None, waited_s or 0.0
        self._do(Grant(who.token, voice.plan.key, numbers, cold, waited_s))

    def _let_go(self, part: Part, *, pin: bool = False) -> None:
        """One hold less; what was only kept by it leaves."""
        self.holdings.let_go(part, self._now, pin=pin)
        if part.holds:
            return
        if part.state is State.WITHDRAWN:
            self._evict(part, part.reason)
        elif self._closed and part.state is State.RESIDENT:
            self._evict(part, "shutdown")

    def _unpin(self, voice: Voice) -> None:
        if voice.pinned:
            voice.pinned = False
            for part in voice.parts:
                self._let_go(part, pin=True)
            self._dirty = True

    def _dismiss(self, voice: Voice, reason: str) -> None:
        """If nobody has it, it and what no other voice has of it leave."""
        if voice.leases or voice.pinned or self.voices.get(voice.plan.key) is not voice:
            return
        own = [part for part in voice.parts if part.is_idle and len(part.voices) == 1]
        refs = self._take_apart(voice, reason)
        for part in own:
            self._evict(part, reason, refs)

    def _take_apart(self, voice: Voice, reason: str) -> tuple[str, ...]:
        """Nobody else gets it. The versions that it spoke as."""
        del self.voices[voice.plan.key]
        for part in voice.parts:
            part.voices.pop(voice, None)
        refs = tuple(sorted(voice.refs))
        self._do(Tell(News.WITHDRAWN, voice.plan.key, refs, reason=reason))
        return refs

    def _evict(self, part: Part, reason: str, refs: tuple[str, ...] = ()) -> None:
        """Withdraw it before it is taken apart. REQUIRES: nobody holds it."""
        for voice in tuple(part.voices):
            refs += self._take_apart(voice, reason)
        part.refs += tuple(sorted(refs))
        self.holdings.evict(part, self._now, reason)
        self._do(Free(part.number, part.key, reason))
        self._timers.add(self._now + self._limits.leaving_s, Due.LATE, part)
        self._dirty = True
