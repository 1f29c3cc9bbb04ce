"""Mandarin text, segment by segment, as words with their readings and the marks between them.

What a voice makes of it differs: `misaki` writes the phonemes of Kokoro's voices, `kantts` the
tokens of Sambert's.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

from voxswap_families.text import LongReadingError, NormalizedText, Word
from voxswap_registry.errors import FrontEndError
from voxswap_server.text.mandarin import figures
from voxswap_server.text.mandarin.characters import IS_HAN, Simplifier, tidied
from voxswap_server.text.mandarin.grammars import Grammars
from voxswap_server.text.mandarin.latin import LATIN_RUN, LatinReader, LatinWord
from voxswap_server.text.mandarin.spelling import Spelling, spelling_of
from voxswap_server.text.mandarin.words import HanWord, WordReader
from voxswap_server.text.normalization import normalize

MARKS: Final = frozenset('，。！？；：、,.!?;:…—“”"()（）《》〈〉【】[]「」『』·')
_MOST_SAID: Final = 1_000  # characters of a segment as it is read out
_DOTS: Final = re.compile(r"[.…]{2,}")
_ENGLISH: Final = re.compile(r"[A-Za-zÀ-ɏ]{2,}")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A segment as it is read. ``text.words`` are Mandarin's, which writes no spaces.

    ``han`` and ``latin`` are in the order of ``text.text``, and so are ``marks``: each with its
    place. ``owners`` has for each character of ``text.text`` the index of its word, or None.
    ``unread`` counts characters that have no reading.
    """

    text: NormalizedText
    han: Sequence[HanWord]
    latin: Sequence[LatinWord]
    marks: Sequence[tuple[int, str]]
    owners: Sequence[int | None]
    unread: Mapping[str, int]


class MandarinReader:
    """Reads Mandarin, with what English there is in it. Thread-safe.

    `read` takes a millisecond or two a sentence. `shared_reader` makes it once for a process.
    """

    def __init__(self) -> None:
        """Blocks for a second. Raises `FrontEndError` if the extra ``mandarin`` is missing."""
        try:
            self._simplifier = Simplifier()
            self._grammars = Grammars()
            self._words = WordReader()
        except ImportError as error:
            raise FrontEndError(
                f"Mandarin text needs the extra 'mandarin' ({error}); "
                "pip install 'voxswap[mandarin]'",
                metadata={"extra": "mandarin"},
            ) from error
        self._latin = LatinReader()

    @property
    def reads_english(self) -> bool:
        """Whether English words have a reading here."""
        return self._latin.can_read

    def read(self, text: NormalizedText, *, english: bool) -> Spoken:
        """``text``, which nobody read numbers of, in words. ``english``: the voice can say English.

        Raises `LongReadingError`.
        """
        spelling = tidied(spelling_of(text), self._simplifier)
        if english and not IS_HAN.search(spelling.text) and _ENGLISH.search(spelling.text):
            spelling = _in_english(spelling)
        else:
            spelling = self._in_words(spelling)
        spelling = spelling.substituted(_DOTS, lambda found: "…")
        if len(spelling.text) > _MOST_SAID:
            raise LongReadingError(len(spelling.text) / _MOST_SAID)
        return self._spoken(text, spelling)

    def _in_words(self, spelling: Spelling) -> Spelling:
        spelling = figures.close(spelling)
        if figures.has_figures(spelling.text):
            spelling = figures.mended(spelling)
            spelling = spelling.rewritten(self._grammars.rewrites(spelling.text))
        return figures.signs_in_words(spelling)

    def _spoken(self, source: NormalizedText, spelling: Spelling) -> Spoken:
        text = spelling.text
        han = list(self._words.words(text))
        latin: list[LatinWord] = []
        for run in LATIN_RUN.finditer(text):
            latin += self._latin.words(text, *run.span())
        unread: Counter[str] = Counter()
        for word in han:
            unread.update(
                character
                for character, syllable in zip(
                    text[word.start : word.end], word.syllables, strict=True
                )
                if not syllable
            )
        covered = sorted(
            [(word.start, word.end) for word in han] + [(word.start, word.end) for word in latin]
        )
        words, owners = _owned(source, spelling, covered)
        marks = []
        for place, character in enumerate(text):
            if owners[place] is None and character in MARKS:
                marks.append((place, character))
        inside = {place for start, end in covered for place in range(start, end)}
        unread.update(
            character
            for place, character in enumerate(text)
            if place not in inside and character.isalnum()
        )
        said = NormalizedText(text, tuple(words), source.dropped, source.source)
        return Spoken(said, han, latin, marks, owners, dict(unread))


def _in_english(spelling: Spelling) -> Spelling:
    """A segment without a Han character, as English is normalised."""
    normal = normalize(spelling.text, "en-US")
    starts, ends = [-1] * len(normal.text), [-1] * len(normal.text)
    for word in normal.words:
        known = [i for i in range(word.source_start, word.source_end) if spelling.starts[i] >= 0]
        if known:
            length = word.end - word.start
            starts[word.start : word.end] = [spelling.starts[known[0]]] * length
            ends[word.start : word.end] = [spelling.ends[known[-1]]] * length
    return Spelling(normal.text, starts, ends)


def _owned(
    source: NormalizedText, spelling: Spelling, spans: Sequence[tuple[int, int]]
) -> tuple[list[Word], list[int | None]]:
    """The words of the client's text, and which of them each character of the spoken text says.

    Spans that say the same of the client's text, or parts of it that overlap, are one word.
    """
    # For those who made the text by hand.
    written = {
        word.source_start + i: character
        for word in source.words
        for i, character in enumerate(word.text)
    }
    owners: list[int | None] = [None] * len(spelling.text)
    words: list[Word] = []
    for start, end in spans:
        places = [i for i in range(start, end) if spelling.starts[i] >= 0]
        if not places:
            continue
        first, last, begin = spelling.starts[places[0]], spelling.ends[places[-1]], start
        if words and first < words[-1].source_end:
            before = words.pop()
            first, last = before.source_start, max(last, before.source_end)
            begin = before.start
        text = source.source[first:last] or "".join(
            map(written.get, range(first, last), repeat(" "))
        )
        words.append(Word(text, first, last, begin, end))
        owners[start:end] = [len(words) - 1] * (end - start)
    return words, owners


class _Shared:
    """The process's reader, made once. Thread-safe: ``_lock`` guards the making."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader: MandarinReader | None = None

    def get(self) -> MandarinReader:
        with self._lock:
            if self._reader is None:
                self._reader = MandarinReader()
            return self._reader


_SHARED: Final = _Shared()


def shared_reader() -> MandarinReader:
    """The reader of this process; the first call blocks for a second. Raises `FrontEndError`."""
    return _SHARED.get()


def in_order(spoken: Spoken) -> Iterator[HanWord | LatinWord | tuple[int, str]]:
    """Words and marks as they follow each other in the text."""
    items: list[tuple[int, HanWord | LatinWord | tuple[int, str]]] = [
        *((word.start, word) for word in spoken.han),
        *((word.start, word) for word in spoken.latin),
        *((mark[0], mark) for mark in spoken.marks),
    ]
    for _, item in sorted(items, key=lambda pair: pair[0]):
        yield item
