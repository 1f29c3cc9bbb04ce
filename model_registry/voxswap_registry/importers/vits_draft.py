"""What the importers of VITS voices share: symbol tables, languages, licences, and the draft."""

from __future__ import annotations

import importlib.metadata
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from voxswap_registry.arithmetic import Dtype, fastest_dtype
from voxswap_registry.clock import Clock
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import ImportSourceError
from voxswap_registry.fields import is_line
from voxswap_registry.importers.source import Fields, SourceFile
from voxswap_registry.importers.vits_tensors import (
    as_stored,
    round_tensors,
    write_safetensors,
)
from voxswap_registry.manifest import Audio, FrontEndSpec, Provenance
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.progress import Progress
from voxswap_registry.vits import ENGINE, VitsArchitecture

if TYPE_CHECKING:
    import torch

Layout = Literal["piper", "blanks"]

UNKNOWN_LICENCE = "unknown"
MAX_SYMBOLS = 20_000
_MAX_NOTICE_BYTES = 64 << 10

# ISO 639-3, as MMS writes it, to the shorter code that BCP 47 asks for where there is one.
_SHORT_CODES = {
    "ara": "ar", "ben": "bn", "bul": "bg", "cat": "ca", "ces": "cs", "deu": "de", "ell": "el",
    "eng": "en", "est": "et", "fas": "fa", "fin": "fi", "fra": "fr", "guj": "gu", "heb": "he",
    "hin": "hi", "hun": "hu", "ind": "id", "isl": "is", "jpn": "ja", "kan": "kn", "kor": "ko",
    "lav": "lv", "lit": "lt", "mal": "ml", "mar": "mr", "nld": "nl", "nob": "nb", "pan": "pa",
    "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "spa": "es", "swe": "sv", "tam": "ta",
    "tel": "te", "tgl": "tl", "tha": "th", "tur": "tr", "ukr": "uk", "urd": "ur", "vie": "vi",
}  # fmt: skip
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,4}")


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What the caller of `import_voice` asked for, checked; shared by the importers."""

    voice_id: str
    dtype: Dtype | Literal["auto"]
    licence: str | None
    code_licence: str | None
    language: str | None
    workdir: Path
    progress: Progress
    clock: Clock
    style: str | None = None


@dataclass(frozen=True, slots=True)
class SymbolTable:
    """Symbols and their ids. ``layout`` says what stands around them (see `to_json`)."""

    layout: Layout
    symbols: Mapping[str, Sequence[int]]

    def to_json(self) -> bytes:
        """Canonical JSON, so that voices with one table share one component.

        ``piper``: the ids of ``^``, then those of each symbol followed by those of ``_``, then
        those of ``$``. ``blanks``: id 0 before, between and after the symbols.
        """
        table = {"layout": self.layout, "symbols": {k: list(v) for k, v in self.symbols.items()}}
        return json.dumps(table, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def check_symbols(
    table: Fields, *, layout: Layout, n_symbols: int, required: Sequence[str] = ()
) -> SymbolTable:
    """Read ``{symbol: id or [ids]}``. Raises `ImportSourceError` for ids that the model lacks."""
    if not 0 < len(table.raw) <= MAX_SYMBOLS:
        raise ImportSourceError(
            f"{table.where}: {len(table.raw)} symbols; a voice has 1 to {MAX_SYMBOLS}. The file "
            "must be the one the voice was made with"
        )
    symbols: dict[str, list[int]] = {}
    for symbol, entry in table.raw.items():
        ids = entry if isinstance(entry, list) else [entry]
        whole = all(isinstance(i, int) and not isinstance(i, bool) for i in ids)
        if not 0 < len(ids) <= 64 or not whole or not all(0 <= i < n_symbols for i in ids):
            raise table.fault(
                symbol[:32], f"must be ids from 0 to {n_symbols - 1}, the model's symbols"
            )
        if not 0 < len(symbol) <= 64 or any("\ud800" <= c <= "\udfff" for c in symbol):
            raise table.fault(repr(symbol[:32]), "is no symbol of 1 to 64 characters")
        symbols[symbol] = ids
    for symbol in required:
        if symbol not in symbols:
            raise table.fault(symbol, f"is missing; the layout {layout!r} needs it")
    return SymbolTable(layout, symbols)


def language_tag(*candidates: str | None, where: str) -> str:
    """The first candidate as BCP 47 (``en_US`` and ``en-us`` become ``en-US``)."""
    for candidate in candidates:
        if candidate and _LANGUAGE.fullmatch(candidate):
            first, *rest = re.split("[-_]", candidate)
            language = _SHORT_CODES.get(first.lower(), first.lower())
            return "-".join([language, *map(_subtag, rest)])
    raise ImportSourceError(
        f"{where} does not say which language the voice speaks; say it, for example with "
        "--language en-US"
    )


def _subtag(subtag: str) -> str:
    if len(subtag) == 2:
        return subtag.upper()
    return subtag.title() if len(subtag) == 4 and subtag.isalpha() else subtag.lower()


def find_licence(folder: Path, files: Sequence[str], pattern: str) -> str:
    """The licence that a model card in ``folder`` states, or ``unknown``. Blocks."""
    for name in files:
        try:
            with (folder / name).open("rb") as file:
                text = file.read(_MAX_NOTICE_BYTES).decode("utf-8", "replace")
        except OSError:
            continue  # A model card is a courtesy: its absence is no fault.
        if match := re.search(pattern, text, re.MULTILINE | re.IGNORECASE):
            return one_line(match.group(1).strip().strip("\"'"))[:200]
    return UNKNOWN_LICENCE


def one_line(text: str) -> str:
    """``text`` of a stranger's file or file name without what a manifest cannot say."""
    return "".join(c if is_line(c, 1) else "\N{REPLACEMENT CHARACTER}" for c in text)


