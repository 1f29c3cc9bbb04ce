"""Phonemes by espeak-ng as misaki writes them: for Kokoro's voices of languages but English.

misaki (Apache-2.0) has one letter for a diphthong and one for an affricate, and keeps the marks of
the text. What reads the text is espeak-ng either way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from voxswap_families.symbols import Symbol, SymbolTable
from voxswap_families.text import NormalizedText, Phone, SymbolSequence
from voxswap_server.text.english.misaki import brackets
from voxswap_server.text.english.phonemes import IPA_OF_LETTERS
from voxswap_server.text.espeak.front_end import EspeakReader, Said, plain
from voxswap_server.text.espeak.library import Espeak

# For letters that espeak-ng ties, misaki's one; and the one letter that a table has composed.
_LETTERS: Final = (
    *(("a^ɪ", "I"), ("a^ʊ", "W"), ("d^z", "ʣ"), ("d^ʒ", "ʤ"), ("e^ɪ", "A"), ("o^ʊ", "O")),
    *(("ə^ʊ", "Q"), ("s^s", "S"), ("t^s", "ʦ"), ("t^ʃ", "ʧ"), ("ɔ^ɪ", "Y"), ("c\u0327", "ç")),
)
_NOT_WRITTEN: Final = str.maketrans("", "", "^-")
_IPA_OF_LETTERS: Final = IPA_OF_LETTERS | str.maketrans({"S": "s", "ʣ": "dz", "ʦ": "ts"})

# A dot within a word belongs to it, and so do a comma and a colon in a number: 3,50 and 10:30.
_MARK: Final = re.compile(r'[;!?—…"()¡¿\[\]]|\.{2,}|\.(?=\W|$)|(?<!\S)\.|(?<!\d)[,:]|[,:](?!\d)')
_WITHOUT_A_SYMBOL: Final = frozenset("¡¿[]")


class MisakiEspeakFrontEnd:
    """A language that espeak-ng reads, for voices trained on misaki's phonemes of it.

    Thread-safe. Making one, and how long it takes: see `EspeakReader`, whose errors are raised.
    """

    def __init__(self, table: SymbolTable, espeak: Espeak, voice: str) -> None:
        self._table = table
        self._voice = voice
        self._reader = EspeakReader(espeak, voice, ties=True, spelled=_spelled)

    def __repr__(self) -> str:
        return f"MisakiEspeakFrontEnd(voice={self._voice!r})"

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """Symbols of one segment; each phone knows its word, and its text is IPA.

        Marks stand where the text has them; of equal ones in a row the first counts. Raises
        `UnreadableTextError` for a text that ends what reads it, `FrontEndBusyError`.
        """
        pieces = list(_pieces(text.text))
        spans = [(start, end) for start, end, mark in pieces if not mark]
        read = iter(self._reader.read(text, spans))
        spoken: list[Symbol] = []
        for start, end, mark in pieces:
            if start and text.text[start - 1].isspace():
                _space(spoken)
            if not mark:
                _say(spoken, next(read))
            elif mark not in _WITHOUT_A_SYMBOL and (not spoken or spoken[-1].text != mark):
                spoken.append(Symbol(mark, None))
            if text.text[end : end + 1].isspace():
                _space(spoken)
        if spoken and spoken[-1].text == " ":
            spoken.pop()
        sequence = self._table.sequence(spoken)
        phones = (
            Phone(phone.text.translate(_IPA_OF_LETTERS), phone.first, phone.last, phone.word)
            for phone in sequence.phones
        )
        return SymbolSequence(sequence.ids, tuple(phones), sequence.unknown)


def _pieces(text: str) -> Iterator[tuple[int, int, str]]:
    """The spans of a text that are read, and of marks with how misaki writes them; no spaces."""
    quotes = dict(brackets(text))
    start = 0
    for found in _MARK.finditer(text):
        yield from _stripped(text, start, found.start())
        start = found.end()
        mark = "…" if found[0].startswith("..") else quotes.get(found.start(), found[0])
        yield found.start(), start, mark
    yield from _stripped(text, start, len(text))


def _stripped(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    inside = text[start:end]
    if inside.strip():
        start += len(inside) - len(inside.lstrip())
        yield start, start + len(inside.strip()), ""


def _say(spoken: list[Symbol], clauses: list[Said]) -> None:
    """Add clauses, which espeak-ng parts at what is no mark here: a comma without a space."""
    before = ""
    for clause in clauses:
        if before:
            spoken += (Symbol(before, None), Symbol(" ", None))
        elif clause is not clauses[0]:
            _space(spoken)
        spoken += map(Symbol, clause.phonemes, clause.owners)
        before = clause.terminator


def _space(spoken: list[Symbol]) -> None:
    if spoken and spoken[-1].text != " ":
        spoken.append(Symbol(" ", None))


def _spelled(phonemes: str) -> str:
    letters = plain(phonemes)
    for tied, letter in _LETTERS:
        letters = letters.replace(tied, letter)
    return letters.translate(_NOT_WRITTEN)
