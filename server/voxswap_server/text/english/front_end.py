"""English without espeak-ng, for voices that were trained on it: hibari-tts's Apache-2.0 front-end.

hibari reads English as misaki does; `english_phonemes` rewrites that as espeak-ng would.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from voxswap_families.symbols import Symbol, SymbolTable
from voxswap_families.text import NormalizedText, SymbolSequence
from voxswap_server.text.english.phonemes import linked, to_espeak
from voxswap_server.text.english.reader import EnglishReader, Reading, word_at
from voxswap_server.text.unsaid import with_unsaid

_MARKS: Final = frozenset(".,:;?!")
_MARK_OF: Final = {"…": ",", "—": ";"}


# A dozen regular expressions for each word, and texts repeat their words.
_spelled = lru_cache(4096)(to_espeak)


class _Piece(NamedTuple):
    """A reading as espeak-ng spells it: phonemes or a mark."""

    text: str
    reading: Reading | None


class EnglishFrontEnd:
    """English for Piper's espeak-trained voices, by hibari-tts. Holds no state of its own.

    Thread-safe. `symbols` takes about 2 ms a sentence; see `EnglishReader` for what making the
    first one of an accent takes. Raises `FrontEndError` if hibari-tts is not installed.
    """

    def __init__(self, table: SymbolTable, *, british: bool = False) -> None:
        self._table = table
        self._british = british
        self._reader = EnglishReader(british=british)

    def __repr__(self) -> str:
        return f"EnglishFrontEnd(british={self._british})"

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """Symbols of one segment; each phone knows its word.

        Marks stand where Piper has them: after a word, a space only after ``, : ;``. Of several
        marks in a row the first counts, and marks before the first word are left out.
        """
        spoken: list[Symbol] = []
        glued = True
        pieces = [self._piece(reading) for reading in self._reader.read(text.text)]
        for piece, following in pairwise([*pieces, _Piece(".", None)]):
            if piece.text in _MARKS:
                if not glued:
                    spoken.append(Symbol(piece.text, None))
                    if piece.text in ",:;":
                        spoken.append(Symbol(" ", None))
                    glued = True
                continue
            if not glued:
                spoken.append(Symbol(" ", None))
            said = piece.text if self._british else linked(piece.text, following.text)
            if following.text in _MARKS and "ˈ" not in said:
                said = said.replace("ˌ", "ˈ", 1)  # the last word of a clause is stressed
            word = word_at(text.words, piece.reading) if piece.reading else None
            spoken += (Symbol(symbol, word) for symbol in said)
            glued = False
        return with_unsaid(text, self._table.sequence(spoken))

    def _piece(self, reading: Reading) -> _Piece:
        if reading.is_mark:
            return _Piece(_MARK_OF.get(reading.said, reading.said), reading)
        said = _spelled(reading.said, reading.spelling, british=self._british)
        return _Piece(said, reading)
