"""A voice that is ready to be published: a manifest but for its version and its digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxswap_registry.manifest import Audio, Component, FrontEndSpec, Manifest, Provenance


@dataclass(frozen=True, slots=True)
class DraftComponent:
    """One part to be: a local file, which belongs to whoever made the draft.

    Without a file, ``digest`` names bytes that the registry has already, and ``blake3`` is what a
    manifest said of them. With one, both are those of the file, if its maker has computed them: the
    file need not be hashed to learn them.
    """

    role: str
    path: Path | None
    media_type: str
    digest: str = ""
    blake3: str | None = None


@dataclass(frozen=True, slots=True)
class VoiceDraft:
    """Everything of a `Manifest` but its version, with components that are still local files."""

    voice_id: str
    engine: str
    engine_config: Mapping[str, Any]
    components: tuple[DraftComponent, ...]
    audio: Audio
    language: str
    front_end: FrontEndSpec
    speakers: Mapping[str, int]
    defaults: Mapping[str, float]
    licence: str
    provenance: Provenance
    display_name: str = ""
    tags: tuple[str, ...] = ()
    gender: str = ""

    @classmethod
    def of(cls, manifest: Manifest, components: tuple[DraftComponent, ...]) -> VoiceDraft:
        """A draft that says what ``manifest`` says, of these components."""
        return cls(
            voice_id=manifest.voice_id,
            engine=manifest.engine,
            engine_config=manifest.engine_config,
            components=components,
            audio=manifest.audio,
            language=manifest.language,
            front_end=manifest.front_end,
            speakers=manifest.speakers,
            defaults=manifest.defaults,
            licence=manifest.licence,
            provenance=manifest.provenance,
            display_name=manifest.display_name,
            tags=manifest.tags,
            gender=manifest.gender,
        )

    def manifest(self, version: int, components: tuple[Component, ...]) -> Manifest:
        """The manifest of this draft as ``version``, whose bytes are ``components``."""
        return Manifest(
            voice_id=self.voice_id,
            version=version,
            engine=self.engine,
            engine_config=self.engine_config,
            components=components,
            audio=self.audio,
            language=self.language,
            front_end=self.front_end,
            speakers=self.speakers,
            defaults=self.defaults,
            licence=self.licence,
            provenance=self.provenance,
            display_name=self.display_name,
            tags=self.tags,
            gender=self.gender,
        )
