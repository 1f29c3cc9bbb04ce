"""Who gets memory and slots: the policies of `Memory`, and what each does to parts and claims."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from voxswap_server.memory.actions import (
    Action,
    Cancel,
    Free,
    Grant,
    Load,
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
from voxswap_server.memory.plans import Asker, Limits, Plan, Rank, Token
from voxswap_server.memory.slots import Slots
from voxswap_server.memory.statistics import Forecast
from voxswap_server.memory.timers import Due, Timers

# Sums of times are rounded: what is looked at too soon would be looked at for ever.
_ROUNDING_S = 1e-3


class Allotment:
    """State of `Memory` and how it is given out. Every event ends in `_done`, which settles it.

    Whatever could let somebody go sets ``_dirty``; a hit or a lease that is given back does not, so
    they cost nothing while others wait, until enough has come idle for one of them.
    """

    def __init__(self, budget_bytes: int, limits: Limits, carved: Mapping[str, int]) -> None:
        self._limits = limits
        self._holdings = Holdings(budget_bytes, carved)
        self._line = Line(limits)
        self._timers = Timers()
        self._slots = {
            Stage.LOAD: Slots(limits.load_slots),
            Stage.FETCH: Slots(limits.fetch_slots),
        }
        self._work: dict[int, Part] = {}  # every part and fetch that is not gone
        self._fetches: dict[str, Part] = {}
        self._claims: dict[str, Claim] = {}
        self._promised_claims: dict[Claim, None] = {}
        self._claim_of: dict[Token, Claim] = {}
        self._voices: dict[str, Voice] = {}
        self._leases: dict[Token, Voice] = {}
        self._turns = itertools.count()
        self._actions: list[Action] = []
        self._dirty = False
        self._closed = False
        self._now = 0.0
        self.walks = 0  # of the line, so that tests need no clock

    def _begin(self, now: float) -> None:
        self._now = max(self._now, now)

    def _do(self, action: Action) -> None:
        self._actions.append(action)

    def _done(self) -> list[Action]:
        """Settle everything, and hand out what is to be done."""
        self._see_time()
        available = self._holdings.available_bytes
        self._line.note(available)
        if len(self._line) and self._line.may_go(available + self._ahead_most_bytes()):
            self._dirty = True
        while self._dirty:
            self._dirty = False
            self._settle()
            self._see_time()
        actions, self._actions = self._actions, []
        return actions

    def _see_time(self) -> None:
        """What time alone has changed."""
        raise NotImplementedError

    # Memory

    def _settle(self) -> None:
        self.walks += 1
        self._shrink()
        self._keep_promises()
        self._charge()
        if self._line.end_exclusive(self._now):
            self._timers.add(self._line.rests_until_s, Due.LOOK)
        players, ahead = self._line.in_order()
        for claim in players:
            if claim in self._line:
                self._promise_to_player(claim)
        if not any(claim in self._line for claim in players):
            for claim in ahead:
                if claim in self._line:
                    self._promise_ahead(claim)
        self._charge()
        for stage in Stage:
            self._begin_work(stage)
        self._line.note(self._holdings.available_bytes)
        if self._line.choose_exclusive(self._now):
            self._timers.add(self._line.exclusive_until_s, Due.LOOK)
        cost, own = self._holdings.cost, self._holdings.own_idle_bytes
        players, _ = self._line.in_order()
        self._line.see_costs((c, cost(c.plan), own(c.plan)) for c in players)

    def _shrink(self) -> None:
        """The budget is to be reached: what is idle goes, then what is loaded ahead of need."""
        idle = self._holdings.idle
        if (over := -self._holdings.staying_room_bytes) <= 0:
            return
        victims = idle.victims(over)
        for part in tuple(idle) if victims is None else victims:
            self._evict(part, "budget")
        for claim in self._promised_ahead():
            if self._holdings.staying_room_bytes >= 0:
                return
            self._back_in_line(claim)

    def _keep_promises(self) -> None:
        """Take back promises that cannot be kept: what is to leave does not, or the budget shrank.

        Those of least urgency first. Who has all of its memory is not asked.
        """
        while self._holdings.spare_bytes < 0:
            pending = [c for c in self._promised_claims if self._is_owed(c)]
            if not pending:
                return
            self._back_in_line(max(pending, key=lambda claim: claim.place))

    def _is_owed(self, claim: Claim) -> bool:
        owed = any(part.state is State.PROMISED or part.room_bytes for part in claim.parts)
        return owed or not self._holdings.lanes.has(claim.plan)

    def _charge(self) -> None:
        for part in self._holdings.charge():
            self._slots[Stage.LOAD].add(part)
        for claim in tuple(self._promised_claims):
            self._finish_if_ready(claim)

    def _promise_to_player(self, claim: Claim) -> None:
        """What fits goes, whoever waits before it; see `Line` for the floor."""
        if (why := self._hopeless(claim.plan)) is not None:
            self._end(claim, why)
            return
        holdings, plan = self._holdings, claim.plan
        cost = holdings.cost(plan)
        if not cost:
            self._promise(claim, ())
            return
        if cost > self._room_for(claim):
            if cost > self._room_for(claim) + self._ahead_bytes(plan):
                return
            for other in self._promised_ahead():
                self._back_in_line(other)
                if (cost := holdings.cost(plan)) <= self._room_for(claim):
                    break
        self._promise(claim, holdings.idle.victims(cost - holdings.spare_bytes, _keys(plan)))

    def _room_for(self, claim: Claim) -> int:
        """What is available to a player's claim: its own parts stay."""
        room = self._holdings.available_bytes - self._holdings.own_idle_bytes(claim.plan)
        return room - self._line.floor_for(claim)

    def _promise_ahead(self, claim: Claim) -> None:
        """Only what is spare or long idle, and nothing that was just told to stop."""
        if (why := self._hopeless(claim.plan)) is not None:
            self._end(claim, why)
            return
        holdings, plan = self._holdings, claim.plan
        found = (holdings.find(part.key) for part in plan.parts)
        if any(part is not None and part.state is State.ABANDONED for part in found):
            return
        need = holdings.cost(plan) - holdings.spare_bytes
        since_s = self._now - self._limits.long_idle_s
        victims = holdings.idle.victims(need, _keys(plan), until_s=since_s)
        if victims is not None:
            self._promise(claim, victims)
        elif (first_s := holdings.idle.first_after(since_s)) is not None:
            self._timers.add(first_s + self._limits.long_idle_s + _ROUNDING_S, Due.LOOK)

    def _promise(self, claim: Claim, victims: Sequence[Part] | None) -> None:
        """``claim`` gets all of its memory, some of it once ``victims`` have left."""
        if victims is None:
            raise AssertionError(f"{claim} was to fit, and does not")
        for victim in victims:
            self._evict(victim, "memory")
        self._line.discard(claim)
        claim.promised_s = self._now
        parts, new_bytes = [], 0
        for plan in claim.plan.parts:
            part = self._holdings.find(plan.key)
            if part is None:
                part = self._holdings.promise(plan)
                self._work[part.number] = part
                new_bytes += part.size_bytes
            elif part.state is State.ABANDONED:
                self._resume(part)
            self._holdings.hold(part)
            if part.state is not State.RESIDENT:
                part.claims[claim] = None
                claim.missing += 1
            parts.append(part)
        claim.parts = tuple(parts)
        self._holdings.lanes.join(claim)
        self._promised_claims[claim] = None
        self._line.note(self._holdings.available_bytes)
        if claim.missing:
            self._do(Tell(News.STARTED, claim.plan.key, claim.refs, size_bytes=new_bytes))
        self._dirty = True  # It may be ready, or somebody may step back for its work.

    def _promised_ahead(self) -> list[Claim]:
        """The one that was promised last first."""
        return [c for c in reversed(self._promised_claims) if c.rank is Rank.AHEAD]

    def _ahead_most_bytes(self) -> int:
        """What `_ahead_bytes` is at most, whoever asks."""
        ahead = self._promised_ahead()
        parts = {part for claim in ahead for part in claim.parts}
        lanes = {lane for claim in ahead for lane in claim.plan.lanes}
        most = sum(part.size_bytes for part in parts)
        return most + sum(lane.workspace_bytes for lane in lanes)

    def _ahead_bytes(self, plan: Plan) -> int:
        """What would be available if all that is loaded ahead but ``plan`` stepped back."""
        ahead = self._promised_ahead()
        holds = Counter(part for claim in ahead for part in claim.parts)
        own = _keys(plan)
        alone = (p for p, n in holds.items() if p.holds == n and p.key not in own)
        return sum(p.size_bytes for p in alone) + self._holdings.lanes.only_of(ahead, plan)

    # Work

    def _begin_work(self, stage: Stage) -> None:
        slots = self._slots[stage]
        while (part := slots.first()) is not None:
            if slots.is_full:
                other = None if part.is_ahead else slots.in_the_way()
                if other is None:
                    return
                self._step_aside(other)
                continue
            slots.start(part)
            part.begin(self._now)
            self._timers.add(self._now + self._timeout_s(stage), Due.STUCK, part)
            self._do(Load(part.number, part.key, stage))

    def _step_aside(self, part: Part) -> None:
        """A player's work gets the slot of this, which is ahead of need or abandoned."""
        if part.stage is Stage.LOAD:
            for claim in tuple(part.claims):
                self._back_in_line(claim)
        elif part.state is State.RUNNING:
            self._abandon(part)
        self._slots[part.stage].step_aside(part)

    def _timeout_s(self, stage: Stage) -> float:
        limits = self._limits
        return limits.load_timeout_s if stage is Stage.LOAD else limits.fetch_timeout_s

    def _abandon(self, part: Part) -> None:
        self._holdings.abandon(part, self._now)
        self._do(Cancel(part.number, part.key))
        self._timers.add(self._now + self._limits.leaving_s, Due.LATE, part)

    def _resume(self, part: Part) -> None:
        self._holdings.resume(part)
        self._slots[part.stage].come_back(part)
        self._do(Resume(part.number, part.key))

    def _nobody_wants(self, part: Part) -> None:
        if part.state is State.RUNNING:
            self._abandon(part)
        elif part.state in (State.PROMISED, State.WAITING, State.REFUSED):
            self._drop(part)

    def _drop(self, part: Part) -> None:
        self._slots[part.stage].leave(part)
        self._holdings.drop(part)
        del self._work[part.number]
        if part.stage is Stage.FETCH:
            del self._fetches[part.key]

    # Claims

    def _hopeless(self, plan: Plan) -> Why | None:
        """Why waiting for ``plan`` would be in vain."""
        if self._holdings.is_too_large(plan):
            return Why.TOO_LARGE
        for needed in plan.parts:
            part = self._holdings.find(needed.key)
            if part is None and not needed.is_local:
                part = self._fetches.get(needed.key)
            if part is not None and part.state is State.STUCK:
                return Why.STUCK
        return None

    def _stand_in_line(self, claim: Claim) -> None:
        if claim.in_line_s is None:
            claim.in_line_s = self._now
        self._line.add(claim)
        self._time(claim, claim.waiters.values())
        self._dirty = True

    def _time(self, claim: Claim, waiters: Iterable[Waiter]) -> None:
        for waiter in waiters:
            at_s = max(waiter.asked_s, claim.in_line_s or 0.0) + self._limits.wait_s
            self._timers.add(at_s, Due.WAITED, waiter.who.token)
        self._timers.add(claim.waits_since_s + self._limits.ageing_s, Due.LOOK)

    def _back_in_line(self, claim: Claim) -> None:
        """It holds nothing any more, and keeps its place."""
        self._let_go_of(claim)
        self._stand_in_line(claim)

    def _let_go_of(self, claim: Claim) -> None:
        """Give back all that ``claim`` has or waits for; loads that nobody else wants stop."""
        self._line.discard(claim)
        self._promised_claims.pop(claim, None)
        fetches, claim.unfetched = claim.unfetched, {}
        parts, claim.parts = claim.parts, ()
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
        self._holdings.lanes.leave(claim)
        self._dirty = True

    def _fail(self, part: Part, why: Why, error: object = None) -> None:
        """A load came to nothing; so do claims on it, and those in line that would repeat it."""
        claims = list(part.claims)
        players, ahead = self._line.in_order()
        claims += [c for c in (*players, *ahead) if part.key in _keys(c.plan) and not c.insists]
        part.claims.clear()
        self._drop(part)
        self._end_all(claims, why, error)

    def _end_all(self, claims: Iterable[Claim], why: Why, error: object = None) -> None:
        for claim in claims:
            self._end(claim, why, error)

    def _end(self, claim: Claim, why: Why, error: object = None) -> None:
        """Everybody who waits is told."""
        del self._claims[claim.plan.key]
        refs, asked_s = claim.refs, claim.asked_s
        for token in claim.waiters:
            del self._claim_of[token]
            self._do(Refuse(token, claim.plan.key, why, error))
        waited_s = self._now - asked_s
        self._do(Tell(News.NOT_LOADED, claim.plan.key, refs, reason=why.value, duration_s=waited_s))
        self._let_go_of(claim)

    def _finish_if_ready(self, claim: Claim) -> None:
        """Everything is there: waiters get their leases, in the order in which they asked."""
        lanes, plan = self._holdings.lanes, claim.plan
        if claim.missing or not claim.parts or not lanes.has(plan):
            return
        del self._claims[plan.key]
        del self._promised_claims[claim]
        lanes.use(plan)
        took_s = self._now - claim.asked_s
        voice = Voice(plan, claim.parts, self._now, took_s, retired=claim.retired)
        self._voices[plan.key] = voice
        for part in voice.parts:
            part.voices[voice] = None
        queued_s = (claim.promised_s or self._now) - (claim.in_line_s or self._now)
        for waiter in claim.waiters.values():
            del self._claim_of[waiter.who.token]
            self._lease(voice, waiter.who, waited_s=self._now - waiter.asked_s, queued_s=queued_s)
        self._do(
            Tell(
                News.LOADED,
                plan.key,
                claim.refs,
                size_bytes=sum(part.size_bytes for part in voice.parts),
                duration_s=took_s,
                queue_s=queued_s,
            )
        )
        for part in claim.parts:
            self._let_go(part)
        lanes.leave(claim)

    # Voices

    def _lease(
        self, voice: Voice, who: Asker, *, waited_s: float | None = None, queued_s: float = 0.0
    ) -> None:
        voice.refs.add(who.ref)
        voice.retired.discard(who.ref)
        voice.leases += 1
        voice.uses += 1
        voice.last_use_s = self._now
        self._leases[who.token] = voice
        for part in voice.parts:
            self._holdings.hold(part)
        numbers = tuple(part.number for part in voice.parts)
        cold, waited_s = waited_s is not None, waited_s or 0.0
        self._do(Grant(who.token, voice.plan.key, numbers, cold, waited_s, queued_s))

    def _let_go(self, part: Part, *, pin: bool = False) -> None:
        """One hold less; what was only kept by it leaves."""
        self._holdings.let_go(part, self._now, pin=pin)
        if part.holds:
            return
        if part.state is State.WITHDRAWN:
            self._evict(part, part.reason)
        elif self._closed and part.state is State.RESIDENT:
            self._evict(part, "closed")

    def _unpin(self, voice: Voice) -> None:
        if voice.pinned:
            voice.pinned = False
            for part in voice.parts:
                self._let_go(part, pin=True)
            self._dirty = True

    def _dismiss(self, voice: Voice, reason: str) -> None:
        """If nobody has it, it and what no other voice has of it leave."""
        if voice.leases or voice.pinned or self._voices.get(voice.plan.key) is not voice:
            return
        own = [part for part in voice.parts if part.is_idle and len(part.voices) == 1]
        self._take_apart(voice, reason)
        for part in own:
            self._evict(part, reason)

    def _take_apart(self, voice: Voice, reason: str) -> None:
        """Nobody else gets it."""
        del self._voices[voice.plan.key]
        for part in voice.parts:
            part.voices.pop(voice, None)
        self._do(Tell(News.WITHDRAWN, voice.plan.key, tuple(sorted(voice.refs)), reason=reason))

    def _evict(self, part: Part, reason: str) -> None:
        """Withdraw it before it is taken apart. REQUIRES: nobody holds it."""
        for voice in tuple(part.voices):
            self._take_apart(voice, reason)
        self._holdings.evict(part, self._now, reason)
        self._do(Free(part.number, part.key, reason))
        self._timers.add(self._now + self._limits.leaving_s, Due.LATE, part)
        self._dirty = True

    def _forecast(self, plans: Sequence[Plan]) -> Forecast:
        """See `Memory.forecast`."""
        holdings = self._holdings
        spared = {part.key for plan in plans for part in plan.parts}
        leaving = iter(holdings.idle)
        room, cost, fits = holdings.spare_bytes, 0, True
        counted: set[str] = set()
        lanes: dict[str, int] = {}
        victims: list[int] = []
        leave: list[int | None] = []
        for plan in plans:
            for part in plan.parts:
                if part.key not in counted:
                    counted.add(part.key)
                    cost += holdings.part_cost(part)
            for lane in plan.lanes:
                has = lanes.get(lane.name, holdings.lanes.wanted(lane.name))
                cost += max(0, lane.workspace_bytes - has)
                lanes[lane.name] = max(has, lane.workspace_bytes)
            while fits and cost > room:
                victim = next((part for part in leaving if part.key not in spared), None)
                if victim is None:
                    fits = False
                else:
                    room += victim.size_bytes
                    victims.append(victim.number)
            fits = fits and self._hopeless(plan) is None
            leave.append(len(victims) if fits else None)
        return Forecast(tuple(victims), tuple(leave))


def _keys(plan: Plan) -> frozenset[str]:
    return frozenset(part.key for part in plan.parts)
