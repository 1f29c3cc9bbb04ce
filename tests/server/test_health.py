"""Health of voices: what a failing store changes, and how often it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2

from tests.registry.drafts import make_draft
from tests.registry.faults import HookedObjects
from tests.registry.stores import memory_objects
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import RegistryError
from voxswap_registry.layout import blob_key
from voxswap_registry.store import Registry
from voxswap_server.rpc.health import HealthServicer

_Status = health_pb2.HealthCheckResponse


class House:
    """A bucket with one voice, its health, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.objects = HookedObjects(memory_objects())
        self.registry = Registry(self.objects)
        self.manifest = self.registry.publish(make_draft(folder, "npc/smith"))
        self.catalog = Catalog(self.registry)
        self.catalog.refresh()
        self.now_s = 100.0
        self.health = HealthServicer(self.catalog, poll_s=1.0, clock=lambda: self.now_s)

    async def status(self, voice: str = "npc/smith") -> str:
        answer = await self.health._voice_status(f"voices/{voice}")
        return str(_Status.ServingStatus.Name(answer))


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
    house.now_s += 1.0
    assert await house.status() == "NOT_SERVING"


async def test_an_answer_is_good_for_a_second(house: House) -> None:
    house.objects.calls.clear()
    for _ in range(5):
        assert await house.status() == "SERVING"
    assert len({call for call in house.objects.calls if call[0] == "head"}) == 2
    asked = len(house.objects.calls)
    house.now_s += 1.0
    assert await house.status() == "SERVING"
    assert len(house.objects.calls) == 2 * asked


async def test_a_store_that_fails_says_nothing_of_a_voice(house: House) -> None:
    house.objects.fail("head", "blobs", RegistryError("the store is gone"))
    assert await house.status() == "SERVING"
    house.objects.heal()
    house.objects.inner.delete(blob_key(house.manifest.component("model").digest))
    house.now_s += 1.0
    assert await house.status() == "NOT_SERVING"
    house.objects.fail("head", "blobs", RegistryError("the store is gone"))
    house.now_s += 1.0
    assert await house.status() == "NOT_SERVING"  # It was damaged when it was last seen.
