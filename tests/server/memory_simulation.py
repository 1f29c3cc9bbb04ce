"""All that is around `Memory`, for tests and soaks: threads that end when told to, and a judge.

`MemorySimulation` carries actions out by hand and, after every event, judges what `Memory` did by
rules of its own, reckoned anew from what is there each time: safety (nobody loses what he has) and
progress (nobody waits for what he need not).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from voxswap_server.memory.actions import (
    Action,
    Cancel,
    Cancelled,
    DeviceRefused,
    Failed,
    Free,
    Grant,
    Load,
    Loaded,
    News,
    NotLocal,
    Outcome,
    Refuse,
    Resume,
    Stage,
    Tell,
    Why,
)
from voxswap_server.memory.claims import Claim
from voxswap_server.memory.memory import Memory
from voxswap_server.memory.part import Part, State
from voxswap_server.memory.plans import Asker, Lane, Limits, PartPlan, Plan, Rank

_T = TypeVar("_T")

LIMITS = Limits(
    load_slots=2,
    fetch_slots=1,
    load_timeout_s=20,
    wait_s=12,
    ageing_s=2,
    exclusive_s=4,
    leaving_s=1,
    settle_s=1.5,
    long_idle_s=8,
)
VITS, VITS_LARGE, KOKORO = Lane("vits", 3), Lane("vits", 4), Lane("kokoro", 5)
# Some have everything for themselves, some share a base, two share two parts, one is very large.
VOICES: dict[str, tuple[dict[str, int], tuple[Lane, ...]]] = {
    "a": ({"a": 5}, (VITS,)),
    "b": ({"b": 10}, (VITS,)),
    "c": ({"c": 20, "table": 1}, (VITS,)),
    "d": ({"d": 34, "table": 1}, ()),
    "e": ({"e": 1, "base": 12, "table": 1}, (KOKORO,)),
    "f": ({"f": 2, "base": 12, "table": 1}, (KOKORO,)),
    "g": ({"g": 3, "base": 12}, (KOKORO,)),
    "h": ({"h": 4, "other": 25}, (VITS_LARGE,)),
    "i": ({"i": 0}, ()),
}
BUDGETS = (36, 44, 60)


@dataclass(slots=True)
class Thread:
    """One that loads or fetches."""

    key: str
    stage: Stage
    cancelled: bool = False


@dataclass
class MemorySimulation:
    """Not a model of `Memory` but of everything around it."""

    budget: int = 44
    limits: Limits = LIMITS
    carved: dict[str, int] = field(default_factory=lambda: {"workers": 2})

    def __post_init__(self) -> None:
        self.memory = Memory(self.budget, limits=self.limits, carved=self.carved)
        self.now = 100.0
        self.tokens = 0
        self.remote: set[str] = set()
        self.waiting: dict[int, Asker] = {}
        self.asked_for: dict[int, str] = {}
        self.leases: dict[int, tuple[str, tuple[int, ...]]] = {}
        self.threads: dict[int, Thread] = {}
        self.there: dict[int, str] = {}  # parts that take memory, by number
        self.freeing: dict[int, str] = {}
        self.withdrawn: set[int] = set()
        self.pinned: set[str] = set()
        self.refused: list[Refuse] = []
        self.evicted_for: set[str] = set()  # voices for whose sake something was evicted
        self.news: list[Tell] = []
        self.exclusive: Claim | None = None
        self.were_exclusive: set[Claim] = set()
        self.rests_until_s = 0.0
        self.closed = False

    # Events

    def plan(self, voice: str) -> Plan:
        sizes, lanes = VOICES[voice]
        parts = tuple(PartPlan(k, n, k not in self.remote) for k, n in sizes.items())
        return Plan(voice, parts, lanes)

    def ask(
        self, plan: str | Plan, rank: Rank = Rank.PLAYER, *, insists: bool = False, ref: str = ""
    ) -> int:
        plan = self.plan(plan) if isinstance(plan, str) else plan
        self.tokens += 1
        who = Asker(self.tokens, ref or f"{plan.key}@1", rank, insists)
        self.waiting[self.tokens] = who
        self.asked_for[self.tokens] = plan.key
        self.happen(lambda: self.memory.ask(plan, who, self.now))
        return self.tokens

    def give_up(self, token: int) -> None:
        del self.waiting[token]
        self.happen(lambda: self.memory.give_up(token, self.now))

    def release(self, token: int) -> None:
        del self.leases[token]
        self.happen(lambda: self.memory.release(token, self.now))

    def finish(self, number: int, outcome: Outcome | None = None) -> None:
        """A thread ends; by itself it is cancelled if it was told so, and loads what it should."""
        thread = self.threads.pop(number)
        if outcome is None:
            outcome = Cancelled() if thread.cancelled else Loaded(_size_of(thread.key))
        if isinstance(outcome, Loaded) and thread.stage is Stage.LOAD:
            if thread.key in self.remote:
                outcome = NotLocal()
                self.evicted_for.clear()
            else:
                self.there[number] = thread.key
        elif isinstance(outcome, Loaded):
            self.remote.discard(thread.key)
        self.happen(lambda: self.memory.loaded(number, outcome, self.now))

    def free(self, number: int) -> None:
        del self.freeing[number]
        self.happen(lambda: self.memory.freed(number, self.now))

    def pass_time(self, seconds: float) -> None:
        """Tick whenever it is due, as a shell does."""
        end = self.now + seconds
        while (due := self.memory.next_tick_s()) is not None and due <= end:
            self.now = max(self.now, due)
            self.happen(lambda: self.memory.tick(self.now))
        self.now = end
        self.happen(lambda: self.memory.tick(self.now))

    def pin(self, voice: str) -> None:
        self.pinned.add(voice)
        self.happen(lambda: self.memory.pin(voice, self.now), faulty=True)

    def unpin(self, voice: str) -> None:
        self.pinned.discard(voice)
        self.happen(lambda: self.memory.unpin(voice, self.now))

    def retire(self, ref: str) -> None:
        key = ref.partition("@")[0]

        def event() -> list[Action]:
            actions = self.memory.retire(ref, self.now)
            voice = self.memory.voices.get(key)
            if voice is None or voice.is_retired:
                self.pinned.discard(key)
            return actions

        self.happen(event)

    def restore(self, ref: str) -> None:
        self.happen(lambda: self.memory.restore(ref, self.now))

    def withdraw(self, number: int) -> None:
        self.withdrawn.add(number)
        self.happen(lambda: self.memory.withdraw(number, self.now))

    def resize(self, budget: int) -> None:
        self.happen(lambda: self.memory.resize(budget, self.now), faulty=True)

    def close(self) -> None:
        self.closed = True
        self.pinned.clear()
        self.happen(lambda: self.memory.close(self.now))

    # Carrying out

    def happen(self, event: Callable[[], list[Action]], *, faulty: bool = False) -> None:
        """One event, what it leads to, and the judgement. ``faulty``: promises may be broken."""
        idle_since = {p.number: p.stamp_s for p in self.memory.holdings if p.is_idle}
        waited = self.players_in_line()
        # One that is late now may be taken up again in this very event.
        faulty = faulty or any(map(self._is_late, self.memory.holdings))
        actions = event()
        victims: list[Free] = []
        if faulty or any(p.late or p.state is State.REFUSED for p in self.memory.holdings):
            self.evicted_for.clear()
        for action in actions:
            if isinstance(action, Free) and action.reason == "memory":
                victims.append(action)
            if isinstance(action, Tell) and action.news is News.STARTED:
                started = [c for c in self.memory.claims.values() if c.plan.key == action.key]
                if any(c.rank is Rank.AHEAD for c in started):
                    wait = waited & self.players_in_line()
                    assert not wait, f"{action} is ahead of need, and goes before {wait}"
                if victims:
                    self._judge_victims(action, victims, idle_since)
                victims = []
            self._carry_out(action)
        self.memory.check_integrity()
        self._judge_safety()
        self._judge_progress()

    def _is_late(self, part: Part) -> bool:
        return part.left_s is not None and self.now >= part.left_s + self.limits.leaving_s

    def players_in_line(self) -> set[Claim]:
        """Those who wait for memory."""
        line = (c for c in self.memory.claims.values() if not c.parts and not c.unfetched)
        return {claim for claim in line if claim.rank is Rank.PLAYER}

    def _carry_out(self, action: Action) -> None:
        if isinstance(action, Load):
            assert action.number not in self.threads, f"{action} is under way already"
            same = [t for t in self.threads.values() if (t.key, t.stage) == action_key(action)]
            assert not same, f"two threads for {action.key}"
            self.threads[action.number] = Thread(action.key, action.stage)
        elif isinstance(action, Cancel):
            self.threads[action.number].cancelled = True
        elif isinstance(action, Resume):
            self.threads[action.number].cancelled = False
        elif isinstance(action, Free):
            assert self.there.pop(action.number) == action.key
            held = [n for _, numbers in self.leases.values() for n in numbers]
            assert action.number not in held, f"{action} is leased"
            self.freeing[action.number] = action.key
        elif isinstance(action, Grant):
            who = self.waiting.pop(action.token)  # type: ignore[call-overload]
            assert not self.closed
            assert self.asked_for[who.token] == action.voice
            assert all(number in self.there for number in action.parts)
            assert not self.withdrawn.intersection(action.parts), "a changed file is granted"
            self.leases[who.token] = (action.voice, action.parts)
            self.evicted_for.discard(action.voice)
        elif isinstance(action, Refuse):
            who = self.waiting.pop(action.token)  # type: ignore[call-overload]
            self.refused.append(action)
            if action.why in (Why.BUSY, Why.TOO_LARGE) and who.rank is Rank.PLAYER:
                assert action.voice not in self.evicted_for, f"evicted for nothing: {action}"
            self.evicted_for.discard(action.voice)
        else:
            self.news.append(action)
            if action.news is News.NOT_LOADED:
                self.evicted_for.discard(action.key)
            if action.news is News.WITHDRAWN and action.reason == "changed":
                self.pinned.discard(action.key)

    def _judge_victims(
        self, started: Tell, victims: Sequence[Free], idle_since: dict[int, float]
    ) -> None:
        """Nothing leaves that need not, and for what is ahead of need only what is long idle."""
        claim = next((c for c in self.memory.claims.values() if c.plan.key == started.key), None)
        assert not {v.key for v in victims}.intersection(VOICES.get(started.key, ({},))[0])
        if claim is None:
            return
        if claim.rank is Rank.PLAYER:
            self.evicted_for.add(started.key)
        else:
            latest = self.now - self.limits.long_idle_s
            assert all(idle_since[v.number] <= latest for v in victims), "ahead pushes out others"

    # The judge

    def _judge_safety(self) -> None:
        books = self.memory.books
        tries = [p for p in self.memory.holdings if p.state in (State.WAITING, State.RUNNING)]
        # A budget that is still to shrink has nothing free, whatever the device has.
        if books.charged_bytes <= books.target_bytes:
            room = sum(part.room_bytes for part in tries)
            assert books.free_bytes >= room, "a second try has no room"
        for _, numbers in self.leases.values():
            assert all(number in self.there for number in numbers), "a leased part has left"
        assert self.leases.keys() == self.memory.leases.keys()
        for voice in self.memory.voices.values():
            stays = voice.leases or voice.pinned or not voice.is_retired
            assert stays, f"{voice} is retired, and stays"
            assert voice.pinned == (voice.plan.key in self.pinned)
        if self.memory.holdings.staying_room_bytes < 0:
            idle = [part for part in self.memory.holdings if part.is_idle]
            assert not idle, f"the budget is to be reached, and {idle} stay"
        if self.closed:
            assert not self.waiting
            idle = [part for part in self.memory.holdings if part.is_idle]
            assert not idle, f"closed, and {idle} stay"

    def _judge_progress(self) -> None:
        line = [c for c in self.memory.claims.values() if not c.parts and not c.unfetched]
        players = [claim for claim in line if claim.rank is Rank.PLAYER]
        parts = tuple(self.memory.holdings)
        self._judge_turn(parts)
        for claim in players:
            floor = self.memory.line.floor_bytes if claim is not self.exclusive else 0
            assert not self.fits(claim, parts, floor), f"{claim} fits, and waits"
        for claim in line:
            for waiter in claim.waiters.values():
                since_s = max(waiter.asked_s, claim.in_line_s or 0.0)
                assert self.now < since_s + self.limits.wait_s, f"{waiter} waits for too long"
        if not players:
            self._judge_ahead(line, parts)
        for number in self.threads:
            part = next(p for p in self.memory.work.values() if p.number == number)
            if part.state is not State.STUCK:
                limit_s = self.limits.load_timeout_s
                assert self.now < part.began_s + limit_s, f"{part} hangs, and nobody is told"
            else:
                assert not part.claims
        self._judge_slots()

    def _judge_turn(self, parts: Sequence[Part]) -> None:
        """One at a time, for a bounded time, once, and after one in vain there is a rest."""
        line = self.memory.line
        before, claim = self.exclusive, line.exclusive
        self.exclusive = claim
        if before is not None and before is not claim:
            in_vain = self.memory.claims.get(before.plan.key) is before and not before.parts
            self.rests_until_s = self.now + self.limits.exclusive_s if in_vain else 0.0
        if claim is None:
            assert not line.floor_bytes
            return
        assert self.now < line.exclusive_until_s <= self.now + self.limits.exclusive_s + 1e-9
        assert line.floor_bytes <= max(0, self._available(parts))
        if claim is not before:
            assert claim.waits_since_s + self.limits.ageing_s <= self.now
            assert claim not in self.were_exclusive, f"{claim} is exclusive once more"
            assert self.now >= self.rests_until_s, "turn after turn is kept for large claims"
            assert not line.floor_bytes, "what was there before its turn is anybody's"
            self.were_exclusive.add(claim)

    def _judge_slots(self) -> None:
        """A player's work waits for players' alone, or for threads that were told to stop."""
        limits = self.limits
        slots_of = ((Stage.LOAD, limits.load_slots), (Stage.FETCH, limits.fetch_slots))
        for stage, slots in slots_of:
            work = [p for p in self.memory.work.values() if p.stage is stage]
            waits = [p for p in work if p.state is State.WAITING and p.rank is Rank.PLAYER]
            running = [p for p in work if p.state in (State.RUNNING, State.ABANDONED)]
            mine = [p for p in running if p.rank is Rank.PLAYER]
            if waits and len(mine) < slots:
                assert len(running) >= 2 * slots, f"{waits} wait behind {running}"

    def _available(self, parts: Sequence[Part]) -> int:
        return self._spare(parts) + sum(part.size_bytes for part in parts if part.is_idle)

    def _spare(self, parts: Sequence[Part]) -> int:
        """By sight, without any sum that `Memory` keeps."""
        staying = (State.WAITING, State.RUNNING, State.REFUSED, State.STUCK, State.RESIDENT)
        spare = self.memory.books.target_bytes - sum(self.carved.values())
        for part in parts:
            if part.state in (*staying, State.WITHDRAWN, State.PROMISED) or part.late:
                spare -= part.size_bytes
            spare -= part.room_bytes
        return spare - sum(self._lanes().values())

    def _lanes(self, but: Sequence[Claim] = ()) -> dict[str, int]:
        lanes = dict(self.memory.holdings.lanes.used)
        for claim in self.memory.claims.values():
            if claim.parts and claim not in but:
                for lane in claim.plan.lanes:
                    lanes[lane.name] = max(lanes.get(lane.name, 0), lane.workspace_bytes)
        return lanes

    def fits(self, claim: Claim, parts: Sequence[Part], floor: int) -> bool:
        """Whether a player's claim fits into what is spare, idle, or loaded ahead of need."""
        ahead = [c for c in self.memory.claims.values() if c.parts and c.rank is Rank.AHEAD]
        wanted = {part.key for part in claim.plan.parts}
        by_key = {p.key: p for p in parts if p.state not in (State.WITHDRAWN, State.EVICTING)}
        room = self._spare(parts) - floor
        for part in by_key.values():
            holds = sum(part in c.parts for c in ahead)
            if part.key not in wanted and part.holds == holds and not part.left_s:
                room += part.size_bytes if part.is_idle or holds else 0
        without = self._lanes(but=ahead)
        room += sum(self._lanes().values()) - sum(without.values())
        cost = 0
        for lane in claim.plan.lanes:
            cost += max(0, lane.workspace_bytes - without.get(lane.name, 0))
        for plan in claim.plan.parts:
            part = by_key.get(plan.key)  # type: ignore[assignment]
            if part is None or (part.state is State.ABANDONED and not part.late):
                cost += plan.size_bytes
        return cost <= room or not cost

    def _judge_ahead(self, line: Sequence[Claim], parts: Sequence[Part]) -> None:
        """If no player waits, what fits into what is spare or long idle goes."""
        latest = self.now - self.limits.long_idle_s - 0.002  # it may look a moment later
        by_key = {p.key: p for p in parts if p.state not in (State.WITHDRAWN, State.EVICTING)}
        for claim in line:
            wanted = {part.key for part in claim.plan.parts}
            if any(k in wanted and p.state is State.ABANDONED for k, p in by_key.items()):
                continue
            room = self._spare(parts)
            for part in parts:
                if part.is_idle and part.stamp_s <= latest and part.key not in wanted:
                    room += part.size_bytes
            lanes = self._lanes()
            cost = sum(p.size_bytes for p in claim.plan.parts if p.key not in by_key)
            for lane in claim.plan.lanes:
                cost += max(0, lane.workspace_bytes - lanes.get(lane.name, 0))
            assert cost > room, f"{claim} is ahead of need, fits, and waits"

    # Progress

    def work_off(self) -> None:
        """All that is under way comes to its end, and then no promise is open."""
        for _ in range(200):
            if self.freeing:
                self.free(next(iter(self.freeing)))
            elif self.threads:
                self.finish(next(iter(self.threads)))
            else:
                break
        assert not self.threads, f"work without end: {self.threads}"
        promised = [claim for claim in self.memory.claims.values() if claim.parts]
        assert not promised, f"{promised} have all, and wait"
        holdings, work = self.memory.holdings, self.memory.work.values()
        assert holdings.promised_bytes == holdings.leaving_bytes == 0
        assert not [part for part in work if part.state in (State.WAITING, State.STUCK)]

    def come_to_rest(self) -> None:
        """All leases are given back as well: then everybody is granted or refused."""
        for _ in range(300):
            self.work_off()
            if self.leases:
                self.release(next(iter(self.leases)))
            elif not self.memory.claims:
                break
            elif (due := self.memory.next_tick_s()) is not None:
                self.pass_time(max(0.0, due - self.now))
        assert not self.waiting, f"{list(self.memory.claims)} wait for nothing"

    def end(self) -> None:
        """Close in the middle of everything: all that was there is gone when leases end."""
        self.close()
        self.work_off()
        for token in tuple(self.leases):
            self.release(token)
        self.work_off()
        assert not self.there
        books = self.memory.books
        assert books.charged_bytes == books.carved_bytes
        lanes = sum(self.memory.holdings.lanes.used.values())
        assert books.carved_bytes == lanes + sum(self.carved.values())

    def random_step(self, rng: random.Random) -> None:
        """Whatever comes, drawn from ``rng``."""
        self.now += rng.choice((0.0, 0.0, 0.01, 0.2))
        draw = rng.random()
        for share, step in _STEPS:
            draw -= share / _SHARES
            if draw < 0:
                step(self, rng)
                return