def tool_name() -> str:
    """``voxswap`` and its version, for the provenance."""
    try:
        return f"voxswap {importlib.metadata.version('voxswap')}"
    except importlib.metadata.PackageNotFoundError:
        return "voxswap (from source)"


def make_draft(
    request: ImportRequest,
    *,
    source: str,
    files: Sequence[SourceFile],
    tensors: Mapping[str, torch.Tensor],
    architecture: VitsArchitecture,
    symbols: SymbolTable,
    sample_rate_hertz: int,
    language: str,
    front_end: FrontEndSpec,
    speakers: Mapping[str, int],
    defaults: Mapping[str, float],
    licence: str,
    code_licence: str,
    display_name: str,
    note: str = "",
) -> VoiceDraft:
    """Write the components below ``request.workdir`` and describe them. Blocks.

    Raises `RegistryError` if the disk refuses.
    """
    with as_registry_errors("write into", request.workdir):
        request.workdir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="vits-", dir=request.workdir))
    model, table = folder / "model.safetensors", folder / "symbols.json"
    dtype = fastest_dtype() if request.dtype == "auto" else request.dtype
    stored = as_stored(round_tensors(tensors, dtype))
    write_safetensors(stored, model, progress=request.progress)
    with as_registry_errors("write", table):
        table.write_bytes(symbols.to_json())
    if dtype != "float32":
        note = "; ".join(
            filter(None, (note, f"feed-forward layers, flow and generator stored as {dtype}"))
        )
    created = request.clock().astimezone(UTC).replace(microsecond=0, tzinfo=None)
    return VoiceDraft(
        voice_id=request.voice_id,
        engine=ENGINE,
        engine_config=architecture.to_config(),
        components=(
            DraftComponent("model", model, "application/vnd.safetensors"),
            DraftComponent("symbols", table, "application/json"),
        ),
        audio=Audio(sample_rate_hertz, architecture.hop_length_samples),
        language=language,
        front_end=front_end,
        speakers=dict(speakers),
        defaults=dict(defaults),
        licence=licence,
        provenance=Provenance(
            source=one_line(source),
            source_digests={one_line(file.path.name): file.digest for file in files},
            tool=tool_name(),
            created=f"{created.isoformat()}Z",
            note=note,
            code_licence=request.code_licence or code_licence,
        ),
        display_name=one_line(display_name),
    )
