"""Stand-ins for slow things, driven by hand: an executor, a clock, a loader, manifests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from voxswap_registry.manifest import Audio, Component, FrontEndSpec, Manifest, Provenance
from voxswap_server.residency.loader import LoadedVoice


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class ManualExecutor(Executor):
    """Work waits until the test says `run_next`; then it runs on the spot."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def run_next(self, index: int = 0) -> None:
        future, work = self.waiting[index]
        del self.waiting[index]
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - as executors do
            future.set_exception(error)
        else:
            future.set_result(result)


@dataclass
class FakeVoice:
    resident_bytes: int

    def prepare(self, ids: object, delivery: object) -> Any:
        raise AssertionError("nobody speaks here")


class FakeFrontEnd:
    def symbols(self, text: object) -> Any:
        raise AssertionError("nobody reads here")


def make_manifest(voice_id: str = "a", size: int = 10, version: int = 1) -> Manifest:
    return Manifest(
        voice_id=voice_id,
        version=version,
        engine="fake",
        engine_config={},
        components=(Component("model", f"sha256:{0:064x}", size, "x/y"),),
        audio=Audio(22050, 256),
        language="en",
        front_end=FrontEndSpec("fake"),
        speakers={},
        defaults={},
        licence="",
        provenance=Provenance("", {}, "", "2026-01-01T00:00:00Z"),
    )


@dataclass
class FakeLoader:
    """One load key for each voice id; measures what the manifest says unless told otherwise."""

    faults: dict[str, Exception] = field(default_factory=dict)
    measured: dict[str, int] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)
    cancels_seen: int = 0

    def key(self, manifest: Manifest) -> str:
        return manifest.voice_id

    def footprint_bytes(self, manifest: Manifest) -> int:
        return manifest.size_bytes

    def load(self, manifest: Manifest, cancelled: Callable[[], bool]) -> LoadedVoice:
        self.loads.append(manifest.voice_id)
        if cancelled():
            self.cancels_seen += 1
            raise RuntimeError("cancelled")
        if manifest.voice_id in self.faults:
            raise self.faults[manifest.voice_id]
        size = self.measured.get(manifest.voice_id, manifest.size_bytes)
        return LoadedVoice(manifest.ref, FakeVoice(size), FakeFrontEnd())


async def settle() -> None:
    """Let every callback that is ready run, and those that they make ready."""
    for _ in range(25):
        await asyncio.sleep(0)
