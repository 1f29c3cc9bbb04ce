"""English as hibari-tts (Apache-2.0) reads it: misaki's phonemes and marks, and where they stand.

Voices differ in how they spell what is read here: `english` for espeak-ng's alphabet, `misaki` for
misaki's own.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from voxswap_families.text import Word
from voxswap_registry.errors import FrontEndError

MARKS: Final = frozenset(".,:;?!…—")
_MARK_OF: Final = {"–": "—", "。": ".", "、": ",", "，": ",", "？": "?", "！": "!"}
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
_UNKNOWN_REMEMBERED: Final = 8192  # words of an accent that its lexicon does not have
_PARTS: Final = (re.compile(r"\S+"), re.compile(r"[^\W\d_]+|\d"))


class Reading(NamedTuple):
    """A run of misaki's phonemes without spaces, or one of `MARKS`, and its token's span.

    ``spelling`` is the token in lower case.
    """

    said: str
    is_mark: bool
    spelling: str
    start: int
    end: int


class _Lexicons:
    """The process's hibari readers, American and British: about 150 MB each, made once.

    Thread-safe: ``_lock`` guards the making (about 0.4 s; other threads wait). The readers
    themselves only look things up and need no lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lexicons: dict[bool, Any] = {}

    def get(self, *, british: bool) -> Any:
        with self._lock:
            if british not in self._lexicons:
                try:
                    from hibari.g2p import G2P
                    from hibari.g2p.oov import ASSETS, OOV

                    # The network for unknown words takes 0.3 ms a word, and whatever is repeated in
                    # a text is unknown each time.
                    network = OOV(str(Path(ASSETS, "oov_gb.onnx" if british else "oov.onnx")))
                    lexicon = G2P(british=british, oov=lru_cache(_UNKNOWN_REMEMBERED)(network))
                except ImportError as error:
                    raise FrontEndError(
                        f"English text needs the package hibari-tts ({error}); "
                        "pip install 'voxswap[server]'",
                        metadata={"package": "hibari-tts"},
                    ) from error
                self._lexicons[british] = lexicon
            return self._lexicons[british]


_LEXICONS: Final = _Lexicons()


class EnglishReader:
    """Reads American or British English. Thread-safe; holds no state of its own.

    `read` takes about 2 ms a sentence. Making the first reader of an accent loads its lexicon
    (about 0.4 s). Raises `FrontEndError` if hibari-tts is not installed.
    """

    def __init__(self, *, british: bool) -> None:
        self._lexicon = _LEXICONS.get(british=british)

    def read(self, text: str) -> Iterator[Reading]:
        """What ``text`` says, in its order. Quotes and brackets are not read.

        Raises `FrontEndError` for text that cannot be read at all.
        """
        plain = "".join(map(_plain_digit, text.translate(_PLAIN)))
        plain = _ELLIPSIS.sub(lambda dots: "…".ljust(len(dots[0])), plain)
        start = 0
        for run in _LONG_RUN.finditer(plain):
            yield from self._read(plain, start, run.start())
            for part in _RUN_PART.finditer(plain, *run.span()):
                yield from self._read(plain, *part.span())
            start = run.end()
        yield from self._read(plain, start, len(plain))

    def _read(self, text: str, start: int, end: int, finer: int = 0) -> list[Reading]:
        """Readings of ``text[start:end]``; in ever smaller parts if hibari stumbles over the whole.

        It does over odd numbers such as "3.5st". A word of letters alone, or one digit, never made
        it stumble.
        """
        try:
            tokens = self._lexicon.phonemize_tokens(self._lexicon.tokenize(text[start:end]))
        except Exception as error:
            if finer == len(_PARTS):
                raise FrontEndError(
                    f"hibari-tts cannot read {text[start:end]!r} ({error}); leave it out or spell "
                    "it differently",
                    metadata={"package": "hibari-tts"},
                ) from error
            return [
                reading
                for part in _PARTS[finer].finditer(text, start, end)
                for reading in self._read(text, *part.span(), finer + 1)
            ]
        readings: list[Reading] = []
        groups: list[str] = []
        for token in tokens:
            found = text.find(token.text, start, end)
            here = start if found < 0 else found
            start = here if found < 0 else here + len(token.text)
            groups = "".join(c for c in token.phonemes or "" if c not in _PUNCTUATION).split()
            spelling = token.text.lower()
            readings += (
                Reading(said, is_mark=False, spelling=spelling, start=here, end=start)
                for said in groups
            )
            mark = _MARK_OF.get(token.text[:1], token.text[:1])
            if not groups and mark in MARKS:
                readings.append(Reading(mark, is_mark=True, spelling="", start=here, end=start))
        if tokens and groups and (mark := tokens[-1].text[-1]) in MARKS:
            # An abbreviation, such as "etc.", whose dot ends the text as well.
            readings.append(Reading(mark, is_mark=True, spelling="", start=start, end=start))
        return readings


def _plain_digit(character: str) -> str:
    """Superscript, circled and other scripts' digits as 0 to 9; anything else as it is."""
    if character.isascii() or not character.isdigit():
        return character
    return str(unicodedata.digit(character))


def word_at(words: Sequence[Word], reading: Reading) -> int | None:
    """The index of the word that ``reading`` belongs to."""
    index = bisect_right(words, reading.start, key=attrgetter("end"))
    return index if index < len(words) and words[index].start < reading.end else None
