"""Drafts with a few bytes for weights, and the worker functions of other processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from voxswap_registry.catalog.catalog import Catalog, VoiceListing
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.layout import blob_key
from voxswap_registry.manifest import Audio, Component, FrontEndSpec, Manifest, Provenance
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.store import Registry

CRASHED = 77


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
        "engine_config": {"n_symbols": 3},
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
