"""English without espeak-ng, for voices that were trained on it: hibari-tts's Apache-2.0 front-end.

hibari reads English as misaki does; `english_phonemes` rewrites that as espeak-ng would.
"""

from __future__ import annotations

import re
import threading
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
            word = _word_at(text.words, piece)
            spoken += (Symbol(symbol, word) for symbol in said)
            glued = False
        return self._table.sequence(spoken)

    def _pieces(self, text: str) -> Iterator[_Piece]:
        plain = text.translate(_PLAIN)
        plain = _ELLIPSIS.sub(lambda dots: "…".ljust(len(dots[0])), plain)
        position = 0
        for token in self._reader.phonemize_tokens(self._reader.tokenize(plain)):
            found = plain.find(token.text, position)
            start = position if found < 0 else found
            end = start + len(token.text)
            position = start if found < 0 else end
            groups = "".join(c for c in token.phonemes or "" if c not in _PUNCTUATION).split()
            for phonemes in groups:
                said = to_espeak(phonemes, token.text.lower(), british=self._british)
                yield _Piece(said, start, end)
            if not groups:
                mark = _MARK_OF.get(token.text[:1], token.text[:1])
                if mark in _MARKS:
                    yield _Piece(mark, start, end)


def _word_at(words: Sequence[Word], piece: _Piece) -> int | None:
    for index, word in enumerate(words):
        if word.start < piece.end and piece.start < word.end:
            return index
    return None
