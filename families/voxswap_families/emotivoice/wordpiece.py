"""WordPiece (Wu et al. 2016) with BERT's rules for text: what a prompt is for the style encoder.

Text is cleaned, its accents and capitals are gone, Chinese characters and punctuation stand apart;
then each word is the longest pieces of the vocabulary that it begins with, ``##`` before all but
the first. What cannot be put together of pieces is one ``[UNK]``.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from voxswap_registry.errors import EngineError

#: Of a vocab.txt; BERT's for Chinese has 110 KB.
MAX_VOCABULARY_BYTES: Final = 1 << 20
#: Ids of a text, with those around them: rows of the encoder's table of positions.
MOST_IDS: Final = 512
UNKNOWN: Final = "[UNK]"
BEGIN: Final = "[CLS]"
END: Final = "[SEP]"
_LONGEST_WORD: Final = 100
_MOST_PIECES: Final = 100_000
# Of many more characters, none but the first could have an id.
_MOST_READ: Final = 8_192
_CHINESE: Final = re.compile(
    "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ceaf"
    "\U0002f800-\U0002fa1f]"
)


class WordPiece:
    """A vocabulary, and the ids of text by it. Immutable, hence thread-safe."""

    def __init__(self, pieces: Mapping[str, int]) -> None:
        """``pieces`` are ids by piece. Raises `EngineError` if a mark is missing."""
        for mark in (UNKNOWN, BEGIN, END):
            if mark not in pieces:
                raise EngineError(
                    f"the vocabulary has no {mark}; it must be the vocab.txt of the style encoder, "
                    "so import the voice again"
                )
        self._pieces = MappingProxyType(dict(pieces))
        self.unknown = pieces[UNKNOWN]
        self._begin, self._end = pieces[BEGIN], pieces[END]
        self._longest = max(map(len, pieces))

    @classmethod
    def from_bytes(cls, data: bytes) -> WordPiece:
        """The vocabulary in a ``vocab.txt``: a piece a line. Raises `EngineError` for another."""
        remedy = "it must be the vocab.txt of the style encoder, so import the voice again"
        if len(data) > MAX_VOCABULARY_BYTES:
            raise EngineError(
                f"the vocabulary has {len(data)} bytes, and {MAX_VOCABULARY_BYTES} at most are "
                f"read; {remedy}"
            )
        try:
            lines = bytes(data).decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise EngineError(f"the vocabulary is no UTF-8 ({error.reason}); {remedy}") from error
        if not lines[-1]:
            lines.pop()
        if len(lines) > _MOST_PIECES:
            raise EngineError(
                f"the vocabulary has {len(lines)} pieces, and {_MOST_PIECES} at most are read; "
                f"{remedy}"
            )
        return cls({line.removesuffix("\r"): row for row, line in enumerate(lines)})

    def __len__(self) -> int:
        """One more than the highest id."""
        return max(self._pieces.values()) + 1

    def ids(self, text: str) -> list[int]:
        """``[CLS]``, the ids of ``text``, ``[SEP]``: at most `MOST_IDS`; what is longer is cut.

        Takes about a microsecond a character.
        """
        found = (row for word in _words(text[:_MOST_READ]) for row in self._of_word(word))
        return [self._begin, *itertools.islice(found, MOST_IDS - 2), self._end]

    def _of_word(self, word: str) -> list[int]:
        if len(word) > _LONGEST_WORD:
            return [self.unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            before = "##" if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                row = self._pieces.get(before + word[start:end])
                if row is not None:
                    found.append(row)
                    start = end
                    break
            else:
                return [self.unknown]
        return found


def _words(text: str) -> Iterator[str]:
    """Words, Chinese characters and marks of punctuation, one by one."""
    kept = "".join(" " if c.isspace() else c for c in text if not _is_dropped(c))
    apart = _CHINESE.sub(r" \g<0> ", kept)
    bare = (c for c in unicodedata.normalize("NFD", apart) if unicodedata.category(c) != "Mn")
    for run in "".join(c.lower() for c in bare).split():
        start = 0
        for place, character in enumerate(run):
            if _is_punctuation(character):
                if start < place:
                    yield run[start:place]
                yield character
                start = place + 1
        if start < len(run):
            yield run[start:]


def _is_dropped(character: str) -> bool:
    """Whether it is a control character, or stands for one that was lost."""
    if character in "\t\n\r":
        return False
    return character == "\ufffd" or unicodedata.category(character)[0] == "C"


def _is_punctuation(character: str) -> bool:
    """Also signs such as $ and ~, as they are on every keyboard."""
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return unicodedata.category(character)[0] == "P"
