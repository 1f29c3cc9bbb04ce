"""Who waits for whom, and for how long: the faults that the policies of `Memory` mend, as the
manager's callers meet them.
"""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.fakes.executors import ManualExecutor, settle
from tests.fakes.manifests import digest_of, make_manifest
from tests.fakes.residency import ResidencyFixture, time_of_the_loop
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import VoiceNotFoundError
from voxswap_server.memory.plans import Limits
from voxswap_server.residency.ahead import Ahead
from voxswap_server.residency.errors import LoadStuckError
from voxswap_server.residency.estimates import Tier
from voxswap_server.residency.outlook import CastMember, estimated_s, explain
from voxswap_server.residency.snapshot import State
from voxswap_server.residency.upkeep import retire_deleted


async def test_a_load_that_cannot_have_memory_stops_no_other_and_evicts_nobody() -> None:
    residency = ResidencyFixture(100)
    speaking = await residency.have("joe", 40)
    (await residency.have("joe2", 20)).release()
    large = residency.ask("kokoro", 90)
    await residency.work()
    for seconds in (0.5, 2, 4):  # while it is new in line, exclusive, and for a while longer
        residency.clock.now_s += seconds
        residency.manager.tick()
        (await residency.manager.acquire(make_manifest("joe2", 20))).release()
        small = residency.ask(f"small{seconds}", 5)
        await residency.work()
        (await small).release()
    assert not residency.evicted()
    speaking.release()
    await residency.work()
    (await large).release()


async def test_a_prefetch_holds_up_no_player_and_steps_back_for_one() -> None:
    residency = ResidencyFixture(100)
    speaking, ahead = await residency.have("a", 40), Ahead(residency.manager)
    await ahead.prepare([CastMember(make_manifest("opera", 60), 3_600.0)])
    await settle()
    assert residency.states()["opera"] is State.LOADING
    player = residency.ask("player", 50)
    await settle()
    assert residency.states()["player"] is State.LOADING
    assert len(residency.manager.memory.line) == 1, (
        "what was begun ahead of need stands in line again"
    )
    await residency.work()
    (await player).release()
    assert residency.loader.cancels_seen == 1
    speaking.release()
    await ahead.close()


async def test_a_prefetch_that_waits_is_passed_by_every_player() -> None:
    residency = ResidencyFixture(100)
    speaking, ahead = await residency.have("a", 60), Ahead(residency.manager)
    (await residency.have("idle", 40)).release()
    residency.clock.now_s += 100
    await ahead.prepare([CastMember(make_manifest("opera", 40), 3_600.0)])
    (
        await residency.manager.acquire(make_manifest("idle", 40))
    ).release()  # It is not long idle now.
    await residency.work()
    lease = await residency.have("player", 10)
    lease.release()
    speaking.release()
    await ahead.close()


async def test_fetching_holds_up_nothing_that_is_here() -> None:
    residency = ResidencyFixture(100, Limits(load_slots=1, fetch_slots=1))
    residency.loader.afar = {digest_of("far"), digest_of("farther")}
    far = [residency.ask("far"), residency.ask("farther")]
    await settle()
    assert len(residency.executor.waiting) == 1, "one slot for fetching"
    assert residency.manager.statistics().charged_bytes == 0, (
        "what is being fetched takes no memory"
    )
    here = residency.ask("here")
    await settle()
    residency.executor.run_next(1)
    await settle()
    (await here).release()
    await residency.work()
    for task in far:
        (await task).release()
    assert residency.loader.fetches == ["far", "farther"]


async def test_what_turns_out_not_to_be_here_is_fetched_after_all() -> None:
    residency = ResidencyFixture(100)
    residency.loader.is_here = lambda part: True  # type: ignore[method-assign]
    residency.loader.afar = {digest_of("a")}
    (await residency.have("a")).release()
    assert (residency.loader.fetches, residency.loader.loads) == (["a"], ["a", "a"])


async def test_a_fetch_that_hangs_is_told_as_such() -> None:
    residency = ResidencyFixture(100, Limits(load_timeout_s=5))
    residency.loader.afar = {digest_of("far")}
    task = residency.ask("far")
    await settle()
    residency.clock.now_s += 6
    residency.manager.tick()
    with pytest.raises(LoadStuckError, match=r"the model of far@1 was not fetched within 5 s"):
        await task
    await residency.work()


async def test_a_disk_that_hangs_holds_up_no_estimate_nor_is_asked_of_what_is_here() -> None:
    looking = ManualExecutor()
    residency = ResidencyFixture(100, looking=looking)
    residency.loader.afar = {digest_of("far")}
    (await residency.have("a")).release()
    assert await estimated_s(residency.manager, make_manifest("a")) == 0.0
    assert not looking.waiting, "nothing of it is missing"
    with time_of_the_loop(residency):
        asking = asyncio.ensure_future(explain(residency.manager, make_manifest("far")))
        await settle()
        assert len(looking.waiting) == 1
        residency.clock.now_s += 0.3
        await settle()
        found = await asking
    assert [part.tier for part in found.parts] == [Tier.REMOTE]
    assert found.fits
    (await residency.have("b")).release()


class FakeCatalog:
    """One version of each voice that is on it."""

    def __init__(self, *voices: str) -> None:
        self.voices = voices

    def record(self, voice_id: str) -> Any:
        if voice_id not in self.voices:
            raise VoiceNotFoundError(voice_id)
        return SimpleNamespace(versions=(1,))


async def test_a_voice_that_vanished_once_and_came_back_stays_after_each_use() -> None:
    residency = ResidencyFixture(100)
    speaking = await residency.have("a")
    retire_deleted(residency.manager, cast("Catalog", FakeCatalog()))
    retire_deleted(residency.manager, cast("Catalog", FakeCatalog("a")))
    speaking.release()
    await residency.work()
    for _ in range(3):
        (await residency.have("a")).release()
    assert residency.loader.loads == ["a"]


async def test_lines_from_the_audio_cache_count_as_use() -> None:
    residency = ResidencyFixture(20)
    for name in "ab":
        (await residency.have(name)).release()
    residency.clock.now_s += 1
    residency.manager.used(make_manifest("a"))
    residency.manager.used(make_manifest("unknown"))
    (await residency.have("c")).release()
    assert residency.evicted() == [("b@1",)]


async def test_figures_may_be_read_by_any_thread_while_they_change() -> None:
    residency = ResidencyFixture(60)
    faults: list[BaseException] = []
    ended = threading.Event()

    def read() -> None:
        try:
            while not ended.is_set():
                books = residency.manager.statistics()
                assert 0 <= books.free_bytes <= books.budget_bytes == 60
                assert residency.manager.held_leases() >= 0
                assert residency.manager.lru_age_s() >= 0
        except BaseException as error:  # noqa: BLE001 - told below
            faults.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for turn in range(150):
            (await residency.have(f"v{turn % 13}", 7)).release()
    finally:
        ended.set()
        reader.join()
    assert not faults
