"""Compute threads without work help those that compute, and come back when they are needed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from tests.fakes.gates import Gate
from voxswap_families.errors import DeviceStuckError
from voxswap_families.work import Steps, Work
from voxswap_server.compute.hooks import ThreadHooks
from voxswap_server.compute.scheduler import Scheduler


class FakeLending:
    """Whoever lends himself waits for a recall, as the native one does."""

    def __init__(self) -> None:
        self.is_open = True
        self._changed = threading.Condition()
        self._recalls = 0
        self.inside: set[str] = set()
        self.most_inside = 0
        self.came = 0

    def ticket(self) -> int:
        with self._changed:
            return self._recalls

    def lend(self, ticket: int) -> None:
        with self._changed:
            self.came += 1
            self.inside.add(threading.current_thread().name)
            self.most_inside = max(self.most_inside, len(self.inside))
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._recalls != ticket)
            self.inside.remove(threading.current_thread().name)
            self._changed.notify_all()

    def recall(self) -> None:
        with self._changed:
            self._recalls += 1
            self._changed.notify_all()

    def wait_for(self, lenders: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.inside) == lenders, 10), self.inside


@pytest.fixture
def lending() -> FakeLending:
    return FakeLending()


@pytest.fixture
def compute(lending: FakeLending) -> Iterator[Scheduler]:
    scheduler = Scheduler(threads=4, hooks=ThreadHooks(lending=lending))
    yield scheduler
    scheduler.close()
    assert not lending.inside, "a thread was left helping nobody"


async def begun(compute: Scheduler) -> tuple[Gate, asyncio.Task[object]]:
    """A work whose step has begun, and waits at a gate."""
    gate = Gate()
    task = asyncio.ensure_future(compute.run(Work.of(gate)))
    await asyncio.to_thread(gate.wait_reached)
    return gate, task


async def test_an_idle_thread_helps_while_another_steps_and_no_longer(
    compute: Scheduler, lending: FakeLending
) -> None:
    gate, task = await begun(compute)
    await asyncio.to_thread(lending.wait_for, 1)
    gate.open()
    await task
    await asyncio.to_thread(lending.wait_for, 0)
    assert lending.most_inside == 1, "there are more helpers than threads that step"


async def test_who_helps_is_called_back_for_work(compute: Scheduler, lending: FakeLending) -> None:
    gates = [await begun(compute) for _ in range(4)]
    assert not lending.inside
    gates[0][0].open()
    await gates[0][1]
    await asyncio.to_thread(lending.wait_for, 1)
    gate, task = await begun(compute)  # nobody else is free
    await asyncio.to_thread(lending.wait_for, 0)
    for other, _ in [*gates[1:], (gate, task)]:
        other.open()
    await asyncio.gather(*(t for _, t in gates[1:]), task)


async def test_helpers_stay_over_the_steps_of_one_work(
    compute: Scheduler, lending: FakeLending
) -> None:
    gate = Gate()

    def steps() -> Steps[None]:
        lending.wait_for(1)
        for _ in range(5):
            yield None
        gate()

    task = asyncio.ensure_future(compute.run(Work(steps())))
    await asyncio.to_thread(gate.wait_reached)
    assert lending.came == 1, "each step woke somebody"
    gate.open()
    await task


async def test_nobody_helps_until_it_is_known_with_what(lending: FakeLending) -> None:
    lending.is_open = False
    compute = Scheduler(threads=2, hooks=ThreadHooks(lending=lending))
    gate, task = await begun(compute)
    gate.open()
    await task
    compute.close()
    assert lending.came == 0


async def test_closing_calls_everybody_back(lending: FakeLending) -> None:
    compute = Scheduler(threads=3, hooks=ThreadHooks(lending=lending))
    gate, task = await begun(compute)
    await asyncio.to_thread(lending.wait_for, 1)
    closing = asyncio.ensure_future(asyncio.to_thread(compute.close))
    await asyncio.to_thread(lending.wait_for, 0)
    gate.open()
    await closing
    await task
    assert not lending.inside


async def test_a_step_that_is_written_off_has_no_helper(lending: FakeLending) -> None:
    now = 0.0
    compute = Scheduler(threads=2, hooks=ThreadHooks(lending=lending, clock=lambda: now))
    gate, task = await begun(compute)
    await asyncio.to_thread(lending.wait_for, 1)
    now = 100.0
    compute.end_steps_longer_than(10.0)
    with pytest.raises(DeviceStuckError):
        await task
    await asyncio.to_thread(lending.wait_for, 0)
    gate.open()
    compute.close(patience_s=10.0)
