"""Drafts with a few bytes for weights, and the worker functions of other processes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_registry.catalog.catalog import Catalog, VoiceListing
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.layout import blob_key
from voxswap_registry.manifest import Audio, Component, FrontEndSpec, Manifest, Provenance
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.store import Registry

CRASHED = 77

# As narrow as a VITS can be, with speakers for whoever names some. Nobody reads its weights.
_TINY = VitsArchitecture(
    n_symbols=3,
    hidden=2,
    inter=2,
    filter_hidden=2,
    n_layers=1,
    n_heads=1,
    kernel_size=3,
    attention_window=4,
    flow_layers=1,
    flow_wavenet_layers=1,
    flow_kernel_size=5,
    dp_hidden=2,
    dp_kernel_size=3,
    dp_flows=2,
    dp_dds_layers=1,
    dp_bins=10,
    resblock=2,
    resblock_kernels=(3,),
    resblock_dilations=((1, 2),),
    upsample_rates=(8, 8, 4),
    upsample_kernels=(16, 16, 8),
    upsample_initial=8,
    n_speakers=8,
    gin=2,
)
#: The ``engine_config`` of it, as JSON gives it back.
TINY: dict[str, Any] = json.loads(json.dumps(_TINY.to_config()))


def make_draft(
    folder: Path, voice_id: str = "npc/smith", data: bytes = b"weights", **changes: Any
) -> VoiceDraft:
    folder.mkdir(parents=True, exist_ok=True)
    model, symbols = folder / "model.safetensors", folder / "symbols.json"
    model.write_bytes(data)
    symbols.write_bytes(b"{}")
    fields: dict[str, Any] = {
        "voice_id": voice_id,
        "engine": "vits",
        "engine_config": TINY,
        "components": (
            DraftComponent("model", model, "application/vnd.safetensors"),
            DraftComponent("symbols", symbols, "application/json"),
        ),
        "audio": Audio(22050, 256),
        "language": "en-US",
        "front_end": FrontEndSpec("espeak", {"voice": "en-us"}),
        "speakers": {},
        "defaults": {"noise_scale": 0.667},
        "licence": "CC0",
        "provenance": Provenance("test", {}, "voxswap", "2026-01-02T12:00:00Z"),
    }
    return VoiceDraft(**(fields | changes))


def listings(registry: Registry) -> list[VoiceListing]:
    """All voices, as a fresh catalog lists them."""
    with Catalog(registry) as catalog:
        catalog.refresh()
        return list(catalog.listings())


def root_of(registry: Registry) -> Path:
    """The folder of a local registry."""
    assert isinstance(registry.objects, FolderObjects)
    return registry.objects.root


def blob_path(registry: Registry, component: Component) -> Path:
    """Where a component's bytes lie."""
    path = registry.objects.path(blob_key(component.digest))
    assert path is not None
    return path


def blob_paths(registry: Registry, manifest: Manifest) -> dict[str, Path]:
    """Where the bytes of a version's components lie, by role; hashed just now."""
    for component in manifest.components:
        registry.verify(component)
    return {c.role: blob_path(registry, c) for c in manifest.components}


def publish_many(root: str, folder: str, n: int, barrier: Any) -> None:
    """Publish ``n`` versions, beginning together with the other process at ``barrier``."""
    registry = Registry(Path(root))
    draft = make_draft(Path(folder), data=os.urandom(64))
    barrier.wait()
    for _ in range(n):
        registry.publish(draft)


def publish_and_die(root: str, folder: str, at_step: int) -> None:
    """Publish, and end the process without any clean-up before the ``at_step``-th disk step."""
    step = 0

    def dying(real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal step
            step += 1
            if step == at_step:
                os._exit(CRASHED)
            return real(*args, **kwargs)

        return call

    draft = make_draft(Path(folder), data=b"new weights")
    registry = Registry(Path(root))
    for name in ("open", "mkdir", "write", "fchmod", "fsync", "replace", "link", "unlink"):
        setattr(os, name, dying(getattr(os, name)))
    registry.publish(draft)
    os._exit(0)


BAD_IDS = [
    "", ".", "..", "/", "a/", "/a", "a//b", "a/../b", "../a", "a/./b", "-rf", "a/-b", "A", "a b",
    "a\x00", "a\n", "a\\b", "a@1", "ä", "~", "a/..", "C:a", "a" * 129, "%2e%2e", ".hidden",
]  # fmt: skip
