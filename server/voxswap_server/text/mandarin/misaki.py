"""Mandarin for voices that were trained on misaki's older phonemes: Kokoro-82M's z voices.

Tones are those of the dictionary, as arrows; a space parts words, and marks are ASCII.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Final

from voxswap_families.symbols import SymbolTable
from voxswap_families.text import NormalizedText, Phone, SymbolSequence
from voxswap_server.text.english.phonemes import IPA_OF_LETTERS
from voxswap_server.text.mandarin import syllables
from voxswap_server.text.mandarin.latin import LatinWord, letters
from voxswap_server.text.mandarin.reader import Spoken, in_order, shared_reader
from voxswap_server.text.mandarin.words import HanWord

_OPENING: Final = frozenset("“(")
_MARKS: Final = MappingProxyType(
    {
        **dict(zip("，、。．！？：；", ",,..!?:;", strict=True)),
        **dict(zip("《〈「『【[（", "““““““(", strict=True)),
        **dict(zip("》〉」』】]）", "””””””)", strict=True)),
        "·": "",
    }
)


class MisakiMandarinFrontEnd:
    """Mandarin, and English within it, as misaki writes them. Holds no state of its own.

    Thread-safe. `symbols` takes a millisecond or two a sentence; making the first one of a process
    blocks for a second. Raises `FrontEndError` without the extra ``mandarin``.
    """

    def __init__(self, table: SymbolTable) -> None:
        self._table = table
        self._reader = shared_reader()

    def __repr__(self) -> str:
        return "MisakiMandarinFrontEnd()"

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """Symbols of one segment; each phone knows its word, and its text is IPA.

        Raises `LongReadingError`.
        """
        spoken = self._reader.read(text, english=self._reader.reads_english)
        line = _Line()
        unread = dict(spoken.unread)
        for item in in_order(spoken):
            if isinstance(item, HanWord):
                said = [syllables.misaki(syllable) for syllable in item.syllables if syllable]
                line.say([phone for phones in said for phone in phones], spoken.owners[item.start])
            elif isinstance(item, LatinWord):
                phones = _english(item, spoken)
                line.say(phones, spoken.owners[item.start])
                if not phones:
                    word = spoken.text.text[item.start : item.end]
                    unread[word] = unread.get(word, 0) + 1
            else:
                line.mark(item[1])
        return self._sequence(line, spoken, unread)

    def _sequence(self, line: _Line, spoken: Spoken, unread: dict[str, int]) -> SymbolSequence:
        table, known = self._table, self._table.symbols
        ids = list(table.start)
        phones: list[Phone] = []
        for said, word in line.phones:
            first = len(ids)
            for letter in said:
                if letter in known:
                    ids += known[letter]
                    ids += table.blank
                else:
                    unread[letter] = unread.get(letter, 0) + 1
            if len(ids) > first:
                phones.append(Phone(_ipa(said), first, len(ids), word))
        ids += table.end
        return SymbolSequence(tuple(ids), tuple(phones), unread, spoken.text)


@lru_cache(1024)
def _ipa(phone: str) -> str:
    return syllables.ipa((phone,)).translate(IPA_OF_LETTERS)


def _english(word: LatinWord, spoken: Spoken) -> list[str]:
    """Phones of an English word; of its letters in Mandarin where nobody reads English."""
    if not word.said:
        text = spoken.text.text[word.start : word.end]
        return [phone for syllable in letters(text) for phone in syllables.misaki(syllable)]
    phones: list[str] = []
    for letter in word.said:
        if phones and phones[-1] in {"ˈ", "ˌ"}:
            phones[-1] += letter
        else:
            phones.append(letter)
    return phones


class _Line:
    """Phones of a line and the words that they belong to; spaces and marks in between."""

    def __init__(self) -> None:
        self.phones: list[tuple[str, int | None]] = []
        self._glued = True
        self._began = False
        self._quoted = False
        self._row: set[str] = set()  # marks since the last word

    def say(self, phones: list[str], word: int | None) -> None:
        """A word; nothing if it has no phones."""
        if not phones:
            return
        if not self._glued:
            self.phones.append((" ", None))
        self.phones += ((phone, word) for phone in phones)
        self._glued, self._began = False, True
        self._row.clear()

    def mark(self, written: str) -> None:
        """A mark; of equal ones in a row the first, and before any word only what opens."""
        mark = _MARKS.get(written, written)
        if mark == '"':
            self._quoted = not self._quoted
            mark = "“" if self._quoted else "”"
        opens = mark in _OPENING
        if not mark or mark in self._row or not (self._began or opens):
            return
        self._row.add(mark)
        if opens and not self._glued:
            self.phones.append((" ", None))
        self.phones.append((mark, None))
        self._glued = opens
