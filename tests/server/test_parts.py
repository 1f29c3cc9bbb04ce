"""Parts: what is shared, what is granted in which order, what fails alone, what is let go of."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.server.fakes import FakeLoader, FakePart, FakeVoice, House, digest_of, make_manifest
from tests.server.fakes import settle as turns
from voxswap_families.contract import LoadedVoice
from voxswap_registry.errors import EngineError
from voxswap_registry.manifest import Component, Manifest
from voxswap_server.memory.part import Part
from voxswap_server.memory.plans import Limits
from voxswap_server.residency.errors import (
    DeviceRefusedError,
    FootprintError,
    LoadFailedError,
    LoadStuckError,
    MemoryBusyError,
)
from voxswap_server.residency.events import EventKind
from voxswap_server.residency.plans import PartPlan, VoicePlan, source_of
from voxswap_server.residency.snapshot import State

BASE = ("base", 12)


def styled(voice: str, size: int = 1, base: tuple[str, int] = BASE) -> Manifest:
    """A voice with a part of its own on a shared base."""
    return make_manifest(voice, size, base=base)


def bare(*shared: tuple[str, int]) -> Manifest:
    """A voice with nothing of its own."""
    components = tuple(Component(name, digest_of(name), n, "x/y") for name, n in shared)
    return dataclasses.replace(
        make_manifest("+".join(name for name, _ in shared)), components=components
    )


def part_of(house: House, name: str) -> Part:
    part = house.manager.memory.holdings.find(digest_of(name))
    assert part is not None
    return part


def parts_by_state(house: House) -> dict[str, State]:
    """Charged parts by role, or by "model" for those that a voice has for itself."""
    return {part.role: part.state for part in house.manager.resident_parts()}


@contextlib.contextmanager
def time_of_the_loop(house: House) -> Iterator[None]:
    """Let the loop's timers go by the house's clock."""
    loop = asyncio.get_running_loop()
    loop.time = house.clock  # type: ignore[method-assign]
    try:
        yield
    finally:
        del loop.time


# Sharing


async def test_a_base_is_loaded_once_for_many_voices() -> None:
    house = House(60)
    tasks = [house.ask(styled(name)) for name in "abcdefgh"]
    await house.work()
    leases = await asyncio.gather(*tasks)
    assert sorted(house.loader.loads) == sorted([*"abcdefgh", "base"])
    assert house.manager.statistics().resident_bytes == 12 + 8
    assert part_of(house, "base").holds == 8
    for lease in leases:
        lease.release()
    house.manager.check_integrity()


async def test_a_further_voice_on_a_resident_base_loads_only_its_style() -> None:
    house = House(30)
    (await house.have(styled("a"))).release()
    house.loader.loads.clear()
    house.events.clear()
    (await house.have(styled("b"))).release()
    assert house.loader.loads == ["b"]
    started, loaded = house.events
    assert (started.kind, started.size_bytes) == (EventKind.LOAD_STARTED, 1)
    assert (loaded.kind, loaded.size_bytes) == (EventKind.LOADED, 1)


async def test_what_is_shared_is_told() -> None:
    house = House(30)
    for name in "ab":
        (await house.have(styled(name))).release()
    for resident in house.manager.residents():
        assert (resident.size_bytes, resident.shared_bytes) == (13, 12)
    unloading = asyncio.ensure_future(house.manager.unload(styled("a")))
    await house.work()
    assert await unloading == 1, "the base has another user"
    (left,) = house.manager.residents()
    assert (left.size_bytes, left.shared_bytes) == (13, 0)


async def test_evicting_a_base_withdraws_every_voice_on_it() -> None:
    house = House(22)
    for name in "abc":
        (await house.have(styled(name))).release()
    # 15 of 22 are taken, and of these only one style may stay.
    task = house.ask("large", 21)
    await turns()
    assert house.states() == {"large": State.LOADING}, "withdrawn before they are taken apart"
    await house.work()
    (await task).release()
    evicted = [e for e in house.events if e.kind is EventKind.EVICTED]
    assert {e.role for e in evicted} == {"model", "base"}
    # Each voice is told of once, with the part that ended it.
    told = [voice for e in evicted for voice in e.voices]
    assert sorted(told) == ["a@1", "b@1", "c@1"]


async def test_a_base_that_one_voice_speaks_with_stays_for_the_others() -> None:
    house = House(24)
    speaking = await house.have(styled("a"))
    for name in "bc":
        (await house.have(styled(name))).release()
    (await house.have("large", 11)).release()
    assert house.states() == {"a": State.RESIDENT, "large": State.RESIDENT}
    assert part_of(house, "base").holds == 1
    house.loader.loads.clear()
    (await house.have(styled("b"))).release()
    assert house.loader.loads == ["b"]
    speaking.release()


async def test_a_voice_whose_parts_are_all_there_is_there_at_once() -> None:
    house = House(30)
    (await house.have(styled("a"))).release()
    house.loader.loads.clear()
    lease = await house.manager.acquire(bare(BASE))
    assert not house.loader.loads
    assert not house.executor.waiting
    assert lease.loaded.ref == "base@1"
    lease.release()
    house.manager.check_integrity()


async def test_a_part_left_over_serves_the_next_voice_on_it() -> None:
    """When a style is evicted the base stays, with no voice on it, until its memory is needed."""
    house = House(30)
    (await house.have(styled("a"))).release()
    (await house.have("x", 18)).release()
    assert house.states() == {"x": State.RESIDENT}
    assert parts_by_state(house)["base"] is State.RESIDENT
    house.loader.loads.clear()
    (await house.have(styled("b"))).release()
    assert house.loader.loads == ["b"]


# Claims


async def test_memory_is_given_all_at_once_so_that_two_halves_never_wait_for_each_other() -> None:
    house = House(20)
    first, second = house.ask(styled("a", 10, ("x", 10))), house.ask(styled("b", 10, ("y", 10)))
    await turns()
    assert house.manager.statistics().reserved_bytes == 20
    assert house.queued() == ["b"]
    # One of its parts after the other: nothing of what comes free half-way is given away.
    house.executor.run_next()
    await turns()
    sources = [source_of(part.plan) for part in house.manager.memory.holdings]
    assert {source.voice.manifest.voice_id for source in sources} == {"a"}
    await house.work()
    (await first).release()
    await house.work()
    (await second).release()


async def test_who_needs_no_memory_passes_the_line() -> None:
    house = House(30)
    (await house.have(styled("a"))).release()
    speaking = await house.have("large", 17)
    waiting = [house.ask("first", 30), house.ask("second", 14)]
    await house.work()
    assert not any(task.done() for task in waiting)
    hit = await house.manager.acquire(styled("a"))
    passing = await house.manager.acquire(bare(BASE))
    assert house.queued() == ["first", "second"]
    for lease in (hit, passing, speaking):
        lease.release()
    await house.work()
    (await waiting[0]).release()
    await house.work()
    (await waiting[1]).release()


async def test_who_joins_a_load_under_way_passes_the_line() -> None:
    house = House(30)
    speaking = await house.have("large", 17)
    loading = house.ask(styled("a"))
    await turns()
    waiting = house.ask("first", 30)
    joining = house.ask(bare(BASE))
    await house.work()
    (await loading).release()
    (await joining).release()
    assert not waiting.done()
    speaking.release()
    await house.work()
    (await waiting).release()


async def test_a_load_goes_on_for_the_one_who_joined_when_the_first_gives_up() -> None:
    house = House(30)
    first = house.ask(styled("a"))
    await turns()
    second = house.ask(styled("b"))
    await turns()
    first.cancel()
    await turns()
    assert house.manager.statistics().reserved_bytes == 14, "a's style until its thread looks up"
    await house.work()
    (await second).release()
    assert house.loader.loads.count("base") == 1
    assert house.manager.statistics().resident_bytes == 13


async def test_memory_freed_by_giving_up_goes_to_the_next_in_line() -> None:
    house = House(20, Limits(load_slots=1))
    first = house.ask(styled("a", 8))
    second = house.ask("b", 8)
    await turns()
    assert house.queued() == ["b"]
    first.cancel()
    await turns()
    # Its second part waited for a slot and is gone at once; the first one's thread is at work.
    assert house.manager.statistics().reserved_bytes == 8 + 8
    assert not house.queued()
    await house.work()
    (await second).release()


async def test_when_the_first_in_line_gives_up_the_next_is_let_in_at_once() -> None:
    house = House(30)
    speaking = await house.have("a", 10)
    large, small = house.ask("large", 30), house.ask("small", 10)
    await house.work()
    large.cancel()
    await house.work()
    (await small).release()
    speaking.release()


async def test_memory_that_a_part_did_not_need_goes_to_who_waits_before_the_voice_is_there() -> (
    None
):
    house = House(30)
    house.loader.measured["base"] = 2
    speaking = await house.have("x", 10)
    loading, waiting = house.ask(styled("a", 8)), house.ask("b", 10)
    await turns()
    assert len(house.queued()) == 1
    house.executor.run_next(1)
    await turns()
    assert not house.queued()
    assert not loading.done()
    await house.work()
    for lease in (await loading, await waiting, speaking):
        lease.release()


async def test_a_claim_that_no_longer_fits_does_not_hold_up_those_behind_it() -> None:
    house = House(40)
    speaking = await house.have("a", 25)
    large, small = house.ask("large", 35), house.ask("small", 20)
    await house.work()
    assert house.queued() == ["large", "small"]
    house.manager.set_budget(30)
    await house.work()
    assert type(large.exception()).__name__ == "VoiceTooLargeError"
    speaking.release()
    await house.work()
    (await small).release()
    house.manager.check_integrity()


# Loads that go wrong


async def test_a_device_that_refuses_has_something_evicted_and_is_asked_once_more() -> None:
    house = House(30)
    (await house.have("a")).release()
    house.loader.refusals["b"] = 1
    task = house.ask("b")
    await turns()
    house.executor.run_next()
    await turns()
    assert parts_by_state(house)["model"] in (State.EVICTING, State.LOADING)
    assert not house.executor.waiting, "not before the memory is really free"
    house.freeing.run_next()
    await turns()
    assert len(house.executor.waiting) == 1
    await house.work()
    (await task).release()
    (evicted,) = [e for e in house.events if e.kind is EventKind.EVICTED]
    assert (evicted.voices, evicted.reason) == (("a@1",), "refused")
    assert house.states() == {"b": State.RESIDENT}


async def test_a_device_that_refuses_twice_fails_that_load_alone_and_with_figures() -> None:
    house = House(40)
    speaking = await house.have("speaking")
    (await house.have("idle")).release()
    house.loader.refusals["b"] = 2
    task, other = house.ask("b"), house.ask("c")
    await house.work()
    with pytest.raises(
        DeviceRefusedError,
        match=r"the model of b@1 needs 10 bytes: fake: 10 bytes refused\. The ledger has 20 bytes "
        r"of 40 bytes free, the fake device is full",
    ):
        await task
    (await other).release()
    assert not speaking.released
    assert house.states() == {
        "speaking": State.RESIDENT,
        "c": State.RESIDENT,
        "b": State.FAILED,
    }
    assert house.manager.statistics().reserved_bytes == 0
    speaking.release()


async def test_a_refusal_with_nothing_idle_is_told_at_once_and_tried_again_later() -> None:
    house = House(30)
    speaking = await house.have("a")
    house.loader.refusals["b"] = 1
    task = house.ask("b")
    await house.work()
    assert isinstance(task.exception(), DeviceRefusedError)
    with pytest.raises(DeviceRefusedError, match=r"tried again in 0\.5 s"):
        await house.manager.acquire(make_manifest("b"))
    house.clock.now += 0.5
    (await house.have("b")).release()
    assert house.states() == {"a": State.RESIDENT, "b": State.RESIDENT}
    speaking.release()


async def test_giving_up_while_a_refused_load_waits_for_room_frees_everything() -> None:
    house = House(30)
    (await house.have("a")).release()
    house.loader.refusals["b"] = 1
    task = house.ask("b")
    await turns()
    house.executor.run_next()
    await turns()
    task.cancel()
    await house.work()
    assert task.cancelled()
    assert house.manager.statistics().free_bytes == 30
    assert house.loader.loads == ["a", "b"]


async def test_a_load_that_hangs_fails_and_others_go_on_in_what_is_left() -> None:
    house = House(30, Limits(load_slots=1, load_timeout_s=5))
    with time_of_the_loop(house):
        tasks = [house.ask("a"), house.ask("a")]
        await turns()
        house.clock.now += 4.9
        await turns()
        other = house.ask("b")
        await turns()
        assert len(house.executor.waiting) == 1, "there is one slot"
        house.clock.now += 0.2
        await turns()
        for task in tasks:
            with pytest.raises(LoadStuckError, match=r"a@1 was not loaded within 5 s"):
                await task
        house.manager.check_integrity()
        assert len(house.executor.waiting) == 2, "its slot is free"
        assert house.manager.statistics().reserved_bytes == 20, "its bytes are not"
        house.executor.run_next(1)
        await turns()
        (await other).release()
        # The thread comes back at last: what it has is there for whoever asks next.
        house.executor.run_next()
        await turns()
        assert house.manager.statistics().reserved_bytes == 0
        assert parts_by_state(house) == {"model": State.RESIDENT}
        house.manager.check_integrity()
        # A timer of a load that ended in time does nothing.
        house.clock.now += 100
        await turns()
        assert house.states()["b"] is State.RESIDENT


async def test_a_base_that_hangs_fails_every_voice_on_it_and_no_other() -> None:
    house = House(60, Limits(load_slots=8, load_timeout_s=5))
    with time_of_the_loop(house):
        tasks = [house.ask(styled(name)) for name in "abc"]
        other = house.ask("other")
        await turns()
        for index in range(len(house.executor.waiting) - 1, -1, -1):
            if index != 1:  # the base, after the style of the one who came first
                house.executor.run_next(index)
        await turns()
        (await other).release()
        house.clock.now += 6
        await turns()
        for task in tasks:
            assert isinstance(task.exception(), LoadStuckError)
        house.manager.check_integrity()
        assert house.manager.statistics().reserved_bytes == 12
        await house.work()
        assert house.manager.statistics().reserved_bytes == 0


async def test_a_style_of_the_wrong_size_leaves_the_base_alone() -> None:
    house = House(30)
    house.loader.measured["a"] = 2
    task = house.ask(styled("a"))
    await turns()
    house.executor.run_next(1)
    await house.work()
    assert isinstance(task.exception(), FootprintError)
    assert parts_by_state(house) == {"base": State.RESIDENT}
    (await house.have(styled("b"))).release()
    assert house.loader.loads.count("base") == 1


async def test_parts_that_do_not_fit_bar_the_voice_and_not_the_base() -> None:
    house = House(30)
    house.loader.misfits.add("a")
    tasks = [house.ask(styled("a")), house.ask(styled("b"))]
    await house.work()
    with pytest.raises(EngineError, match="a@1: the parts do not fit"):
        await tasks[0]
    (await tasks[1]).release()
    with pytest.raises(EngineError, match=r"do not fit \(it failed, and is tried again in 0\.5 s"):
        await house.manager.acquire(styled("a"))
    house.loader.loads.clear()
    house.loader.misfits.clear()
    house.clock.now += 0.5
    (await house.have(styled("a"))).release()
    assert house.loader.loads == ["a"], "the base was sound, and stayed"
    house.manager.check_integrity()


async def test_a_base_that_fails_bars_every_voice_on_it() -> None:
    house = House(30)
    house.loader.faults["base"] = OSError("broken")
    task = house.ask(styled("a"))
    await house.work()
    with pytest.raises(LoadFailedError, match=r"the base of a@1 could not be loaded.* \(OSError\)"):
        await task
    with pytest.raises(LoadFailedError, match="tried again in"):
        await house.manager.acquire(styled("b"))
    assert house.manager.statistics().resident_bytes == 1, "a's style is sound"
    del house.loader.faults["base"]
    insisting = house.ask(styled("b"), insist=True)
    await house.work()
    (await insisting).release()


async def test_given_up_before_it_had_a_slot_it_is_gone_at_once() -> None:
    house = House(30, Limits(load_slots=1))
    first, second = house.ask("a"), house.ask("b")
    await turns()
    assert house.manager.statistics().reserved_bytes == 20
    second.cancel()
    await turns()
    assert house.manager.statistics().reserved_bytes == 10
    await house.work()
    (await first).release()
    assert house.loader.loads == ["a"]


async def test_freeing_that_hangs_holds_up_no_load_that_has_room() -> None:
    house = House(30)
    for name in "abc":
        (await house.have(name)).release()
    waiting, _ = house.ask("d"), await turns()
    # a is on its way out, and the freeing thread is busy elsewhere.
    assert house.manager.statistics().evicting_bytes == 10
    house.manager.set_budget(50)
    await turns()
    while house.executor.waiting:
        house.executor.run_next()
        await turns()
    (await waiting).release()
    other = house.ask("e")
    await turns()
    house.executor.run_next()
    await turns()
    (await other).release()
    assert len(house.freeing.waiting) == 1
    assert house.manager.statistics().evicting_bytes == 10
    await house.work()


# Who goes


async def test_what_was_loaded_just_now_goes_last() -> None:
    house = House(30, Limits(load_slots=8, settle_s=10))
    for name in "abc":
        (await house.have(name)).release()
    house.clock.now += 20
    (await house.have("d")).release()  # instead of a
    (await house.have("b")).release()
    (await house.have("c")).release()
    # d is the least recently used, and has not settled.
    (await house.have("e")).release()
    assert house.evicted() == [("a@1",), ("b@1",)]
    # Nothing else can go.
    (await house.have("f", 30)).release()
    assert set(house.states()) == {"f"}


async def test_what_is_protected_goes_as_if_it_were_used_until_then() -> None:
    house = House(20)
    for name in "ab":
        (await house.have(name)).release()
    house.manager.protect(make_manifest("a"), 5)
    house.manager.protect(make_manifest("unknown"), 5)
    (await house.have("c")).release()
    assert house.evicted() == [("b@1",)]
    house.clock.now += 5
    (await house.have("d")).release()
    assert house.evicted() == [("b@1",), ("c@1",)]
    (await house.have("e")).release()
    assert house.evicted() == [("b@1",), ("c@1",), ("a@1",)]


# What is let go of


class WatchedVoice(FakeVoice):
    def __init__(self, parts: Mapping[str, object]) -> None:
        super().__init__()
        self.parts = parts


class WatchfulLoader(FakeLoader):
    """Knows which of the parts and voices that it made are still there."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[weakref.ref[object]] = []
        self.deaf = False  # to being cancelled

    def load(self, plan: VoicePlan, part: PartPlan, cancelled: Any) -> FakePart:
        loaded = super().load(plan, part, (lambda: False) if self.deaf else cancelled)
        self.seen(loaded)
        return loaded

    def assemble(self, plan: VoicePlan, parts: Mapping[str, object]) -> LoadedVoice:
        loaded = super().assemble(plan, parts)
        voice = WatchedVoice(parts)
        self.seen(voice)
        return LoadedVoice(loaded.ref, voice, loaded.front_end)

    def seen(self, thing: Any) -> Any:
        self.made.append(weakref.ref(thing))
        return thing

    @property
    def alive(self) -> list[object]:
        return [thing for ref in self.made if (thing := ref()) is not None]


