"""The ModelManager under gates: every interleaving is chosen by the test."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.fakes import House, make_manifest, settle
from voxswap_server.residency.errors import (
    ClosedError,
    FootprintError,
    LoadFailedError,
    LoadTimeoutError,
    MemoryBusyError,
    VoiceTooLargeError,
)
from voxswap_server.residency.events import EventKind
from voxswap_server.residency.parts import State


async def test_a_miss_loads_and_a_hit_does_not() -> None:
    house = House()
    first = await house.have("a")
    assert first.cold
    assert first.loaded.ref == "a@1"
    second = await house.manager.acquire(make_manifest("a"))
    assert not second.cold
    assert house.loader.loads == ["a"]
    assert house.manager.residents()[0].leases == 2
    first.release()
    first.release()
    assert house.manager.residents()[0].leases == 1
    second.release()
    house.manager.check_integrity()
    with pytest.raises(RuntimeError, match="released"):
        _ = first.loaded


async def test_many_callers_share_one_load() -> None:
    house = House()
    tasks = [house.ask("a") for _ in range(64)]
    await house.work()
    leases = await asyncio.gather(*tasks)
    assert house.loader.loads == ["a"]
    assert house.manager.residents()[0].leases == 64
    for lease in leases:
        lease.release()
    assert [e.kind for e in house.events] == [EventKind.LOAD_STARTED, EventKind.LOADED]


async def test_the_least_recently_used_idle_voice_makes_room() -> None:
    house = House(30)
    for name in "abc":
        (await house.have(name)).release()
    (await house.have("a")).release()
    lease = await house.have("d")
    assert set(house.states()) == {"a", "c", "d"}
    lease.release()
    assert house.events[-1].voices == ("d@1",)
    assert [e.voices for e in house.events if e.kind is EventKind.EVICTED] == [("b@1",)]


async def test_bytes_being_evicted_stay_charged_until_they_are_free() -> None:
    house = House(10)
    (await house.have("a")).release()
    task = house.ask("b")
    await settle()
    assert house.states() == {"b": State.LOADING}
    assert [p.state for p in house.manager.resident_parts()] == [State.EVICTING]
    books = house.manager.statistics()
    assert (books.evicting_bytes, books.reserved_bytes, books.free_bytes) == (10, 0, 0)
    assert house.loader.loads == ["a"]
    house.manager.check_integrity()
    await house.work()
    (await task).release()


async def test_a_leased_voice_is_never_evicted_and_its_release_lets_the_next_in() -> None:
    house = House(10)
    speaking = await house.have("a")
    task = house.ask("b")
    await house.work()
    assert not task.done()
    assert house.states()["a"] is State.RESIDENT
    speaking.release()
    await house.work()
    (await task).release()
    assert house.states() == {"b": State.RESIDENT}


async def test_memory_is_given_in_order_and_the_large_are_not_starved() -> None:
    house = House(30)
    held = [await house.have(name) for name in "abc"]
    large, small = house.ask("large", 30), house.ask("small", 10)
    await house.work()
    held[0].release()
    await house.work()
    assert not large.done()
    assert not small.done()
    for lease in held[1:]:
        lease.release()
    await house.work()
    first = await large
    assert not small.done()
    first.release()
    await house.work()
    (await small).release()


async def test_more_than_the_budget_is_refused_at_once() -> None:
    house = House(30)
    with pytest.raises(VoiceTooLargeError, match=r"big@1 needs 31 bytes .* whole budget has 30"):
        await house.manager.acquire(make_manifest("big", 31))
    house.manager.check_integrity()
    assert not house.manager.residents()


async def test_a_failed_load_tells_every_waiter_and_leaves_nothing() -> None:
    house = House()
    house.loader.faults["a"] = OSError("disk on fire")
    tasks = [house.ask("a") for _ in range(3)]
    await house.work()
    for task in tasks:
        with pytest.raises(LoadFailedError, match=r"model of a@1 .* \(OSError\)"):
            await task
    assert house.manager.statistics().free_bytes == 30
    assert house.events[-1].kind is EventKind.LOAD_FAILED
    assert house.events[-1].reason == "LoadFailedError"
    del house.loader.faults["a"]
    house.clock.now += 1
    (await house.have("a")).release()


async def test_a_voice_that_measures_more_than_announced_is_dropped() -> None:
    house = House()
    house.loader.measured["a"] = 11
    task = house.ask("a")
    await house.work()
    with pytest.raises(FootprintError, match="measures 11 bytes"):
        await task
    assert house.manager.statistics().free_bytes == 30


async def test_measured_bytes_replace_the_reservation() -> None:
    house = House()
    house.loader.measured["a"] = 7
    (await house.have("a")).release()
    assert house.manager.statistics().resident_bytes == 7
    assert house.manager.statistics().free_bytes == 23


async def test_the_last_waiter_to_give_up_stops_the_load() -> None:
    house = House()
    tasks = [house.ask("a") for _ in range(2)]
    await settle()
    tasks[0].cancel()
    await settle()
    assert house.states() == {"a": State.LOADING}
    tasks[1].cancel()
    await settle()
    assert house.states() == {}
    assert [p.state for p in house.manager.resident_parts()] == [State.ABANDONED]
    assert house.manager.statistics().reserved_bytes == 10
    house.manager.check_integrity()
    # Who comes now waits until that thread looks up, and then a second load begins.
    late = house.ask("a")
    await settle()
    assert house.manager.statistics().reserved_bytes == 10
    await house.work()
    assert (await late).cold
    assert house.loader.cancels_seen == 1
    assert house.loader.loads == ["a", "a"]


async def test_cancelling_while_waiting_for_memory_leaves_the_line() -> None:
    house = House(10)
    speaking = await house.have("a")
    first, second = house.ask("b"), house.ask("c")
    await house.work()
    first.cancel()
    await house.work()
    speaking.release()
    await house.work()
    (await second).release()
    assert house.loader.loads == ["a", "c"]
    assert first.cancelled()


async def test_cancelled_in_the_instant_of_the_grant() -> None:
    house = House()
    task = house.ask("a")
    await settle()
    house.executor.run_next()
    # The load task publishes and grants; the waiter has its lease and has not woken up yet.
    for _ in range(10):
        if house.manager.residents()[0].leases:
            break
        await asyncio.sleep(0)
    assert house.manager.residents()[0].leases == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert house.manager.residents()[0].leases == 0
    house.manager.check_integrity()


async def test_waiting_too_long_for_memory_names_who_holds_it() -> None:
    house = House(10)
    speaking = await house.have("a")
    with pytest.raises(MemoryBusyError, match=r"speaking now: a@1 \(10 bytes\)"):
        await house.manager.acquire(make_manifest("b"), timeout_s=0)
    await house.work()
    speaking.release()
    house.manager.check_integrity()
    assert house.manager.statistics().reserved_bytes == 0


async def test_waiting_too_long_for_a_load_says_so() -> None:
    house = House()
    with pytest.raises(LoadTimeoutError, match=r"a@1: not loaded within 0\.000 s"):
        await house.manager.acquire(make_manifest("a"), timeout_s=0)
    await house.work()
    assert house.manager.statistics().free_bytes == 30


async def test_a_load_does_not_hold_up_a_hit() -> None:
    house = House()
    (await house.have("a")).release()
    slow = house.ask("b")
    await settle()
    (await house.manager.acquire(make_manifest("a"))).release()
    assert not slow.done()
    await house.work()
    (await slow).release()


async def test_close_gives_up_loads_and_evicts() -> None:
    house = House()
    (await house.have("a")).release()
    speaking = await house.have("b")
    loading = house.ask("c")
    await settle()
    closing = asyncio.ensure_future(house.manager.close())
    await house.work()
    with pytest.raises(ClosedError):
        await loading
    with pytest.raises(ClosedError):
        await house.manager.acquire(make_manifest("a"))
    assert house.states() == {"b": State.RESIDENT}
    assert not closing.done(), "what a stream still uses must not be taken from under it"
    speaking.release()
    await house.work()
    await closing
    assert not house.manager.residents()
    assert house.manager.statistics().free_bytes == 30
