"""Symbol tables: which ids stand for a phoneme, and how ids are laid out for an acoustic model.

Two layouts are in use. Piper: ``^ _ p1 _ p2 _ … pn _ $``, a pad after the beginning mark and after
each phoneme, none after the end mark. Blanks (VITS as in Hugging Face transformers):
``0 c1 0 c2 0 … cn 0``, a blank around every character and no marks at the ends. Both come down to
ids at the start, a blank after each symbol, and ids at the end.

A third one (KAN-TTS) has four tables, and a symbol of it is a row of each: phone, tone, place in
the syllable, place in the word, written ``n_c$tone3$s_begin$word_begin``. It has one id.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final, Literal, NamedTuple

from voxswap_families.text import Phone, SymbolSequence
from voxswap_registry.errors import FieldViolation
from voxswap_registry.fields import Between, Length
from voxswap_registry.json_reader import read_json
from voxswap_registry.records import Record, record

Layout = Literal["piper", "blanks", "kantts"]

MAX_TABLE_BYTES: Final = 4 << 20  # a thousand times the table of a Piper voice
#: Of one symbol. Others would make a line of any length of a few letters.
MAX_IDS: Final = 64

STRESS_MARKS: Final = "ˈˌ"
_LENGTH_MARKS: Final = "ːˑ˞"
_TONES: Final = "0123456789↑↓↗↘˥˦˧˨˩"
_TIE_BARS: Final = "\u0361\u035c"

# Sounds that listeners and mouths take as one. espeak-ng writes them as two letters.
_PAIRS: Final = frozenset(
    {
        *("aɪ", "aʊ", "eɪ", "oʊ", "ɔɪ", "əʊ", "ɪə", "eə", "ʊə", "ɛɪ", "ɛi", "œy", "ʌʊ", "ʌu", "ɑʊ"),
        *("ɔʏ", "ɔø", "tʃ", "dʒ", "tɕ", "dʑ", "tʂ", "dʐ", "ʈʂ", "ɖʐ"),
    }
)


class Symbol(NamedTuple):
    """One symbol as a table's key, and the index of the word that it speaks, if it speaks one."""

    text: str
    word: int | None


@record(closed=True)
@dataclass(frozen=True, slots=True)
class _Blanks:
    """A table on disk."""

    layout: Layout
    symbols: Annotated[
        Mapping[str, Annotated[tuple[Annotated[int, Between(0)], ...], Length(1, MAX_IDS)]],
        Length(1),
    ]


@record(closed=True, may_lack={"pad", "bos", "eos", "clusters"})
@dataclass(frozen=True, slots=True)
class _Piper(_Blanks):
    pad: str | None = "_"
    bos: str | None = "^"
    eos: str | None = "$"
    clusters: tuple[Annotated[tuple[str, ...], Length(2)], ...] = ()


#: KAN-TTS's tables, in the order in which a symbol names a row of each.
KANTTS_TABLES: Final = ("sy", "tone", "syllable_flag", "word_segment")
#: Rows of each of them that no text has: filling, end, and what training masks.
KANTTS_SPECIALS: Final = ("_", "~", "@[MASK]")
_Names = Annotated[tuple[Annotated[str, Length(1)], ...], Length(1, 20_000)]


@record(closed=True, may_lack={"emotion", "speaker"})
@dataclass(frozen=True, slots=True)
class _KanTts:
    """Tables on disk: the names of their rows, in order. A reader has no use for the last two."""

    layout: Layout
    sy: _Names
    tone: _Names
    syllable_flag: _Names
    word_segment: _Names
    emotion: _Names = ()
    speaker: _Names = ()


