"""Health: from one place for server and voices; watchers that hold up nobody; a failing store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


class HealthFixture:
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
        self.servicer = HealthServicer(
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
        return str(_Status.ServingStatus.Name(await self.servicer.status(service)))


class Watching:
    """A call of Watch, whose client reads when it is told to."""

    def __init__(self, health: HealthFixture, service: str = "", *, reads: bool = True) -> None:
        self.reads = asyncio.Event()
        if reads:
            self.reads.set()
        self.got: list[str] = []
        request = health_pb2.HealthCheckRequest(service=service)
        self.task = asyncio.ensure_future(health.servicer.Watch(request, self))  # type: ignore[arg-type]

    async def write(self, answer: health_pb2.HealthCheckResponse) -> None:
        await self.reads.wait()
        self.got.append(_Status.ServingStatus.Name(answer.status))

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise AssertionError((code, details))


@pytest.fixture
def health(tmp_path: Path) -> Iterator[HealthFixture]:
    health = HealthFixture(tmp_path)
    yield health
    health.catalog.close()


async def test_a_voice_serves_if_its_components_are_there(health: HealthFixture) -> None:
    assert await health.status() == "SERVING"
    assert await health.status("npc/smith@1") == "SERVING"
    assert await health.status("npc/nobody") == "SERVICE_UNKNOWN"
    assert await health.status("../x") == "SERVICE_UNKNOWN"
    health.objects.inner.delete(blob_key(health.manifest.component("model").digest))
    health.clock.now_s += 1.0
    assert await health.status() == "NOT_SERVING"


async def test_an_answer_is_good_for_a_second(health: HealthFixture) -> None:
    health.objects.calls.clear()
    for _ in range(5):
        assert await health.status() == "SERVING"
    assert len({call for call in health.objects.calls if call[0] == "head"}) == 2
    asked = len(health.objects.calls)
    health.clock.now_s += 1.0
    assert await health.status() == "SERVING"
    assert len(health.objects.calls) == 2 * asked


async def test_a_store_that_fails_says_nothing_of_a_voice(health: HealthFixture) -> None:
    health.objects.fail("head", "blobs", RegistryError("the store is gone"))
    assert await health.status() == "SERVING"
    health.objects.heal()
    health.objects.inner.delete(blob_key(health.manifest.component("model").digest))
    health.clock.now_s += 1.0
    assert await health.status() == "NOT_SERVING"
    health.objects.fail("head", "blobs", RegistryError("the store is gone"))
    health.clock.now_s += 1.0
    assert await health.status() == "NOT_SERVING"  # It was damaged when it was last seen.


@pytest.mark.parametrize("service", ["", "voxswap.v1.SpeechService", "voices/npc/smith"])
async def test_one_answer_for_server_services_and_voices(
    health: HealthFixture, service: str
) -> None:
    assert await health.of(service) == "SERVING"
    health.serving.set_threads(may_be_long=False, are_there=False)
    assert await health.of(service) == "NOT_SERVING"
    health.serving.set_threads(may_be_long=False, are_there=True)
    health.serving.set_threads(may_be_long=True, are_there=False)
    assert await health.of(service) == "SERVING", "it needs no thread for long steps"
    health.serving.drain()
    health.serving.become_ready()
    assert await health.of(service) == "NOT_SERVING", "the end is for good"


async def test_not_ready_is_not_serving(health: HealthFixture) -> None:
    health.servicer._serving = Serving(health.bars)
    assert {await health.of(s) for s in ("", "voices/npc/smith")} == {"NOT_SERVING"}


async def test_a_barred_version_does_not_serve_and_others_do(health: HealthFixture) -> None:
    health.bars.bar("npc/smith@1")
    assert await health.status("npc/smith@1") == await health.status() == "NOT_SERVING"
    assert await health.of("") == "SERVING"
    health.clock.now_s += 60.0
    assert await health.status() == "SERVING"


async def test_what_is_neither_service_nor_voice_is_not_known(health: HealthFixture) -> None:
    watching = Watching(health, "nothing")
    await settle()
    assert watching.got == ["SERVICE_UNKNOWN"]
    assert not watching.task.done(), "it may come"
    context: Any = watching
    with pytest.raises(AssertionError, match="NOT_FOUND"):
        await health.servicer.Check(health_pb2.HealthCheckRequest(service="nothing"), context)
    watching.task.cancel()


async def test_a_watcher_that_does_not_read_holds_up_nobody(health: HealthFixture) -> None:
    slow, quick = Watching(health, reads=False), Watching(health)
    await settle()
    health.serving.set_threads(may_be_long=False, are_there=False)
    await settle()
    late = Watching(health)
    await settle()
    health.serving.set_threads(may_be_long=False, are_there=True)
    health.serving.drain()
    await asyncio.wait_for(asyncio.wait([quick.task, late.task]), 10)
    assert quick.got == ["SERVING", "NOT_SERVING"]
    assert late.got == ["NOT_SERVING"]
    assert not slow.task.done()
    slow.reads.set()
    await asyncio.wait_for(slow.task, 10)
    assert slow.got == ["SERVING", "NOT_SERVING"], "what had been written, and the latest"


async def test_a_change_while_an_answer_is_written_is_not_missed(health: HealthFixture) -> None:
    watching = Watching(health, reads=False)
    await settle()
    health.serving.set_threads(may_be_long=False, are_there=False)
    watching.reads.set()
    await settle()
    assert watching.got == ["SERVING", "NOT_SERVING"]
    watching.task.cancel()


async def test_so_many_watch_and_no_more(health: HealthFixture) -> None:
    watching = [Watching(health) for _ in range(3)]
    await settle()
    with pytest.raises(AssertionError, match="RESOURCE_EXHAUSTED"):
        await Watching(health).task
    watching[0].task.cancel()
    await settle()
    another = Watching(health)
    await settle()
    assert another.got == ["SERVING"]
    for watcher in (*watching, another):
        watcher.task.cancel()