class WatchfulHouse(House):
    loader: WatchfulLoader

    def __init__(self, loader: WatchfulLoader | None = None) -> None:
        super().__init__(30, Limits(load_slots=8), loader or WatchfulLoader())


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is not referred to is gone at once; nobody comes and collects cycles."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


without_collector = pytest.mark.usefixtures("no_collector")


@without_collector
async def test_what_is_evicted_is_dropped_even_if_somebody_keeps_a_released_lease() -> None:
    house = WatchfulHouse()
    leases = [await house.have(styled(name)) for name in "abc"]
    for lease in leases:
        lease.release()
    assert len(house.loader.alive) == 4 + 3
    del lease
    (await house.have("large", 30)).release()
    assert len(house.loader.alive) == 2, "the new one's part and voice"
    assert all(lease.released for lease in leases)


@without_collector
async def test_what_was_loaded_for_nobody_is_there_for_the_next_and_leaves_like_any_other() -> None:
    house = WatchfulHouse()
    house.loader.deaf = True
    task = house.ask("a")
    await turns()
    task.cancel()
    await house.work()
    assert house.loader.loads == ["a"]
    assert house.manager.statistics().resident_bytes == 10
    house.manager.evict_idle(0)
    await house.work()
    assert not house.loader.alive
    assert house.manager.statistics().free_bytes == 30


