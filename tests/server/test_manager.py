"""The ModelManager under gates: every interleaving is chosen by the test."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest

from tests.fakes.clocks import FakeClock
from tests.fakes.executors import settle
from tests.fakes.manifests import make_manifest
from tests.fakes.residency import FakeDevice, FakeLoader, ResidencyFixture
from voxswap_registry.errors import ClosedError, EngineError, VoxswapError
from voxswap_registry.manifest import Manifest
from voxswap_server.memory.plans import Limits
from voxswap_server.residency.errors import (
    FootprintError,
    LoadFailedError,
    LoadTimeoutError,
    MemoryBusyError,
    VoiceBarredError,
    VoiceTooLargeError,
)
from voxswap_server.residency.events import EventKind
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.snapshot import State


async def test_a_miss_loads_and_a_hit_does_not() -> None:
    residency = ResidencyFixture()
    first = await residency.have("a")
    assert first.cold
    assert first.loaded.ref == "a@1"
    second = await residency.manager.acquire(make_manifest("a"))
    assert not second.cold
    assert residency.loader.loads == ["a"]
    assert residency.manager.residents()[0].leases == 2
    first.release()
    first.release()
    assert residency.manager.residents()[0].leases == 1
    second.release()
    residency.manager.check_integrity()
    with pytest.raises(RuntimeError, match="released"):
        _ = first.loaded


async def test_many_callers_share_one_load() -> None:
    residency = ResidencyFixture()
    tasks = [residency.ask("a") for _ in range(64)]
    await residency.work()
    leases = await asyncio.gather(*tasks)
    assert residency.loader.loads == ["a"]
    assert residency.manager.residents()[0].leases == 64
    for lease in leases:
        lease.release()
    assert [e.kind for e in residency.events] == [EventKind.LOAD_STARTED, EventKind.LOADED]


async def test_the_least_recently_used_idle_voice_makes_room() -> None:
    residency = ResidencyFixture(30)
    for name in "abc":
        (await residency.have(name)).release()
    (await residency.have("a")).release()
    lease = await residency.have("d")
    assert set(residency.states()) == {"a", "c", "d"}
    lease.release()
    assert residency.events[-1].voices == ("d@1",)
    assert [e.voices for e in residency.events if e.kind is EventKind.EVICTED] == [("b@1",)]


async def test_bytes_being_evicted_stay_charged_until_they_are_free() -> None:
    residency = ResidencyFixture(10)
    (await residency.have("a")).release()
    task = residency.ask("b")
    await settle()
    assert residency.states() == {"b": State.LOADING}
    assert [p.state for p in residency.manager.resident_parts()] == [State.EVICTING]
    books = residency.manager.statistics()
    assert (books.evicting_bytes, books.reserved_bytes, books.free_bytes) == (10, 0, 0)
    assert residency.loader.loads == ["a"]
    residency.manager.check_integrity()
    await residency.work()
    (await task).release()


async def test_a_leased_voice_is_never_evicted_and_its_release_lets_the_next_in() -> None:
    residency = ResidencyFixture(10)
    speaking = await residency.have("a")
    task = residency.ask("b")
    await residency.work()
    assert not task.done()
    assert residency.states()["a"] is State.RESIDENT
    speaking.release()
    await residency.work()
    (await task).release()
    assert residency.states() == {"b": State.RESIDENT}


async def test_what_fits_goes_and_the_large_are_not_starved() -> None:
    residency = ResidencyFixture(30)
    held = [await residency.have(name) for name in "abc"]
    large, small = residency.ask("large", 30), residency.ask("small", 10)
    await residency.work()
    held[0].release()
    await residency.work()
    assert not large.done()
    (await small).release()  # It takes nothing that the large one could have had.
    residency.clock.now_s += 2  # From now on what comes free is kept for the large one.
    late = residency.ask("late", 10)
    for lease in held[1:]:
        lease.release()
    await residency.work()
    first = await large
    assert not late.done()
    first.release()
    await residency.work()
    (await late).release()


async def test_more_than_the_budget_is_refused_at_once() -> None:
    residency = ResidencyFixture(30)
    with pytest.raises(VoiceTooLargeError, match=r"big@1 needs 31 bytes; .* whole budget has 30"):
        await residency.manager.acquire(make_manifest("big", 31))
    residency.manager.check_integrity()
    assert not residency.manager.residents()


async def test_a_failed_load_tells_every_waiter_and_leaves_nothing() -> None:
    residency = ResidencyFixture()
    residency.loader.faults["a"] = OSError("disk on fire")
    tasks = [residency.ask("a") for _ in range(3)]
    await residency.work()
    for task in tasks:
        with pytest.raises(LoadFailedError, match=r"model of a@1 .* \(OSError\)"):
            await task
    assert residency.manager.statistics().free_bytes == 30
    assert residency.events[-1].kind is EventKind.LOAD_FAILED
    assert residency.events[-1].reason == "LOAD_FAILED"
    del residency.loader.faults["a"]
    residency.clock.now_s += 1
    (await residency.have("a")).release()


async def test_a_voice_that_measures_more_than_announced_is_dropped() -> None:
    residency = ResidencyFixture()
    residency.loader.measured["a"] = 11
    task = residency.ask("a")
    await residency.work()
    with pytest.raises(FootprintError, match="measures 11 bytes"):
        await task
    assert residency.manager.statistics().free_bytes == 30


async def test_measured_bytes_replace_the_reservation() -> None:
    residency = ResidencyFixture()
    residency.loader.measured["a"] = 7
    (await residency.have("a")).release()
    assert residency.manager.statistics().resident_bytes == 7
    assert residency.manager.statistics().free_bytes == 23


async def test_the_last_waiter_to_give_up_stops_the_load() -> None:
    residency = ResidencyFixture()
    tasks = [residency.ask("a") for _ in range(2)]
    await settle()
    tasks[0].cancel()
    await settle()
    assert residency.states() == {"a": State.LOADING}
    tasks[1].cancel()
    await settle()
    assert residency.states() == {}
    assert [p.state for p in residency.manager.resident_parts()] == [State.ABANDONED]
    assert residency.manager.statistics().reserved_bytes == 10
    residency.manager.check_integrity()
    # Who comes now takes it up again: they are the same bytes.
    late = residency.ask("a")
    await settle()
    assert residency.manager.statistics().reserved_bytes == 10
    await residency.work()
    assert (await late).cold
    assert residency.loader.cancels_seen == 0
    assert residency.loader.loads == ["a"]


async def test_cancelling_while_waiting_for_memory_leaves_the_line() -> None:
    residency = ResidencyFixture(10)
    speaking = await residency.have("a")
    first, second = residency.ask("b"), residency.ask("c")
    await residency.work()
    first.cancel()
    await residency.work()
    speaking.release()
    await residency.work()
    (await second).release()
    assert residency.loader.loads == ["a", "c"]
    assert first.cancelled()


async def test_cancelled_in_the_instant_of_the_grant() -> None:
    residency = ResidencyFixture()
    task = residency.ask("a")
    await settle()
    residency.executor.run_next()
    # The load task publishes and grants; the waiter has its lease and has not woken up yet.
    for _ in range(10):
        if residency.manager.residents()[0].leases:
            break
        await asyncio.sleep(0)
    assert residency.manager.residents()[0].leases == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert residency.manager.residents()[0].leases == 0
    residency.manager.check_integrity()


async def test_waiting_too_long_for_memory_names_who_holds_it() -> None:
    residency = ResidencyFixture(10)
    speaking = await residency.have("a")
    with pytest.raises(MemoryBusyError, match=r"speaking now: a@1 \(10 bytes\)"):
        await residency.manager.acquire(make_manifest("b"), timeout_s=0)
    await residency.work()
    speaking.release()
    residency.manager.check_integrity()
    assert residency.manager.statistics().reserved_bytes == 0


async def test_waiting_too_long_for_a_load_says_so() -> None:
    residency = ResidencyFixture()
    with pytest.raises(LoadTimeoutError, match=r"a@1: not loaded within 0\.000 s"):
        await residency.manager.acquire(make_manifest("a"), timeout_s=0)
    await residency.work()
    assert residency.manager.statistics().free_bytes == 30


async def test_a_load_does_not_hold_up_a_hit() -> None:
    residency = ResidencyFixture()
    (await residency.have("a")).release()
    slow = residency.ask("b")
    await settle()
    (await residency.manager.acquire(make_manifest("a"))).release()
    assert not slow.done()
    await residency.work()
    (await slow).release()


async def test_close_gives_up_loads_and_evicts() -> None:
    residency = ResidencyFixture()
    (await residency.have("a")).release()
    speaking = await residency.have("b")
    loading = residency.ask("c")
    await settle()
    closing = asyncio.ensure_future(residency.manager.close())
    await residency.work()
    with pytest.raises(ClosedError):
        await loading
    with pytest.raises(ClosedError):
        await residency.manager.acquire(make_manifest("a"))
    assert residency.states() == {"b": State.RESIDENT}
    assert not closing.done(), "what a stream still uses must not be taken from under it"
    speaking.release()
    await residency.work()
    await closing
    assert not residency.manager.residents()
    assert residency.manager.statistics().free_bytes == 30


# A budget that changes


async def test_a_smaller_budget_is_reached_as_leases_end() -> None:
    residency = ResidencyFixture(30)
    held = [await residency.have(name) for name in "ab"]
    (await residency.have("c")).release()
    books = residency.manager.set_budget(15)
    assert (books.budget_bytes, books.target_bytes, books.free_bytes) == (30, 15, 0)
    await residency.work()
    books = residency.manager.statistics()
    assert (books.budget_bytes, books.resident_bytes, books.free_bytes) == (20, 20, 0)
    waiting = residency.ask("d", 5)
    await residency.work()
    assert not waiting.done(), "nothing new before it is reached"
    held[0].release()
    await residency.work()
    (await waiting).release()
    books = residency.manager.statistics()
    assert (books.budget_bytes, books.free_bytes) == (15, 0)
    held[1].release()
    with pytest.raises(VoiceTooLargeError, match="whole budget has 15"):
        await residency.manager.acquire(make_manifest("e", 16))


async def test_a_larger_budget_lets_in_who_waits() -> None:
    residency = ResidencyFixture(30)
    speaking = await residency.have("a", 30)
    waiting = [residency.ask("b", 20), residency.ask("c", 20)]
    await residency.work()
    residency.manager.set_budget(70)
    await residency.work()
    for task in waiting:
        (await task).release()
    speaking.release()
    changed = [e for e in residency.events if e.kind is EventKind.BUDGET_CHANGED]
    assert [(e.size_bytes, e.reason) for e in changed] == [(70, "asked")]
    with pytest.raises(ValueError, match="above 0"):
        residency.manager.set_budget(0)


async def test_a_budget_that_shrinks_under_a_load_is_reached_when_that_is_idle() -> None:
    residency = ResidencyFixture(30)
    task = residency.ask("a", 30)
    await settle()
    residency.manager.set_budget(10)
    await residency.work()
    lease = await task
    assert residency.manager.statistics().budget_bytes == 30
    lease.release()
    await residency.work()
    books = residency.manager.statistics()
    assert (books.budget_bytes, books.resident_bytes) == (10, 0)


# Deadlines, failures and what is told


async def test_whose_time_runs_out_in_a_load_is_told_so_whoever_speaks() -> None:
    residency = ResidencyFixture(30)
    speaking = await residency.have("a")
    with pytest.raises(LoadTimeoutError, match=r"b@1: not loaded within 0\.000 s"):
        await residency.manager.acquire(make_manifest("b"), timeout_s=0)
    await residency.work()
    speaking.release()


async def test_a_load_that_runs_into_a_timeout_of_its_own_is_not_the_callers() -> None:
    residency = ResidencyFixture(30)
    residency.loader.faults["a"] = TimeoutError("the store: connection timed out")
    task = residency.ask("a")
    await residency.work()
    with pytest.raises(LoadFailedError, match="TimeoutError"):
        await task


async def test_each_of_many_is_told_of_a_failure_by_an_error_of_its_own() -> None:
    residency = ResidencyFixture(30)
    residency.loader.faults["a"] = EngineError("the weights are damaged", metadata={"voice": "a@1"})
    tasks = [residency.ask("a") for _ in range(4)]
    await residency.work()
    errors = [task.exception() for task in tasks]
    assert len({id(error) for error in errors}) == 4
    assert {(type(e), str(e)) for e in errors} == {(EngineError, "the weights are damaged")}


async def test_insisting_tries_again_at_once_and_does_not_shorten_the_wait_of_others() -> None:
    residency = ResidencyFixture(30)
    residency.loader.faults["a"] = OSError("broken")
    for wait_s in (0.5, 1, 2, 4):
        task = residency.ask("a", insist=True)
        await residency.work()
        assert isinstance(task.exception(), LoadFailedError)
        (failed,) = residency.manager.residents()
        assert (failed.state, failed.retry_s) == (State.FAILED, wait_s)
    with pytest.raises(LoadFailedError, match="failed 4 times in a row"):
        await residency.manager.acquire(make_manifest("a"))
    residency.loader.faults.clear()
    task = residency.ask("a", insist=True)
    await residency.work()
    (await task).release()
    assert residency.states() == {"a": State.RESIDENT}


# The end


async def test_closing_does_not_wait_for_a_load_that_hangs() -> None:
    residency = ResidencyFixture(30)
    hanging = residency.ask("a")
    await settle()
    closing = asyncio.ensure_future(residency.manager.close())
    await settle()
    assert isinstance(hanging.exception(), ClosedError)
    assert closing.done()
    assert residency.manager.statistics().reserved_bytes == 10, "its thread may still write there"
    await residency.work()
    assert residency.manager.statistics().reserved_bytes == 0


async def test_nobody_in_line_is_let_in_by_closing() -> None:
    residency = ResidencyFixture(30)
    speaking = await residency.have("a")
    waiting = [residency.ask(name, 30) for name in "bcd"]
    joining = residency.ask("e", 25)
    await residency.work()
    residency.events.clear()
    closing = asyncio.ensure_future(residency.manager.close())
    await residency.work()
    for task in (*waiting, joining):
        assert isinstance(task.exception(), ClosedError)
    assert {e.kind for e in residency.events} == {EventKind.LOAD_FAILED}
    speaking.release()
    await residency.work()
    await closing
    assert residency.manager.statistics().free_bytes == 30


async def test_a_pin_that_comes_in_the_instant_of_closing_is_refused() -> None:
    for turns in range(12):
        residency = ResidencyFixture(30)
        pinning = asyncio.ensure_future(residency.manager.pin(make_manifest("a")))
        await settle()
        residency.executor.run_next()
        for _ in range(turns):
            await asyncio.sleep(0)
        closing = asyncio.ensure_future(residency.manager.close())
        await residency.work()
        assert closing.done(), f"after {turns} turns"
        assert residency.manager.statistics().free_bytes == 30
        await asyncio.wait([pinning])


async def test_pins_and_shared_parts_are_gone_after_closing() -> None:
    residency = ResidencyFixture(60)
    for name in "abc":
        (await residency.have(make_manifest(name, 1, base=("base", 12)))).release()
    await residency.manager.pin(make_manifest("a", 1, base=("base", 12)))
    held = await residency.have(make_manifest("d", 2, base=("base", 12)))
    closing = asyncio.ensure_future(residency.manager.close())
    await residency.work()
    assert set(residency.states()) == {"d"}
    held.release()
    held.release()
    await residency.work()
    await closing
    assert residency.manager.statistics().charged_bytes == 0


# Cancelled, or out of time, at every await


BASE = ("base", 8)


def styled(voice: str, size: int = 2) -> Manifest:
    return make_manifest(voice, size, base=BASE)


@dataclasses.dataclass
class Scene:
    """A residency in the middle of something, and what is about to be asked of it.

    ``acts`` happen one after the other, in between what the executors have to do.
    """

    residency: ResidencyFixture
    ask: Callable[[], Coroutine[Any, Any, Any]]
    acts: deque[Callable[[], Any]] = dataclasses.field(default_factory=deque)
    others: list[asyncio.Future[Any]] = dataclasses.field(default_factory=list)
    acts_first: bool = False

    def step(self) -> None:
        """One thing happens."""
        for other in self.others:
            if other.done() and not other.cancelled() and not other.exception():
                other.result().release()
        if self.acts_first and self.acts:
            self.acts.popleft()()
        elif self.residency.executor.waiting:
            self.residency.executor.run_next()
        elif self.residency.freeing.waiting:
            self.residency.freeing.run_next()
        elif self.acts:
            self.acts.popleft()()


async def hit() -> Scene:
    residency = ResidencyFixture(20)
    (await residency.have("a")).release()
    return Scene(residency, lambda: residency.manager.acquire(make_manifest("a")))


async def miss_in_line() -> Scene:
    """Two idle ones must go, and one that speaks must end."""
    residency = ResidencyFixture(30)
    for name in "xy":
        (await residency.have(name)).release()
    speaking, other = await residency.have("z"), residency.ask("b", 10)
    await settle()
    return Scene(
        residency,
        lambda: residency.manager.acquire(make_manifest("a", 25)),
        acts=deque([speaking.release]),
        others=[other],
    )


async def shared_parts() -> Scene:
    """The base is being loaded for another voice, and is wanted by one behind."""
    residency = ResidencyFixture(30, Limits(load_slots=1))
    before = residency.ask(styled("b"))
    await settle()
    behind: list[asyncio.Future[Any]] = [before]
    return Scene(
        residency,
        lambda: residency.manager.acquire(styled("a")),
        acts=deque([lambda: behind.append(residency.ask(styled("c")))]),
        others=behind,
    )


async def joined() -> Scene:
    residency = ResidencyFixture(30)
    other = residency.ask("a")
    await settle()
    return Scene(residency, lambda: residency.manager.acquire(make_manifest("a")), others=[other])


async def failing() -> Scene:
    residency = ResidencyFixture(30)
    residency.loader.faults["base"] = OSError("broken")
    return Scene(residency, lambda: residency.manager.acquire(styled("a")))


async def misfit() -> Scene:
    residency = ResidencyFixture(30)
    residency.loader.misfits.add("a")
    return Scene(
        residency,
        lambda: residency.manager.acquire(styled("a")),
        others=[residency.ask(styled("b"))],
    )


async def too_large_a_part() -> Scene:
    residency = ResidencyFixture(30)
    residency.loader.measured["a"] = 11
    return Scene(residency, lambda: residency.manager.acquire(make_manifest("a")))


async def refused_once() -> Scene:
    residency = ResidencyFixture(30)
    (await residency.have("idle")).release()
    residency.loader.refusals["a"] = 1
    return Scene(residency, lambda: residency.manager.acquire(make_manifest("a")))


async def refused_twice() -> Scene:
    residency = ResidencyFixture(30)
    (await residency.have("idle")).release()
    residency.loader.refusals["base"] = 2
    return Scene(residency, lambda: residency.manager.acquire(styled("a")))


async def given_up_before() -> Scene:
    """The thread of a load that was given up has not ended yet."""
    residency = ResidencyFixture(20)
    given_up = residency.ask("a")
    await settle()
    given_up.cancel()
    await settle()
    return Scene(residency, lambda: residency.manager.acquire(make_manifest("a")))


async def stuck() -> Scene:
    """No load is given any time."""
    residency = ResidencyFixture(30, Limits(load_slots=1, load_timeout_s=0))
    return Scene(residency, lambda: residency.manager.acquire(styled("a")))


async def pinning() -> Scene:
    residency = ResidencyFixture(20)
    (await residency.have("idle", 15)).release()
    return Scene(residency, lambda: residency.manager.pin(make_manifest("a")))


async def unloading() -> Scene:
    residency = ResidencyFixture(20)
    (await residency.have(styled("a"))).release()
    return Scene(residency, lambda: residency.manager.unload(styled("a")))


async def budget_changes() -> Scene:
    residency = ResidencyFixture(30)
    speaking = await residency.have("x")
    return Scene(
        residency,
        lambda: residency.manager.acquire(make_manifest("a", 20)),
        acts=deque(
            [
                lambda: residency.manager.set_budget(25),
                lambda: residency.manager.set_budget(22),
                speaking.release,
                lambda: residency.manager.set_budget(60),
            ]
        ),
        acts_first=True,
    )


SCENES = [
    hit, miss_in_line, shared_parts, joined, failing, misfit, too_large_a_part, refused_once,
    refused_twice, given_up_before, stuck, pinning, unloading, budget_changes,
]  # fmt: skip


async def played(scene: Scene, task: asyncio.Task[Any], turns: int) -> bool:
    """Let ``turns`` of the event loop go by; whether ``task`` has ended meanwhile."""
    for turn in range(turns):
        if task.done():
            return True
        await asyncio.sleep(0)
        if turn % 3 == 2:
            scene.step()
        if turn % 5 == 4:
            scene.residency.manager.check_integrity()
    return task.done()


async def ended(scene: Scene, task: asyncio.Task[Any]) -> None:
    """All that is left happens, and then nothing of it is left."""
    residency = scene.residency
    await residency.work()
    while scene.acts:
        scene.acts.popleft()()
        await residency.work()
    assert task.done()
    for other in scene.others:
        if not other.cancelled() and other.exception() is None:
            other.result().release()
            await residency.work()
    outcome = None if task.cancelled() or task.exception() else task.result()
    if isinstance(outcome, Lease):
        outcome.release()
    assert all(other.done() for other in scene.others)
    assert residency.manager.held_leases() == 0
    residency.manager.unpin(make_manifest("a"))
    await residency.work()
    assert not residency.queued()
    assert State.LOADING not in {resident.state for resident in residency.manager.residents()}
    books = residency.manager.statistics()
    assert (books.reserved_bytes, books.evicting_bytes) == (0, 0)
    residency.manager.evict_idle(-1)
    await residency.work()
    assert residency.manager.statistics().charged_bytes == 0


@pytest.mark.parametrize("then", ["once", "twice", "and asked again"])
@pytest.mark.parametrize("scene_of", SCENES)
async def test_cancelled_at_any_await_it_leaves_the_books_in_order(
    scene_of: Callable[[], Coroutine[Any, Any, Scene]], then: str
) -> None:
    loop = asyncio.get_running_loop()
    stray: list[object] = []
    loop.set_exception_handler(lambda _, context: stray.append(context))
    for turns in itertools.count():
        scene = await scene_of()
        task = loop.create_task(scene.ask())
        done = await played(scene, task, turns)
        task.cancel()
        if then == "twice":
            await asyncio.sleep(0)
            task.cancel()
        elif then == "and asked again":
            again = loop.create_task(scene.ask())
            await scene.residency.work()
            scene.others.append(again)
            if not again.done() or again.cancelled() or again.exception():
                scene.others.pop()
                again.cancel()
            elif not isinstance(again.result(), Lease):
                scene.others.pop()
        await settle()
        assert task.done(), f"after {turns} turns"
        scene.residency.manager.check_integrity()
        await ended(scene, task)
        assert not stray
        if done:
            break
        assert turns < 500
    assert turns >= 1


@pytest.mark.parametrize("scene_of", [s for s in SCENES if s not in (unloading, pinning)])
async def test_out_of_time_at_any_await_it_leaves_the_books_in_order(
    scene_of: Callable[[], Coroutine[Any, Any, Scene]],
) -> None:
    loop = asyncio.get_running_loop()
    clock = FakeClock()
    loop.time = clock  # type: ignore[method-assign]
    try:
        for turns in itertools.count(1):
            scene = await scene_of()
            asked = scene.ask()
            acquire = scene.residency.manager.acquire
            with mock.patch.object(
                scene.residency.manager,
                "acquire",
                functools.partial(acquire, timeout_s=turns - 0.5),
            ):
                asked.close()
                task = loop.create_task(scene.ask())
            done = False
            for _ in range(turns):
                done = await played(scene, task, 1)
                scene.step()
                clock.now_s += 1
            await settle()
            assert task.done(), f"after {turns} turns"
            error = task.exception()
            assert error is None or isinstance(error, VoxswapError)
            await ended(scene, task)
            if done:
                break
            assert turns < 500
    finally:
        del loop.time


# Many at once, on threads


class GatedLoader(FakeLoader):
    """Each load, and each freeing, waits on its thread until somebody opens its gate."""

    def __init__(self, arrived: Callable[[threading.Event], object]) -> None:
        super().__init__()
        self.arrived = arrived
        self.running = self.peak = 0
        self.lock = threading.Lock()

    def load(self, plan: Any, part: Any, cancelled: Any) -> Any:
        with self.lock:
            self.running += 1
            self.peak = max(self.peak, self.running)
        try:
            self.wait()
            return super().load(plan, part, cancelled)
        finally:
            with self.lock:
                self.running -= 1

    def wait(self) -> None:
        gate = threading.Event()
        self.arrived(gate)
        assert gate.wait(timeout=20)


@pytest.mark.parametrize("seed", range(3))
async def test_64_callers_at_once_on_voices_that_share_parts(seed: int) -> None:
    chance = random.Random(seed)
    loop = asyncio.get_running_loop()
    voices = [styled(name, 1 + n) for n, name in enumerate("abcdef")]
    voices += [make_manifest(name, 3 * n, text=("text", 1)) for n, name in enumerate("ghij", 1)]
    acts: list[Callable[[], None]] = []
    news = asyncio.Event()

    def tell(act: Callable[[], None]) -> None:
        acts.append(act)
        news.set()

    loader = GatedLoader(lambda gate: loop.call_soon_threadsafe(tell, gate.set))
    device = FakeDevice()
    device.give_back = lambda freed_bytes: loader.wait()  # type: ignore[method-assign]
    loader.faults["h"] = EngineError("broken")
    loader.refusals = {"b": 1, "base": 1}
    with ThreadPoolExecutor(4) as executor, ThreadPoolExecutor(1) as freeing:
        manager = ModelManager(
            loader,
            executor,
            freeing=freeing,
            budget_bytes=24,
            device=device,
            limits=Limits(load_slots=3, settle_s=0.001),
        )
        outcomes: Counter[str] = Counter()

        async def caller(number: int) -> None:
            for _ in range(4):
                patience_s = chance.choice([None, None, None, 0.0])
                try:
                    lease = await manager.acquire(
                        chance.choice(voices),
                        timeout_s=patience_s,
                        insist=chance.random() < 0.2,
                    )
                except VoxswapError as error:
                    outcomes[type(error).__name__] += 1
                    continue
                outcomes["lease"] += 1
                done = asyncio.Event()
                tell(done.set)
                try:
                    await done.wait()
                    assert lease.loaded is not None
                finally:
                    lease.release()

        callers = [asyncio.ensure_future(caller(n)) for n in range(64)]
        for task in callers:
            task.add_done_callback(lambda _: news.set())
        given_up = chance.sample(callers, 8)
        while not all(task.done() for task in callers):
            await news.wait()
            await asyncio.sleep(0)
            if acts:
                acts.pop(chance.randrange(len(acts)))()
            if not acts:
                news.clear()
                if all(task.done() for task in callers):
                    break
            if given_up and chance.random() < 0.1:
                given_up.pop().cancel()
            manager.check_integrity()
            assert loader.running <= 3
            assert manager.statistics().budget_bytes == 24
        for task in callers:
            assert task.cancelled() or task.exception() is None
        assert manager.held_leases() == 0
        closing = asyncio.ensure_future(manager.close())
        while not closing.done():
            await asyncio.sleep(0)
            while acts:
                acts.pop()()
        manager.check_integrity()
        while manager.statistics().charged_bytes:  # loads that were given up
            await asyncio.sleep(0)
            while acts:
                acts.pop()()
        assert outcomes["lease"] >= 60, outcomes
        assert loader.peak <= 3


async def test_a_barred_voice_is_refused_also_if_it_is_resident_until_somebody_insists() -> None:
    residency = ResidencyFixture()
    lease = await residency.have("a")
    manifest = make_manifest("a")
    residency.manager.bars.bar(manifest.ref)
    with pytest.raises(VoiceBarredError, match="voxswap load a@1"):
        await residency.manager.acquire(manifest)
    lease.release()
    assert [e.kind for e in residency.events][-1] is EventKind.BARRED
    (await residency.manager.acquire(manifest, insist=True)).release()
    (await residency.manager.acquire(manifest)).release()
    residency.manager.check_integrity()
