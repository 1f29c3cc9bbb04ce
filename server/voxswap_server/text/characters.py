"""Characters as symbols, for voices that were trained on letters: MMS and Piper's "text" voices."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from voxswap_families.symbols import Symbol, SymbolTable
from voxswap_families.text import NormalizedText, SymbolSequence


class CharacterFrontEnd:
    """Every character of the text is a phone; those that the table lacks are counted, not spoken.

    Piper decomposes its text (NFD); for the other layout each letter is composed or decomposed,
    whichever the table has, and blanks at the ends are dropped, as transformers' tokenizer does.
    Immutable, hence thread-safe; takes a fraction of a millisecond.
    """

    def __init__(self, table: SymbolTable, *, lowercase: bool) -> None:
        self._table = table
        self._lowercase = lowercase

    def __repr__(self) -> str:
        return f"CharacterFrontEnd(lowercase={self._lowercase})"

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """Symbols of one segment. Never raises."""
        spoken = list(self._spoken(text))
        if self._table.layout == "blanks":
            said = [
                place
                for place, symbol in enumerate(spoken)
                if symbol.text != " " and symbol.text in self._table.symbols
            ]
            first, last = (said[0], said[-1]) if said else (len(spoken), -1)
            spoken = [
                symbol
                for place, symbol in enumerate(spoken)
                if symbol.text != " " or first < place < last
            ]
        return self._table.sequence(spoken, group=False)

    def _spoken(self, text: NormalizedText) -> Iterator[Symbol]:
        owners: list[int | None] = [None] * len(text.text)
        for index, word in enumerate(text.words):
            letters = [i for i in range(word.start, word.end) if _is_letter(text.text[i])]
            for place in range(letters[0], letters[-1] + 1) if letters else ():
                owners[place] = index
        for start, end in _clusters(text.text):
            written = text.text[start:end]
            if self._lowercase:
                written = written.lower()
            for symbol in self._form(written):
                blank = symbol.isspace()
                yield Symbol(" " if blank else symbol, None if blank else owners[start])

    def _form(self, written: str) -> str:
        decomposed = unicodedata.normalize("NFD", written)
        if self._table.layout == "piper":
            return decomposed
        composed = unicodedata.normalize("NFC", written)
        known = self._table.symbols.keys()
        return decomposed if known >= set(decomposed) and not known >= set(composed) else composed


def _is_letter(character: str) -> bool:
    """Letters and digits, and the vowel signs of Indic scripts."""
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Spans of a character and the combining marks after it."""
    start = 0
    for place in range(1, len(text) + 1):
        if place == len(text) or not unicodedata.combining(text[place]):
            yield start, place
            start = place
