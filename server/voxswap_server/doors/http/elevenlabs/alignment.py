"""When each character sounds: a word's time, by its mark, is spread over its characters."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from voxswap_server.speech.messages import Chunk
from voxswap_server.speech.request import MarkKind


@dataclass(frozen=True, slots=True)
class Character:
    """One, from ``start`` to ``end`` in samples of the stream."""

    text: str
    start: int
    end: int


class Alignment:
    """Characters in the order in which they sound. Not thread-safe.

    Of the text what was not spoken yet is kept: words are told by their places in it.
    """

    def __init__(self) -> None:
        self._text = ""
        self._base = 0  # the place of its first character in all of the text
        self._waiting: deque[Character] = deque()
        self._end = 0  # of the last word, in samples

    def push(self, text: str) -> None:
        """More text, as it was written."""
        self._text += text

    def cut(self) -> None:
        """What was to come does not."""
        self._base += len(self._text)
        self._text = ""
        self._waiting.clear()

    def chunk(self, chunk: Chunk) -> list[Character]:
        """Those that begin in ``chunk``."""
        for mark in chunk.marks:
            if mark.kind is MarkKind.WORD and mark.text_end > self._base:
                self._before(self._taken(mark.text_start), mark.start_sample)
                end = mark.start_sample + mark.duration_samples
                self._spread(self._taken(mark.text_end), mark.start_sample, end)
                self._end = end
                # Marks right behind a word are its own, and sound with its end.
                own = itertools.takewhile(_is_mark, self._text)
                self._spread(self._taken(self._base + len(list(own))), end, end)
        last = chunk.start_sample + chunk.sample_count
        found = []
        while self._waiting and self._waiting[0].start < last:
            found.append(self._waiting.popleft())
        return found

    def rest(self, sample: int) -> list[Character]:
        """What is left when the audio ends at ``sample``: the marks after the last word."""
        self._before(self._taken(self._base + len(self._text)), sample)
        found = list(self._waiting)
        self._waiting.clear()
        return found

    @property
    def is_amid_word(self) -> bool:
        """Whether the next character belongs to the word of the last one."""
        return bool(self._waiting) and not self._waiting[0].text.isspace()

    def _taken(self, until: int) -> str:
        n = max(0, until - self._base)
        found, self._text = self._text[:n], self._text[n:]
        self._base += len(found)
        return found

    def _before(self, text: str, start: int) -> None:
        """Marks belong to the word before them; the silence is that of the spaces."""
        marks = text.rstrip()
        self._spread(marks, self._end, self._end)
        self._spread(text[len(marks) :], self._end, max(self._end, start))

    def _spread(self, text: str, start: int, end: int) -> None:
        n = len(text)
        for i, character in enumerate(text):
            first, last = (start + (end - start) * k // n for k in (i, i + 1))
            self._waiting.append(Character(character, first, last))


def _is_mark(character: str) -> bool:
    """Whether it is one, and belongs to the word before it."""
    return not (character.isspace() or character.isalnum())


def filled(found: Sequence[Character], chunk: Chunk, *, amid_word: bool) -> list[Character]:
    """``found`` with the last one until the end of ``chunk``, and one if there is none.

    For who tells the time by adding up the chunks.
    """
    last = chunk.start_sample + chunk.sample_count
    if not found:
        return [Character("" if amid_word else " ", chunk.start_sample, last)]
    end = found[-1]
    return [*found[:-1], Character(end.text, end.start, max(end.start, last))]
