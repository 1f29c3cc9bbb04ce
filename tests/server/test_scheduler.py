from __future__ import annotations

import asyncio
import functools
import threading

import pytest

from tests.fakes.executors import settle
from tests.fakes.gates import Gate
from voxswap_families.work import Steps, Work
from voxswap_server.compute.hooks import ThreadHooks
from voxswap_server.compute.scheduler import Scheduler


@pytest.fixture
def compute() -> object:
    thread = Scheduler()
    yield thread
    thread.close()


async def test_steps_run_one_at_a_time_in_the_order_they_were_asked_for(
    compute: Scheduler,
) -> None:
    order: list[int] = []
    names: set[str] = set()

    def step(number: int) -> int:
        order.append(number)
        names.add(threading.current_thread().name)
        return number

    steps = await asyncio.gather(
        *(compute.run(Work.of(functools.partial(step, n))) for n in range(20))
    )
    assert [s.result for s in steps] == order == list(range(20))
    assert len(names) == 1
    assert threading.current_thread().name not in names


async def test_as_many_steps_at_a_time_as_there_are_threads() -> None:
    compute = Scheduler(threads=2)
    gates = [Gate() for _ in range(3)]
    tasks = [asyncio.ensure_future(compute.run(Work.of(gate))) for gate in gates]
    try:
        for gate in gates[:2]:
            await asyncio.to_thread(gate.wait_reached)
        await settle()
        assert not gates[2].is_reached
        gates[1].open()  # whichever ends first takes the next one
        await asyncio.to_thread(gates[2].wait_reached)
        assert not tasks[0].done()
    finally:
        for gate in gates:
            gate.open()
        assert all([(await task).compute_s > 0 for task in tasks])
        compute.close()


async def test_a_work_is_in_one_step_at_a_time_and_goes_on_on_any_thread() -> None:
    """Steps of one work use what the one before it made."""
    compute = Scheduler(threads=4)
    inside: set[int] = set()
    names: set[str] = set()

    def steps(n: int) -> Steps[int]:
        for _ in range(20):
            assert n not in inside
            inside.add(n)
            names.add(threading.current_thread().name)
            inside.remove(n)
            yield None
        return n

    ran = await asyncio.gather(*(compute.run(Work(steps(n))) for n in range(12)))
    assert [r.result for r in ran] == list(range(12))
    assert len(names) > 1
    compute.close()


async def test_threads_are_prepared_before_they_compute() -> None:
    prepared: list[str] = []
    around = ThreadHooks(prepare=lambda: prepared.append(threading.current_thread().name))
    compute = Scheduler(threads=3, hooks=around)
    assert len(set(prepared)) == 4  # with the one for long steps
    name = (await compute.run(Work.of(lambda: threading.current_thread().name))).result
    assert name in prepared
    compute.close()


def test_a_thread_that_cannot_be_prepared_is_told_where_it_is_made() -> None:
    def fail() -> None:
        raise OSError("no such core")

    with pytest.raises(OSError, match="no such core"):
        Scheduler(threads=2, hooks=ThreadHooks(prepare=fail))


async def test_an_error_is_the_callers(compute: Scheduler) -> None:
    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await compute.run(Work.of(fail))
    assert (await compute.run(Work.of(lambda: 7))).result == 7


async def test_cancelling_waits_for_the_step_that_has_begun(compute: Scheduler) -> None:
    gate = Gate()
    task = asyncio.ensure_future(compute.run(Work.of(gate)))
    await asyncio.to_thread(gate.wait_reached)
    task.cancel()
    await settle()
    task.cancel()  # impatient callers change nothing
    await settle()
    assert not task.done(), "the lease would be given back while the step still computes"
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelling_drops_a_step_that_has_not_begun(compute: Scheduler) -> None:
    gate, never = Gate(), Gate()
    running = asyncio.ensure_future(compute.run(Work.of(lambda: gate() or "done")))
    await asyncio.to_thread(gate.wait_reached)
    waiting = asyncio.ensure_future(compute.run(Work.of(never)))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.open()
    step = await running
    assert step.result == "done"
    assert step.compute_s > 0
    assert never.calls == 0


async def test_a_step_that_fails_after_its_cancellation_is_not_left_unheard(
    compute: Scheduler,
) -> None:
    gate = Gate()

    def fail() -> None:
        gate()
        raise ValueError("too late for anybody")

    task = asyncio.ensure_future(compute.run(Work.of(fail)))
    await asyncio.to_thread(gate.wait_reached)
    task.cancel()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await task
