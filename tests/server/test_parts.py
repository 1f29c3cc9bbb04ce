"""Parts: what is shared, what is granted in which order, what fails alone, what is let go of."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.fakes.executors import settle as turns
from tests.fakes.family import FakePart, FakeVoice
from tests.fakes.manifests import digest_of, make_manifest
from tests.fakes.residency import FakeLoader, ResidencyFixture, time_of_the_loop
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


def part_of(residency: ResidencyFixture, name: str) -> Part:
    part = residency.manager.memory.holdings.find(digest_of(name))
    assert part is not None
    return part


def parts_by_state(residency: ResidencyFixture) -> dict[str, State]:
    """Charged parts by role, or by "model" for those that a voice has for itself."""
    return {part.role: part.state for part in residency.manager.resident_parts()}


# Sharing


async def test_a_base_is_loaded_once_for_many_voices() -> None:
    residency = ResidencyFixture(60)
    tasks = [residency.ask(styled(name)) for name in "abcdefgh"]
    await residency.work()
    leases = await asyncio.gather(*tasks)
    assert sorted(residency.loader.loads) == sorted([*"abcdefgh", "base"])
    assert residency.manager.statistics().resident_bytes == 12 + 8
    assert part_of(residency, "base").holds == 8
    for lease in leases:
        lease.release()
    residency.manager.check_integrity()


async def test_a_further_voice_on_a_resident_base_loads_only_its_style() -> None:
    residency = ResidencyFixture(30)
    (await residency.have(styled("a"))).release()
    residency.loader.loads.clear()
    residency.events.clear()
    (await residency.have(styled("b"))).release()
    assert residency.loader.loads == ["b"]
    started, loaded = residency.events
    assert (started.kind, started.size_bytes) == (EventKind.LOAD_STARTED, 1)
    assert (loaded.kind, loaded.size_bytes) == (EventKind.LOADED, 1)


async def test_what_is_shared_is_told() -> None:
    residency = ResidencyFixture(30)
    for name in "ab":
        (await residency.have(styled(name))).release()
    for resident in residency.manager.residents():
        assert (resident.size_bytes, resident.shared_bytes) == (13, 12)
    unloading = asyncio.ensure_future(residency.manager.unload(styled("a")))
    await residency.work()
    assert await unloading == 1, "the base has another user"
    (left,) = residency.manager.residents()
    assert (left.size_bytes, left.shared_bytes) == (13, 0)


async def test_evicting_a_base_withdraws_every_voice_on_it() -> None:
    residency = ResidencyFixture(22)
    for name in "abc":
        (await residency.have(styled(name))).release()
    # 15 of 22 are taken, and of these only one style may stay.
    task = residency.ask("large", 21)
    await turns()
    assert residency.states() == {"large": State.LOADING}, "withdrawn before they are taken apart"
    await residency.work()
    (await task).release()
    evicted = [e for e in residency.events if e.kind is EventKind.EVICTED]
    assert {e.role for e in evicted} == {"model", "base"}
    # Each voice is told of once, with the part that ended it.
    told = [voice for e in evicted for voice in e.voices]
    assert sorted(told) == ["a@1", "b@1", "c@1"]


async def test_a_base_that_one_voice_speaks_with_stays_for_the_others() -> None:
    residency = ResidencyFixture(24)
    speaking = await residency.have(styled("a"))
    for name in "bc":
        (await residency.have(styled(name))).release()
    (await residency.have("large", 11)).release()
    assert residency.states() == {"a": State.RESIDENT, "large": State.RESIDENT}
    assert part_of(residency, "base").holds == 1
    residency.loader.loads.clear()
    (await residency.have(styled("b"))).release()
    assert residency.loader.loads == ["b"]
    speaking.release()


async def test_a_voice_whose_parts_are_all_there_is_there_at_once() -> None:
    residency = ResidencyFixture(30)
    (await residency.have(styled("a"))).release()
    residency.loader.loads.clear()
    lease = await residency.manager.acquire(bare(BASE))
    assert not residency.loader.loads
    assert not residency.executor.waiting
    assert lease.loaded.ref == "base@1"
    lease.release()
    residency.manager.check_integrity()


async def test_a_part_left_over_serves_the_next_voice_on_it() -> None:
    """When a style is evicted the base stays, with no voice on it, until its memory is needed."""
    residency = ResidencyFixture(30)
    (await residency.have(styled("a"))).release()
    (await residency.have("x", 18)).release()
    assert residency.states() == {"x": State.RESIDENT}
    assert parts_by_state(residency)["base"] is State.RESIDENT
    residency.loader.loads.clear()
    (await residency.have(styled("b"))).release()
    assert residency.loader.loads == ["b"]


# Claims


async def test_memory_is_given_all_at_once_so_that_two_halves_never_wait_for_each_other() -> None:
    residency = ResidencyFixture(20)
    first, second = (
        residency.ask(styled("a", 10, ("x", 10))),
        residency.ask(styled("b", 10, ("y", 10))),
    )
    await turns()
    assert residency.manager.statistics().reserved_bytes == 20
    assert residency.queued() == ["b"]
    # One of its parts after the other: nothing of what comes free half-way is given away.
    residency.executor.run_next()
    await turns()
    sources = [source_of(part.plan) for part in residency.manager.memory.holdings]
    assert {source.voice.manifest.voice_id for source in sources} == {"a"}
    await residency.work()
    (await first).release()
    await residency.work()
    (await second).release()


async def test_who_needs_no_memory_passes_the_line() -> None:
    residency = ResidencyFixture(30)
    (await residency.have(styled("a"))).release()
    speaking = await residency.have("large", 17)
    waiting = [residency.ask("first", 30), residency.ask("second", 14)]
    await residency.work()
    assert not any(task.done() for task in waiting)
    hit = await residency.manager.acquire(styled("a"))
    passing = await residency.manager.acquire(bare(BASE))
    assert residency.queued() == ["first", "second"]
    for lease in (hit, passing, speaking):
        lease.release()
    await residency.work()
    (await waiting[0]).release()
    await residency.work()
    (await waiting[1]).release()


async def test_who_joins_a_load_under_way_passes_the_line() -> None:
    residency = ResidencyFixture(30)
    speaking = await residency.have("large", 17)
    loading = residency.ask(styled("a"))
    await turns()
    waiting = residency.ask("first", 30)
    joining = residency.ask(bare(BASE))
    await residency.work()
    (await loading).release()
    (await joining).release()
    assert not waiting.done()
    speaking.release()
    await residency.work()
    (await waiting).release()


async def test_a_load_goes_on_for_the_one_who_joined_when_the_first_gives_up() -> None:
    residency = ResidencyFixture(30)
    first = residency.ask(styled("a"))
    await turns()
    second = residency.ask(styled("b"))
    await turns()
    first.cancel()
    await turns()
    assert residency.manager.statistics().reserved_bytes == 14, (
        "a's style until its thread looks up"
    )
    await residency.work()
    (await second).release()
    assert residency.loader.loads.count("base") == 1
    assert residency.manager.statistics().resident_bytes == 13


async def test_memory_freed_by_giving_up_goes_to_the_next_in_line() -> None:
    residency = ResidencyFixture(20, Limits(load_slots=1))
    first = residency.ask(styled("a", 8))
    second = residency.ask("b", 8)
    await turns()
    assert residency.queued() == ["b"]
    first.cancel()
    await turns()
    # Its second part waited for a slot and is gone at once; the first one's thread is at work.
    assert residency.manager.statistics().reserved_bytes == 8 + 8
    assert not residency.queued()
    await residency.work()
    (await second).release()


async def test_when_the_first_in_line_gives_up_the_next_is_let_in_at_once() -> None:
    residency = ResidencyFixture(30)
    speaking = await residency.have("a", 10)
    large, small = residency.ask("large", 30), residency.ask("small", 10)
    await residency.work()
    large.cancel()
    await residency.work()
    (await small).release()
    speaking.release()


async def test_memory_that_a_part_did_not_need_goes_to_who_waits_before_the_voice_is_there() -> (
    None
):
    residency = ResidencyFixture(30)
    residency.loader.measured["base"] = 2
    speaking = await residency.have("x", 10)
    loading, waiting = residency.ask(styled("a", 8)), residency.ask("b", 10)
    await turns()
    assert len(residency.queued()) == 1
    residency.executor.run_next(1)
    await turns()
    assert not residency.queued()
    assert not loading.done()
    await residency.work()
    for lease in (await loading, await waiting, speaking):
        lease.release()


async def test_a_claim_that_no_longer_fits_does_not_hold_up_those_behind_it() -> None:
    residency = ResidencyFixture(40)
    speaking = await residency.have("a", 25)
    large, small = residency.ask("large", 35), residency.ask("small", 20)
    await residency.work()
    assert residency.queued() == ["large", "small"]
    residency.manager.set_budget(30)
    await residency.work()
    assert type(large.exception()).__name__ == "VoiceTooLargeError"
    speaking.release()
    await residency.work()
    (await small).release()
    residency.manager.check_integrity()


# Loads that go wrong


async def test_a_device_that_refuses_has_something_evicted_and_is_asked_once_more() -> None:
    residency = ResidencyFixture(30)
    (await residency.have("a")).release()
    residency.loader.refusals["b"] = 1
    task = residency.ask("b")
    await turns()
    residency.executor.run_next()
    await turns()
    assert parts_by_state(residency)["model"] in (State.EVICTING, State.LOADING)
    assert not residency.executor.waiting, "not before the memory is really free"
    residency.freeing.run_next()
    await turns()
    assert len(residency.executor.waiting) == 1
    await residency.work()
    (await task).release()
    (evicted,) = [e for e in residency.events if e.kind is EventKind.EVICTED]
    assert (evicted.voices, evicted.reason) == (("a@1",), "refused")
    assert residency.states() == {"b": State.RESIDENT}


async def test_a_device_that_refuses_twice_fails_that_load_alone_and_with_figures() -> None:
    residency = ResidencyFixture(40)
    speaking = await residency.have("speaking")
    (await residency.have("idle")).release()
    residency.loader.refusals["b"] = 2
    task, other = residency.ask("b"), residency.ask("c")
    await residency.work()
    with pytest.raises(
        DeviceRefusedError,
        match=r"the model of b@1 needs 10 bytes: fake: 10 bytes refused\. The ledger has 20 bytes "
        r"of 40 bytes free, the fake device is full",
    ):
        await task
    (await other).release()
    assert not speaking.released
    assert residency.states() == {
        "speaking": State.RESIDENT,
        "c": State.RESIDENT,
        "b": State.FAILED,
    }
    assert residency.manager.statistics().reserved_bytes == 0
    speaking.release()


async def test_a_refusal_with_nothing_idle_is_told_at_once_and_tried_again_later() -> None:
    residency = ResidencyFixture(30)
    speaking = await residency.have("a")
    residency.loader.refusals["b"] = 1
    task = residency.ask("b")
    await residency.work()
    assert isinstance(task.exception(), DeviceRefusedError)
    with pytest.raises(DeviceRefusedError, match=r"tried again in 0\.5 s"):
        await residency.manager.acquire(make_manifest("b"))
    residency.clock.now_s += 0.5
    (await residency.have("b")).release()
    assert residency.states() == {"a": State.RESIDENT, "b": State.RESIDENT}
    speaking.release()


async def test_giving_up_while_a_refused_load_waits_for_room_frees_everything() -> None:
    residency = ResidencyFixture(30)
    (await residency.have("a")).release()
    residency.loader.refusals["b"] = 1
    task = residency.ask("b")
    await turns()
    residency.executor.run_next()
    await turns()
    task.cancel()
    await residency.work()
    assert task.cancelled()
    assert residency.manager.statistics().free_bytes == 30
    assert residency.loader.loads == ["a", "b"]


async def test_a_load_that_hangs_fails_and_others_go_on_in_what_is_left() -> None:
    residency = ResidencyFixture(30, Limits(load_slots=1, load_timeout_s=5))
    with time_of_the_loop(residency):
        tasks = [residency.ask("a"), residency.ask("a")]
        await turns()
        residency.clock.now_s += 4.9
        await turns()
        other = residency.ask("b")
        await turns()
        assert len(residency.executor.waiting) == 1, "there is one slot"
        residency.clock.now_s += 0.2
        await turns()
        for task in tasks:
            with pytest.raises(LoadStuckError, match=r"a@1 was not loaded within 5 s"):
                await task
        residency.manager.check_integrity()
        assert len(residency.executor.waiting) == 2, "its slot is free"
        assert residency.manager.statistics().reserved_bytes == 20, "its bytes are not"
        residency.executor.run_next(1)
        await turns()
        (await other).release()
        # The thread comes back at last: what it has is there for whoever asks next.
        residency.executor.run_next()
        await turns()
        assert residency.manager.statistics().reserved_bytes == 0
        assert parts_by_state(residency) == {"model": State.RESIDENT}
        residency.manager.check_integrity()
        # A timer of a load that ended in time does nothing.
        residency.clock.now_s += 100
        await turns()
        assert residency.states()["b"] is State.RESIDENT


async def test_a_base_that_hangs_fails_every_voice_on_it_and_no_other() -> None:
    residency = ResidencyFixture(60, Limits(load_slots=8, load_timeout_s=5))
    with time_of_the_loop(residency):
        tasks = [residency.ask(styled(name)) for name in "abc"]
        other = residency.ask("other")
        await turns()
        for index in range(len(residency.executor.waiting) - 1, -1, -1):
            if index != 1:  # the base, after the style of the one who came first
                residency.executor.run_next(index)
        await turns()
        (await other).release()
        residency.clock.now_s += 6
        await turns()
        for task in tasks:
            assert isinstance(task.exception(), LoadStuckError)
        residency.manager.check_integrity()
        assert residency.manager.statistics().reserved_bytes == 12
        await residency.work()
        assert residency.manager.statistics().reserved_bytes == 0


async def test_a_style_of_the_wrong_size_leaves_the_base_alone() -> None:
    residency = ResidencyFixture(30)
    residency.loader.measured["a"] = 2
    task = residency.ask(styled("a"))
    await turns()
    residency.executor.run_next(1)
    await residency.work()
    assert isinstance(task.exception(), FootprintError)
    assert parts_by_state(residency) == {"base": State.RESIDENT}
    (await residency.have(styled("b"))).release()
    assert residency.loader.loads.count("base") == 1


async def test_parts_that_do_not_fit_bar_the_voice_and_not_the_base() -> None:
    residency = ResidencyFixture(30)
    residency.loader.misfits.add("a")
    tasks = [residency.ask(styled("a")), residency.ask(styled("b"))]
    await residency.work()
    with pytest.raises(EngineError, match="a@1: the parts do not fit"):
        await tasks[0]
    (await tasks[1]).release()
    with pytest.raises(EngineError, match=r"do not fit \(it failed, and is tried again in 0\.5 s"):
        await residency.manager.acquire(styled("a"))
    residency.loader.loads.clear()
    residency.loader.misfits.clear()
    residency.clock.now_s += 0.5
    (await residency.have(styled("a"))).release()
    assert residency.loader.loads == ["a"], "the base was sound, and stayed"
    residency.manager.check_integrity()


async def test_a_base_that_fails_bars_every_voice_on_it() -> None:
    residency = ResidencyFixture(30)
    residency.loader.faults["base"] = OSError("broken")
    task = residency.ask(styled("a"))
    await residency.work()
    with pytest.raises(LoadFailedError, match=r"the base of a@1 could not be loaded.* \(OSError\)"):
        await task
    with pytest.raises(LoadFailedError, match="tried again in"):
        await residency.manager.acquire(styled("b"))
    assert residency.manager.statistics().resident_bytes == 1, "a's style is sound"
    del residency.loader.faults["base"]
    insisting = residency.ask(styled("b"), insist=True)
    await residency.work()
    (await insisting).release()


async def test_given_up_before_it_had_a_slot_it_is_gone_at_once() -> None:
    residency = ResidencyFixture(30, Limits(load_slots=1))
    first, second = residency.ask("a"), residency.ask("b")
    await turns()
    assert residency.manager.statistics().reserved_bytes == 20
    second.cancel()
    await turns()
    assert residency.manager.statistics().reserved_bytes == 10
    await residency.work()
    (await first).release()
    assert residency.loader.loads == ["a"]


async def test_freeing_that_hangs_holds_up_no_load_that_has_room() -> None:
    residency = ResidencyFixture(30)
    for name in "abc":
        (await residency.have(name)).release()
    waiting, _ = residency.ask("d"), await turns()
    # a is on its way out, and the freeing thread is busy elsewhere.
    assert residency.manager.statistics().evicting_bytes == 10
    residency.manager.set_budget(50)
    await turns()
    while residency.executor.waiting:
        residency.executor.run_next()
        await turns()
    (await waiting).release()
    other = residency.ask("e")
    await turns()
    residency.executor.run_next()
    await turns()
    (await other).release()
    assert len(residency.freeing.waiting) == 1
    assert residency.manager.statistics().evicting_bytes == 10
    await residency.work()


# Who goes


async def test_what_was_loaded_just_now_goes_last() -> None:
    residency = ResidencyFixture(30, Limits(load_slots=8, settle_s=10))
    for name in "abc":
        (await residency.have(name)).release()
    residency.clock.now_s += 20
    (await residency.have("d")).release()  # instead of a
    (await residency.have("b")).release()
    (await residency.have("c")).release()
    # d is the least recently used, and has not settled.
    (await residency.have("e")).release()
    assert residency.evicted() == [("a@1",), ("b@1",)]
    # Nothing else can go.
    (await residency.have("f", 30)).release()
    assert set(residency.states()) == {"f"}


async def test_what_is_protected_goes_as_if_it_were_used_until_then() -> None:
    residency = ResidencyFixture(20)
    for name in "ab":
        (await residency.have(name)).release()
    residency.manager.protect(make_manifest("a"), 5)
    residency.manager.protect(make_manifest("unknown"), 5)
    (await residency.have("c")).release()
    assert residency.evicted() == [("b@1",)]
    residency.clock.now_s += 5
    (await residency.have("d")).release()
    assert residency.evicted() == [("b@1",), ("c@1",)]
    (await residency.have("e")).release()
    assert residency.evicted() == [("b@1",), ("c@1",), ("a@1",)]


# What is let go of


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
        voice = FakeVoice(parts=parts)
        self.seen(voice)
        return LoadedVoice(loaded.ref, voice, loaded.front_end)

    def seen(self, thing: Any) -> Any:
        self.made.append(weakref.ref(thing))
        return thing

    @property
    def alive(self) -> list[object]:
        return [thing for ref in self.made if (thing := ref()) is not None]


class WatchfulFixture(ResidencyFixture):
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
    residency = WatchfulFixture()
    leases = [await residency.have(styled(name)) for name in "abc"]
    for lease in leases:
        lease.release()
    assert len(residency.loader.alive) == 4 + 3
    del lease
    (await residency.have("large", 30)).release()
    assert len(residency.loader.alive) == 2, "the new one's part and voice"
    assert all(lease.released for lease in leases)


@without_collector
async def test_what_was_loaded_for_nobody_is_there_for_the_next_and_leaves_like_any_other() -> None:
    residency = WatchfulFixture()
    residency.loader.deaf = True
    task = residency.ask("a")
    await turns()
    task.cancel()
    await residency.work()
    assert residency.loader.loads == ["a"]
    assert residency.manager.statistics().resident_bytes == 10
    residency.manager.evict_idle(0)
    await residency.work()
    assert not residency.loader.alive
    assert residency.manager.statistics().free_bytes == 30


@without_collector
async def test_what_was_unloaded_or_deleted_is_dropped() -> None:
    residency = WatchfulFixture()
    for name in "ab":
        (await residency.have(name)).release()
    unloading = asyncio.ensure_future(residency.manager.unload(make_manifest("a")))
    residency.manager.retire("b@1")
    await residency.work()
    assert await unloading == 10
    assert not residency.loader.alive


@without_collector
async def test_what_was_too_large_is_dropped() -> None:
    residency = WatchfulFixture()
    residency.loader.measured["a"] = 99
    task = residency.ask("a")
    await residency.work()
    assert isinstance(task.exception(), FootprintError)
    assert residency.manager.statistics().free_bytes == 30
    del task
    assert not residency.loader.alive


@without_collector
async def test_what_did_not_fit_is_not_kept_by_the_memory_of_its_failure() -> None:
    residency = WatchfulFixture()
    residency.loader.misfits.add("a")
    task = residency.ask("a")
    await residency.work()
    assert isinstance(task.exception(), EngineError)
    del task
    residency.manager.evict_idle(0)
    await residency.work()
    assert residency.manager.statistics().free_bytes == 30
    assert not residency.loader.alive


@without_collector
async def test_a_load_that_stopped_after_it_had_its_memory_leaves_none_behind() -> None:
    """Between placing and returning a loader looks whether anybody still wants it."""

    class Stopping(WatchfulLoader):
        def load(self, plan: VoicePlan, part: PartPlan, cancelled: Any) -> FakePart:
            loaded = super().load(plan, part, lambda: False)
            if cancelled():
                raise RuntimeError("cancelled")
            return loaded

    residency = WatchfulFixture(Stopping())
    task = residency.ask("a")
    await turns()
    task.cancel()
    await residency.work()
    del task
    assert residency.manager.statistics().free_bytes == 30
    assert not residency.loader.alive


# Found while reading, and mended


async def test_a_base_that_failed_once_is_tried_again_as_soon_as_any_part() -> None:
    residency = ResidencyFixture(60)
    residency.loader.faults["base"] = OSError("broken")
    tasks = [residency.ask(styled(name)) for name in "abcde"]
    await residency.work()
    for task in tasks:
        assert isinstance(task.exception(), LoadFailedError)
    (failed,) = residency.manager.residents()
    assert failed.retry_s == 0.5


async def test_who_waits_for_memory_learns_that_the_base_has_failed_meanwhile() -> None:
    residency = ResidencyFixture(24)
    residency.loader.faults["base"] = OSError("broken")
    loading = residency.ask(styled("a"))
    waiting = [residency.ask(styled(name, 9)) for name in "bc"]
    blocked = residency.ask("large", 24)
    await residency.work()
    assert isinstance(loading.exception(), LoadFailedError)
    for task in waiting:
        assert task.exception() is not None
    assert residency.loader.loads.count("base") == 1
    (await blocked).release()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["a panic of Rust's", "StopIteration"])
async def test_whatever_a_load_raises_is_told_and_leaves_nothing(kind: str) -> None:
    class PanicError(BaseException):
        """As pyo3's PanicException: outside Exception."""

    residency = ResidencyFixture()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    residency.loader.faults["a"] = (
        StopIteration() if kind == "StopIteration" else PanicError("boom")
    )
    task = residency.ask("a")
    await residency.work()
    try:
        assert task.done()
        assert residency.manager.statistics().free_bytes == 30
    finally:
        task.cancel()
        await turns()
        gc.collect()


