"""What importers are asked for, and what they share: symbol tables, languages, licences."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voxswap_families.arithmetic import Dtype
from voxswap_families.importing.source import Fields
from voxswap_families.symbols import Layout
from voxswap_registry.clock import Clock
from voxswap_registry.errors import ImportSourceError, InvalidInputError
from voxswap_registry.fields import is_line
from voxswap_registry.progress import Progress

#: How weights are laid out. ``plain``: for torch. ``packed``: for native kernels, in bfloat16;
#: ``packed_int8``: with feed-forward layers in int8. ``auto``: packed where that is possible,
#: unless weights shall be float32.
Form = Literal["auto", "plain", "packed", "packed_int8"]
UNKNOWN_LICENCE = "unknown"
#: A file beside those of a voice that was made up: whatever is imported there is marked so.
FABRICATED = "fabricated.json"
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
    form: Form = "auto"


def table_json(layout: Layout, symbols: Mapping[str, Sequence[int]]) -> bytes:
    """A symbols component, in canonical JSON, so that voices with one table share it."""
    table = {"layout": layout, "symbols": {symbol: list(ids) for symbol, ids in symbols.items()}}
    return json.dumps(table, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def check_symbols(
    table: Fields, *, layout: Layout, n_symbols: int, required: Sequence[str] = ()
) -> dict[str, list[int]]:
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
    return symbols


def language_tag(*candidates: str | None, where: str) -> str:
    """The first candidate as BCP 47 (``en_US`` and ``en-us`` become ``en-US``).

    Raises `ImportSourceError` without any.
    """
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


def no_style(request: ImportRequest, source: Path) -> None:
    """Raise `InvalidInputError` if a style is asked for, in a format that has none."""
    if request.style is not None:
        raise InvalidInputError.one("style", f"is for Kokoro voices, and {source} holds none")


def no_packing(request: ImportRequest, source: Path) -> None:
    """Raise `InvalidInputError` if weights shall be packed, in a format whose are as they are."""
    if request.form in {"packed", "packed_int8"}:
        told = f"is {request.form!r}, for VITS voices; {source} holds none"
        raise InvalidInputError.one("form", told)


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
