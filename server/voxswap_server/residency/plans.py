"""What a voice needs in memory, before anything is loaded: values, without behaviour."""

from __future__ import annotations

import math
from dataclasses import dataclass

from voxswap_registry.manifest import Component, Manifest


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part of a voice. Voices whose plans have a part with one key share it.

    What manifests say differently of the same bytes is not shared: one of them is wrong, and its
    loads fail alone.

    ``workspace_bytes`` is what the largest step of a voice with this part needs beside all parts;
    of a voice's parts, the largest has it. ``most_bytes_per_s`` is how fast it is taken up at best.
    """

    key: str
    role: str
    component: Component
    footprint_bytes: int
    workspace_bytes: int = 0
    most_bytes_per_s: float = math.inf

    @property
    def kind(self) -> str:
        """What parts have in common that are loaded alike."""
        return self.key.removesuffix(self.component.identity)


@dataclass(frozen=True, slots=True)
class VoicePlan:
    """A voice and its parts. Manifests with one ``key`` share the assembled voice."""

    key: str
    manifest: Manifest
    parts: tuple[PartPlan, ...]

    @property
    def workspace_bytes(self) -> int:
        """What its largest step needs beside the parts."""
        return max((part.workspace_bytes for part in self.parts), default=0)

    @property
    def footprint_bytes(self) -> int:
        """An upper bound of what it takes if nothing of it is there."""
        return sum(part.footprint_bytes for part in self.parts)

    @property
    def keys(self) -> tuple[str, ...]:
        """Of the voice and of its parts: whatever may have failed before."""
        return (self.key, *(part.key for part in self.parts))