async def test_a_part_that_hangs_takes_no_more_than_its_own_memory() -> None:
    residency = ResidencyFixture(30, Limits(load_slots=2, load_timeout_s=5))
    with time_of_the_loop(residency):
        for _ in range(3):
            task = residency.ask("a")
            await turns()
            residency.clock.now_s += 6
            await turns()
            assert isinstance(task.exception(), LoadStuckError)
            residency.clock.now_s += 100
        sound = residency.ask("b")
        await turns()
        try:
            assert residency.manager.statistics().reserved_bytes <= 20
            assert len(residency.executor.waiting) <= 2
        finally:
            sound.cancel()
            await turns()


async def test_a_refused_load_does_not_wait_for_ever_for_room() -> None:
    residency = ResidencyFixture(30, Limits(load_slots=1, load_timeout_s=5))
    with time_of_the_loop(residency):
        (await residency.have("idle")).release()
        residency.loader.refusals["a"] = 1
        task = residency.ask("a")
        await turns()
        residency.executor.run_next()
        await turns()
        assert len(residency.freeing.waiting) == 1  # and it hangs
        residency.clock.now_s += 100
        await turns()
        try:
            assert isinstance(task.exception() if task.done() else None, DeviceRefusedError)
        finally:
            task.cancel()
            await residency.work()


