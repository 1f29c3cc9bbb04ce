"""A registry folder on this machine. The only module here that knows voxswap_registry."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from voxswap_client.cli.failure import CliError
from voxswap_client.cli.progress import ProgressBar
from voxswap_client.cli.serve import not_installed
from voxswap_client.types import Component, Provenance, Voice

if TYPE_CHECKING:
    from voxswap_registry import manifest as _manifest
    from voxswap_registry.manifest import Manifest
    from voxswap_registry.store import Registry, VoiceListing

DEFAULT_REGISTRY = Path("var/registry")

SOUND, DAMAGED, MISSING, UNREADABLE = "ok", "DAMAGED", "MISSING", "UNREADABLE"


class _Options(Protocol):
    def add_argument(self, *names: str, type: type, metavar: str, help: str) -> object: ...  # noqa: A002


def add_registry(parser: _Options) -> None:
    """Add ``--registry``."""
    parser.add_argument(
        "--registry",
        type=Path,
        metavar="FOLDER",
        help=f"the registry folder (default: $VOXSWAP_REGISTRY or {DEFAULT_REGISTRY})",
    )


def registry_path(args: argparse.Namespace, *, must_exist: bool = True) -> Path:
    """The folder that was asked for, by option or environment, or the usual one."""
    named = os.environ.get("VOXSWAP_REGISTRY")
    path: Path = args.registry or (Path(named) if named else DEFAULT_REGISTRY)
    if must_exist and not path.is_dir():
        raise CliError(
            f"there is no registry folder at {path}",
            "name one with --registry or VOXSWAP_REGISTRY, or make it with `voxswap voices add`",
        )
    return path


@contextlib.contextmanager
def _registry(root: Path) -> Iterator[Registry]:
    """The registry; its errors leave the block as `CliError`."""
    try:
        from voxswap_registry.errors import InvalidInputError, VoxswapError
        from voxswap_registry.store import Registry
    except ImportError as error:
        raise not_installed("the registry", error) from error
    try:
        yield Registry(root)
    except InvalidInputError as error:
        raise CliError(str(error), exit_code=2) from error
    except VoxswapError as error:
        raise CliError(str(error)) from error
    except ImportError as error:
        raise not_installed("the importer", error) from error


class LocalCatalog:
    """What `voices list` and `voices show` ask of a registry folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def list_voices(self, *, prefix: str, language: str, engine: str) -> Iterator[Voice]:
        """Voices at their newest version, filtered as the server filters them."""
        with _registry(self._root) as registry:
            found = [_from_listing(listing) for listing in registry.voices()]
        for voice in found:
            speaks = voice.language.casefold()
            wanted = language.casefold()
            if (
                voice.id.startswith(prefix)
                and (not wanted or speaks == wanted or speaks.startswith(f"{wanted}-"))
                and engine in ("", voice.engine)
            ):
                yield voice

    def get_voice(self, ref: str) -> Voice:
        """One voice."""
        with _registry(self._root) as registry:
            from voxswap_registry.names import VoiceRef

            return _from_manifest(registry.resolve(VoiceRef.parse(ref)))

    def versions(self, voice_id: str) -> list[int]:
        """Its versions, the newest first."""
        with _registry(self._root) as registry:
            return sorted(registry.versions(voice_id), reverse=True)


def add_voice(root: Path, args: argparse.Namespace) -> Voice:
    """Import one voice and publish it."""
    progress = ProgressBar()
    with _registry(root) as registry, registry.workdir() as workdir:
        from voxswap_registry.importers.detect import import_voice

        try:
            draft = import_voice(
                args.path,
                args.id,
                dtype=args.dtype or "float32",
                licence=args.licence,
                language=args.language,
                workdir=workdir,
                progress=progress,
            )
        finally:
            progress.finish()
        return _from_manifest(registry.publish(draft))


def add_embedded(root: Path) -> list[Voice]:
    """Import the voices of installed packages that the registry lacks."""
    progress = ProgressBar()
    with _registry(root) as registry:
        from voxswap_registry.embedded import import_embedded

        try:
            return [_from_manifest(m) for m in import_embedded(registry, progress)]
        finally:
            progress.finish()


@dataclass(frozen=True, slots=True)
class Finding:
    """What `verify` found of one component; without a role, of a manifest that cannot be read."""

    voice: str
    role: str
    digest: str
    size_bytes: int
    result: str
    message: str = ""


def verify(root: Path, refs: Sequence[str]) -> list[Finding]:
    """Hash the components of these voices, or of all versions of all; each digest once."""
    with _registry(root) as registry:
        manifests, findings = _manifests(registry, refs or _all_refs(registry))
        components = {c.digest: c for manifest in manifests for c in manifest.components}
        checked: dict[str, tuple[str, str]] = {}
        progress = ProgressBar()
        progress.start("verifying", sum(c.size_bytes for c in components.values()))
        try:
            for component in components.values():
                checked[component.digest] = _check(registry, component)
                progress.advance(component.size_bytes)
        finally:
            progress.finish()
    findings += [
        Finding(manifest.ref, c.role, c.digest, c.size_bytes, *checked[c.digest])
        for manifest in manifests
        for c in manifest.components
    ]
    return sorted(findings, key=lambda finding: finding.voice)


def _all_refs(registry: Registry) -> list[str]:
    return [f"{v.voice_id}@{version}" for v in registry.voices() for version in v.versions]


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


def _check(registry: Registry, component: _manifest.Component) -> tuple[str, str]:
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


def _from_listing(listing: VoiceListing) -> Voice:
    if listing.newest is not None:
        return _from_manifest(listing.newest)
    return Voice(
        id=listing.voice_id,
        version=listing.versions[-1],
        display_name="",
        language="",
        engine="",
        sample_rate_hertz=0,
        speakers=(),
        components=(),
        licence="",
        provenance=Provenance("", "", None),
        problem=str(listing.error),
    )


def _from_manifest(manifest: Manifest) -> Voice:
    """A manifest as the server's own answer would show it."""
    origin = manifest.provenance
    return Voice(
        id=manifest.voice_id,
        version=manifest.version,
        display_name=manifest.display_name,
        language=manifest.language,
        engine=manifest.engine,
        sample_rate_hertz=manifest.audio.sample_rate_hertz,
        speakers=tuple(sorted(manifest.speakers, key=manifest.speakers.__getitem__)),
        components=tuple(
            Component(c.role, c.digest, c.size_bytes, c.media_type) for c in manifest.components
        ),
        licence=manifest.licence,
        provenance=Provenance(origin.source, origin.tool, _time(origin.created), origin.note),
    )


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
