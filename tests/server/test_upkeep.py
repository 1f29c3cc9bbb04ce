"""What is done for residents beside speech: pinned, unloaded, deleted, evicted when long idle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.fakes.executors import settle
from tests.fakes.manifests import make_manifest
from tests.fakes.residency import ResidencyFixture
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import RegistryError, VoiceNotFoundError, VoxswapError
from voxswap_server.memory.plans import Limits
from voxswap_server.residency.errors import VoiceInUseError, VoiceTooLargeError
from voxswap_server.residency.events import EventKind
from voxswap_server.residency.snapshot import State
from voxswap_server.residency.upkeep import evict_idle, retire_deleted

# Steering


async def test_a_pinned_voice_stays_and_counts_against_what_fits() -> None:
    residency = ResidencyFixture(30)
    pinning = asyncio.ensure_future(residency.manager.pin(make_manifest("a")))
    await residency.work()
    assert (await pinning).pinned
    again = await residency.manager.pin(make_manifest("a"))
    assert (again.pinned, again.leases) == (True, 1)
    assert residency.manager.held_leases() == 0
    with pytest.raises(
        VoiceTooLargeError,
        match=r"has 30 bytes, of which 10 bytes are pinned for others; .*unpin a voice",
    ):
        await residency.manager.acquire(make_manifest("large", 21))
    with pytest.raises(VoiceInUseError, match="a@1 is pinned; unpin it first"):
        await residency.manager.unload(make_manifest("a"))
    (await residency.have("b", 20)).release()
    (await residency.have("c", 20)).release()
    assert residency.states() == {"a": State.RESIDENT, "c": State.RESIDENT}
    residency.manager.evict_idle(0)
    await residency.work()
    assert residency.states() == {"a": State.RESIDENT}
    found = residency.manager.unpin(make_manifest("a"))
    assert found is not None
    assert not found.pinned
    assert residency.manager.unpin(make_manifest("a")) is not None, "once more does nothing"
    (await residency.have("large", 30)).release()
    assert residency.manager.unpin(make_manifest("a")) is None


async def test_what_waits_behind_a_new_pin_is_told_that_it_does_not_fit() -> None:
    residency = ResidencyFixture(30)
    speaking = await residency.have("a", 20)
    waiting = residency.ask("large", 30)
    await residency.work()
    await residency.manager.pin(make_manifest("a", 20))
    speaking.release()
    await residency.work()
    assert isinstance(waiting.exception(), VoiceTooLargeError)


async def test_unpinning_lets_in_who_waits_for_that_memory() -> None:
    residency = ResidencyFixture(30)
    pinning = asyncio.ensure_future(residency.manager.pin(make_manifest("a", 20)))
    await residency.work()
    await pinning
    speaking = await residency.have("b", 10)
    waiting = residency.ask("c", 10)
    await residency.work()
    assert residency.manager.unpin(make_manifest("a", 20)) is None, "it goes for who waits"
    await residency.work()
    (await waiting).release()
    speaking.release()


async def test_a_shared_base_is_pinned_with_any_voice_on_it() -> None:
    residency = ResidencyFixture(30)
    pinning = asyncio.ensure_future(residency.manager.pin(make_manifest("a", 1, base=("base", 12))))
    await residency.work()
    await pinning
    (await residency.have(make_manifest("b", 2, base=("base", 12)))).release()
    (await residency.have("large", 17)).release()
    assert residency.states() == {"a": State.RESIDENT, "large": State.RESIDENT}
    # A voice on the pinned base does not count it twice.
    (await residency.have(make_manifest("c", 17, base=("base", 12)))).release()


async def test_what_speaks_or_is_being_loaded_is_not_unloaded() -> None:
    residency = ResidencyFixture(30)
    loading = residency.ask("a")
    await settle()
    with pytest.raises(VoiceInUseError, match="a@1 is being loaded"):
        await residency.manager.unload(make_manifest("a"))
    await residency.work()
    lease = await loading
    with pytest.raises(VoiceInUseError, match="a@1 speaks in 1 stream;"):
        await residency.manager.unload(make_manifest("a"))
    lease.release()
    unloading = asyncio.ensure_future(residency.manager.unload(make_manifest("a")))
    await settle()
    assert not unloading.done(), "not before its memory is free"
    assert residency.states() == {}
    await residency.work()
    assert await unloading == 10
    assert await residency.manager.unload(make_manifest("a")) == 0


async def test_a_deleted_voice_goes_when_its_last_stream_has_ended() -> None:
    residency = ResidencyFixture(30)
    first, second = await residency.have("a"), await residency.have("a")
    residency.manager.retire("a@1")
    assert residency.states() == {"a": State.RESIDENT}
    first.release()
    assert residency.states() == {"a": State.RESIDENT}
    second.release()
    assert residency.states() == {}
    await residency.work()
    assert residency.events[-1].reason == "deleted"


async def test_a_deleted_voice_goes_though_it_was_pinned_or_asked_for_once_more() -> None:
    residency = ResidencyFixture(30)
    pinning = asyncio.ensure_future(residency.manager.pin(make_manifest("a")))
    await residency.work()
    await pinning
    speaking = await residency.have("b")
    residency.manager.retire("a@1")
    residency.manager.retire("b@1")
    assert residency.states() == {"b": State.RESIDENT}
    # Somebody still has its manifest.
    again = await residency.manager.acquire(make_manifest("b"))
    speaking.release()
    again.release()
    await residency.work()
    assert residency.states() == {}
    assert {e.reason for e in residency.events if e.kind is EventKind.EVICTED} == {"deleted"}


async def test_a_voice_that_is_deleted_while_it_is_loaded_speaks_and_goes() -> None:
    residency = ResidencyFixture(30)
    task = residency.ask("a")
    await settle()
    residency.manager.retire("a@1")
    await residency.work()
    lease = await task
    assert residency.states() == {"a": State.RESIDENT}
    lease.release()
    await residency.work()
    assert residency.states() == {}


async def test_versions_with_the_same_parts_are_one_voice_until_the_last_is_deleted() -> None:
    residency = ResidencyFixture(30)
    (await residency.have("a")).release()
    second = await residency.manager.acquire(make_manifest("a", version=2))
    assert not second.cold
    assert residency.manager.residents()[0].refs == ("a@1", "a@2")
    residency.manager.retire("a@1")
    second.release()
    assert residency.states() == {"a": State.RESIDENT}
    residency.manager.retire("a@2")
    await residency.work()
    assert residency.states() == {}


# Idle time


class FakeSleep:
    """A sleep that ends when the test says so."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._ticks: asyncio.Queue[None] = asyncio.Queue()

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self._ticks.get()

    async def tick(self) -> None:
        self._ticks.put_nowait(None)
        await settle()


