"""A registry for tours: one voice that always says a line in the same way, under several names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tests.registry.drafts import blob_path
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.manifest import Manifest
from voxswap_registry.store import Registry

#: Has a slash in its name, as voices of ours do.
STILL = "npc/still"
#: Pipecat's service for OpenAI takes the names of OpenAI's voices alone.
OPENAIS, OPENAIS_SLOW = "alloy", "echo"
#: The same, but half as quick: whoever changes voices hears it.
SLOW = "npc/slow"


def without_chance(joe: Manifest, joe_registry: Registry, folder: Path) -> Registry:
    """joe, and voices of its weights whose sound and durations are not drawn: no seed is needed."""
    registry = Registry(folder)
    parts = tuple(
        DraftComponent.instead(part, blob_path(joe_registry, part)) for part in joe.components
    )
    still = {**joe.defaults, "noise_scale": 0.0, "noise_w": 0.0}
    slow = {**still, "length_scale": 2.0 * joe.defaults.get("length_scale", 1.0)}
    voices = {"joe": joe.defaults, STILL: still, OPENAIS: still, SLOW: slow, OPENAIS_SLOW: slow}
    for name, defaults in voices.items():
        draft = dataclasses.replace(VoiceDraft.of(joe, parts), voice_id=name, defaults=defaults)
        registry.publish(draft)
    return registry