def action_key(action: Load) -> tuple[str, Stage]:
    return action.key, action.stage


def _size_of(key: str) -> int:
    return next((sizes[key] for sizes, _ in VOICES.values() if key in sizes), 0)


def _ask(simulation: MemorySimulation, rng: random.Random) -> None:
    rank = Rank.AHEAD if rng.random() < 0.25 else Rank.PLAYER
    voice = rng.choice(tuple(VOICES))
    simulation.ask(voice, rank, insists=rng.random() < 0.2, ref=f"{voice}@{rng.randint(1, 2)}")


def _give_up(simulation: MemorySimulation, rng: random.Random) -> None:
    if simulation.waiting:
        simulation.give_up(rng.choice(tuple(simulation.waiting)))


def _release(simulation: MemorySimulation, rng: random.Random) -> None:
    if simulation.leases:
        simulation.release(rng.choice(tuple(simulation.leases)))


def _finish(simulation: MemorySimulation, rng: random.Random) -> None:
    if simulation.threads:
        number = rng.choice(tuple(simulation.threads))
        simulation.finish(number, drawn_outcome(simulation.threads[number], rng.random()))


def drawn_outcome(thread: Thread, draw: float) -> Outcome | None:
    """Mostly what is due; sometimes a fault, or a part that measures otherwise."""
    if draw < 0.05:
        return Failed("broken")
    if draw < 0.15 and thread.stage is Stage.LOAD:
        return DeviceRefused()
    if draw < 0.2:
        return Loaded(max(0, _size_of(thread.key) - 1))
    if draw < 0.3:
        return Loaded(_size_of(thread.key))
    return None