async def test_hits_pass_whoever_waits_and_who_waits_in_vain_is_told_in_time() -> None:
    """Each of them is idle now and then, and never all of them at one instant."""
    residency = ResidencyFixture(30)
    held = {name: await residency.have(name) for name in "abc"}
    waiting = residency.ask("large", 30)
    await residency.work()
    for name in "abc" * 3:
        residency.clock.now_s += 1
        held.pop(name).release()
        held[name] = await residency.manager.acquire(make_manifest(name))
    assert not residency.evicted(), "what is spoken with goes for one who does not fit all the same"
    residency.clock.now_s += 30
    residency.manager.tick()
    with pytest.raises(MemoryBusyError, match=r"within 30 s, the most that memory_wait_s allows"):
        await waiting
    for lease in held.values():
        lease.release()
    residency.manager.check_integrity()


async def test_no_more_goes_than_is_missing_however_long_somebody_waited() -> None:
    residency = ResidencyFixture(40)
    (await residency.have("idle")).release()
    large, small = await residency.have("x", 20), await residency.have("y", 10)
    waiting = residency.ask("new", 20)
    await residency.work()
    residency.clock.now_s += 20
    large.release()
    await turns()
    assert residency.manager.statistics().evicting_bytes == 20
    small.release()
    await residency.work()
    (await waiting).release()
    assert residency.evicted() == [("x@1",)]


