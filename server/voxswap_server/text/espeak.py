"""Phonemes by espeak-ng, laid out exactly as Piper's voices were trained on them.

espeak-ng is GPL-3.0 and therefore an extra of its own; nothing of it is loaded before the first
`EspeakFrontEnd` is made. Symbol ids equal those of piper-tts 1.8.0 on the same text (its sentences
one after another), but for three things in which its espeak-ng (1.52.0.1) differs from the release
(1.52.0) that espeakng-loader ships:

- It writes the linking ʲ of "we all" (wiːʲ ˈɔːl), and German drˈaɪ for dɾˈaɪ: a fault of that
  build, since mended upstream (espeak-ng a631c224). Voices trained before it never met that ʲ: its
  vector in en_US-joe-medium is as short as those of symbols that no text can produce.
- "has been" is hɐzbɪn there and hˈæzbiːn here: a later dictionary.
- Newlines end a clause there; here they are blanks, since segmentation has parted paragraphs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from voxswap_server.text.alignment import align
from voxswap_server.text.espeak_library import ESPEAK, TERMINATORS
from voxswap_server.text.symbols import Symbol, SymbolTable
from voxswap_server.text.types import NormalizedText, SymbolSequence

_LANGUAGE_SWITCH: Final = re.compile(r"\([^)]+\)")
_PLAIN_WORD: Final = re.compile(r"\W*(?:[^\W\d_]+['’])*[^\W\d_]+\W*")
_SILENT: Final = frozenset(TERMINATORS) | frozenset("\"'`()[]{}“”„‟‘’‚‛«»‹›-‐‑‒―_~")
_WORDS_REMEMBERED: Final = 4096


class EspeakFrontEnd:
    """English or any other language that espeak-ng reads, for voices trained on its phonemes.

    Thread-safe. `symbols` takes about 0.5 ms a sentence, longer while other threads speak:
    the library serves one at a time. Making the first one opens the library (about 20 ms).
    Raises `FrontEndError` if espeak-ng is not installed or does not know the voice.
    """

    def __init__(self, table: SymbolTable, voice: str = "en-us") -> None:
        self._table = table
        self._voice = voice
        self._remembered = lru_cache(maxsize=_WORDS_REMEMBERED)(self._word_alone)
        with ESPEAK.speaking(voice):
            pass

    def __repr__(self) -> str:
        return f"EspeakFrontEnd(voice={self._voice!r})"

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """Symbols of one segment; each phone knows its word."""
        with ESPEAK.speaking(self._voice) as clauses_of:
            clauses = clauses_of(text.text)
        spoken: list[Symbol] = []
        for clause in clauses:
            phonemes = unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", clause.phonemes))
            owners = self._owners(phonemes, _tokens(text, clause.start, clause.end))
            spoken += map(Symbol, phonemes, owners)
            spoken += (Symbol(mark, None) for mark in clause.terminator)
            if clause.terminator and clause.terminator in ",:;":
                spoken.append(Symbol(" ", None))
        return self._table.sequence(spoken)

    def _owners(self, phonemes: str, tokens: Sequence[tuple[str, int]]) -> list[int | None]:
        """The word of each code point of a clause's phonemes; None for the spaces between."""
        if not tokens:
            return [None] * len(phonemes)
        groups = phonemes.split()
        if len(groups) == len(tokens) and all(_PLAIN_WORD.fullmatch(token) for token, _ in tokens):
            owner = iter(word for _, word in tokens)
            owners: list[int | None] = []
            inside = False
            for symbol in phonemes:
                if symbol.isspace():
                    inside = False
                    owners.append(None)
                else:
                    owners.append(owners[-1] if inside else next(owner))
                    inside = True
            return owners
        return align(phonemes, [(self._remembered(token), word) for token, word in tokens])

    def _word_alone(self, token: str) -> str:
        with ESPEAK.speaking(self._voice) as clauses_of:
            phonemes = "".join(clause.phonemes for clause in clauses_of(token))
        return unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", phonemes))


def _tokens(text: NormalizedText, start: int, end: int) -> list[tuple[str, int]]:
    """The runs of non-space of a clause that can be spoken, each with the index of its word."""
    tokens: list[tuple[str, int]] = []
    for index, word in enumerate(text.words):
        spoken = text.text[max(word.start, start) : min(word.end, end)]
        tokens += ((token, index) for token in spoken.split() if not _SILENT.issuperset(token))
    return tokens
