"""Phonemes by espeak-ng, laid out exactly as Piper's voices were trained on them.

espeak-ng is GPL-3.0 and therefore an extra of its own, and runs in processes of its own
(`espeak_library`). Symbol ids equal those of piper-tts 1.8.0 on the same text (its sentences
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
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from voxswap_families.symbols import Symbol, SymbolTable
from voxswap_families.text import NormalizedText, SymbolSequence
from voxswap_registry.errors import FrontEndError, UnreadableTextError
from voxswap_server.text.alignment import align, band_for
from voxswap_server.text.espeak.library import TERMINATORS, Clause, Espeak

_LANGUAGE_SWITCH: Final = re.compile(r"\([^)]+\)")
_PLAIN_WORD: Final = re.compile(r"\W*(?:[^\W\d_]+['’])*[^\W\d_]+\W*")
_SILENT: Final = frozenset(TERMINATORS) | frozenset("\"'`()[]{}“”„‟‘’‚‛«»‹›-‐‑‒―_~")
_WORDS_REMEMBERED, _LONGEST_REMEMBERED = 4096, 32


def plain(phonemes: str) -> str:
    """Phonemes without what tells of a change of language, marks apart from letters."""
    return unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", phonemes))


class Said(NamedTuple):
    """A clause: its phonemes, the word of each of their code points, and its end for Piper."""

    phonemes: str
    owners: list[int | None]
    terminator: str


class EspeakReader:
    """What texts say with one voice of espeak-ng, and which word says what. Thread-safe.

    `read` takes about 0.5 ms a sentence, longer while more threads read than there are workers.
    Making one blocks until the workers are up, and has one of them take up the voice. Raises
    `FrontEndError` if espeak-ng is not installed or does not know the voice.
    """

    def __init__(
        self,
        espeak: Espeak,
        voice: str,
        *,
        ties: bool = False,
        spelled: Callable[[str], str] = plain,
    ) -> None:
        """``spelled`` writes espeak-ng's phonemes, with ``ties`` or without, as a voice reads them.

        It leaves the spaces that part words as they are.
        """
        self._espeak = espeak
        self._ties = ties
        self._spelled = spelled
        self._identifier = espeak.voice(voice)
        self._alone = _Readings()
        try:
            espeak.read(self._identifier, (), of="")
        except UnreadableTextError as error:
            raise FrontEndError(
                f"espeak-ng fails over its voice {voice!r:.80}; import the voice with another one",
                metadata={"espeak_voice": voice},
            ) from error

    def read(self, text: NormalizedText, spans: Sequence[tuple[int, int]]) -> list[list[Said]]:
        """What each of ``spans`` of ``text`` says, read by itself.

        Raises `UnreadableTextError` for a text that ends what reads it, `FrontEndBusyError`.
        """
        parts = [text.text[start:end] for start, end in spans]
        found = self._read(parts, of=text.text)
        read = [
            [
                _Clause(self._spelled(c.phonemes), c.terminator, _tokens(text, c, start))
                for c in clauses
            ]
            for (start, _), clauses in zip(spans, found, strict=True)
        ]
        every = [clause for clauses in read for clause in clauses]
        alone = self._read_alone([c for c in every if not c.is_plain], of=text.text)
        band = band_for(sum(len(clause.phonemes) for clause in every))
        return [
            [Said(c.phonemes, c.owners(alone, band), c.terminator) for c in clauses]
            for clauses in read
        ]

    def _read(self, texts: Sequence[str], *, of: str) -> list[list[Clause]]:
        return self._espeak.read(self._identifier, texts, of=of, ties=self._ties)

    def _read_alone(self, clauses: Sequence[_Clause], *, of: str) -> dict[str, str]:
        """The phonemes of every token of ``clauses`` by itself, the unknown ones read at once."""
        alone = {token: self._alone.get(token) for clause in clauses for token, _ in clause.tokens}
        new = [token for token, phonemes in alone.items() if phonemes is None]
        if new:
            for token, found in zip(new, self._read(new, of=of), strict=True):
                alone[token] = self._spelled("".join(clause.phonemes for clause in found))
                self._alone.keep(token, alone[token] or "")
        return {token: phonemes or "" for token, phonemes in alone.items()}


class EspeakFrontEnd:
    """English or any other language that espeak-ng reads, for voices trained on its phonemes.

    Thread-safe. Making one, and how long it takes: see `EspeakReader`, whose errors are raised.
    """

    def __init__(self, table: SymbolTable, espeak: Espeak, voice: str = "en-us") -> None:
        self._table = table
        self._voice = voice
        self._reader = EspeakReader(espeak, voice)

    def __repr__(self) -> str:
        return f"EspeakFrontEnd(voice={self._voice!r})"

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """Symbols of one segment; each phone knows its word.

        Raises `UnreadableTextError` for a text that ends what reads it, `FrontEndBusyError`.
        """
        (clauses,) = self._reader.read(text, [(0, len(text.text))])
        spoken: list[Symbol] = []
        for clause in clauses:
            spoken += map(Symbol, clause.phonemes, clause.owners)
            spoken += (Symbol(mark, None) for mark in clause.terminator)
            if clause.terminator and clause.terminator in ",:;":
                spoken.append(Symbol(" ", None))
        return self._table.sequence(spoken)


class _Readings:
    """What words are by themselves, the latest that were asked for. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readings: OrderedDict[str, str] = OrderedDict()

    def get(self, token: str) -> str | None:
        """Its phonemes, if they are remembered."""
        with self._lock:
            if token in self._readings:
                self._readings.move_to_end(token)
            return self._readings.get(token)

    def keep(self, token: str, phonemes: str) -> None:
        """Remember it, unless it is no word that comes again."""
        if len(token) > _LONGEST_REMEMBERED:
            return
        with self._lock:
            self._readings[token] = phonemes
            if len(self._readings) > _WORDS_REMEMBERED:
                self._readings.popitem(last=False)


class _Clause(NamedTuple):
    """A clause's phonemes and end, and the tokens that it says, each with its word's index."""

    phonemes: str
    terminator: str
    tokens: list[tuple[str, int]]

    @property
    def is_plain(self) -> bool:
        """Whether each token is one group of phonemes, so that spaces part the words."""
        return len(self.phonemes.split()) == len(self.tokens) and all(
            _PLAIN_WORD.fullmatch(token) for token, _ in self.tokens
        )

    def owners(self, alone: Mapping[str, str], band: int) -> list[int | None]:
        """The word of each code point of the phonemes; None for the spaces between.

        ``alone`` has the phonemes of each token unless the clause `is_plain`; ``band`` is as
        `band_for` gives it.
        """
        if not self.tokens:
            return [None] * len(self.phonemes)
        if not self.is_plain:
            return align(
                self.phonemes, [(alone[token], word) for token, word in self.tokens], band=band
            )
        owner = iter(word for _, word in self.tokens)
        owners: list[int | None] = []
        inside = False
        for symbol in self.phonemes:
            if symbol.isspace():
                inside = False
                owners.append(None)
            else:
                owners.append(owners[-1] if inside else next(owner))
                inside = True
        return owners


def _tokens(text: NormalizedText, clause: Clause, start: int) -> list[tuple[str, int]]:
    """The runs of non-space of a clause that can be spoken, each with the index of its word.

    The clause counts from ``start``.
    """
    tokens: list[tuple[str, int]] = []
    first, last = clause.start + start, clause.end + start
    for index, word in enumerate(text.words):
        spoken = text.text[max(word.start, first) : min(word.end, last)]
        tokens += ((token, index) for token in spoken.split() if not _SILENT.issuperset(token))
    return tokens
