"""A hypothesis state machine over the ModelManager: any order of events, and the books balance."""

from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.server.fakes import FakeClock, FakeLoader, ManualExecutor, make_manifest, settle
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.manager import ModelManager

SIZES = {"a": 5, "b": 10, "c": 10, "d": 20, "e": 35}
BUDGET = 40


class ManagerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.executor = ManualExecutor()
        self.loader = FakeLoader()
        self.clock = FakeClock()
        self.manager = ModelManager(
            self.loader, self.executor, budget_bytes=BUDGET, clock=self.clock
        )
        self.asking: list[asyncio.Task[Lease]] = []
        self.held: list[Lease] = []

    def run_loop(self) -> None:
        self.loop.run_until_complete(settle())
        for task in [t for t in self.asking if t.done()]:
            self.asking.remove(task)
            if not task.cancelled() and task.exception() is None:
                self.held.append(task.result())

    @rule(voice=st.sampled_from(sorted(SIZES)))
    def ask(self, voice: str) -> None:
        self.clock.now += 1
        work = self.manager.acquire(make_manifest(voice, SIZES[voice]))
        self.asking.append(self.loop.create_task(work))
        self.run_loop()

    @rule(voice=st.sampled_from(sorted(SIZES)), settled=st.booleans())
    def ask_and_cancel(self, voice: str, *, settled: bool) -> None:
        work = self.manager.acquire(make_manifest(voice, SIZES[voice]))
        task = self.loop.create_task(work)
        if settled:
            self.loop.run_until_complete(asyncio.sleep(0))
        task.cancel()
        self.asking.append(task)
        self.run_loop()

    @precondition(lambda self: self.asking)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.asking)).cancel()
        self.run_loop()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.clock.now += 1
        lease = data.draw(st.sampled_from(self.held))
        self.held.remove(lease)
        self.loop.call_soon(lease.release)
        self.run_loop()

    @precondition(lambda self: self.executor.waiting)
    @rule(data=st.data())
    def finish_work(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.executor.waiting) - 1))
        self.executor.run_next(index)
        self.run_loop()

    @precondition(lambda self: self.executor.waiting and self.asking)
    @rule(data=st.data())
    def finish_work_while_somebody_cancels(self, data: st.DataObject) -> None:
        self.executor.run_next(data.draw(st.integers(0, len(self.executor.waiting) - 1)))
        for _ in range(data.draw(st.integers(0, 4))):
            self.loop.run_until_complete(asyncio.sleep(0))
        data.draw(st.sampled_from(self.asking)).cancel()
        self.run_loop()

    @rule(voice=st.sampled_from(sorted(SIZES)))
    def break_or_mend(self, voice: str) -> None:
        if voice in self.loader.faults:
            del self.loader.faults[voice]
        else:
            self.loader.faults[voice] = OSError("broken")

    @invariant()
    def books_balance(self) -> None:
        self.manager.check_integrity()
        leases = sum(resident.leases for resident in self.manager.residents())
        assert leases == len(self.held)

    @invariant()
    def whoever_waits_has_something_to_wait_for(self) -> None:
        if self.asking and not self.executor.waiting:
            assert self.held, "somebody waits, nothing is under way and nothing is held"

    def teardown(self) -> None:
        for task in self.asking:
            task.cancel()
        for lease in self.held:
            self.loop.call_soon(lease.release)
        self.asking, self.held = self.asking, []
        self.run_loop()
        while self.executor.waiting:
            self.executor.run_next()
            self.run_loop()
        self.manager.check_integrity()
        books = self.manager.statistics()
        assert (books.reserved_bytes, books.evicting_bytes) == (0, 0)
        self.loop.close()


TestManagerMachine = ManagerMachine.TestCase
TestManagerMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
