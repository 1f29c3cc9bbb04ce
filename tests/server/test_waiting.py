"""Who waits for whom, and for how long: the faults that the policies of `Memory` mend, as the
manager's callers meet them.
"""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.server.fakes import House, ManualExecutor, digest_of, make_manifest, settle
from tests.server.test_parts import time_of_the_loop
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
    house = House(100)
    speaking = await house.have("joe", 40)
    (await house.have("joe2", 20)).release()
    large = house.ask("kokoro", 90)
    await house.work()
    for seconds in (0.5, 2, 4):  # while it is new in line, exclusive, and for a while longer
        house.clock.now += seconds
        house.manager.tick()
        (await house.manager.acquire(make_manifest("joe2", 20))).release()
        small = house.ask(f"small{seconds}", 5)
        await house.work()
        (await small).release()
    assert not house.evicted()
    speaking.release()
    await house.work()
    (await large).release()


async def test_a_prefetch_holds_up_no_player_and_steps_back_for_one() -> None:
    house = House(100)
    speaking, ahead = await house.have("a", 40), Ahead(house.manager)
    await ahead.prepare([CastMember(make_manifest("opera", 60), 3_600.0)])
    await settle()
    assert house.states()["opera"] is State.LOADING
    player = house.ask("player", 50)
    await settle()
    assert house.states()["player"] is State.LOADING
    assert len(house.manager.memory.line) == 1, "what was begun ahead of need stands in line again"
    await house.work()
    (await player).release()
    assert house.loader.cancels_seen == 1
    speaking.release()
    await ahead.close()


async def test_a_prefetch_that_waits_is_passed_by_every_player() -> None:
    house = House(100)
    speaking, ahead = await house.have("a", 60), Ahead(house.manager)
    (await house.have("idle", 40)).release()
    house.clock.now += 100
    await ahead.prepare([CastMember(make_manifest("opera", 40), 3_600.0)])
    (await house.manager.acquire(make_manifest("idle", 40))).release()  # It is not long idle now.
    await house.work()
    lease = await house.have("player", 10)
    lease.release()
    speaking.release()
    await ahead.close()


async def test_fetching_holds_up_nothing_that_is_here() -> None:
    house = House(100, Limits(load_slots=1, fetch_slots=1))
    house.loader.afar = {digest_of("far"), digest_of("farther")}
    far = [house.ask("far"), house.ask("farther")]
    await settle()
    assert len(house.executor.waiting) == 1, "one slot for fetching"
    assert house.manager.statistics().charged_bytes == 0, "what is being fetched takes no memory"
    here = house.ask("here")
    await settle()
    house.executor.run_next(1)
    await settle()
    (await here).release()
    await house.work()
    for task in far:
        (await task).release()
    assert house.loader.fetches == ["far", "farther"]


async def test_what_turns_out_not_to_be_here_is_fetched_after_all() -> None:
    house = House(100)
    house.loader.is_here = lambda part: True  # type: ignore[method-assign]
    house.loader.afar = {digest_of("a")}
    (await house.have("a")).release()
    assert (house.loader.fetches, house.loader.loads) == (["a"], ["a", "a"])


async def test_a_fetch_that_hangs_is_told_as_such() -> None:
    house = House(100, Limits(fetch_timeout_s=5))
    house.loader.afar = {digest_of("far")}
    task = house.ask("far")
    await settle()
    house.clock.now += 6
    house.manager.tick()
    with pytest.raises(LoadStuckError, match=r"the model of far@1 was not fetched within 5 s"):
        await task
    await house.work()


async def test_a_disk_that_hangs_holds_up_no_estimate_nor_is_asked_of_what_is_here() -> None:
    looking = ManualExecutor()
    house = House(100, looking=looking)
    house.loader.afar = {digest_of("far")}
    (await house.have("a")).release()
    assert await estimated_s(house.manager, make_manifest("a")) == 0.0
    assert not looking.waiting, "nothing of it is missing"
    with time_of_the_loop(house):
        asking = asyncio.ensure_future(explain(house.manager, make_manifest("far")))
        await settle()
        assert len(looking.waiting) == 1
        house.clock.now += 0.3
        await settle()
        found = await asking
    assert [part.tier for part in found.parts] == [Tier.REMOTE]
    assert found.fits
    (await house.have("b")).release()


class Shelf:
    """One version of each voice that is on it."""

    def __init__(self, *voices: str) -> None:
        self.voices = voices

    def record(self, voice_id: str) -> Any:
        if voice_id not in self.voices:
            raise VoiceNotFoundError(voice_id)
        return SimpleNamespace(versions=(1,))


async def test_a_voice_that_vanished_once_and_came_back_stays_after_each_use() -> None:
    house = House(100)
    speaking = await house.have("a")
    retire_deleted(house.manager, cast("Catalog", Shelf()))
    retire_deleted(house.manager, cast("Catalog", Shelf("a")))
    speaking.release()
    await house.work()
    for _ in range(3):
        (await house.have("a")).release()
    assert house.loader.loads == ["a"]


async def test_lines_from_the_audio_cache_count_as_use() -> None:
    house = House(20)
    for name in "ab":
        (await house.have(name)).release()
    house.clock.now += 1
    house.manager.used(make_manifest("a"))
    house.manager.used(make_manifest("unknown"))
    (await house.have("c")).release()
    assert house.evicted() == [("b@1",)]


async def test_figures_may_be_read_by_any_thread_while_they_change() -> None:
    house = House(60)
    faults: list[BaseException] = []
    ended = threading.Event()

    def read() -> None:
        try:
            while not ended.is_set():
                books = house.manager.statistics()
                assert 0 <= books.free_bytes <= books.budget_bytes == 60
                assert house.manager.held_leases() >= 0
                assert house.manager.lru_age_s() >= 0
        except BaseException as error:  # noqa: BLE001 - told below
            faults.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for turn in range(150):
            (await house.have(f"v{turn % 13}", 7)).release()
    finally:
        ended.set()
        reader.join()
    assert not faults
