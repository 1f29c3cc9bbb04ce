"""From a manifest to parts that can compute, and from those to a voice that can speak.

This is the slow half of a swap; residency runs `Loader.load` on its loading threads.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from typing import Protocol

from voxswap_families.contract import DevicePart, Engine, HostPart, LoadedVoice
from voxswap_registry.components import Components
from voxswap_registry.errors import EngineError, GraphNotTrustedError
from voxswap_registry.graphs import GraphTrust, graph_roles
from voxswap_registry.kept import Kept, held_bytes
from voxswap_registry.manifest import Manifest
from voxswap_registry.storage.download import Check
from voxswap_registry.storage.verified import VerifiedFile
from voxswap_server.memory.plans import Lane
from voxswap_server.residency.errors import FabricatedVoiceError, NotLocalError
from voxswap_server.residency.estimates import LoadEstimates, Tier
from voxswap_server.residency.host_tier import HostTier
from voxswap_server.residency.plans import PartPlan, VoicePlan

# A plan holds its manifest: 20 KB for a usual voice, half a megabyte for the largest.
_PLANS_BYTES = 64 << 20
_MOST_SEEN, _FETCHED_S = 65_536, 60.0
_TRIES = 3  # to read a file that is written to meanwhile


class Loader(Protocol):
    """What residency needs of whoever loads."""

    def plan(self, manifest: Manifest) -> VoicePlan:
        """What the voice needs; never blocks. Raises `EngineError` or `ManifestError`."""
        ...

    def load(self, plan: VoicePlan, part: PartPlan, cancelled: Callable[[], bool]) -> DevicePart:
        """Blocks. Stops soon, with any exception, once ``cancelled()`` is true.

        Raises `NotLocalError` if its bytes are to be fetched first.
        """
        ...

    def assemble(self, plan: VoicePlan, parts: Mapping[str, DevicePart]) -> LoadedVoice:
        """The voice of ``parts``, by role; takes microseconds. Raises `EngineError`."""
        ...

    def is_here(self, part: PartPlan) -> bool:
        """Whether its bytes need not be fetched, as far as is known; never blocks."""
        ...

    def fetch(self, plan: VoicePlan, part: PartPlan, cancelled: Callable[[], bool]) -> None:
        """See to it that `load` finds the bytes on this machine. Blocks; stops as `load` does."""
        ...

    def tier(self, part: PartPlan) -> Tier:
        """Where the bytes are of a part that is not on the device. Blocks on the disk."""
        ...

    def load_s(self, part: PartPlan, tier: Tier) -> float:
        """How many seconds a part is away that lies there; never blocks."""
        ...


class VoiceLoader:
    """Loads from a registry with the engines at hand. `plan` is for one thread, the rest for any.

    ``largest_chunk_s`` is the most audio that a step decodes. Without ``graphs``, none is trusted.
    Voices that were made up are refused unless ``allow_fabricated``.
    """

    def __init__(
        self,
        components: Components,
        engines: Mapping[str, Engine],
        *,
        largest_chunk_s: float = 2.5,
        host_tier: HostTier | None = None,
        graphs: GraphTrust | None = None,
        allow_fabricated: bool = False,
    ) -> None:
        self._components = components
        self._allow_fabricated = allow_fabricated
        self._graphs = graphs
        self._engines = engines
        self._largest_chunk_s = largest_chunk_s
        self._host_tier = host_tier
        self._estimates = LoadEstimates()
        self._plans: Kept[VoicePlan] = Kept(_PLANS_BYTES)
        self._here: dict[str, float] = {}  # when each was seen on this disk, by identity

    def plan(self, manifest: Manifest) -> VoicePlan:
        """What its engine says."""
        plan = self._plans.get(manifest.ref)
        # The catalog hands out the same object again; another one may be another registry's.
        if plan is None or plan.manifest is not manifest:
            plan = self._make_plan(manifest)
            self._plans.put(manifest.ref, plan, held_bytes(plan))
        return plan

    @property
    def kept_bytes(self) -> int:
        """Of plans that were made, with their manifests."""
        return self._plans.size_bytes

    def _make_plan(self, manifest: Manifest) -> VoicePlan:
        # Whoever made the manifest and however old it is: nothing is computed with one that was
        # not checked.
        self.check(manifest)
        engine = self._engine(manifest)
        parts = []
        graphs = graph_roles(manifest.engine)
        workspace = engine.workspace_bytes(manifest, largest_chunk_s=self._largest_chunk_s)
        for spec in engine.parts(manifest):
            component = manifest.component(spec.role)
            if spec.role in graphs:
                # Operators trust a graph by its name, so that is what its bytes are checked by.
                component = component.by_name()
            parts.append(
                PartPlan(
                    f"{engine.name}:{spec.role}:{spec.form}:{component.identity}",
                    spec.role,
                    component,
                    spec.footprint_bytes,
                    most_bytes_per_s=spec.most_bytes_per_s,
                )
            )
        lanes = (Lane(engine.name, workspace),)
        keys = json.dumps([part.key for part in parts])
        key = hashlib.sha256(keys.encode()).hexdigest()[:32]
        return VoicePlan(key, manifest, tuple(parts), lanes)

    def check(self, manifest: Manifest) -> None:
        """Raise `EngineError` or `ManifestError` if ``manifest`` could never be loaded here.

        Reads no component and never blocks.
        """
        manifest.check(where=manifest.ref)
        if manifest.fabricated and not self._allow_fabricated:
            raise FabricatedVoiceError(
                f"{manifest.ref} was made up with random weights (voxswap voices fabricate), and "
                "says nothing; use another voice, or start the server with --allow-fabricated true"
            )
        self._engine(manifest).check(manifest)

    def check_graphs(self, manifest: Manifest) -> None:
        """Raise `GraphNotTrustedError` if ``manifest`` brings a graph that no operator trusts.

        Blocks on the store.
        """
        if roles := graph_roles(manifest.engine):
            self._trust(manifest).check(manifest, roles)

    def _trust(self, manifest: Manifest) -> GraphTrust:
        if self._graphs is None:
            raise GraphNotTrustedError(f"{manifest.ref} has a graph, and no graph is trusted here")
        return self._graphs

    def load(self, plan: VoicePlan, part: PartPlan, cancelled: Callable[[], bool]) -> DevicePart:
        """Check the digest of a component and take it up. Blocks on disk.

        ``cancelled`` is asked at each block of bytes and before each stage; once it is true,
        `concurrent.futures.CancelledError` is raised. Raises `NotLocalError` for what is to be
        fetched first.
        """
        tier, began = self.tier(part), time.perf_counter()
        if tier is Tier.REMOTE and not self._was_fetched_just_now(part):
            raise NotLocalError(f"the {part.role} of {plan.manifest.ref} is to be fetched first")
        kept = self._host_tier.find(part.key) if self._host_tier else None
        loaded = kept.place() if kept else self._from_disk(plan.manifest, part, cancelled)
        took_s = time.perf_counter() - began
        self._estimates.record(part.kind, tier, part.component.size_bytes, took_s)
        return loaded

    def _from_disk(
        self, manifest: Manifest, part: PartPlan, cancelled: Callable[[], bool]
    ) -> DevicePart:
        engine = self._engine(manifest)
        if part.role in graph_roles(manifest.engine):
            self._trust(manifest).check_loaded(manifest, part.role)
        with self._components.hold(part.component, cancelled=cancelled) as file:
            _refuse_cancelled(manifest, cancelled)
            # What it maps stays mapped, even if the cache drops the file later.
            host_part, loaded = _taken_up(
                engine, manifest, part.role, file, lambda: _refuse_cancelled(manifest, cancelled)
            )
        _refuse_cancelled(manifest, cancelled)
        if self._host_tier:
            self._host_tier.keep(part.key, host_part)
        return loaded

    def assemble(self, plan: VoicePlan, parts: Mapping[str, DevicePart]) -> LoadedVoice:
        """As its engine does."""
        return self._engine(plan.manifest).assemble(plan.manifest, parts)

    def is_here(self, part: PartPlan) -> bool:
        """What was seen on this disk counts as being there, until it turns out not to be."""
        return not self._components.are_fetched or part.component.identity in self._here

    def fetch(self, plan: VoicePlan, part: PartPlan, cancelled: Callable[[], bool]) -> None:
        """Into the cache on this disk, and checked there; nothing if it is there already."""
        if self.tier(part) is Tier.REMOTE:
            began = time.perf_counter()
            with self._components.hold(part.component, cancelled=cancelled):
                _refuse_cancelled(plan.manifest, cancelled)
            took_s = time.perf_counter() - began
            self._estimates.record(part.kind, Tier.REMOTE, part.component.size_bytes, took_s)
        self._here[part.component.identity] = time.monotonic()
        while len(self._here) > _MOST_SEEN:
            self._here.pop(next(iter(self._here)), None)

    def _was_fetched_just_now(self, part: PartPlan) -> bool:
        """Then it is no use to fetch it again first: the cache is too small, so `load` does it."""
        fetched_s = self._here.pop(part.component.identity, -math.inf)
        return not self._components.are_fetched or time.monotonic() < fetched_s + _FETCHED_S

    def load_s(self, part: PartPlan, tier: Tier) -> float:
        """An estimate from earlier loads and fetches."""
        tiers = (tier, Tier.DISK) if tier is Tier.REMOTE else (tier,)
        size, most = part.component.size_bytes, part.most_bytes_per_s
        return sum(
            self._estimates.load_s(part.kind, each, size, most_bytes_per_s=most) for each in tiers
        )

    def tier(self, part: PartPlan) -> Tier:
        """Host, disk or remote."""
        if self._host_tier is not None and self._host_tier.has(part.key):
            return Tier.HOST
        return Tier.DISK if self._components.is_local(part.component) else Tier.REMOTE

    def _engine(self, manifest: Manifest) -> Engine:
        engine = self._engines.get(manifest.engine)
        if engine is None:
            raise EngineError(
                f"{manifest.ref} needs the engine {manifest.engine!r}, and this server has "
                f"{', '.join(sorted(self._engines))}; serve it with a voxswap that has it"
            )
        return engine


def _taken_up(
    engine: Engine, manifest: Manifest, role: str, file: VerifiedFile, check: Check
) -> tuple[HostPart, DevicePart]:
    """The component in host memory, and on the device.

    What was copied while the file was written to is no good, whatever is in the file now: then it
    is hashed and read again. That may have been for a link, made or removed, so it is no fault.
    Raises `RegistryError` if it happens each time.
    """
    for _ in range(_TRIES):
        host_part = engine.read(manifest, role, file)
        loaded = host_part.place()
        if file.is_unchanged():
            return host_part, loaded
        del host_part, loaded  # before as much is taken again
        file.verify(check)
    raise file.never_at_rest()


def _refuse_cancelled(manifest: Manifest, cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise CancelledError(f"loading {manifest.ref}")
