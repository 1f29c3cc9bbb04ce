"""Loading ahead of need: lists, what was resident before, and the casts of scenes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tests.fakes.executors import settle
from tests.fakes.manifests import make_manifest
from tests.fakes.residency import ResidencyFixture
from voxswap_registry.errors import VoiceNotFoundError
from voxswap_registry.manifest import Manifest
from voxswap_server.memory.plans import Limits
from voxswap_server.residency.ahead import Ahead
from voxswap_server.residency.errors import ScenesBusyError
from voxswap_server.residency.events import EventKind
from voxswap_server.residency.outlook import CastMember
from voxswap_server.residency.snapshot import State


class FakeCatalog:
    """Resolves what it has."""

    def __init__(self, **sizes: int) -> None:
        self.manifests: Mapping[str, Manifest] = {
            f"{name}@1": make_manifest(name, size) for name, size in sizes.items()
        }

    def __call__(self, ref: str) -> Manifest:
        if ref not in self.manifests:
            raise VoiceNotFoundError(f"there is no voice {ref}")
        return self.manifests[ref]


def cast(**dues: float | None) -> list[CastMember]:
    return [CastMember(make_manifest(name), due_s) for name, due_s in dues.items()]


async def finished(residency: ResidencyFixture, work: asyncio.Future[int]) -> int:
    await residency.work()
    assert work.done()
    return work.result()


# A list


async def test_a_list_is_loaded_in_its_order_and_what_fails_is_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    residency = ResidencyFixture(30)
    (await residency.have("old")).release()
    residency.loader.faults["b"] = OSError("broken")
    residency.loader.loads.clear()
    refs = ["a@1", "gone@1", "b@1", "c@1", "huge@1", "d@1"]
    catalog = FakeCatalog(a=10, b=10, c=10, d=10, huge=31)

    def resolve(ref: str) -> Manifest:
        residency.clock.now_s += 100
        return catalog(ref)

    loading = asyncio.ensure_future(Ahead(residency.manager).preload(refs, resolve))
    assert await finished(residency, loading) == 3
    assert residency.loader.loads == ["a", "b", "c", "d"]
    assert residency.evicted() == [("old@1",)]
    for text in ("there is no voice gone@1", "b@1 could not be loaded", "huge@1 needs 31"):
        assert text in caplog.text
    assert residency.manager.held_leases() == 0


async def test_a_list_ends_where_the_manager_closes() -> None:
    residency = ResidencyFixture(30)
    loading = asyncio.ensure_future(
        Ahead(residency.manager).preload(["a@1", "b@1", "c@1"], FakeCatalog(a=1, b=1, c=1))
    )
    await settle()
    closing = asyncio.ensure_future(residency.manager.close())
    assert await finished(residency, loading) == 0
    await closing
    assert residency.loader.loads == ["a"]


# What was resident before


async def test_a_warm_start_fills_what_is_free_and_evicts_nothing() -> None:
    residency = ResidencyFixture(30)
    (await residency.have("b")).release()
    loading = asyncio.ensure_future(
        Ahead(residency.manager).warm_start(
            ["a@1", "gone@1", "b@1", "c@1", "d@1"], FakeCatalog(a=10, b=10, c=10, d=5)
        )
    )
    assert await finished(residency, loading) == 2
    assert set(residency.states()) == {"a", "b", "c"}
    assert not residency.evicted()


async def test_a_warm_start_makes_way_for_who_asks() -> None:
    residency = ResidencyFixture(30)
    speaking = await residency.have("a", 20)
    waiting = residency.ask("large", 30)
    await residency.work()
    loading = asyncio.ensure_future(Ahead(residency.manager).warm_start(["b@1"], FakeCatalog(b=5)))
    assert await finished(residency, loading) == 0
    speaking.release()
    await residency.work()
    (await waiting).release()
    assert residency.loader.loads == ["a", "large"]


async def test_a_warm_start_shares_the_load_of_who_asks_meanwhile() -> None:
    residency = ResidencyFixture(30)
    loading = asyncio.ensure_future(
        Ahead(residency.manager).warm_start(["a@1", "b@1"], FakeCatalog(a=10, b=10))
    )
    await settle()
    asked = residency.ask("a")
    await residency.work()
    (await asked).release()
    assert await finished(residency, loading) == 2
    assert residency.loader.loads == ["a", "b"]


# Scenes


async def test_a_version_that_comes_twice_counts_once() -> None:
    ahead = Ahead(ResidencyFixture(100).manager)
    members = [*cast(a=9.0, b=5.0), *cast(a=1.0)]
    found = await ahead.prepare(members, dry_run=True)
    assert [member.ref for member in found.cast] == ["a@1", "b@1"]


async def test_a_scene_is_loaded_in_order_of_need_two_side_by_side() -> None:
    residency = ResidencyFixture(100)
    ahead = Ahead(residency.manager)
    found = await ahead.prepare(cast(late=9.0, soon=1.0, later=20.0, now=0.0))
    assert [member.ref for member in found.cast] == ["now@1", "soon@1", "late@1", "later@1"]
    await settle()
    assert set(residency.states()) == {"now", "soon"}
    residency.executor.run_next()
    await settle()
    assert set(residency.states()) == {"now", "soon", "late"}
    await residency.work()
    await ahead.settled()
    assert residency.loader.loads == ["now", "soon", "late", "later"]
    assert residency.manager.held_leases() == 0


async def test_a_dry_run_does_nothing() -> None:
    residency = ResidencyFixture(10)
    (await residency.have("old")).release()
    residency.clock.now_s += 100
    ahead = Ahead(residency.manager)
    found = await ahead.prepare(cast(a=1.0), dry_run=True)
    assert found.would_evict == ("old@1",)
    await residency.work()
    assert residency.states() == {"old": State.RESIDENT}
    assert residency.loader.loads == ["old"]


async def test_loading_a_scene_never_pushes_out_its_own_voices() -> None:
    residency = ResidencyFixture(30)
    for name in "abc":
        (await residency.have(name)).release()
    residency.clock.now_s += 100
    ahead = Ahead(residency.manager)
    # a is the least recently used, and on stage a little later.
    found = await ahead.prepare(cast(d=1.0, a=2.0))
    assert found.would_evict == ("b@1",)
    await residency.work()
    assert residency.evicted() == [("b@1",)]
    assert set(residency.states()) == {"a", "c", "d"}
    assert residency.loader.loads == ["a", "b", "c", "d"]


async def test_a_scene_is_kept_until_its_lines_are_due_and_a_while_longer() -> None:
    residency = ResidencyFixture(30)
    ahead = Ahead(residency.manager)
    await ahead.prepare(cast(a=10.0))
    await residency.work()
    residency.clock.now_s += 1
    for name in "bc":
        (await residency.have(name)).release()
    residency.clock.now_s += 35
    (await residency.have("d")).release()
    assert "a" in residency.states(), "the oldest, and protected"
    residency.clock.now_s += 10
    for name in "cd":
        (await residency.have(name)).release()
    (await residency.have("e")).release()
    assert "a" not in residency.states()


async def test_voices_beyond_what_fits_are_left_out() -> None:
    residency = ResidencyFixture(20)
    ahead = Ahead(residency.manager)
    found = await ahead.prepare(cast(a=1.0, b=2.0, c=3.0))
    assert [member.fits for member in found.cast] == [True, True, False]
    await residency.work()
    await ahead.settled()
    assert set(residency.states()) == {"a", "b"}


async def test_one_that_fails_leaves_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    residency = ResidencyFixture(60)
    residency.loader.faults["b"] = OSError("broken")
    ahead = Ahead(residency.manager)
    await ahead.prepare(cast(a=1.0, b=2.0, c=3.0, d=4.0))
    await residency.work()
    await ahead.settled()
    loaded = {name for name, state in residency.states().items() if state is State.RESIDENT}
    assert loaded == {"a", "c", "d"}
    assert "prepare: " in caplog.text


async def test_so_many_scenes_at_a_time() -> None:
    residency = ResidencyFixture(100)
    ahead = Ahead(residency.manager)
    for _ in range(32):
        await ahead.prepare(cast(a=1.0))
    with pytest.raises(ScenesBusyError, match="32 scenes are being prepared"):
        await ahead.prepare(cast(a=1.0))
    await ahead.prepare(cast(a=1.0), dry_run=True)
    await residency.work()
    await ahead.settled()
    await ahead.prepare(cast(a=1.0))
    await ahead.close()


async def test_closing_gives_up_scenes_and_leaves_nothing_behind() -> None:
    residency = ResidencyFixture(30, Limits(load_slots=1))
    ahead = Ahead(residency.manager)
    speaking = await residency.have("x", 15)
    await ahead.prepare(cast(a=1.0, b=2.0, c=3.0))
    await settle()
    await ahead.close()
    residency.manager.check_integrity()
    assert not residency.queued()
    assert State.LOADING not in residency.states().values()
    await residency.work()
    speaking.release()
    kinds = [e.reason for e in residency.events if e.kind is EventKind.LOAD_FAILED]
    assert set(kinds) == {"CANCELLED"}
    assert residency.manager.statistics().reserved_bytes == 0


async def test_a_scene_waits_for_memory_no_longer_than_it_would_help() -> None:
    residency = ResidencyFixture(30)
    loop = asyncio.get_running_loop()
    loop.time = residency.clock  # type: ignore[method-assign]
    try:
        (await residency.have("y", 5)).release()
        speaking, ahead = await residency.have("x", 25), Ahead(residency.manager)
        residency.clock.now_s += 100
        await ahead.prepare([CastMember(make_manifest("a", 5), 40.0)])
        hit = await residency.manager.acquire(make_manifest("y", 5))
        await residency.work()
        for wait_s, scenes in ((39.0, 1), (1.5, 0)):
            residency.clock.now_s += wait_s
            await settle()
            assert len(ahead._scenes) == scenes
        assert not residency.queued()
        hit.release()
        speaking.release()
    finally:
        del loop.time
