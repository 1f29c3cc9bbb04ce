"""A step that does not come back: who fails, who goes on, who is told, and what if it returns."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Any

import pytest

from tests.fakes.clocks import FakeClock
from tests.fakes.executors import settle
from voxswap_families.errors import DeviceStuckError
from voxswap_families.work import Steps, Work
from voxswap_registry.errors import ClosedError
from voxswap_server.compute.hooks import Ran, ThreadHooks, Verdict
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.compute.watchdog import watch_steps
from voxswap_server.residency.bars import Bars
from voxswap_server.speech.serving import Serving

LIMIT_S = 30.0


class HangingWork:
    """A work whose second step hangs until it is let go, and can be asked to end if so made."""

    def __init__(self, *, may_be_long: bool = False, can_end: bool = False) -> None:
        self.begun, self.gate, self.asked = (threading.Event() for _ in range(3))
        self.may_be_long = may_be_long
        self.can_end = can_end

    def work(self) -> Work[str]:
        def steps() -> Steps[str]:
            yield None
            self.begun.set()
            assert self.gate.wait(20)
            if self.asked.is_set():
                raise RuntimeError("terminated")
            yield None
            return "done"

        return Work(
            steps(),
            may_be_long=self.may_be_long,
            interrupt=self._interrupt if self.can_end else None,
        )

    def _interrupt(self) -> None:
        self.asked.set()
        self.gate.set()


class WatchedScheduler:
    """A scheduler whose clock stands still until it is moved, and a watchdog that looks then."""

    def __init__(self, threads: int = 1, **spare: Any) -> None:
        self.clock = FakeClock()
        self.verdicts: list[Verdict] = []
        self.scheduler = Scheduler(
            threads=threads,
            hooks=ThreadHooks(clock=self.clock, observe_stuck=self.verdicts.append),
            **spare,
        )
        self.serving = Serving(Bars(self.clock), long_engines=frozenset({"kokoro"}))
        self.serving.become_ready()
        self.looks = asyncio.Semaphore(0)
        self.hangs: list[HangingWork] = []
        self.returned: list[Future[None]] = []
        self.watching = asyncio.ensure_future(
            watch_steps(self.scheduler, self.serving.set_threads, after_s=LIMIT_S, sleep=self.sleep)
        )

    async def sleep(self, seconds: float) -> None:
        assert seconds == LIMIT_S / 4
        await self.looks.acquire()

    async def look(self, *, later_s: float = LIMIT_S + 0.1) -> None:
        self.clock.now_s += later_s
        self.looks.release()
        await settle()

    def run(self, work: Work[str], owner: str | None = None) -> asyncio.Future[Ran[str]]:
        return asyncio.ensure_future(
            self.scheduler.run(work, owner=owner, on_stuck=self.returned.append)
        )

    async def hang(
        self, owner: str | None = None, *, may_be_long: bool = False, can_end: bool = False
    ) -> tuple[HangingWork, asyncio.Future[Ran[str]]]:
        """A step that hangs now."""
        hang = HangingWork(may_be_long=may_be_long, can_end=can_end)
        self.hangs.append(hang)
        task = self.run(hang.work(), owner)
        assert await asyncio.to_thread(hang.begun.wait, 20)
        return hang, task

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not is_so():  # noqa: ASYNC110 - a thread goes on when it gets its turn
                await asyncio.sleep(0.001)

    async def close(self) -> None:
        for hang in self.hangs:
            hang.gate.set()
        self.watching.cancel()
        await asyncio.to_thread(self.scheduler.close, 20)


@pytest.fixture
async def watched() -> AsyncIterator[WatchedScheduler]:
    made = WatchedScheduler()
    yield made
    await made.close()


@pytest.fixture
async def device() -> AsyncIterator[WatchedScheduler]:
    """Of a GPU: what hangs is the device, and no thread can take the place."""
    made = WatchedScheduler(spare=0)
    yield made
    await made.close()


async def test_a_stuck_step_costs_its_thread_and_nobody_elses_work(
    watched: WatchedScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    _, hanging = await watched.hang("smith")
    behind = watched.run(Work.of(lambda: "behind"), "guard")
    await watched.look(later_s=LIMIT_S)
    assert not hanging.done()
    with caplog.at_level(logging.WARNING):
        await watched.look(later_s=0.1)
    with pytest.raises(DeviceStuckError, match="barred"):
        await asyncio.wait_for(hanging, 20)
    assert (await asyncio.wait_for(behind, 20)).result == "behind", "another thread took it"
    assert watched.verdicts == [Verdict.WRITTEN_OFF]
    assert (watched.scheduler.lost, watched.serving.serves) == (1, True)
    assert "its thread written off" in caplog.text


async def test_works_of_the_same_voice_in_line_fail_with_it(watched: WatchedScheduler) -> None:
    """They would be the next to hang, and cost a thread each."""
    _, hanging = await watched.hang("smith")
    same, other = (
        watched.run(Work.of(lambda: "?"), "smith"),
        watched.run(Work.of(lambda: "!"), "guard"),
    )
    await watched.look()
    for failed in (hanging, same):
        with pytest.raises(DeviceStuckError):
            await asyncio.wait_for(failed, 20)
    assert (await asyncio.wait_for(other, 20)).result == "!"
    assert len(watched.returned) == 1, "who was in line uses nothing"


async def test_whose_step_it_is_hears_when_it_is_over(watched: WatchedScheduler) -> None:
    """What it computes with must not be freed before."""
    hang, hanging = await watched.hang()
    await watched.look()
    await asyncio.wait([hanging])
    (returned,) = watched.returned
    assert not returned.done()
    hang.gate.set()
    await asyncio.wait_for(asyncio.wrap_future(returned), 10)
    await watched.until(lambda: watched.scheduler.lost == 0)
    assert watched.verdicts == [Verdict.WRITTEN_OFF, Verdict.RETURNED]


async def test_who_gave_up_in_a_step_is_told_when_that_is_written_off(
    watched: WatchedScheduler,
) -> None:
    """Otherwise its stream, with lease, ticket and call, would be there for ever."""
    hang, hanging = await watched.hang()
    hanging.cancel()
    await settle()
    assert not hanging.done(), "its lease would be given back while the step still computes"
    await watched.look()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(hanging, 10)
    (returned,) = watched.returned
    assert not returned.done()
    hang.gate.set()
    await asyncio.wait_for(asyncio.wrap_future(returned), 10)


async def test_a_thread_that_comes_back_late_ends_if_its_place_is_taken(
    watched: WatchedScheduler,
) -> None:
    hang, hanging = await watched.hang()
    await watched.look()
    await asyncio.wait([hanging])
    hang.gate.set()
    await watched.until(lambda: watched.scheduler.lost == 0)
    names = {
        (await watched.run(Work.of(lambda: threading.current_thread().name))).result
        for _ in range(8)
    }
    assert names == {"voxswap-compute-1"}


async def test_with_no_thread_left_everything_fails_until_one_comes_back(
    device: WatchedScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    hang, hanging = await device.hang("smith")
    behind = device.run(Work.of(lambda: "behind"))
    with caplog.at_level(logging.WARNING):
        await device.look()
    for failed in (hanging, behind):
        with pytest.raises(DeviceStuckError):
            await asyncio.wait_for(failed, 20)
    assert not device.serving.serves
    assert "Restart the server" in caplog.text
    with pytest.raises(DeviceStuckError, match="restart the server"):
        await device.run(Work.of(lambda: "later"))
    assert device.scheduler.waiting == 0
    assert len(device.returned) == 1
    hang.gate.set()
    await device.until(device.scheduler.is_alive)
    assert (await device.run(Work.of(lambda: "again"))).result == "again"
    await device.look(later_s=1.0)
    assert device.serving.serves


async def test_so_many_threads_are_replaced_and_no_more() -> None:
    watched = WatchedScheduler(threads=2, spare=1)
    hanging = [(await watched.hang(f"voice {n}"))[1] for n in range(2)]
    await watched.look()
    await asyncio.wait(hanging)
    assert (watched.scheduler.lost, watched.serving.serves) == (2, True), "one was replaced"
    _, third = await watched.hang("voice 3")
    await watched.look()
    await asyncio.wait([third])
    assert (watched.scheduler.lost, watched.serving.serves) == (3, False)
    watched.hangs[0].gate.set()
    await watched.until(watched.scheduler.is_alive)
    assert (await watched.run(Work.of(lambda: "again"))).result == "again"
    await watched.close()


async def test_a_successor_that_cannot_be_prepared_is_none() -> None:
    fails = threading.Event()

    def prepare() -> None:
        if fails.is_set():
            raise OSError("no such core")

    scheduler = Scheduler(hooks=ThreadHooks(prepare=prepare, clock=lambda: now))
    now, hang = 0.0, HangingWork()
    hanging = asyncio.ensure_future(scheduler.run(hang.work()))
    assert await asyncio.to_thread(hang.begun.wait, 20)
    behind = asyncio.ensure_future(scheduler.run(Work.of(lambda: "behind")))
    await settle()
    fails.set()
    now = 1.0
    scheduler.end_steps_longer_than(0.5)
    for failed in (hanging, behind):
        with pytest.raises(DeviceStuckError):
            await asyncio.wait_for(failed, 20)
    assert not scheduler.is_alive()
    hang.gate.set()
    await asyncio.to_thread(scheduler.close, 20)


async def test_a_step_that_can_be_asked_to_end_keeps_its_thread(watched: WatchedScheduler) -> None:
    hang, hanging = await watched.hang("slow graph", can_end=True)
    await watched.look()
    with pytest.raises(DeviceStuckError, match="barred"):
        await asyncio.wait_for(hanging, 20)
    assert hang.asked.is_set()
    assert watched.verdicts == [Verdict.INTERRUPTED]
    assert watched.scheduler.lost == 0
    (returned,) = watched.returned
    assert returned.done()


async def test_a_step_that_is_asked_to_end_and_does_not_is_written_off(
    watched: WatchedScheduler,
) -> None:
    deaf = HangingWork(can_end=True)
    deaf._interrupt = deaf.asked.set  # type: ignore[method-assign]
    watched.hangs.append(deaf)
    task = watched.run(deaf.work())
    assert await asyncio.to_thread(deaf.begun.wait, 20)
    await watched.look()
    assert deaf.asked.is_set()
    assert not task.done(), "it has until the next look"
    await watched.look(later_s=LIMIT_S / 4)
    with pytest.raises(DeviceStuckError):
        await asyncio.wait_for(task, 20)
    assert watched.verdicts == [Verdict.WRITTEN_OFF]


async def test_who_gave_up_a_step_that_is_then_interrupted_counts_as_stuck(
    watched: WatchedScheduler,
) -> None:
    _, hanging = await watched.hang(can_end=True)
    hanging.cancel()
    await settle()
    await watched.look()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(hanging, 20)
    (returned,) = watched.returned
    assert returned.done()


async def test_long_steps_have_a_thread_of_their_own(watched: WatchedScheduler) -> None:
    _, hanging = await watched.hang(may_be_long=True)
    assert (await watched.run(Work.of(lambda: "at once"))).result == "at once"
    assert not hanging.done()


async def test_without_a_thread_for_long_steps_the_server_and_other_voices_serve() -> None:
    watched = WatchedScheduler(spare_long=0)
    await watched.hang("kokoro/x@1", may_be_long=True)
    await watched.look()
    assert watched.serving.serves
    assert watched.serving.serves_voice("joe@1", "vits")
    assert not watched.serving.serves_voice("kokoro/y@1", "kokoro")
    assert (await watched.run(Work.of(lambda: "at once"))).result == "at once"
    await watched.close()


async def test_closing_does_not_wait_for_a_stuck_step(watched: WatchedScheduler) -> None:
    await watched.hang()
    await watched.look()
    left = await asyncio.wait_for(asyncio.to_thread(watched.scheduler.close), 10)
    assert left == 1


@pytest.mark.parametrize("gave_up", [False, True])
@pytest.mark.parametrize("was_told", [False, True])
async def test_at_the_end_the_verdict_is_forced(gave_up: bool, was_told: bool) -> None:
    """Whatever the watchdog has said by then, and whoever waits: nothing holds the process up."""
    watched = WatchedScheduler()
    _, hanging = await watched.hang("smith")
    behind = watched.run(Work.of(lambda: "behind"))
    await settle()
    if was_told:
        await watched.look()
        await asyncio.wait([behind])
    if gave_up:
        hanging.cancel()
        await settle()
    watched.scheduler.abandon()
    await asyncio.wait_for(asyncio.wait([hanging, behind]), 10)
    (returned,) = watched.returned
    assert returned.done(), "the lease goes back"
    if was_told:
        assert (await behind).result == "behind"
    else:
        with pytest.raises(ClosedError):
            await behind
    with pytest.raises(ClosedError):
        await watched.run(Work.of(lambda: "too late"))
    left = await asyncio.wait_for(asyncio.to_thread(watched.scheduler.close), 10)
    assert left == 1
    await watched.close()


async def test_no_order_of_events_says_serving_too_soon() -> None:
    """A step that comes back while voices are being preloaded makes no server ready."""
    device = WatchedScheduler(spare=0)
    device.serving = Serving(Bars(lambda: 0.0))
    device.watching.cancel()
    device.watching = asyncio.ensure_future(
        watch_steps(
            device.scheduler, device.serving.set_threads, after_s=LIMIT_S, sleep=device.sleep
        )
    )
    hang, _ = await device.hang()
    await device.look()
    hang.gate.set()
    await device.until(device.scheduler.is_alive)
    await device.look(later_s=1.0)
    assert not device.serving.serves
    device.serving.become_ready()
    assert device.serving.serves
    device.serving.drain()
    device.serving.become_ready()
    assert not device.serving.serves
    await device.close()
