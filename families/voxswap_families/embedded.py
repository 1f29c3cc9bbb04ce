"""Imports the voices that ship inside Python packages, of whatever family."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from voxswap_families.arithmetic import Dtype
from voxswap_families.importing.request import ImportRequest, tool_name
from voxswap_families.packages import EmbeddedVoice, installed_file
from voxswap_families.register import families
from voxswap_registry import graphs
from voxswap_registry.clock import utc_now
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import VersionExistsError
from voxswap_registry.manifest import Manifest
from voxswap_registry.progress import NullProgress, Progress
from voxswap_registry.store import Registry


def embedded_voices() -> tuple[EmbeddedVoice, ...]:
    """Those that there are, installed or not, by id."""
    found = (voice for family in families().values() for voice in family.embedded)
    return tuple(sorted(found, key=lambda voice: voice.id))


def installed_weights(voice: EmbeddedVoice) -> Path | None:
    """The weights of ``voice``, or their first piece, if its packages are all installed.

    Runs no code of the packages. Raises `ImportSourceError` for a package without its file.
    """
    paths = [installed_file(file) for file in voice.files]
    return None if None in paths else paths[0]


def import_embedded(
    registry: Registry,
    progress: Progress | None = None,
    *,
    voices: Sequence[EmbeddedVoice] | None = None,
    dtype: Dtype | Literal["auto"] = "float32",
    actor: str = "",
) -> list[Manifest]:
    """Import each installed embedded voice that ``registry`` lacks; returns the new manifests.

    Their graphs are trusted from then on, also those of voices that are there already.

    Quick if they are all there; otherwise blocks for seconds a model. Safe to call from several
    processes at once: one of them publishes. ``voices`` are some of `embedded_voices` in place of
    all; ``dtype`` is as for `import_voice`.
    Raises `ImportSourceError` if a package's weights are not the pinned ones.
    """
    installed = [
        voice
        for voice in (embedded_voices() if voices is None else voices)
        if installed_weights(voice) is not None
    ]
    # By the digests that are pinned, whatever lies in the registry under the names of these voices.
    for digest in {voice.graph for voice in installed if voice.graph}:
        graphs.record(registry.objects, digest, actor=actor, tool=tool_name())
    # One that has a number is there, or somebody deleted it.
    missing = [voice for voice in installed if not registry.look(voice.id).highest_number]
    if not missing:
        return []
    imported: list[Manifest] = []
    with registry.workdir() as workdir:
        shared: dict[object, Any] = {}
        stored: dict[Path, DraftComponent] = {}
        for voice in missing:
            request = ImportRequest(
                voice.id,
                dtype,
                voice.licence,
                None,
                voice.language,
                workdir,
                progress or NullProgress(),
                utc_now,
            )
            draft = _with(voice.draft(request, shared), stored)
            graphs.record_imported(registry, draft, actor=actor)
            # Another process may be faster, with the same bytes.
            with contextlib.suppress(VersionExistsError):
                manifest = registry.publish(draft, version=1)
                imported.append(manifest)
                stored |= _stored(draft, manifest)
    return imported


def _with(draft: VoiceDraft, stored: dict[Path, DraftComponent]) -> VoiceDraft:
    """The draft, naming what is there already by its digest: nothing is hashed again."""
    components = tuple(
        part if part.path is None else stored.get(part.path, part) for part in draft.components
    )
    return dataclasses.replace(draft, components=components)


def _stored(draft: VoiceDraft, manifest: Manifest) -> dict[Path, DraftComponent]:
    """The draft's files, as the registry has them."""
    found = {}
    for part in draft.components:
        if part.path is not None:
            there = manifest.component(part.role)
            found[part.path] = dataclasses.replace(
                part, path=None, digest=there.digest, blake3=there.blake3
            )
    return found