@without_collector
async def test_what_was_unloaded_or_deleted_is_dropped() -> None:
    house = WatchfulHouse()
    for name in "ab":
        (await house.have(name)).release()
    unloading = asyncio.ensure_future(house.manager.unload(make_manifest("a")))
    house.manager.retire("b@1")
    await house.work()
    assert await unloading == 10
    assert not house.loader.alive


@without_collector
async def test_what_was_too_large_is_dropped() -> None:
    house = WatchfulHouse()
    house.loader.measured["a"] = 99
    task = house.ask("a")
    await house.work()
    assert isinstance(task.exception(), FootprintError)
    assert house.manager.statistics().free_bytes == 30
    del task
    assert not house.loader.alive


@without_collector
async def test_what_did_not_fit_is_not_kept_by_the_memory_of_its_failure() -> None:
    house = WatchfulHouse()
    house.loader.misfits.add("a")
    task = house.ask("a")
    await house.work()
    assert isinstance(task.exception(), EngineError)
    del task
    house.manager.evict_idle(0)
    await house.work()
    assert house.manager.statistics().free_bytes == 30
    assert not house.loader.alive


@without_collector
async def test_a_load_that_stopped_after_it_had_its_memory_leaves_none_behind() -> None:
    """Between placing and returning a loader looks whether anybody still wants it."""

    class Stopping(WatchfulLoader):
        def load(self, plan: VoicePlan, part: PartPlan, cancelled: Any) -> FakePart:
            loaded = super().load(plan, part, lambda: False)
            if cancelled():
                raise RuntimeError("cancelled")
            return loaded

    house = WatchfulHouse(Stopping())
    task = house.ask("a")
    await turns()
    task.cancel()
    await house.work()
    del task
    assert house.manager.statistics().free_bytes == 30
    assert not house.loader.alive