class _Rows(Mapping[str, tuple[int, ...]]):
    """Ids of symbols that are a row of each of several tables. Immutable."""

    def __init__(self, tables: Sequence[Sequence[str]]) -> None:
        # What a name adds to an id: ids count rows, those of the first table fastest.
        self._addends: list[dict[str, int]] = []
        radix = 1
        for table in tables:
            rows = {name: row * radix for row, name in enumerate(table)}
            self._addends.append({n: a for n, a in rows.items() if n not in KANTTS_SPECIALS})
            radix *= len(table)

    def __getitem__(self, symbol: str) -> tuple[int, ...]:
        names = symbol.split("$")
        if len(names) != len(self._addends):
            raise KeyError(symbol)
        return (sum(table[name] for table, name in zip(self._addends, names, strict=True)),)

    def __iter__(self) -> Iterator[str]:
        return map("$".join, itertools.product(*self._addends))

    def __len__(self) -> int:
        return math.prod(map(len, self._addends))


_WHERE: Final = "the symbol table"
_REMEDY: Final = "Import the voice again, or publish a version in which that is right"
_BLANKS: Final = Record(_Blanks, limit_bytes=MAX_TABLE_BYTES, remedy=_REMEDY)
_PIPER: Final = Record(_Piper, limit_bytes=MAX_TABLE_BYTES, remedy=_REMEDY)
_KANTTS: Final = Record(_KanTts, limit_bytes=MAX_TABLE_BYTES, remedy=_REMEDY)


@dataclass(frozen=True, slots=True)
class SymbolTable:
    """What a model knows to read: ids of each symbol, and the ids that go around them.

    ``clusters`` are runs of symbols that the table holds under one key (``a`` ``ɪ`` under
    ``aɪ``); the longest is taken first. Immutable, hence thread-safe.
    """

    layout: Layout
    symbols: Mapping[str, tuple[int, ...]]
    start: tuple[int, ...]
    blank: tuple[int, ...]
    end: tuple[int, ...]
    clusters: frozenset[tuple[str, ...]] = frozenset()

    @classmethod
    def piper(
        cls,
        symbols: Mapping[str, Sequence[int]],
        *,
        pad: str | None = "_",
        bos: str | None = "^",
        eos: str | None = "$",
        clusters: frozenset[tuple[str, ...]] = frozenset(),
    ) -> SymbolTable:
        """Piper's layout. A mark that is None is left out; one the table lacks is a KeyError."""
        ids = {symbol: tuple(values) for symbol, values in symbols.items()}
        blank = () if pad is None else ids[pad]
        start = () if bos is None else ids[bos] + blank
        end = () if eos is None else ids[eos]
        return cls("piper", MappingProxyType(ids), start, blank, end, clusters)

    @classmethod
    def blanks(cls, symbols: Mapping[str, Sequence[int]], *, blank_id: int = 0) -> SymbolTable:
        """The layout of transformers' VITS: the blank id around every symbol."""
        ids = {symbol: tuple(values) for symbol, values in symbols.items()}
        return cls("blanks", MappingProxyType(ids), (blank_id,), (blank_id,), ())

    @classmethod
    def kantts(cls, tables: Sequence[Sequence[str]]) -> SymbolTable:
        """Symbols of KAN-TTS: the names of a row of each of ``tables``, with ``$`` between them."""
        return cls("kantts", _Rows(tables), (), (), ())

    @classmethod
    def from_json(cls, data: bytes) -> SymbolTable:
        """The table on disk: ``{"layout": "piper" | "blanks", "symbols": {"a": [14], …}}``.

        Optional beside them for "piper": ``pad``, ``bos``, ``eos`` (a symbol, or null for none) and
        ``clusters`` (lists of symbols). "kantts" has the names of four tables' rows in their place:
        ``sy``, ``tone``, ``syllable_flag``, ``word_segment``. Raises `ManifestError` that names
        what is wrong.
        """
        layout = read_json(data, where=_WHERE, limit_bytes=MAX_TABLE_BYTES).get("layout")
        if layout == "blanks":
            return cls.blanks(_BLANKS.parse(data, where=_WHERE).symbols)
        if layout == "kantts":
            four = _KANTTS.parse(data, where=_WHERE)
            if faults := list(_unclear(four)):
                raise _KANTTS.error(faults, where=_WHERE)
            return cls.kantts([getattr(four, field) for field in KANTTS_TABLES])
        table = _PIPER.parse(data, where=_WHERE)
        if faults := list(_misfits(table)):
            raise _PIPER.error(faults, where=_WHERE)
        marks = {"pad": table.pad, "bos": table.bos, "eos": table.eos}
        return cls.piper(table.symbols, **marks, clusters=frozenset(table.clusters))

    def sequence(self, spoken: Sequence[Symbol], *, group: bool = True) -> SymbolSequence:
        """Lays symbols out as ids, and groups them into phones.

        A symbol that the table lacks is left out and counted. ``group`` joins stress marks to what
        follows, length and combining marks and tones to what precedes, and the two letters of
        diphthongs and affricates; never across a word's border, and never changing the ids.
        Without it every symbol is a phone.
        """
        if self.clusters:
            spoken = list(self._clustered(spoken))
        unknown: Counter[str] = Counter()
        known: list[Symbol] = []
        for symbol in spoken:
            if symbol.text in self.symbols:
                known.append(symbol)
            else:
                unknown[symbol.text] += 1
        ids = list(self.start)
        phones: list[Phone] = []
        position = 0
        while position < len(known):
            after = _phone_end(known, position) if group else position + 1
            first = len(ids)
            for symbol in known[position:after]:
                ids += self.symbols[symbol.text]
                ids += self.blank
            text = "".join(symbol.text for symbol in known[position:after])
            phones.append(Phone(text, first, len(ids), known[position].word))
            position = after
        ids += self.end
        return SymbolSequence(tuple(ids), tuple(phones), dict(unknown))

    def _clustered(self, spoken: Sequence[Symbol]) -> Iterator[Symbol]:
        longest = max(map(len, self.clusters))
        position = 0
        while position < len(spoken):
            word = spoken[position].word
            for length in range(min(longest, len(spoken) - position), 1, -1):
                run = spoken[position : position + length]
                texts = tuple(symbol.text for symbol in run)
                if texts in self.clusters and all(symbol.word == word for symbol in run):
                    yield Symbol("".join(texts), word)
                    position += length
                    break
            else:
                yield spoken[position]
                position += 1


