"""A hypothesis state machine over the ModelManager: any order of events, and the books balance."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.examples import examples
from tests.fakes.executors import ManualExecutor, settle
from tests.fakes.manifests import make_manifest
from tests.fakes.residency import ResidencyFixture
from voxswap_registry.errors import VoxswapError
from voxswap_registry.manifest import Manifest
from voxswap_server.memory.part import Part
from voxswap_server.memory.part import State as PartState
from voxswap_server.memory.plans import Limits
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.snapshot import Resident, State

# Some have everything for themselves, some share a base, two share two parts, one is very large.
VOICES: dict[str, Manifest] = {
    "a": make_manifest("a", 5),
    "b": make_manifest("b", 10),
    "c": make_manifest("c", 20, text=("table", 1)),
    "d": make_manifest("d", 34, text=("table", 1)),
    "e": make_manifest("e", 1, base=("base", 12), text=("table", 1)),
    "f": make_manifest("f", 2, base=("base", 12), text=("table", 1)),
    "g": make_manifest("g", 3, base=("base", 12)),
    "h": make_manifest("h", 4, base=("other", 25)),
}
BUDGETS = (36, 40, 60)
names = st.sampled_from(sorted(VOICES))
faulty = st.sampled_from([*sorted(VOICES), "base", "text"])


def came_to_something(task: asyncio.Task[Any]) -> bool:
    """Whether a task has a result; what it raised must be what callers are told of."""
    if task.cancelled():
        return False
    error = task.exception()
    assert error is None or isinstance(error, VoxswapError), repr(error)
    return error is None


class ManagerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.stray: list[object] = []
        self.loop.set_exception_handler(lambda _, context: self.stray.append(context))
        self.residency = ResidencyFixture(40, Limits(load_slots=2, settle_s=1.5))
        self.manager, self.loader = self.residency.manager, self.residency.loader
        self.asking: list[asyncio.Task[Lease]] = []
        self.held: list[Lease] = []
        self.pinning: list[asyncio.Task[Resident]] = []
        self.unloading: list[asyncio.Task[int]] = []

    @property
    def waiting(self) -> list[ManualExecutor]:
        return [e for e in (self.residency.executor, self.residency.freeing) if e.waiting]

    @property
    def resident(self) -> list[Part]:
        parts = (p for p in self.manager.memory.holdings if p.state is PartState.RESIDENT)
        return sorted(parts, key=lambda p: p.key)

    def run_loop(self) -> None:
        self.loop.run_until_complete(settle())
        for asked in [t for t in self.asking if t.done()]:
            self.asking.remove(asked)
            if came_to_something(asked):
                self.held.append(asked.result())
        doing: tuple[list[asyncio.Task[Any]], ...] = (self.pinning, self.unloading)
        for tasks in doing:
            for task in [t for t in tasks if t.done()]:
                tasks.remove(task)
                came_to_something(task)
        assert not self.stray, self.stray

    @rule(voice=names, insist=st.booleans())
    def ask(self, voice: str, *, insist: bool) -> None:
        self.residency.clock.now_s += 1
        work = self.manager.acquire(VOICES[voice], insist=insist)
        self.asking.append(self.loop.create_task(work))
        self.run_loop()

    @rule(voice=names, turns=st.integers(0, 4))
    def ask_and_cancel(self, voice: str, turns: int) -> None:
        task = self.loop.create_task(self.manager.acquire(VOICES[voice]))
        for _ in range(turns):
            self.loop.run_until_complete(asyncio.sleep(0))
        task.cancel()
        self.asking.append(task)
        self.run_loop()

    @rule(voices=st.lists(names, min_size=2, max_size=5))
    def ask_for_many_at_once(self, voices: list[str]) -> None:
        for voice in voices:
            self.asking.append(self.loop.create_task(self.manager.acquire(VOICES[voice])))
        self.run_loop()

    @precondition(lambda self: self.asking)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.asking)).cancel()
        self.run_loop()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.residency.clock.now_s += 1
        lease = data.draw(st.sampled_from(self.held))
        self.held.remove(lease)
        self.loop.call_soon(lease.release)
        self.run_loop()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def finish_work(self, data: st.DataObject) -> None:
        executor = data.draw(st.sampled_from(self.waiting))
        executor.run_next(data.draw(st.integers(0, len(executor.waiting) - 1)))
        self.run_loop()

    @precondition(lambda self: self.waiting and self.asking)
    @rule(data=st.data(), turns=st.integers(0, 4))
    def finish_work_while_somebody_cancels(self, data: st.DataObject, turns: int) -> None:
        executor = data.draw(st.sampled_from(self.waiting))
        executor.run_next(data.draw(st.integers(0, len(executor.waiting) - 1)))
        for _ in range(turns):
            self.loop.run_until_complete(asyncio.sleep(0))
        data.draw(st.sampled_from(self.asking)).cancel()
        self.run_loop()

    @rule(part=faulty)
    def break_or_mend(self, part: str) -> None:
        if part in self.loader.faults:
            del self.loader.faults[part]
        else:
            self.loader.faults[part] = OSError("broken")

    @rule(part=faulty, measured=st.integers(0, 40))
    def measure_otherwise(self, part: str, measured: int) -> None:
        self.loader.measured[part] = measured

    @rule(part=faulty, times=st.integers(1, 3))
    def refuse_memory(self, part: str, times: int) -> None:
        self.loader.refusals[part] = times

    @rule(voice=names)
    def misfit(self, voice: str) -> None:
        self.loader.misfits ^= {voice}

    @rule(voice=names)
    def pin(self, voice: str) -> None:
        self.pinning.append(self.loop.create_task(self.manager.pin(VOICES[voice])))
        self.run_loop()

    @rule(voice=names)
    def unpin(self, voice: str) -> None:
        self.loop.call_soon(self.manager.unpin, VOICES[voice])
        self.run_loop()

    @rule(voice=names)
    def unload(self, voice: str) -> None:
        self.unloading.append(self.loop.create_task(self.manager.unload(VOICES[voice])))
        self.run_loop()

    @rule(voice=names)
    def delete(self, voice: str) -> None:
        self.loop.call_soon(self.manager.retire, f"{voice}@1")
        self.run_loop()

    @rule(voice=names)
    def protect(self, voice: str) -> None:
        self.manager.protect(VOICES[voice], 3)

    @rule(age=st.sampled_from([0, 2, 10]))
    def evict_idle(self, age: int) -> None:
        self.loop.call_soon(self.manager.evict_idle, age)
        self.run_loop()

    @rule(budget=st.sampled_from(BUDGETS))
    def change_the_budget(self, budget: int) -> None:
        self.loop.call_soon(self.manager.set_budget, budget)
        self.run_loop()

    @rule(voice=names, workspace=st.integers(0, 6))
    def need_another_workspace(self, voice: str, workspace: int) -> None:
        self.loader.workspaces[voice] = workspace

    @rule(seconds=st.sampled_from([0.3, 1, 100]))
    def let_time_pass(self, seconds: float) -> None:
        self.residency.clock.now_s += seconds
        self.loop.call_soon(self.manager.tick)
        self.run_loop()

    @precondition(lambda self: self.resident)
    @rule(data=st.data())
    def a_file_is_changed(self, data: st.DataObject) -> None:
        part = data.draw(st.sampled_from(self.resident))
        self.loop.call_soon(self.manager._take_out, part.number)
        self.run_loop()

    @invariant()
    def books_balance(self) -> None:
        self.manager.check_integrity()
        assert len(self.held) == self.manager.held_leases()

    @invariant()
    def what_is_held_is_there(self) -> None:
        for lease in self.held:
            assert lease.loaded is not None

    @invariant()
    def whoever_waits_has_something_to_wait_for(self) -> None:
        if (self.asking or self.pinning) and not self.waiting:
            assert self.held, "somebody waits, nothing is under way and nothing is held"

    @invariant()
    def the_budget_is_reached_as_soon_as_can_be(self) -> None:
        # What is on its way out is counted on, loads that were told to stop as well.
        if self.manager.memory.holdings.staying_room_bytes < 0:
            idle = [part for part in self.manager.memory.holdings if part.is_idle]
            assert not idle, "over budget, and something is idle"

    def teardown(self) -> None:
        for task in self.asking:
            task.cancel()
        closing = self.loop.create_task(self.manager.close())
        self.run_loop()
        while self.waiting or self.held:
            held, self.held = self.held, []  # some were granted just before they were cancelled
            for lease in held:
                self.loop.call_soon(lease.release)
            if self.waiting:
                self.waiting[0].run_next()
            self.run_loop()
        assert closing.done(), f"closing waits for {self.manager.memory.work}, {self.held} held"
        self.manager.check_integrity()
        books = self.manager.statistics()
        assert books.charged_bytes == books.carved_bytes
        assert all(r.state is State.FAILED for r in self.manager.residents())
        self.loop.close()


TestManagerMachine = ManagerMachine.TestCase
TestManagerMachine.settings = examples(250, stateful_step_count=80)