# Found while reading, and mended


async def test_a_base_that_failed_once_is_tried_again_as_soon_as_any_part() -> None:
    house = House(60)
    house.loader.faults["base"] = OSError("broken")
    tasks = [house.ask(styled(name)) for name in "abcde"]
    await house.work()
    for task in tasks:
        assert isinstance(task.exception(), LoadFailedError)
    (failed,) = house.manager.residents()
    assert failed.retry_s == 0.5


async def test_who_waits_for_memory_learns_that_the_base_has_failed_meanwhile() -> None:
    house = House(24)
    house.loader.faults["base"] = OSError("broken")
    loading = house.ask(styled("a"))
    waiting = [house.ask(styled(name, 9)) for name in "bc"]
    blocked = house.ask("large", 24)
    await house.work()
    assert isinstance(loading.exception(), LoadFailedError)
    for task in waiting:
        assert task.exception() is not None
    assert house.loader.loads.count("base") == 1
    (await blocked).release()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["a panic of Rust's", "StopIteration"])
async def test_whatever_a_load_raises_is_told_and_leaves_nothing(kind: str) -> None:
    class PanicError(BaseException):
        """As pyo3's PanicException: outside Exception."""

    house = House()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    house.loader.faults["a"] = StopIteration() if kind == "StopIteration" else PanicError("boom")
    task = house.ask("a")
    await house.work()
    try:
        assert task.done()
        assert house.manager.statistics().free_bytes == 30
    finally:
        task.cancel()
        await turns()
        gc.collect()