def _free(simulation: MemorySimulation, rng: random.Random) -> None:
    if simulation.freeing:
        simulation.free(rng.choice(tuple(simulation.freeing)))


def _pass_time(simulation: MemorySimulation, rng: random.Random) -> None:
    simulation.pass_time(rng.choice((0.3, 1.0, 2.5, 9.0, 30.0)))


def _pin(simulation: MemorySimulation, rng: random.Random) -> None:
    voices = [v.plan.key for v in simulation.memory.voices.values() if v.leases]
    if simulation.pinned and rng.random() < 0.6:
        simulation.unpin(rng.choice(sorted(simulation.pinned)))
    elif voices:
        simulation.pin(rng.choice(voices))


def _retire(simulation: MemorySimulation, rng: random.Random) -> None:
    voice = rng.choice(tuple(VOICES))
    change = simulation.restore if rng.random() < 0.5 else simulation.retire
    for version in (1, 2):
        change(f"{voice}@{version}")


def _withdraw(simulation: MemorySimulation, rng: random.Random) -> None:
    parts = [part for part in simulation.memory.holdings if part.state is State.RESIDENT]
    if parts:
        simulation.withdraw(rng.choice(parts).number)


def _steer(simulation: MemorySimulation, rng: random.Random) -> None:
    keys = tuple(VOICES[rng.choice(tuple(VOICES))][0])
    memory, now = simulation.memory, simulation.now
    draw = rng.randrange(5)
    if draw == 0:
        simulation.happen(lambda: memory.used(keys, now))
    elif draw == 1:
        simulation.happen(lambda: memory.used(keys, now, until_s=now + 3))
    elif draw == 2:
        simulation.happen(lambda: memory.evict_idle(now - rng.choice((0, 2, 10)), now))
    elif draw == 3:
        simulation.remote.add(rng.choice(keys))
    else:
        idle = [v.plan.key for v in memory.voices.values() if not v.leases and not v.pinned]
        if idle:
            voice = rng.choice(idle)
            simulation.happen(lambda: memory.unload(voice, now))


def _resize(simulation: MemorySimulation, rng: random.Random) -> None:
    simulation.resize(rng.choice(BUDGETS))


_STEPS: tuple[tuple[float, Callable[[MemorySimulation, random.Random], None]], ...] = (
    (24, _ask),
    (5, _give_up),
    (18, _release),
    (24, _finish),
    (14, _free),
    (6, _pass_time),
    (1.5, _pin),
    (1, _retire),
    (1, _withdraw),
    (5, _steer),
    (0.5, _resize),
)
_SHARES = sum(share for share, _ in _STEPS)
