"""Turns a segment's text into text to be read aloud, and keeps track of each word on the way."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from voxswap_families.text import NormalizedText, Word
from voxswap_server.text import cleaning
from voxswap_server.text.cleaning import CleanText, clean
from voxswap_server.text.english.normalization import (
    Rewrite,
    english_rewrites,
    without_decorations,
)
from voxswap_server.text.languages.rewriting import rewrites_of
from voxswap_server.text.scripts import foreign_spans

# English is read month first elsewhere, and where the tag names no region.
_DAY_FIRST_REGIONS = frozenset({"gb", "uk", "au", "nz", "ie", "in", "za"})
_IDEOGRAPHIC = "、。，！？；：「」『』（）《》"
# Dashes and ideographic punctuation part words as whitespace does.
_TOKEN = re.compile(
    r"(?P<dash>[—-]{2,}|—|(?<!\S)-(?!\S))"
    rf"|[{_IDEOGRAPHIC}]+"
    rf"|(?:[^\s—{_IDEOGRAPHIC}-]|-(?![—-]))+"
)
_PAUSES = frozenset(".,;:!?")
# Front-ends read these aloud although they are neither letters nor digits.
_READ_ALOUD = frozenset("%&@#§")
# What is read for figures is part of the word around it, as its particles are.
_WRITTEN_WITHOUT_GAPS = frozenset({"ja", "ko", "zh"})


class _Group(NamedTuple):
    """One token of clean text, or several that one rewrite spans."""

    start: int
    end: int
    is_dash: bool
    rewrites: Sequence[Rewrite]


class _Piece(NamedTuple):
    """A rewrite, or what stands between two: ``text[start:end]`` and what is read for it."""

    start: int
    end: int
    spoken: str
    rewritten: bool


class _Core(NamedTuple):
    """The word within a group, without punctuation: its span in clean text and in the spoken."""

    source_start: int
    source_end: int
    start: int
    end: int


def normalize(text: str, language: str) -> NormalizedText:
    """``text`` as it is to be read in ``language``, a tag such as "en", "en-US", "en_GB" or "de".

    In every language: NFC, straight quotes, dashes between words as commas, runs of whitespace as
    one space, entities as what they stand for, the marks of Markdown and what cannot be read left
    out, and what is written in scripts that the language does not read. In English also numbers,
    dates, money, units, abbreviations, symbols and addresses in words; no digit remains. In the
    languages of `languages` numbers, dates, times, money and units, and whatever has no rule as it
    is written. Of the rest a minus is read by its name; Mandarin's front-end does all by itself.

    A word is a token between whitespace without the punctuation at its edges, or several tokens if
    they are read as one ("May 17th, 2024"); dashes part words too. Text written without spaces
    gives one word for each run between punctuation.

    Thread-safe. Never raises. Takes linear time, well under a millisecond for a sentence; the first
    number takes about 20 ms more, since it loads num2words.
    """
    primary, *subtags = language.replace("_", "-").lower().split("-")
    source = clean(text, english=primary == "en")
    source = source.without(foreign_spans(source.text, primary))
    if primary == "en":
        day_first = not _DAY_FIRST_REGIONS.isdisjoint(subtags)
        source = without_decorations(source)
        rewrites = tuple(english_rewrites(source.text, day_first=day_first))
    else:
        source = cleaning.without_decorations(source)
        rewrites = tuple(rewrites_of(source.text, language))
    return _assembled(text, source, rewrites, gaps=primary not in _WRITTEN_WITHOUT_GAPS)


def _assembled(
    text: str, source: CleanText, rewrites: Sequence[Rewrite], *, gaps: bool
) -> NormalizedText:
    spoken: list[str] = [""]
    length, paused = 0, False
    words: list[Word] = []
    dropped = Counter(source.dropped)
    for group in _groups(source.text, rewrites):
        if group.is_dash:
            if words and spoken[-1][-1] not in _PAUSES | {"("}:
                spoken.append(",")
                length += 1
            paused = True
            continue
        said, core = _said(source.text, group, gaps=gaps)
        if not said:
            continue
        spaced = source.text[group.start - 1 : group.start].isspace() or (paused and core)
        if length and spaced:
            spoken.append(" ")
            length += 1
        if core:
            first, last = source.starts[core.source_start], source.ends[core.source_end - 1]
            words.append(
                Word(text[first:last], first, last, length + core.start, length + core.end)
            )
        spoken.append(said)
        length += len(said)
        paused = False
    for rewrite in rewrites:
        if not rewrite.spoken:
            dropped.update(source.text[rewrite.start : rewrite.end])
    return NormalizedText("".join(spoken), tuple(words), dict(dropped), text)


def _groups(text: str, rewrites: Sequence[Rewrite]) -> Iterator[_Group]:
    tokens = _TOKEN.finditer(text)
    following = 0
    for token in tokens:
        end, first = token.end(), following
        while following < len(rewrites) and rewrites[following].start < end:
            while end < rewrites[following].end:
                end = next(tokens).end()
            following += 1
        inside = rewrites[first:following]
        yield _Group(token.start(), end, bool(token["dash"]) and not inside, inside)


def _said(text: str, group: _Group, *, gaps: bool) -> tuple[str, _Core | None]:
    """A group as it is read, and the word in it, if it has one.

    ``gaps`` part what was rewritten from letters beside it.
    """
    said, core = "", None
    parted = False
    for piece in _pieces(text, group):
        spoken = piece.spoken
        parted = parted or piece.rewritten
        if not spoken:
            continue
        if (
            gaps
            and parted
            and spoken[0].isalnum()
            and (said[-1:].isalnum() or said[-1:] in _PAUSES)
        ):
            said += " "
        parted = piece.rewritten
        if edges := _edges(spoken):
            first, last = edges
            if piece.rewritten:
                source_start, source_end = piece.start, piece.end
            else:
                source_start, source_end = piece.start + first, piece.start + last
            start, end = len(said) + first, len(said) + last
            if core:
                source_start, start = core.source_start, core.start
            core = _Core(source_start, source_end, start, end)
        said += spoken
    return said, core


def _pieces(text: str, group: _Group) -> Iterator[_Piece]:
    position = group.start
    for start, end, spoken in group.rewrites:
        yield _Piece(position, start, text[position:start], rewritten=False)
        yield _Piece(start, end, spoken, rewritten=True)
        position = end
    yield _Piece(position, group.end, text[position : group.end], rewritten=False)


def _edges(spoken: str) -> tuple[int, int] | None:
    """The span of ``spoken`` from its first to its last character that is more than punctuation."""
    first = next((i for i, char in enumerate(spoken) if _is_read(char)), None)
    if first is None:
        return None
    return first, next(i for i in range(len(spoken), 0, -1) if _is_read(spoken[i - 1]))


def _is_read(char: str) -> bool:
    return char.isalnum() or char in _READ_ALOUD or unicodedata.category(char)[0] in "MS"
