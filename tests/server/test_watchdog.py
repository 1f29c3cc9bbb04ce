"""A step that does not come back: who fails, who is told, and what happens when it returns."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator

import pytest

from tests.server.fakes import settle
from voxswap_server.engines.errors import DeviceStuckError
from voxswap_server.engines.work import Steps, Work
from voxswap_server.speech.lane import Surroundings
from voxswap_server.speech.scheduler import Scheduler
from voxswap_server.watchdog import watch_steps


class House:
    """A scheduler whose clock stands still until it is moved, and a watchdog that looks then."""

    def __init__(self, threads: int = 1) -> None:
        self.now = 100.0
        self.scheduler = Scheduler(
            threads=threads, surroundings=Surroundings(clock=lambda: self.now)
        )
        self.told: list[bool] = []
        self.looks = asyncio.Semaphore(0)
        self.gate, self.begun = threading.Event(), threading.Event()
        self.watching = asyncio.ensure_future(
            watch_steps(self.scheduler, self.tell, after_s=30.0, sleep=self.sleep)
        )

    async def sleep(self, seconds: float) -> None:
        assert seconds == 7.5
        await self.looks.acquire()

    async def tell(self, *, serves: bool) -> None:
        self.told.append(serves)

    async def look(self, *, later_s: float) -> None:
        self.now += later_s
        self.looks.release()
        await settle()

    def hang(self) -> Work[str]:
        def steps() -> Steps[str]:
            yield None
            self.begun.set()
            assert self.gate.wait(20)
            yield None
            raise AssertionError("nobody wants it any more")

        return Work(steps())

    async def stuck(self) -> tuple[asyncio.Future[object], asyncio.Future[object]]:
        """One whose step hangs, and one behind it; both have failed."""
        hanging = asyncio.ensure_future(self.scheduler.run(self.hang()))
        await asyncio.to_thread(self.begun.wait, 20)
        behind = asyncio.ensure_future(self.scheduler.run(Work.of(lambda: "behind")))
        await settle()
        await self.look(later_s=30.0)
        assert self.told == []
        assert not hanging.done()
        await self.look(later_s=0.1)
        await asyncio.wait([hanging, behind])
        return hanging, behind


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    yield made
    made.gate.set()
    made.watching.cancel()
    await asyncio.to_thread(made.scheduler.close)


async def test_who_waits_for_a_stuck_step_fails_and_health_is_told(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for failed in await house.stuck():
            with pytest.raises(DeviceStuckError, match="restart the server"):
                await failed
    assert house.told == [False]
    assert "Restart the server" in caplog.text
    with pytest.raises(DeviceStuckError):
        await house.scheduler.run(Work.of(lambda: "later"))
    assert house.scheduler.waiting == 0


async def test_it_serves_again_when_the_step_comes_back(house: House) -> None:
    await house.stuck()
    house.gate.set()
    while True:  # the thread goes on when it gets its turn
        try:
            ran = await house.scheduler.run(Work.of(lambda: "again"))
        except DeviceStuckError:
            await asyncio.sleep(0)
        else:
            break
    assert ran.result == "again"
    await house.look(later_s=1.0)
    assert house.told == [False, True]


async def test_long_steps_have_a_thread_of_their_own(house: House) -> None:
    hanging = asyncio.ensure_future(
        house.scheduler.run(Work.of(lambda: house.gate.wait(20), may_be_long=True))
    )
    await settle()
    assert (await house.scheduler.run(Work.of(lambda: "at once"))).result == "at once"
    assert not hanging.done()
    house.gate.set()
    assert (await hanging).result


async def test_closing_does_not_wait_for_a_stuck_step(house: House) -> None:
    await house.stuck()
    await asyncio.wait_for(asyncio.to_thread(house.scheduler.close), 10)


async def test_whose_step_it_is_can_wait_until_that_comes_back(house: House) -> None:
    """What it computes with must not be freed before."""
    hanging, behind = await house.stuck()
    errors = [task.exception() for task in (hanging, behind)]
    mine, others = [e.returned for e in errors if isinstance(e, DeviceStuckError)]
    assert others is None
    assert mine is not None
    assert not mine.done()
    house.gate.set()
    await asyncio.wait_for(asyncio.wrap_future(mine), 10)


async def test_who_gave_up_in_a_stuck_step_waits_for_its_end(house: House) -> None:
    hanging = asyncio.ensure_future(house.scheduler.run(house.hang()))
    await asyncio.to_thread(house.begun.wait, 20)
    hanging.cancel()
    await settle()
    await house.look(later_s=31.0)
    assert house.told == [False]
    assert not hanging.done(), "its lease would be given back while the step still computes"
    house.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(hanging, 10)
