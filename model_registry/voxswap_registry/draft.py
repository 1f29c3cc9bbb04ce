"""A voice that is ready to be published: a manifest but for its version and its digests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxswap_registry.manifest import Component, Manifest, VoiceDescription


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
    form: str | None = None

    @classmethod
    def stored(cls, component: Component) -> DraftComponent:
        """What the registry has already, as a part of another version."""
        return cls(
            component.role,
            None,
            component.media_type,
            component.digest,
            component.blake3,
            component.form,
        )

    @classmethod
    def instead(cls, component: Component, path: Path) -> DraftComponent:
        """The same part, in the same form, of another file."""
        return cls(component.role, path, component.media_type, form=component.form)


@dataclass(frozen=True, kw_only=True)
class VoiceDraft(VoiceDescription):
    """Everything of a `Manifest` but its version, with components that are still local files."""

    components: tuple[DraftComponent, ...]

    @classmethod
    def of(cls, manifest: Manifest, components: tuple[DraftComponent, ...]) -> VoiceDraft:
        """A draft that says what ``manifest`` says, of these components."""
        return cls(components=components, **manifest.described())

    def manifest(self, version: int, components: tuple[Component, ...]) -> Manifest:
        """The manifest of this draft as ``version``, whose bytes are ``components``."""
        return Manifest(version=version, components=components, **self.described())
