"""The way down: what hangs is left behind, and who is in a hurry gets it."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from tests.server.fakes import settle
from voxswap_server.app.way_down import CLOSED_S, WayDown, on_thread, threads_that_hang


class House:
    def __init__(self, grace_s: float = 10.0) -> None:
        self.now = 100.0
        self.way_down = WayDown(grace_s, clock=lambda: self.now)


@pytest.fixture
def house() -> House:
    return House()


async def test_what_hangs_is_left_behind_and_what_comes_after_it_is_closed(house: House) -> None:
    closed: list[str] = []

    async def close(name: str) -> None:
        closed.append(name)

    async with contextlib.AsyncExitStack() as stack:
        house.way_down.closing(stack, "last", lambda: close("last"))
        house.way_down.closing(stack, "a store", asyncio.Event().wait)
        house.way_down.closing(stack, "first", lambda: close("first"))
        house.way_down.begin()
        house.now += 10.0 + CLOSED_S  # nothing has more than the least share
    assert closed == ["first", "last"]
    assert house.way_down.left_behind == ["a store"]


async def test_what_blocks_is_closed_on_a_thread_that_nobody_waits_for(house: House) -> None:
    gate = threading.Event()
    async with contextlib.AsyncExitStack() as stack:
        house.way_down.closing_on_thread(stack, "a disk", lambda: gate.wait(20))
        house.way_down.begin()
        house.now += 10.0 + CLOSED_S
    assert house.way_down.left_behind == ["a disk"]
    (hanging,) = [t for t in threading.enumerate() if t.name == "voxswap-close a disk"]
    assert hanging.daemon
    gate.set()
    hanging.join(10)


async def test_what_ends_after_it_was_left_behind_ends_in_peace(house: House) -> None:
    """pytest fails a test whose thread raises."""
    gate = threading.Event()
    house.way_down.begin()
    house.now += 10.0 + CLOSED_S
    await house.way_down.within("a disk", lambda: on_thread(gate.wait, "a disk"))
    assert house.way_down.left_behind == ["a disk"]
    (thread,) = [t for t in threading.enumerate() if t.name == "voxswap-a disk"]
    await settle()
    gate.set()
    await asyncio.to_thread(thread.join)


async def test_what_fails_is_told(house: House) -> None:
    async def fail() -> None:
        raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        await house.way_down.within("a disk", fail)
    with pytest.raises(OSError, match="no such disk"):
        await on_thread(lambda: asyncio.run(fail()), "fail")


async def test_streams_have_their_grace_from_the_begin_on(house: House) -> None:
    assert house.way_down.left_s() == 10.0
    house.now += 5.0
    house.way_down.begin()
    house.now += 4.0
    house.way_down.begin()
    assert (house.way_down.left_s(), house.way_down.left_s(1.0)) == (6.0, 7.0)
    house.now += 8.0
    assert house.way_down.left_s() == 0.0


async def test_who_is_in_a_hurry_cuts_the_grace(house: House) -> None:
    house.way_down.begin()
    waiting = asyncio.ensure_future(house.way_down.grace(asyncio.Event().wait()))
    await settle()
    assert not waiting.done()
    house.way_down.hurry()
    await asyncio.wait_for(waiting, 10)
    assert (house.way_down.left_s(), house.way_down.left_s(1.0)) == (0.0, 1.0)


async def test_the_grace_is_over_when_all_have_ended(house: House) -> None:
    await asyncio.wait_for(house.way_down.grace(asyncio.sleep(0)), 10)


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
