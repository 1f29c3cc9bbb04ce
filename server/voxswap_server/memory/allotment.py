"""Who gets memory and slots: the policies of `Memory`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from voxswap_server.memory.actions import (
    Action,
    Load,
    News,
    Stage,
    Tell,
)
from voxswap_server.memory.claims import Claim
from voxswap_server.memory.entries import Entries
from voxswap_server.memory.part import Part, State
from voxswap_server.memory.plans import Plan, Rank
from voxswap_server.memory.prospect import Forecast
from voxswap_server.memory.timers import Due

# Sums of times are rounded: what is looked at too soon would be looked at for ever.
_ROUNDING_S = 1e-3


class Allotment(Entries):
    """How memory and slots are given out. Every event ends in `_done`, which settles it.

    Whatever could let somebody go sets ``_dirty``; a hit or a lease that is given back does not, so
    they cost nothing while others wait, until enough has come idle for one of them.
    """

    def _done(self) -> list[Action]:
        """Settle everything, and hand out what is to be done."""
        self._see_time()
        available = self.holdings.available_bytes
        self.line.note(available)
        if self.holdings.staying_room_bytes < 0 and len(self.holdings.idle):
            self._dirty = True  # The budget shrank, and what has come idle is to go.
        if len(self.line) and self.line.may_go(available + self._ahead_most_bytes()):
            self._dirty = True
        while self._dirty:
            self._dirty = False
            self._settle()
            self._see_time()
        self._look_later()
        actions, self._actions = self._actions, []
        return actions

    def _see_time(self) -> None:
        """What time alone has changed."""
        raise NotImplementedError

    def _look_later(self) -> None:
        """What waits ahead of need is looked at again when the next part is long idle."""
        idle_s = self._limits.long_idle_s
        if not self._ahead_waits:
            return
        if (first_s := self.holdings.idle.first_after(self._now - idle_s)) is not None:
            look_s = first_s + idle_s + _ROUNDING_S
            if not self._now < self._next_look_s <= look_s:
                self._next_look_s = look_s
                self._timers.add(look_s, Due.LOOK)

    # Memory

    def _settle(self) -> None:
        self.walks += 1
        self._shrink()
        self._keep_promises()
        self._charge()
        if self.line.end_exclusive(self._now):
            self._timers.add(self.line.rests_until_s, Due.LOOK)
        players, ahead = self.line.in_order()
        for claim in players:
            if claim in self.line:
                self._promise_to_player(claim)
        if not any(claim in self.line for claim in players):
            for claim in ahead:
                if claim in self.line:
                    self._promise_ahead(claim)
        self._charge()
        for stage in Stage:
            self._begin_work(stage)
        self.line.note(self.holdings.available_bytes)
        if self.line.choose_exclusive(self._now):
            self._timers.add(self.line.exclusive_until_s, Due.LOOK)
        cost, own = self.holdings.cost, self.holdings.own_idle_bytes
        players, ahead = self.line.in_order()
        self._ahead_waits = bool(ahead)
        self.line.see_costs((c, cost(c.plan), own(c.plan)) for c in players)

    def _shrink(self) -> None:
        """The budget is to be reached: what is idle goes, then what is loaded ahead of need."""
        idle = self.holdings.idle
        if (over := -self.holdings.staying_room_bytes) <= 0:
            return
        victims = idle.victims(over)
        for part in tuple(idle) if victims is None else victims:
            self._evict(part, "budget")
        for claim in self._promised_ahead():
            if self.holdings.staying_room_bytes >= 0:
                return
            self._back_in_line(claim)

    def _keep_promises(self) -> None:
        """Take back promises that cannot be kept: what is to leave does not, or the budget shrank.

        Those of least urgency first. Who has all of its memory is not asked.
        """
        while self.holdings.spare_bytes < 0:
            pending = [c for c in self._promised_claims if self._is_owed(c)]
            if not pending:
                return
            self._back_in_line(max(pending, key=lambda claim: claim.place))

    def _is_owed(self, claim: Claim) -> bool:
        owed = any(part.state is State.PROMISED or part.room_bytes for part in claim.parts)
        return owed or not self.holdings.lanes.has(claim.plan)

    def _charge(self) -> None:
        for part in self.holdings.charge():
            self._slots[Stage.LOAD].add(part)
        for claim in tuple(self._promised_claims):
            self._finish_if_ready(claim)

    def _promise_to_player(self, claim: Claim) -> None:
        """What fits goes, whoever waits before it; see `Line` for the floor."""
        if (why := self._hopeless(claim.plan)) is not None:
            self._end(claim, why)
            return
        holdings, plan = self.holdings, claim.plan
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
        self._promise(claim, holdings.idle.victims(cost - holdings.spare_bytes, plan.keys))

    def _room_for(self, claim: Claim) -> int:
        """What is available to a player's claim: its own parts stay."""
        room = self.holdings.available_bytes - self.holdings.own_idle_bytes(claim.plan)
        return room - self.line.floor_for(claim)

    def _promise_ahead(self, claim: Claim) -> None:
        """Only what is spare or long idle, and nothing that was just told to stop."""
        if (why := self._hopeless(claim.plan)) is not None:
            self._end(claim, why)
            return
        holdings, plan = self.holdings, claim.plan
        found = (holdings.find(part.key) for part in plan.parts)
        if any(part is not None and part.state is State.ABANDONED for part in found):
            return
        need = holdings.cost(plan) - holdings.spare_bytes
        since_s = self._now - self._limits.long_idle_s
        victims = holdings.idle.victims(need, plan.keys, until_s=since_s)
        if victims is not None:
            self._promise(claim, victims)

    def _promise(self, claim: Claim, victims: Sequence[Part] | None) -> None:
        """``claim`` gets all of its memory, some of it once ``victims`` have left."""
        if victims is None:
            raise AssertionError(f"{claim} was to fit, and does not")
        for victim in victims:
            self._evict(victim, "memory")
        self.line.discard(claim)
        claim.promised_s = self._now
        parts, added = [], []
        for plan in claim.plan.parts:
            part = self.holdings.find(plan.key)
            if part is None:
                part = self.holdings.promise(plan)
                self.work[part.number] = part
                added.append(part)
            elif part.state is State.ABANDONED:
                self._resume(part)
            self.holdings.hold(part)
            if part.state is not State.RESIDENT:
                part.claims[claim] = None
                claim.missing += 1
            parts.append(part)
        claim.parts, claim.added = tuple(parts), tuple(added)
        self.holdings.lanes.join(claim)
        self._promised_claims[claim] = None
        self.line.note(self.holdings.available_bytes)
        if claim.missing:
            size = sum(part.size_bytes for part in added)
            self._do(Tell(News.STARTED, claim.plan.key, claim.refs, size_bytes=size))
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
        own = plan.keys
        alone = (p for p, n in holds.items() if p.holds == n and p.key not in own)
        return sum(p.size_bytes for p in alone) + self.holdings.lanes.only_of(ahead, plan)

    # Work

    def _begin_work(self, stage: Stage) -> None:
        slots = self._slots[stage]
        while (part := slots.first()) is not None:
            if slots.is_full:
                other = None if part.rank is Rank.AHEAD else slots.in_the_way()
                if other is None:
                    return
                self._step_aside(other)
                continue
            slots.start(part)
            part.begin(self._now)
            self._timers.add(self._now + self._limits.load_timeout_s, Due.STUCK, part)
            self._do(Load(part.number, part.key, stage))

    def _step_aside(self, part: Part) -> None:
        """A player's work gets the slot of this, which is ahead of need or abandoned."""
        if part.stage is Stage.LOAD:
            for claim in tuple(part.claims):
                self._back_in_line(claim)
        elif part.state is State.RUNNING:
            self._abandon(part)
        self._slots[part.stage].step_aside(part)

    def forecast(self, plans: Sequence[Plan], now: float, *, rank: Rank = Rank.PLAYER) -> Forecast:
        """What would leave so that each is there beside those before it, if nobody else asked.

        Those of ``plans`` that are there are spared. Looks at each part once.
        """
        until_s = math.inf if rank is Rank.PLAYER else now - self._limits.long_idle_s
        holdings = self.holdings
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
                if victim is None or victim.stamp_s > until_s:
                    fits = False
                else:
                    room += victim.size_bytes
                    victims.append(victim.number)
            fits = fits and self._hopeless(plan) is None
            leave.append(len(victims) if fits else None)
        return Forecast(tuple(victims), tuple(leave))
