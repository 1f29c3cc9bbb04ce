"""Residency on a CUDA device: what the ledger says beside what torch's allocator says."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch

from tests.registry.drafts import blob_path
from voxswap_families.contract import Delivery
from voxswap_families.vits.engine import VitsEngine
from voxswap_families.work import finished
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_server.residency.device import CudaDevice
from voxswap_server.residency.errors import DeviceRefusedError
from voxswap_server.residency.host_tier import HostTier
from voxswap_server.residency.loader import VoiceLoader
from voxswap_server.residency.manager import ModelManager
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.frontends import make_front_end

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DEVICE = "cuda:0"
LINE = [1, 0, *(i for symbol in range(20, 80) for i in (symbol, 0)), 2]
DELIVERY = Delivery(rate=1.0, seed=7, controls={"noise_scale": 0.667, "duration_noise_scale": 0.8})


@pytest.fixture(scope="module")
def voices(
    joe: Manifest, joe_registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Registry, list[Manifest]]:
    """Five voices of joe's size, none of which shares its weights."""
    folder: Path = tmp_path_factory.mktemp("gpu")
    registry = Registry(folder / "registry")
    model, table = joe.component("model"), joe.component("symbols")
    data = bytearray(blob_path(joe_registry, model).read_bytes())
    for i in range(5):
        data[-4:] = bytes([i, 0, 0, 0x38])
        path = folder / f"{i}"
        path.write_bytes(data)
        components = (
            DraftComponent.instead(model, path),
            DraftComponent.instead(table, blob_path(joe_registry, table)),
        )
        registry.publish(dataclasses.replace(VoiceDraft.of(joe, components), voice_id=f"v{i}"))
    return registry, [registry.resolve(VoiceRef(f"v{i}")) for i in range(5)]


@contextlib.asynccontextmanager
async def managing(registry: Registry, budget_bytes: int) -> AsyncIterator[ModelManager]:
    host_tier = HostTier(300 << 20)
    espeak = Espeak()
    engine = VitsEngine(DEVICE, front_ends=partial(make_front_end, espeak=espeak))
    loader = VoiceLoader(
        registry.components,
        {"vits": engine},
        host_tier=host_tier,
    )
    with ThreadPoolExecutor(4) as loading, ThreadPoolExecutor(1) as freeing:
        manager = ModelManager(
            loader,
            loading,
            freeing=freeing,
            budget_bytes=budget_bytes,
            device=CudaDevice(DEVICE),
        )
        try:
            yield manager
            manager.check_integrity()
            host_tier.check_integrity()
        finally:
            await manager.close()
            espeak.close()


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(DEVICE)
    yield
    torch.cuda.empty_cache()


async def test_the_allocator_never_holds_more_than_the_budget(
    voices: tuple[Registry, list[Manifest]],
) -> None:
    registry, manifests = voices
    before = torch.cuda.memory_reserved(DEVICE)
    async with managing(registry, 420 << 20) as manager:
        for turn in range(30):
            with await manager.acquire(manifests[turn % 5]) as lease:
                utterance = finished(lease.loaded.voice.prepare(LINE, DELIVERY))
                finished(utterance.decode(0, utterance.frames))
                del utterance
            books = manager.statistics()
            assert torch.cuda.memory_allocated(DEVICE) <= books.budget_bytes
        assert torch.cuda.max_memory_reserved(DEVICE) - before <= books.budget_bytes
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved(DEVICE) <= before + (2 << 20), (
        "what was evicted is given back"
    )


async def test_what_is_measured_is_what_the_allocator_gave(
    voices: tuple[Registry, list[Manifest]],
) -> None:
    registry, manifests = voices
    async with managing(registry, 1 << 30) as manager:
        (await manager.acquire(manifests[0])).release()
        first = torch.cuda.memory_allocated(DEVICE)
        (await manager.acquire(manifests[1])).release()
        part = next(p for p in manager.resident_parts() if p.voices == (manifests[1].ref,))
        assert torch.cuda.memory_allocated(DEVICE) - first == part.size_bytes


async def test_a_device_that_is_full_fails_that_load_alone(
    voices: tuple[Registry, list[Manifest]],
) -> None:
    registry, manifests = voices
    async with managing(registry, 1 << 30) as manager:
        (await manager.acquire(manifests[0])).release()
        total = torch.cuda.mem_get_info(DEVICE)[1]
        held = torch.cuda.memory_reserved(DEVICE)
        torch.cuda.set_per_process_memory_fraction((held + (8 << 20)) / total, DEVICE)
        try:
            with await manager.acquire(manifests[0]):
                with pytest.raises(DeviceRefusedError, match="refused"):
                    await manager.acquire(manifests[1])
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, DEVICE)
        manager.check_integrity()
        (await asyncio.wait_for(manager.acquire(manifests[1], insist=True), 30)).release()