# Lanes


@pytest.mark.parametrize("end", ["it failed", "nobody waits for it"])
async def test_a_lane_that_nothing_was_computed_in_is_given_back(end: str) -> None:
    residency = ResidencyFixture(30)
    residency.loader.workspaces = {"big": 20}
    if end == "it failed":
        residency.loader.faults["big"] = EngineError("no")
    task = residency.ask("big", 5)
    await turns()
    assert residency.manager.statistics().carved_bytes == 20
    if end == "nobody waits for it":
        task.cancel()
    await residency.work()
    await asyncio.wait([task])
    assert residency.manager.statistics().carved_bytes == 0


async def test_a_lane_stays_until_everything_has_left_and_then_as_much_as_is_measured() -> None:
    residency = ResidencyFixture(40)
    residency.device.kept = 100  # before anything is loaded
    residency.manager.ready()
    residency.loader.workspaces = {"big": 20, "a": 1}
    (await residency.have("big", 5)).release()
    (await residency.have("a", 5)).release()
    residency.manager.retire("big@1")
    await residency.work()
    assert residency.manager.statistics().carved_bytes == 20, "what it used stays with the process"
    residency.device.kept = 107
    residency.manager.retire("a@1")
    await residency.work()
    assert (
        residency.manager.statistics().charged_bytes
        == residency.manager.statistics().carved_bytes
        == 7
    )
    (await residency.have("big", 5)).release()
    assert residency.manager.statistics().carved_bytes == 20


async def test_what_comes_while_it_is_measured_keeps_its_lane() -> None:
    residency = ResidencyFixture(40)
    residency.loader.workspaces = {"a": 10}
    (await residency.have("a", 5)).release()
    residency.manager.retire("a@1")
    await turns()
    residency.freeing.run_next()
    await turns()
    again = residency.ask("a", 5)
    await turns()
    assert len(residency.freeing.waiting) == 1, "it is being measured"
    await residency.work()
    (await again).release()
    assert residency.manager.statistics().carved_bytes == 10
