"""Characters as symbols, for voices that were trained on letters: MMS and Piper's "text" voices."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from voxswap_server.text.symbols import Symbol, SymbolTable
from voxswap_server.text.types import NormalizedText, SymbolSequence


class CharacterFrontEnd:
    """Every character of the text is a phone; those that the table lacks are counted, not spoken.

    The text is brought to the Unicode form of the table's own symbols: decomposed where the table
    has combining marks by themselves or the layout is Piper's (which decomposes), else composed.
    Immutable, hence thread-safe; takes a fraction of a millisecond.
    """

    def __init__(self, table: SymbolTable, *, lowercase: bool) -> None:
        self._table = table
        self._lowercase = lowercase
        composed = any(
            unicodedata.normalize("NFD", symbol) != symbol for symbol in table.symbols
        )
        alone = any(unicodedata.combining(symbol[0]) for symbol in table.symbols if symbol)
        self._decomposes = alone or (table.layout == "piper" and not composed)

    def __repr__(self) -> str:
        return f"CharacterFrontEnd(lowercase={self._lowercase})"

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """Symbols of one segment. Never raises."""
        return self._table.sequence(list(self._spoken(text)), group=False)

    def _spoken(self, text: NormalizedText) -> Iterator[Symbol]:
        owners: list[int | None] = [None] * len(text.text)
        for index, word in enumerate(text.words):
            for place in range(word.start, word.end):
                if text.text[place].isalnum() or unicodedata.combining(text.text[place]):
                    owners[place] = index
        for start, end in _clusters(text.text):
            written = text.text[start:end]
            if self._lowercase:
                written = written.lower()
            form = "NFD" if self._decomposes else "NFC"
            for symbol in unicodedata.normalize(form, written):
                yield Symbol(" " if symbol.isspace() else symbol, owners[start])


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Spans of a character with its combining marks, so that composing does not cross a word."""
    start = 0
    for place in range(1, len(text) + 1):
        if place == len(text) or not unicodedata.combining(text[place]):
            yield start, place
            start = place