async def test_what_is_idle_for_so_long_leaves_and_what_speaks_or_is_pinned_does_not() -> None:
    residency, ticks, ttl = ResidencyFixture(60), FakeSleep(), [10.0]
    (await residency.have(make_manifest("a", 1, base=("base", 12)))).release()
    speaking = await residency.have(make_manifest("b", 1, base=("base", 12)))
    pinning = asyncio.ensure_future(residency.manager.pin(make_manifest("c")))
    await residency.work()
    await pinning
    upkeep = asyncio.ensure_future(
        evict_idle(residency.manager, lambda: ttl[0], every_s=2.5, sleep=ticks)
    )
    await settle()
    await ticks.tick()
    assert not residency.evicted(), "not yet"
    residency.clock.now_s += 9
    await ticks.tick()
    await residency.work()
    assert residency.evicted() == [("a@1",)]
    (evicted,) = [e for e in residency.events if e.kind is EventKind.EVICTED]
    assert (evicted.reason, evicted.role, evicted.age_s) == ("idle", "model", 10)
    assert set(residency.states()) == {"b", "c"}
    speaking.release()
    residency.clock.now_s += 9.5
    await ticks.tick()
    assert set(residency.states()) == {"b", "c"}, "it spoke until now"
    # Reloaded settings count from the next look on; 0 is never.
    ttl[0] = 0
    residency.clock.now_s += 1e6
    await ticks.tick()
    assert set(residency.states()) == {"b", "c"}
    ttl[0] = 100
    await ticks.tick()
    await residency.work()
    assert set(residency.states()) == {"c"}
    assert residency.manager.statistics().resident_bytes == 10
    assert set(ticks.slept) == {2.5}
    upkeep.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await upkeep


async def test_a_voice_that_settles_or_is_protected_is_not_idle() -> None:
    residency = ResidencyFixture(60, Limits(load_slots=8, settle_s=50))
    (await residency.have("a")).release()
    residency.clock.now_s += 20
    residency.manager.evict_idle(10)
    assert "a" in residency.states()
    residency.manager.protect(make_manifest("a"), 100)
    residency.clock.now_s += 60
    residency.manager.evict_idle(10)
    assert "a" in residency.states()
    residency.clock.now_s += 60
    residency.manager.evict_idle(10)
    await residency.work()
    assert residency.states() == {}


async def test_idle_memory_goes_to_who_waits_for_it() -> None:
    residency = ResidencyFixture(20)
    speaking = await residency.have("a")
    (await residency.have("b")).release()
    waiting = residency.ask("c", 20)
    await residency.work()
    residency.clock.now_s += 20
    residency.manager.evict_idle(10)
    await residency.work()
    assert not waiting.done()
    speaking.release()
    await residency.work()
    (await waiting).release()


# What the catalog no longer has


class FakeCatalog:
    """Versions by voice; an error in their place is raised."""

    def __init__(self, **versions: Collection[int] | VoxswapError) -> None:
        self.versions = versions

    def record(self, voice_id: str) -> Any:
        found = self.versions.get(voice_id)
        if found is None:
            raise VoiceNotFoundError(voice_id)
        if isinstance(found, VoxswapError):
            raise found
        return SimpleNamespace(versions=tuple(found))


async def test_versions_that_the_catalog_no_longer_has_are_let_go() -> None:
    residency = ResidencyFixture(100)
    for name in "abcd":
        (await residency.have(name)).release()
    speaking = await residency.have(make_manifest("e", version=3))
    loading = residency.ask("f")
    await settle()
    catalog = FakeCatalog(a=[1], b=[2], d=RegistryError("cannot be read now"), e=[4], f=[])
    retire_deleted(residency.manager, cast("Catalog", catalog))
    await residency.work()
    # a is there, b and c are gone, d cannot be read; e and f are still needed.
    assert set(residency.states()) == {"a", "d", "e", "f"}
    speaking.release()
    (await loading).release()
    await residency.work()
    assert set(residency.states()) == {"a", "d"}
