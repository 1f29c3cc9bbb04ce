"""Which voices cost about the same to speak with."""

from __future__ import annotations

import json
from collections.abc import Hashable

from voxswap_registry.manifest import Manifest


def kind_of(manifest: Manifest) -> Hashable:
    """Voices of one kind cost about the same to speak with."""
    return manifest.engine, json.dumps(manifest.engine_config, sort_keys=True, default=dict)
