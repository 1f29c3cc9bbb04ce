"""Small voices for a registry of the tests' own."""

from __future__ import annotations

from pathlib import Path

from tests.registry.drafts import TINY
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.layout import manifest_key
from voxswap_registry.manifest import Audio, FrontEndSpec, Provenance
from voxswap_registry.store import Registry

# Digests of b"weights" and b"{}".
WEIGHTS = "sha256:9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
SYMBOLS = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def draft(
    folder: Path,
    voice_id: str = "npc/smith",
    *,
    weights: bytes = b"weights",
    language: str = "en-GB",
    tags: tuple[str, ...] = (),
) -> VoiceDraft:
    """A voice of nine bytes, with its files in ``folder``."""
    components = []
    for role, data in (("model", weights), ("symbols", b"{}")):
        path = folder / f"{role}.part"
        path.write_bytes(data)
        components.append(DraftComponent(role, path, "application/octet-stream"))
    return VoiceDraft(
        voice_id=voice_id,
        engine="vits",
        engine_config=TINY,
        components=tuple(components),
        audio=Audio(22050, 256),
        language=language,
        front_end=FrontEndSpec("characters"),
        speakers={"second": 1, "first": 0},
        defaults={},
        licence="CC0-1.0",
        provenance=Provenance(
            "a file", {}, "voxswap 0.1.0", "2031-05-06T07:08:09+00:00", "Care!", "MIT (Piper)"
        ),
        display_name="Smith",
        tags=tags,
        gender="male" if tags else "",
    )


def torn(registry: Registry, voice_id: str, version: int) -> None:
    """Leave a manifest in the registry that cannot be read."""
    assert registry.objects.create(manifest_key(voice_id, version), b"{")
