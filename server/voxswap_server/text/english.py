"""English without espeak-ng, for voices that were trained on it: hibari-tts's Apache-2.0 front-end.

hibari reads English as misaki does; `english_phonemes` rewrites that as espeak-ng would.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from voxswap_registry.errors import FrontEndError
from voxswap_server.text.english_phonemes import linked, to_espeak
from voxswap_server.text.symbols import Symbol, SymbolTable
from voxswap_server.text.types import NormalizedText, SymbolSequence, Word

_MARKS: Final = frozenset(".,:;?!")
_MARK_OF: Final = {
    "…": ",",
    "—": ";",
    "–": ";",
    "。": ".",
    "、": ",",
    "，": ",",
    "？": "?",
    "！": "!",
}
_PLAIN: Final = str.maketrans(
    dict.fromkeys('"“”„‟«»‹›()[]{}<>*_`|~^\\\xad\u200b\u200d', " ")
    | {"’": "'", "‘": "'", "‒": "-", "―": "—", "\u00a0": " "}
)


_PUNCTUATION: Final = frozenset(';:,.!?—…"“”()')
_ELLIPSIS: Final = re.compile(r"\.{2,}")


# hibari tries every way to join the parts of a run without spaces: cubic time.
_LONGEST_RUN: Final = 48
_LONG_RUN: Final = re.compile(rf"\S{{{_LONGEST_RUN + 1},}}")
_RUN_PART: Final = re.compile(rf"\w{{1,{_LONGEST_RUN}}}|\W")
_PARTS: Final = (re.compile(r"\S+"), re.compile(r"[^\W\d_]+|\d"))


class _Piece(NamedTuple):
    """A run of phonemes without spaces, or a mark; where its token begins in the text."""

    text: str
    start: int
    end: int


class _Readers:
    """The process's hibari readers, American and British: about 150 MB each, made once.

    Thread-safe: ``_lock`` guards the making (about 0.4 s; other threads wait). The readers
    themselves only look things up and need no lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: dict[bool, Any] = {}

    def get(self, *, british: bool) -> Any:
        with self._lock:
            if british not in self._readers:
                try:
                    from hibari.g2p import G2P

                    reader = G2P(british=british)
                    reader.oov("voxswap")  # opens the network for unknown words now, not mid-stream
                except ImportError as error:
                    raise FrontEndError(
                        f"English text needs the package hibari-tts ({error}); "
                        "pip install 'voxswap[server]'",
                        metadata={"package": "hibari-tts"},
                    ) from error
                self._readers[british] = reader
            return self._readers[british]


_READERS: Final = _Readers()


class EnglishFrontEnd:
    """English for Piper's espeak-trained voices, by hibari-tts. Holds no state of its own.

    Thread-safe. `symbols` takes about 2 ms a sentence. Making the first one of an accent loads its
    lexicon (about 0.4 s). Raises `FrontEndError` if hibari-tts is not installed.
    """

    def __init__(self, table: SymbolTable, *, british: bool = False) -> None:
        self._table = table
        self._british = british
        self._reader = _READERS.get(british=british)

    def __repr__(self) -> str:
        return f"EnglishFrontEnd(british={self._british})"

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """Symbols of one segment; each phone knows its word.

        Marks stand where Piper has them: after a word, a space only after ``, : ;``. Of several
        marks in a row the first counts, and marks before the first word are left out.
        """
        spoken: list[Symbol] = []
        glued = True
        for piece, following in pairwise([*self._pieces(text.text), _Piece(".", 0, 0)]):
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
            word = _word_at(text.words, piece)
            spoken += (Symbol(symbol, word) for symbol in said)
            glued = False
        return self._table.sequence(spoken)

    def _pieces(self, text: str) -> Iterator[_Piece]:
        plain = "".join(map(_plain_digit, text.translate(_PLAIN)))
        plain = _ELLIPSIS.sub(lambda dots: "…".ljust(len(dots[0])), plain)
        start = 0
        for run in _LONG_RUN.finditer(plain):
            yield from self._read(plain, start, run.start())
            for part in _RUN_PART.finditer(plain, *run.span()):
                yield from self._read(plain, *part.span())
            start = run.end()
        yield from self._read(plain, start, len(plain))

    def _read(self, text: str, start: int, end: int, finer: int = 0) -> list[_Piece]:
        """Pieces of ``text[start:end]``; in ever smaller parts if hibari stumbles over the whole.

        It does over odd numbers such as "3.5st". A word of letters alone, or one digit, never made
        it stumble.
        """
        try:
            tokens = self._reader.phonemize_tokens(self._reader.tokenize(text[start:end]))
        except Exception as error:
            if finer == len(_PARTS):
                raise FrontEndError(
                    f"hibari-tts cannot read {text[start:end]!r} ({error}); leave it out or spell "
                    "it differently",
                    metadata={"package": "hibari-tts"},
                ) from error
            return [
                piece
                for part in _PARTS[finer].finditer(text, start, end)
                for piece in self._read(text, *part.span(), finer + 1)
            ]
        pieces: list[_Piece] = []
        groups: list[str] = []
        for token in tokens:
            found = text.find(token.text, start, end)
            here = start if found < 0 else found
            start = here if found < 0 else here + len(token.text)
            groups = "".join(c for c in token.phonemes or "" if c not in _PUNCTUATION).split()
            spelling = token.text.lower()
            pieces += (
                _Piece(to_espeak(phonemes, spelling, british=self._british), here, start)
                for phonemes in groups
            )
            mark = _MARK_OF.get(token.text[:1], token.text[:1])
            if not groups and mark in _MARKS:
                pieces.append(_Piece(mark, here, start))
        if tokens and groups and tokens[-1].text[-1] in _MARKS:
            # An abbreviation, such as "etc.", whose dot ends the text as well.
            pieces.append(_Piece(tokens[-1].text[-1], start, start))
        return pieces


def _plain_digit(character: str) -> str:
    """Superscript, circled and other scripts' digits as 0 to 9; anything else as it is."""
    if character.isascii() or not character.isdigit():
        return character
    return str(unicodedata.digit(character))


def _word_at(words: Sequence[Word], piece: _Piece) -> int | None:
    for index, word in enumerate(words):
        if word.start < piece.end and piece.start < word.end:
            return index
    return None
