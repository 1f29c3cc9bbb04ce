"""English for voices that were trained on misaki's phonemes, such as Kokoro."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from voxswap_families.symbols import Symbol, SymbolTable
from voxswap_families.text import NormalizedText, Phone, SymbolSequence
from voxswap_server.text.english.phonemes import IPA_OF_LETTERS
from voxswap_server.text.english.reader import EnglishReader, Reading, word_at
from voxswap_server.text.unsaid import with_unsaid

_OPENING: Final = "“("
_BRACKETS: Final = dict(zip("“„«”»()", "“““””()", strict=True))


class MisakiFrontEnd:
    """English as misaki writes it, read by hibari-tts. Holds no state of its own.

    Thread-safe. `symbols` takes about 2 ms a sentence; see `EnglishReader` for what making the
    first one of an accent takes. Raises `FrontEndError` if hibari-tts is not installed.
    """

    def __init__(self, table: SymbolTable, *, british: bool = False) -> None:
        self._table = table
        self._british = british
        self._reader = EnglishReader(british=british)

    def __repr__(self) -> str:
        return f"MisakiFrontEnd(british={self._british})"

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """Symbols of one segment; each phone knows its word, and its text is IPA.

        Marks stand where misaki has them: at the word that they stand at in the text, with a space
        on their other side. Of equal marks in a row the first counts, and marks before the first
        word are left out unless they open a quote or a bracket.
        """
        spoken: list[Symbol] = []
        glued, began = True, False
        row: set[str] = set()  # marks since the last word
        for said, reading in self._items(text.text):
            is_word = reading is not None and not reading.is_mark
            opens = said in _OPENING
            if not is_word:
                if said in row or not (began or opens):
                    continue
                row.add(said)
            if not glued and (is_word or opens):
                spoken.append(Symbol(" ", None))
            if reading is not None and is_word:
                word = word_at(text.words, reading)
                spoken += (Symbol(symbol, word) for symbol in said)
                began = True
                row.clear()
            else:
                spoken.append(Symbol(said, None))
            glued = opens
        sequence = self._table.sequence(spoken)
        phones = (
            Phone(phone.text.translate(IPA_OF_LETTERS), phone.first, phone.last, phone.word)
            for phone in sequence.phones
        )
        as_ipa = SymbolSequence(sequence.ids, tuple(phones), sequence.unknown)
        return with_unsaid(text, as_ipa)

    def _items(self, text: str) -> Iterator[tuple[str, Reading | None]]:
        """What is read, and between it the quotes and brackets, which the reader leaves out."""
        left = deque(brackets(text))
        for reading in self._reader.read(text):
            while left and left[0][0] < reading.start:
                yield left.popleft()[1], None
            yield reading.said, reading
        for _, bracket in left:
            yield bracket, None


def brackets(text: str) -> Iterator[tuple[int, str]]:
    """Where quotes and brackets stand, as misaki writes them."""
    is_open = False
    for place, character in enumerate(text):
        if character == '"':
            opens = place == 0 or text[place - 1].isspace() or text[place - 1] in _OPENING
            # French has a space on both sides.
            alone = place and opens and text[place + 1 : place + 2].strip() == ""
            is_open = opens and not (alone and is_open)
            yield place, "“" if is_open else "”"
        elif character in _BRACKETS:
            yield place, _BRACKETS[character]
