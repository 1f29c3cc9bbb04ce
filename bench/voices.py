"""Voices in this process, for benchmarks that measure without a server."""

from __future__ import annotations

from voxswap_families.contract import Engine, LoadedVoice
from voxswap_registry.graphs import GraphTrust
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_server.residency.loader import VoiceLoader


def load_voice(registry: Registry, name: str, engine: Engine) -> LoadedVoice:
    """The newest version of the voice called ``name``, as a server loads it. Blocks."""
    trusted = GraphTrust(registry.objects)
    loader = VoiceLoader(registry.components, {engine.name: engine}, graphs=trusted)
    plan = loader.plan(registry.resolve(VoiceRef(name)))
    parts = {part.role: loader.load(plan, part, lambda: False) for part in plan.parts}
    return loader.assemble(plan, parts)
