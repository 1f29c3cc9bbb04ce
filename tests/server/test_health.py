"""Health: from one place for server and voices; watchers that hold up nobody; a failing store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tests.fakes.clocks import FakeClock
from tests.fakes.executors import settle
from tests.registry.drafts import make_draft
from tests.registry.faults import HookedObjects
from tests.registry.stores import memory_objects
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import RegistryError
from voxswap_registry.layout import blob_key
from voxswap_registry.store import Registry
from voxswap_server.doors.grpc.health import HealthServicer
from voxswap_server.residency.bars import Bars
from voxswap_server.speech.serving import Serving

_Status = health_pb2.HealthCheckResponse


class House:
    """A bucket with one voice, its health, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.objects = HookedObjects(memory_objects())
        self.registry = Registry(self.objects)
        self.manifest = self.registry.publish(make_draft(folder, "npc/smith"))
        self.catalog = Catalog(self.registry)
        self.catalog.refresh()
        self.clock = FakeClock()
        self.bars = Bars(self.clock)
        self.serving = Serving(self.bars, long_engines=frozenset({"kokoro"}))
        self.serving.become_ready()
        self.health = HealthServicer(
            self.catalog,
            self.serving,
            ("voxswap.v1.SpeechService",),
            poll_s=1.0,
            most_watchers=3,
            clock=self.clock,
        )

    async def status(self, voice: str = "npc/smith") -> str:
        return await self.of(f"voices/{voice}")

    async def of(self, service: str) -> str:
        return str(_Status.ServingStatus.Name(await self.health.status(service)))


class Watching:
    """A call of Watch, whose client reads when it is told to."""

    def __init__(self, house: House, service: str = "", *, reads: bool = True) -> None:
        self.reads = asyncio.Event()
        if reads:
            self.reads.set()
        self.got: list[str] = []
        request = health_pb2.HealthCheckRequest(service=service)
        self.task = asyncio.ensure_future(house.health.Watch(request, self))  # type: ignore[arg-type]

    async def write(self, answer: health_pb2.HealthCheckResponse) -> None:
        await self.reads.wait()
        self.got.append(_Status.ServingStatus.Name(answer.status))

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise AssertionError((code, details))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.catalog.close()


async def test_a_voice_serves_if_its_components_are_there(house: House) -> None:
    assert await house.status() == "SERVING"
    assert await house.status("npc/smith@1") == "SERVING"
    assert await house.status("npc/nobody") == "SERVICE_UNKNOWN"
    assert await house.status("../x") == "SERVICE_UNKNOWN"
    house.objects.inner.delete(blob_key(house.manifest.component("model").digest))
    house.clock.now_s += 1.0
    assert await house.status() == "NOT_SERVING"


async def test_an_answer_is_good_for_a_second(house: House) -> None:
    house.objects.calls.clear()
    for _ in range(5):
        assert await house.status() == "SERVING"
    assert len({call for call in house.objects.calls if call[0] == "head"}) == 2
    asked = len(house.objects.calls)
    house.clock.now_s += 1.0
    assert await house.status() == "SERVING"
    assert len(house.objects.calls) == 2 * asked


async def test_a_store_that_fails_says_nothing_of_a_voice(house: House) -> None:
    house.objects.fail("head", "blobs", RegistryError("the store is gone"))
    assert await house.status() == "SERVING"
    house.objects.heal()
    house.objects.inner.delete(blob_key(house.manifest.component("model").digest))
    house.clock.now_s += 1.0
    assert await house.status() == "NOT_SERVING"
    house.objects.fail("head", "blobs", RegistryError("the store is gone"))
    house.clock.now_s += 1.0
    assert await house.status() == "NOT_SERVING"  # It was damaged when it was last seen.


@pytest.mark.parametrize("service", ["", "voxswap.v1.SpeechService", "voices/npc/smith"])
async def test_one_answer_for_server_services_and_voices(house: House, service: str) -> None:
    assert await house.of(service) == "SERVING"
    house.serving.set_threads(may_be_long=False, are_there=False)
    assert await house.of(service) == "NOT_SERVING"
    house.serving.set_threads(may_be_long=False, are_there=True)
    house.serving.set_threads(may_be_long=True, are_there=False)
    assert await house.of(service) == "SERVING", "it needs no thread for long steps"
    house.serving.drain()
    house.serving.become_ready()
    assert await house.of(service) == "NOT_SERVING", "the end is for good"


async def test_not_ready_is_not_serving(house: House) -> None:
    house.health._serving = Serving(house.bars)
    assert {await house.of(s) for s in ("", "voices/npc/smith")} == {"NOT_SERVING"}


async def test_a_barred_version_does_not_serve_and_others_do(house: House) -> None:
    house.bars.bar("npc/smith@1")
    assert await house.status("npc/smith@1") == await house.status() == "NOT_SERVING"
    assert await house.of("") == "SERVING"
    house.clock.now_s += 60.0
    assert await house.status() == "SERVING"


async def test_what_is_neither_service_nor_voice_is_not_known(house: House) -> None:
    watching = Watching(house, "nothing")
    await settle()
    assert watching.got == ["SERVICE_UNKNOWN"]
    assert not watching.task.done(), "it may come"
    with pytest.raises(AssertionError, match="NOT_FOUND"):
        await house.health.Check(health_pb2.HealthCheckRequest(service="nothing"), watching)
    watching.task.cancel()


async def test_a_watcher_that_does_not_read_holds_up_nobody(house: House) -> None:
    slow, quick = Watching(house, reads=False), Watching(house)
    await settle()
    house.serving.set_threads(may_be_long=False, are_there=False)
    await settle()
    late = Watching(house)
    await settle()
    house.serving.set_threads(may_be_long=False, are_there=True)
    house.serving.drain()
    await asyncio.wait_for(asyncio.wait([quick.task, late.task]), 10)
    assert quick.got == ["SERVING", "NOT_SERVING"]
    assert late.got == ["NOT_SERVING"]
    assert not slow.task.done()
    slow.reads.set()
    await asyncio.wait_for(slow.task, 10)
    assert slow.got == ["SERVING", "NOT_SERVING"], "what had been written, and the latest"


async def test_a_change_while_an_answer_is_written_is_not_missed(house: House) -> None:
    watching = Watching(house, reads=False)
    await settle()
    house.serving.set_threads(may_be_long=False, are_there=False)
    watching.reads.set()
    await settle()
    assert watching.got == ["SERVING", "NOT_SERVING"]
    watching.task.cancel()


async def test_so_many_watch_and_no_more(house: House) -> None:
    watching = [Watching(house) for _ in range(3)]
    await settle()
    with pytest.raises(AssertionError, match="RESOURCE_EXHAUSTED"):
        await Watching(house).task
    watching[0].task.cancel()
    await settle()
    another = Watching(house)
    await settle()
    assert another.got == ["SERVING"]
    for watcher in (*watching, another):
        watcher.task.cancel()
