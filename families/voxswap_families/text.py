"""Text as front-ends take it, and the symbols that they make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Word:
    """One word as the client wrote it, and the span of its spoken form.

    ``text`` is ``segment.text[source_start:source_end]``; ``start:end`` is the span in
    `NormalizedText.text`. "42" is one word whose spoken form is "forty-two".
    """

    text: str
    source_start: int
    source_end: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class NormalizedText:
    """Text as it is to be read aloud. ``words`` are in order and do not overlap.

    ``dropped`` counts characters that cannot be read (emoji, for example) and were left out.
    ``source`` is what the client wrote, or empty where nobody knows.
    """

    text: str
    words: tuple[Word, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Phone:
    """One phoneme with its modifiers, or one pause symbol, over ``ids[first:last]``.

    ``word`` is an index into `NormalizedText.words`, or None for pauses and punctuation.
    The spans of all phones are in order and do not overlap. A phone's span takes the blank that
    follows it along.
    """

    text: str
    first: int
    last: int
    word: int | None


@dataclass(frozen=True, slots=True)
class SymbolSequence:
    """What an acoustic model reads. ``unknown`` counts symbols that its table does not have.

    ``read_as`` is the text as the front-end read it, where it is one that normalises text itself
    and finds its words, as for a language that writes no spaces; then phones index its words.
    """

    ids: tuple[int, ...]
    phones: tuple[Phone, ...]
    unknown: Mapping[str, int] = field(default_factory=dict)
    read_as: NormalizedText | None = None

    @property
    def speaks(self) -> bool:
        """Whether any phone belongs to a word: False for punctuation alone."""
        return any(phone.word is not None for phone in self.phones)


class LongReadingError(Exception):
    """A segment says ``excess`` times as much as is read in one go. For whoever parts it."""

    def __init__(self, excess: float) -> None:
        super().__init__(excess)
        self.excess = excess


class FrontEnd(Protocol):
    """Turns normalised text into symbols. Thread-safe; blocks about a millisecond a sentence."""

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """Symbols of one segment; phones index the words of ``read_as``, or else of ``text``.

        Raises `FrontEndError` if the language cannot be read, `LongReadingError`.
        """
        ...
