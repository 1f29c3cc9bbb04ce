"""What a manager leans on, and one that leans on it: nothing happens but what a test does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.clocks import FakeClock
from tests.fakes.executors import ManualExecutor, ReadyExecutor, settle
from tests.fakes.family import FakeFrontEnd, FakePart, FakeVoice
from tests.fakes.manifests import make_manifest
from voxswap_families.contract import LoadedVoice
from voxswap_families.errors import DeviceMemoryError
from voxswap_registry.errors import EngineError
from voxswap_registry.manifest import Manifest
from voxswap_server.memory.plans import Lane, Limits
from voxswap_server.residency.errors import NotLocalError
from voxswap_server.residency.estimates import Tier
from voxswap_server.residency.events import EventKind, ResidencyEvent
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.plans import PartPlan, VoicePlan
from voxswap_server.residency.snapshot import State


@dataclass
class FakeLoader:
    """A part for each component, by digest; measures its size unless told otherwise.

    ``faults``, ``measured`` and ``refusals`` are by voice id for the part "model" and by role for
    the others. A refusal is used up by one load.
    """

    faults: dict[str, BaseException] = field(default_factory=dict)
    measured: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    misfits: set[str] = field(default_factory=set)
    loads: list[str] = field(default_factory=list)
    workspaces: dict[str, int] = field(default_factory=dict)
    cancels_seen: int = 0
    afar: set[str] = field(default_factory=set)  # keys of parts that are to be fetched first
    fetches: list[str] = field(default_factory=list)
    voice: FakeVoice | None = None  # what all of them are; None: each has its own
    front_end: FakeFrontEnd = field(default_factory=FakeFrontEnd)
    passing: Callable[[str], object] = lambda where: None  # "outlook" or "load", on its thread

    def plan(self, manifest: Manifest) -> VoicePlan:
        parts = tuple(PartPlan(c.digest, c.role, c, c.size_bytes) for c in manifest.components)
        workspace = self.workspaces.get(manifest.voice_id)
        lanes = () if workspace is None else (Lane(manifest.engine, workspace),)
        return VoicePlan("+".join(part.key for part in parts), manifest, parts, lanes)

    def load(self, plan: VoicePlan, part: PartPlan, cancelled: Callable[[], bool]) -> FakePart:
        name = plan.manifest.voice_id if part.role == "model" else part.role
        self.loads.append(name)
        self.passing("load")
        if cancelled():
            self.cancels_seen += 1
            raise RuntimeError("cancelled")
        if self.refusals.get(name, 0):
            self.refusals[name] -= 1
            raise DeviceMemoryError(f"fake: {part.footprint_bytes} bytes refused")
        if name in self.faults:
            raise self.faults[name]
        if part.key in self.afar:
            raise NotLocalError("fetch it first")
        return FakePart(self.measured.get(name, part.footprint_bytes))

    def is_here(self, part: PartPlan) -> bool:
        return part.key not in self.afar

    def fetch(self, plan: VoicePlan, part: PartPlan, cancelled: Callable[[], bool]) -> None:
        self.fetches.append(plan.manifest.voice_id)
        if cancelled():
            raise RuntimeError("cancelled")
        self.afar.discard(part.key)

    def assemble(self, plan: VoicePlan, parts: Mapping[str, object]) -> LoadedVoice:
        assert set(parts) == {part.role for part in plan.parts}
        if plan.manifest.voice_id in self.misfits:
            raise EngineError(f"{plan.manifest.ref}: the parts do not fit")
        return LoadedVoice(plan.manifest.ref, self.voice or FakeVoice(), self.front_end)

    def tier(self, part: PartPlan) -> Tier:
        self.passing("outlook")
        return Tier.DISK if self.is_here(part) else Tier.REMOTE

    def load_s(self, part: PartPlan, tier: Tier) -> float:
        return part.footprint_bytes / 1e3


@dataclass
class FakeDevice:
    """Counts what is given back to it."""

    name: str = "fake"
    given_back: int = 0
    kept: int = 0

    def held_bytes(self) -> int:
        return 0

    def kept_bytes(self) -> int:
        return self.kept

    def give_back(self, freed_bytes: int) -> None:
        self.given_back += freed_bytes

    def figures(self) -> str:
        return "the fake device is full"


class ResidencyFixture:
    """A manager and everything it leans on: nothing happens but what the test does."""

    def __init__(
        self,
        budget: int = 30,
        limits: Limits | None = None,
        loader: FakeLoader | None = None,
        looking: Executor | None = None,
    ) -> None:
        self.loader = loader or FakeLoader()
        self.executor = ManualExecutor()
        self.freeing = ManualExecutor()
        self.clock = FakeClock()
        self.device = FakeDevice()
        self.events: list[ResidencyEvent] = []
        self.manager = ModelManager(
            self.loader,
            self.executor,
            freeing=self.freeing,
            looking=looking or ReadyExecutor(),
            budget_bytes=budget,
            device=self.device,
            limits=limits or Limits(load_slots=8),
            clock=self.clock,
            observer=self.events.append,
        )

    def ask(self, voice: str | Manifest, size: int = 10, **kwargs: Any) -> asyncio.Task[Lease]:
        manifest = make_manifest(voice, size) if isinstance(voice, str) else voice
        return asyncio.ensure_future(self.manager.acquire(manifest, **kwargs))

    async def have(self, voice: str | Manifest, size: int = 10) -> Lease:
        task = self.ask(voice, size)
        await self.work()
        self.clock.now_s += 1
        return await task

    async def work(self) -> None:
        """Run what the executors have, and what that brings about, to the end."""
        await settle()
        while self.executor.waiting or self.freeing.waiting:
            (self.executor if self.executor.waiting else self.freeing).run_next()
            await settle()
            self.manager.check_integrity()
        self.manager.check_integrity()

    def states(self) -> dict[str, State]:
        return {r.refs[0].partition("@")[0]: r.state for r in self.manager.residents()}

    def queued(self) -> list[str]:
        """Voices that wait for memory, those that asked first first."""
        memory = self.manager.memory
        waiting = (claim for claim in memory.claims.values() if claim in memory.line)
        order = sorted(waiting, key=lambda claim: claim.place)
        return [min(claim.refs).partition("@")[0] for claim in order]

    def evicted(self) -> list[tuple[str, ...]]:
        return [e.voices for e in self.events if e.kind is EventKind.EVICTED]


@contextlib.contextmanager
def time_of_the_loop(residency: ResidencyFixture) -> Iterator[None]:
    """Let the loop's timers go by the residency's clock."""
    loop = asyncio.get_running_loop()
    loop.time = residency.clock  # type: ignore[method-assign]
    try:
        yield
    finally:
        del loop.time