async def test_a_part_that_hangs_takes_no_more_than_its_own_memory() -> None:
    house = House(30, Limits(load_slots=2, load_timeout_s=5))
    with time_of_the_loop(house):
        for _ in range(3):
            task = house.ask("a")
            await turns()
            house.clock.now += 6
            await turns()
            assert isinstance(task.exception(), LoadStuckError)
            house.clock.now += 100
        sound = house.ask("b")
        await turns()
        try:
            assert house.manager.statistics().reserved_bytes <= 20
            assert len(house.executor.waiting) <= 2
        finally:
            sound.cancel()
            await turns()


async def test_a_refused_load_does_not_wait_for_ever_for_room() -> None:
    house = House(30, Limits(load_slots=1, load_timeout_s=5))
    with time_of_the_loop(house):
        (await house.have("idle")).release()
        house.loader.refusals["a"] = 1
        task = house.ask("a")
        await turns()
        house.executor.run_next()
        await turns()
        assert len(house.freeing.waiting) == 1  # and it hangs
        house.clock.now += 100
        await turns()
        try:
            assert isinstance(task.exception() if task.done() else None, DeviceRefusedError)
        finally:
            task.cancel()
            await house.work()


async def test_hits_pass_whoever_waits_and_who_waits_in_vain_is_told_in_time() -> None:
    """Each of them is idle now and then, and never all of them at one instant."""
    house = House(30)
    held = {name: await house.have(name) for name in "abc"}
    waiting = house.ask("large", 30)
    await house.work()
    for name in "abc" * 3:
        house.clock.now += 1
        held.pop(name).release()
        held[name] = await house.manager.acquire(make_manifest(name))
    assert not house.evicted(), "what is spoken with goes for one who does not fit all the same"
    house.clock.now += 30
    house.manager.tick()
    with pytest.raises(MemoryBusyError, match=r"within 30 s, the most that memory_wait_s allows"):
        await waiting
    for lease in held.values():
        lease.release()
    house.manager.check_integrity()


