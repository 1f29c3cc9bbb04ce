"""What a voice needs in memory, before anything is loaded: values, without behaviour."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from voxswap_registry.manifest import Component, Manifest
from voxswap_server.memory.plans import Lane, Plan
from voxswap_server.memory.plans import PartPlan as Need


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part of a voice. Voices whose plans have a part with one key share it.

    What manifests say differently of the same bytes is not shared: one of them is wrong, and its
    loads fail alone. ``most_bytes_per_s`` is how fast it is taken up at best.
    """

    key: str
    role: str
    component: Component
    footprint_bytes: int
    most_bytes_per_s: float = math.inf

    @property
    def kind(self) -> str:
        """What parts have in common that are loaded alike."""
        return self.key.removesuffix(self.component.identity)


@dataclass(frozen=True, slots=True)
class VoicePlan:
    """A voice, its parts and the lanes it is computed in. Manifests with one ``key`` share it."""

    key: str
    manifest: Manifest
    parts: tuple[PartPlan, ...]
    lanes: tuple[Lane, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Of the voice and of its parts: whatever may have failed before."""
        return (self.key, *(part.key for part in self.parts))

    def needs(self, is_here: Callable[[PartPlan], bool]) -> Plan:
        """For `Memory`; each part says where it comes from."""
        parts = tuple(
            Need(part.key, part.footprint_bytes, is_here(part), Source(self, part))
            for part in self.parts
        )
        return Plan(self.key, parts, self.lanes)


@dataclass(frozen=True, slots=True)
class Source:
    """A part, and the voice that it was first wanted for."""

    voice: VoicePlan
    part: PartPlan

    @property
    def name(self) -> str:
        """For messages."""
        return f"the {self.part.role} of {self.voice.manifest.ref}"


def source_of(need: Need) -> Source:
    """What `VoicePlan.needs` put there."""
    source = need.source
    assert isinstance(source, Source)  # noqa: S101
    return source