def _unclear(tables: _KanTts) -> Iterator[FieldViolation]:
    """Names that do not stand for one row."""
    for field in KANTTS_TABLES:
        seen: set[str] = set()
        for place, name in enumerate(getattr(tables, field)):
            if name in seen or "$" in name:
                what = "has a $, which parts names" if "$" in name else "has another row already"
                yield FieldViolation(f"{field}[{place}]", f"{name!r:.60} {what}")
                return
            seen.add(name)


def _misfits(table: _Piper) -> Iterator[FieldViolation]:
    for name, mark in (("pad", table.pad), ("bos", table.bos), ("eos", table.eos)):
        if mark is not None and mark not in table.symbols:
            yield FieldViolation(
                name,
                f"is {mark!r:.60}, which has no ids; add them under symbols, or set {name} to null",
            )
    for place, cluster in enumerate(table.clusters):
        if "".join(cluster) not in table.symbols:
            yield FieldViolation(
                f"clusters[{place}]", "must be symbols whose joined text has ids of its own"
            )
            return


def joins_preceding(symbol: str) -> bool:
    """Whether a symbol modifies the one before it: length, tones, and other non-spacing marks."""
    return (
        symbol in _LENGTH_MARKS
        or symbol in _TONES
        or (symbol not in STRESS_MARKS and unicodedata.category(symbol[0]) in ("Mn", "Mc", "Lm"))
    )


def _phone_end(known: Sequence[Symbol], position: int) -> int:
    """The index after the phone that begins at ``position``."""
    word = known[position].word
    if word is None:
        return position + 1
    run = position
    while run < len(known) and known[run].word == word and known[run].text in STRESS_MARKS:
        run += 1
    if run == len(known) or known[run].word != word:
        return run
    base = known[run].text
    run += 1
    paired = len(base) > 1
    while run < len(known) and known[run].word == word:
        text = known[run].text
        if joins_preceding(text):
            paired = text not in _TIE_BARS
        elif known[run - 1].text in _TIE_BARS or (not paired and base + text in _PAIRS):
            paired = True
        else:
            break
        run += 1
    return run
