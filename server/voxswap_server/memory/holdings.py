"""Every part that is there or promised, what it is charged, and the order in which idle ones leave.

Mechanism without policy: each method is one transition of a part and its movement in the books.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from voxswap_server.memory.actions import Stage
from voxswap_server.memory.lanes import Lanes
from voxswap_server.memory.ledger import Ledger
from voxswap_server.memory.order import IdleOrder
from voxswap_server.memory.part import Part, State
from voxswap_server.memory.plans import PartPlan, Plan

_ON_THE_WAY = (State.RUNNING, State.ABANDONED, State.STUCK)
_CHARGED_AS_LOAD = (State.WAITING, State.REFUSED, *_ON_THE_WAY)


class Holdings:
    """Parts under a budget. Not thread-safe; never blocks.

    **Spare** bytes are what may be promised: the budget, less what stays, less what is promised.
    Of what is charged, that which leaves (EVICTING, ABANDONED) does not stay, for as long as it is
    counted on. As long as ``spare_bytes`` is not negative, every promise is kept as memory is
    freed, in whatever order that happens. Raises ValueError for a budget without room for any.
    """

    def __init__(self, budget_bytes: int, carved: Mapping[str, int]) -> None:
        self.ledger = Ledger(budget_bytes)
        if sum(carved.values()) >= budget_bytes:
            what = ", ".join(f"{name} {size}" for name, size in carved.items())
            raise ValueError(
                f"a budget of {budget_bytes} bytes has no room for voices beside what is kept for "
                f"other things ({what}); give the server a larger memory_budget"
            )
        self.fixed_bytes = sum(carved.values())
        for name, size in carved.items():
            self.ledger.carve(name, size)
        self.lanes = Lanes(self.ledger)
        self.idle = IdleOrder()
        self._parts: dict[str, Part] = {}  # all but those that are leaving
        self._leaving: dict[Part, None] = {}  # WITHDRAWN, EVICTING
        self._promised: dict[Part, None] = {}  # PROMISED, and those with a room kept for them
        self._promised_bytes = 0
        self.leaving_bytes = 0  # counted on to be free soon
        self._pinned_bytes = 0
        self._numbers = itertools.count(1)

    # What there is

    @property
    def spare_bytes(self) -> int:
        """What may still be promised; negative while the budget shrinks."""
        return self.staying_room_bytes - self._promised_bytes - self.lanes.growth_bytes

    @property
    def staying_room_bytes(self) -> int:
        """The budget, less what stays; negative while it shrinks."""
        books = self.ledger.statistics()
        return books.target_bytes - books.charged_bytes + self.leaving_bytes

    @property
    def available_bytes(self) -> int:
        """Spare, and idle."""
        return self.spare_bytes + self.idle.sum_bytes

    @property
    def promised_bytes(self) -> int:
        """Of parts, second tries and lanes."""
        return self._promised_bytes + self.lanes.growth_bytes

    def find(self, key: str) -> Part | None:
        """The part under this key, unless it is leaving."""
        return self._parts.get(key)

    def __iter__(self) -> Iterator[Part]:
        """All of them, those that are leaving last."""
        return itertools.chain(self._parts.values(), self._leaving)

    def cost(self, plan: Plan) -> int:
        """Spare bytes that promising ``plan`` takes."""
        return self.lanes.cost(plan) + sum(map(self.part_cost, plan.parts))

    def part_cost(self, plan: PartPlan) -> int:
        """Spare bytes that one part takes: those of an abandoned one were counted on by others."""
        part = self._parts.get(plan.key)
        if part is None:
            return plan.size_bytes
        return part.size_bytes if part.state is State.ABANDONED and not part.late else 0

    def own_idle_bytes(self, plan: Plan) -> int:
        """Of idle parts that ``plan`` has."""
        parts = (self._parts.get(part.key) for part in plan.parts)
        return sum(part.size_bytes for part in parts if part is not None and part.is_idle)

    def pinned_beside(self, plan: Plan) -> int:
        """Of pinned parts that ``plan`` does not have."""
        pinned = self._pinned_bytes
        for needed in plan.parts:
            if (part := self._parts.get(needed.key)) is not None and part.pins:
                pinned -= part.size_bytes
        return pinned

    def is_too_large(self, plan: Plan) -> bool:
        """Whether it does not fit even once all that can go has gone."""
        room = self.ledger.statistics().target_bytes - self.fixed_bytes - self.pinned_beside(plan)
        return plan.size_bytes + self.lanes.least_bytes(plan) > room

    # On the way in

    def promise(self, plan: PartPlan) -> Part:
        """``ABSENT -> PROMISED``. REQUIRES: so much is spare."""
        part = Part(next(self._numbers), plan, size_bytes=plan.size_bytes)
        self._parts[plan.key] = part
        self._promised[part] = None
        self._promised_bytes += part.size_bytes
        return part

    def fetch(self, plan: PartPlan) -> Part:
        """A fetch, which has no place among the parts."""
        return Part(next(self._numbers), plan, Stage.FETCH, State.WAITING)

    def charge(self) -> list[Part]:
        """``PROMISED -> WAITING`` for as many as free memory allows, players' first; which ones."""
        kept = sum(part.room_bytes for part in self._promised)
        room = self.ledger.free_bytes - kept
        room -= self.lanes.carve(room) + max(0, self.lanes.growth_bytes)
        charged = []
        for part in sorted(self._promised, key=lambda part: part.rank):
            if part.state is not State.PROMISED:
                continue
            if part.size_bytes > room:
                break  # What is free is kept for it.
            room -= part.size_bytes
            part.charge()
            self.ledger.reserve(part.size_bytes)
            del self._promised[part]
            self._promised_bytes -= part.size_bytes
            charged.append(part)
        return charged

    def abandon(self, part: Part, now: float) -> None:
        """``RUNNING -> ABANDONED``: a load's bytes are counted on."""
        self.give_up_room(part)
        part.abandon(now)
        if part.stage is Stage.LOAD:
            self.leaving_bytes += part.size_bytes

    def resume(self, part: Part) -> None:
        """``ABANDONED -> RUNNING``: they are not any more."""
        self._count_out(part)
        part.resume()

    def stick(self, part: Part) -> None:
        """``RUNNING, ABANDONED -> STUCK``."""
        self._count_out(part)
        self.give_up_room(part)
        part.stick()

    def refuse(self, part: Part, awaits: set[Part]) -> None:
        """``RUNNING -> REFUSED``: as much as it takes, of what leaves, is free for its next try."""
        part.refuse(min(part.size_bytes, sum(each.size_bytes for each in awaits)), awaits)
        self._promised[part] = None
        self._promised_bytes += part.room_bytes

    def second_tries(self) -> tuple[Part, ...]:
        """Those that wait for room for one."""
        return tuple(part for part in self._promised if part.state is State.REFUSED)

    def give_up_room(self, part: Part) -> None:
        """What is kept free for its second try is anybody's."""
        if part.room_bytes:
            self._promised_bytes -= part.room_bytes
            part.room_bytes = 0
            del self._promised[part]
        part.awaits = set()

    def publish(self, part: Part, size_bytes: int, now: float) -> None:
        """``RUNNING, ABANDONED, STUCK -> RESIDENT``, with what it measures."""
        self._count_out(part)
        self.give_up_room(part)
        self.ledger.commit(part.size_bytes, size_bytes)
        part.publish(size_bytes, now)
        self._fit(part)

    def drop(self, part: Part) -> None:
        """``-> GONE`` from anywhere on the way in; nothing is charged for it any more."""
        self._count_out(part)
        self.give_up_room(part)
        if part.state is State.PROMISED:
            del self._promised[part]
            self._promised_bytes -= part.size_bytes
        elif part.stage is Stage.LOAD:
            self.ledger.release(part.size_bytes)
        if self._parts.get(part.key) is part:
            del self._parts[part.key]
        part.end()

    # While it is there

    def hold(self, part: Part, *, pin: bool = False) -> None:
        """It does not leave until `let_go`."""
        self.idle.discard(part)
        part.holds += 1
        if pin:
            part.pins += 1
            self._pinned_bytes += part.size_bytes if part.pins == 1 else 0

    def let_go(self, part: Part, now: float, *, pin: bool = False) -> None:
        """One hold less; counts as a use."""
        part.holds -= 1
        part.last_use_s = max(part.last_use_s, now)
        if pin:
            part.pins -= 1
            self._pinned_bytes -= part.size_bytes if not part.pins else 0
        self._fit(part)

    def touch(self, part: Part, now: float, *, protected_until_s: float = 0.0) -> None:
        """It was used, or is to be kept for a while."""
        self.idle.discard(part)
        part.last_use_s = max(part.last_use_s, now)
        part.protected_until_s = max(part.protected_until_s, protected_until_s)
        self._fit(part)

    def _fit(self, part: Part) -> None:
        if part.is_idle and part not in self.idle:
            self.idle.add(part)

    # On the way out

    def withdraw(self, part: Part, reason: str) -> None:
        """``RESIDENT -> WITHDRAWN``: charged as leaving, and not counted on while it is held."""
        self.idle.discard(part)
        part.withdraw(reason)
        self._leave(part)

    def evict(self, part: Part, now: float, reason: str) -> None:
        """``RESIDENT, WITHDRAWN -> EVICTING``: counted on from now on."""
        self.idle.discard(part)
        was_resident = part.state is State.RESIDENT
        part.evict(now, reason)
        if was_resident:
            self._leave(part)
        self.leaving_bytes += part.size_bytes

    def _leave(self, part: Part) -> None:
        del self._parts[part.key]
        self._leaving[part] = None
        self.ledger.begin_eviction(part.size_bytes)

    def freed(self, part: Part) -> None:
        """``EVICTING -> GONE``."""
        self._count_out(part)
        part.end()
        del self._leaving[part]
        self.ledger.end_eviction(part.size_bytes)

    def give_up_on(self, part: Part) -> None:
        """It takes too long to leave: nobody counts on its bytes before they are free."""
        self._count_out(part)
        part.late = True

    def _count_out(self, part: Part) -> None:
        if part.left_s is not None and not part.late and part.stage is Stage.LOAD:
            self.leaving_bytes -= part.size_bytes

    def check_integrity(self) -> None:
        """Prove that the books are those of the parts; `AssertionError` says what is wrong."""
        for key, part in self._parts.items():
            leaves = part.state in (State.WITHDRAWN, State.EVICTING, State.GONE)
            if key != part.key or leaves or part.stage is not Stage.LOAD:
                raise AssertionError(f"{part} is in the wrong table")
        for part in self._leaving:
            if part.state not in (State.WITHDRAWN, State.EVICTING):
                raise AssertionError(f"{part} is not leaving")
            if bool(part.holds) != (part.state is State.WITHDRAWN):
                raise AssertionError(f"{part} is held, or waits for nobody")
        everything = tuple(self)
        books = self.ledger.statistics()
        sums = {
            "reserved": (_CHARGED_AS_LOAD, books.reserved_bytes),
            "resident": ((State.RESIDENT,), books.resident_bytes),
            "evicting": ((State.WITHDRAWN, State.EVICTING), books.evicting_bytes),
        }
        for account, (states, booked) in sums.items():
            seen = sum(part.size_bytes for part in everything if part.state in states)
            if seen != booked:
                raise AssertionError(f"{account}: {booked} in the ledger, {seen} in the parts")
        promised = sum(part.room_bytes for part in everything)
        promised += sum(p.size_bytes for p in everything if p.state is State.PROMISED)
        if promised != self._promised_bytes:
            raise AssertionError(f"{self._promised_bytes} promised, {promised} in the parts")
        counted = (part for part in everything if part.left_s is not None and not part.late)
        leaving = sum(part.size_bytes for part in counted)
        if leaving != self.leaving_bytes:
            raise AssertionError(f"{self.leaving_bytes} leaving, {leaving} in the parts")
        pinned = sum(p.size_bytes for p in everything if p.pins)
        if pinned != self._pinned_bytes:
            raise AssertionError(f"{self._pinned_bytes} pinned, {pinned} in the parts")
        if {p for p in everything if p.is_idle} != set(self.idle):
            raise AssertionError("what is idle is not in order, or what is in order is not idle")
        self.idle.check_integrity()
        self.lanes.check_integrity()