async def test_no_more_goes_than_is_missing_however_long_somebody_waited() -> None:
    house = House(40)
    (await house.have("idle")).release()
    large, small = await house.have("x", 20), await house.have("y", 10)
    waiting = house.ask("new", 20)
    await house.work()
    house.clock.now += 20
    large.release()
    await turns()
    assert house.manager.statistics().evicting_bytes == 20
    small.release()
    await house.work()
    (await waiting).release()
    assert house.evicted() == [("x@1",)]


# Lanes


@pytest.mark.parametrize("end", ["it failed", "nobody waits for it"])
async def test_a_lane_that_nothing_was_computed_in_is_given_back(end: str) -> None:
    house = House(30)
    house.loader.workspaces = {"big": 20}
    if end == "it failed":
        house.loader.faults["big"] = EngineError("no")
    task = house.ask("big", 5)
    await turns()
    assert house.manager.statistics().carved_bytes == 20
    if end == "nobody waits for it":
        task.cancel()
    await house.work()
    await asyncio.wait([task])
    assert house.manager.statistics().carved_bytes == 0


async def test_a_lane_stays_until_everything_has_left_and_then_as_much_as_is_measured() -> None:
    house = House(40)
    house.device.kept = 100  # before anything is loaded
    house.manager.ready()
    house.loader.workspaces = {"big": 20, "a": 1}
    (await house.have("big", 5)).release()
    (await house.have("a", 5)).release()
    house.manager.retire("big@1")
    await house.work()
    assert house.manager.statistics().carved_bytes == 20, "what it used stays with the process"
    house.device.kept = 107
    house.manager.retire("a@1")
    await house.work()
    assert house.manager.statistics().charged_bytes == house.manager.statistics().carved_bytes == 7
    (await house.have("big", 5)).release()
    assert house.manager.statistics().carved_bytes == 20


async def test_what_comes_while_it_is_measured_keeps_its_lane() -> None:
    house = House(40)
    house.loader.workspaces = {"a": 10}
    (await house.have("a", 5)).release()
    house.manager.retire("a@1")
    await turns()
    house.freeing.run_next()
    await turns()
    again = house.ask("a", 5)
    await turns()
    assert len(house.freeing.waiting) == 1, "it is being measured"
    await house.work()
    (await again).release()
    assert house.manager.statistics().carved_bytes == 10
