"""The way down: what hangs is left behind, and who is in a hurry gets it."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from tests.fakes.executors import settle
from voxswap_server.app.way_down import CLOSED_S, WayDown, on_thread, threads_that_hang


class WayDownFixture:
    def __init__(self, grace_s: float = 10.0) -> None:
        self.now = 100.0
        self.way_down = WayDown(grace_s, clock=lambda: self.now)


@pytest.fixture
def fixture() -> WayDownFixture:
    return WayDownFixture()


async def test_what_hangs_is_left_behind_and_what_comes_after_it_is_closed(
    fixture: WayDownFixture,
) -> None:
    closed: list[str] = []

    async def close(name: str) -> None:
        closed.append(name)

    async with contextlib.AsyncExitStack() as stack:
        fixture.way_down.closing(stack, "last", lambda: close("last"))
        fixture.way_down.closing(stack, "a store", asyncio.Event().wait)
        fixture.way_down.closing(stack, "first", lambda: close("first"))
        fixture.way_down.begin()
        fixture.now += 10.0 + CLOSED_S  # nothing has more than the least share
    assert closed == ["first", "last"]
    assert fixture.way_down.left_behind == ["a store"]


async def test_what_blocks_is_closed_on_a_thread_that_nobody_waits_for(
    fixture: WayDownFixture,
) -> None:
    gate = threading.Event()
    async with contextlib.AsyncExitStack() as stack:
        fixture.way_down.closing_on_thread(stack, "a disk", lambda: gate.wait(20))
        fixture.way_down.begin()
        fixture.now += 10.0 + CLOSED_S
    assert fixture.way_down.left_behind == ["a disk"]
    (hanging,) = [t for t in threading.enumerate() if t.name == "voxswap-close a disk"]
    assert hanging.daemon
    gate.set()
    hanging.join(10)


async def test_what_ends_after_it_was_left_behind_ends_in_peace(fixture: WayDownFixture) -> None:
    """pytest fails a test whose thread raises."""
    gate = threading.Event()
    fixture.way_down.begin()
    fixture.now += 10.0 + CLOSED_S
    await fixture.way_down.within("a disk", lambda: on_thread(gate.wait, "a disk"))
    assert fixture.way_down.left_behind == ["a disk"]
    (thread,) = [t for t in threading.enumerate() if t.name == "voxswap-a disk"]
    await settle()
    gate.set()
    await asyncio.to_thread(thread.join)


async def test_what_fails_is_told(fixture: WayDownFixture) -> None:
    async def fail() -> None:
        raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        await fixture.way_down.within("a disk", fail)
    with pytest.raises(OSError, match="no such disk"):
        await on_thread(lambda: asyncio.run(fail()), "fail")


async def test_streams_have_their_grace_from_the_begin_on(fixture: WayDownFixture) -> None:
    assert fixture.way_down.left_s() == 10.0
    fixture.now += 5.0
    fixture.way_down.begin()
    fixture.now += 4.0
    fixture.way_down.begin()
    assert (fixture.way_down.left_s(), fixture.way_down.left_s(1.0)) == (6.0, 7.0)
    fixture.now += 8.0
    assert fixture.way_down.left_s() == 0.0


async def test_who_is_in_a_hurry_cuts_the_grace(fixture: WayDownFixture) -> None:
    fixture.way_down.begin()
    waiting = asyncio.ensure_future(fixture.way_down.grace(asyncio.Event().wait()))
    await settle()
    assert not waiting.done()
    fixture.way_down.hurry()
    await asyncio.wait_for(waiting, 10)
    assert (fixture.way_down.left_s(), fixture.way_down.left_s(1.0)) == (0.0, 1.0)


async def test_the_grace_is_over_when_all_have_ended(fixture: WayDownFixture) -> None:
    await asyncio.wait_for(fixture.way_down.grace(asyncio.sleep(0)), 10)


def test_threads_that_python_would_wait_for_are_found() -> None:
    gate = threading.Event()
    thread = threading.Thread(target=lambda: gate.wait(20), name="hangs")
    thread.start()
    try:
        assert thread in threads_that_hang(0.0)
    finally:
        gate.set()
    thread.join()
    assert thread not in threads_that_hang(0.0)
