"""Manifests of voices that are nowhere."""

from __future__ import annotations

import hashlib

from voxswap_registry.manifest import Audio, Component, FrontEndSpec, Manifest, Provenance


def digest_of(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def make_manifest(
    voice_id: str = "a", size: int = 10, version: int = 1, **shared: tuple[str, int]
) -> Manifest:
    """A voice with a component of its own, and ``role=(name, size)`` for each that it shares."""
    components = [Component("model", digest_of(voice_id), size, "x/y")]
    components += [Component(r, digest_of(name), n, "x/y") for r, (name, n) in shared.items()]
    return Manifest(
        voice_id=voice_id,
        version=version,
        engine="fake",
        engine_config={},
        components=tuple(components),
        audio=Audio(22050, 256),
        language="en",
        front_end=FrontEndSpec("characters"),
        speakers={},
        defaults={},
        licence="",
        provenance=Provenance("", {}, "", "2026-01-01T00:00:00Z"),
        controls=("rate",),
    )
