"""Hashes components again and checks signatures; signs versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxswap_client.cli.local import opened
from voxswap_client.cli.progress import ProgressBar

if TYPE_CHECKING:
    from voxswap_registry.manifest import Component, Manifest
    from voxswap_registry.signing import TrustedKeys
    from voxswap_registry.store import Registry

SOUND, DAMAGED, MISSING, UNREADABLE = "ok", "DAMAGED", "MISSING", "UNREADABLE"
SIGNED, NOT_SIGNED = "signed", "NOT SIGNED"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one component; of a manifest or its signature, if ``role`` says so."""

    voice: str
    role: str
    digest: str
    size_bytes: int
    result: str
    message: str = ""

    @property
    def is_good(self) -> bool:
        """Whether all is as it should be."""
        return self.result in (SOUND, SIGNED)


def verify(location: str, refs: Sequence[str], keys: Sequence[Path] = ()) -> list[Finding]:
    """Hash the components of these versions, or of all of all; each identity once.

    With ``keys``, also check that each version is signed by one of them.
    """
    with opened(location) as registry:
        from voxswap_registry.signing import TrustedKeys

        trusted = TrustedKeys.load(keys) if keys else None
        manifests, findings = _manifests(registry, refs or _all_refs(registry))
        # Of versions that say different things of the same bytes, one is wrong: both are checked.
        components = {c.identity: c for manifest in manifests for c in manifest.components}
        checked: dict[str, tuple[str, str]] = {}
        with ProgressBar() as progress:
            progress.start("verifying", sum(c.size_bytes for c in components.values()))
            for identity, component in components.items():
                checked[identity] = _check(registry, component)
                progress.advance(component.size_bytes)
        if trusted is not None:
            findings += [_signature(registry, manifest, trusted) for manifest in manifests]
    findings += [
        Finding(manifest.ref, c.role, c.digest, c.size_bytes, *checked[c.identity])
        for manifest in manifests
        for c in manifest.components
    ]
    return sorted(findings, key=lambda finding: finding.voice)


def sign(location: str, refs: Sequence[str], key: Path) -> list[tuple[str, str]]:
    """Sign these versions; each with the id of the key."""
    with opened(location) as registry:
        from voxswap_registry.names import VoiceRef
        from voxswap_registry.resolution import chosen_version
        from voxswap_registry.signing import PrivateKey

        private = PrivateKey.load(key)
        signed = []
        for ref in map(VoiceRef.parse, refs):
            version = chosen_version(registry.record(ref.voice_id), ref)
            key_id = registry.sign(ref.voice_id, version, private)
            signed.append((f"{ref.voice_id}@{version}", key_id))
        return signed


def _all_refs(registry: Registry) -> list[str]:
    from voxswap_registry.catalog.catalog import Catalog

    with Catalog(registry) as catalog:
        catalog.refresh()
        found = list(catalog.listings())
    return [f"{listing.voice_id}@{version}" for listing in found for version in listing.versions]


def _manifests(registry: Registry, refs: Sequence[str]) -> tuple[list[Manifest], list[Finding]]:
    from voxswap_registry.errors import RegistryError
    from voxswap_registry.names import VoiceRef

    manifests, findings = [], []
    for ref in refs:
        try:
            manifests.append(registry.resolve(VoiceRef.parse(ref)))
        except RegistryError as error:
            findings.append(Finding(ref, "", "", 0, UNREADABLE, str(error)))
    return manifests, findings


def _check(registry: Registry, component: Component) -> tuple[str, str]:
    from voxswap_registry.errors import ComponentMissingError, DigestMismatchError, RegistryError

    try:
        registry.verify(component)
    except ComponentMissingError as error:
        return MISSING, str(error)
    except DigestMismatchError as error:
        return DAMAGED, str(error)
    except RegistryError as error:
        return UNREADABLE, str(error)
    return SOUND, ""


def _signature(registry: Registry, manifest: Manifest, trusted: TrustedKeys) -> Finding:
    from voxswap_registry.errors import SignatureError

    try:
        key_id = registry.check_signature(manifest.voice_id, manifest.version, trusted)
    except SignatureError as error:
        return Finding(manifest.ref, "signature", "", 0, NOT_SIGNED, str(error))
    return Finding(manifest.ref, "signature", key_id, 0, SIGNED)
