"""Which part of a text is spoken when: its words with the marks and spaces around them."""

from __future__ import annotations

import re
from typing import NamedTuple

from voxswap_client.types import Mark

_AFTER = re.compile(r"[^\w\s]*\s*")


class Piece(NamedTuple):
    """A part of the text, with the samples of the stream at which its word begins and ends."""

    text: str
    start_sample: int
    end_sample: int


class Transcript:
    """A text as it is written and spoken; its pieces together are all of it. Not thread-safe.

    For who shows what is heard: `push` what is sent, and take a `piece` for each word's mark.
    """

    def __init__(self, text: str = "") -> None:
        self._text = text
        self._base = 0  # the place of its first character in all of the text
        self._end_sample = 0

    def push(self, text: str) -> None:
        """More of the text, as it was sent."""
        self._text += text

    def piece(self, mark: Mark) -> Piece:
        """The word of a ``mark`` of the kind "word", each in its turn.

        With what stands before it and has not been given, and with the punctuation and spaces after
        it, as far as they have been pushed.
        """
        end = max(0, mark.text_end - self._base)
        if after := _AFTER.match(self._text, end):
            end = after.end()
        self._end_sample = mark.start_sample + mark.duration_samples
        return Piece(self._take(end), mark.start_sample, self._end_sample)

    def rest(self) -> Piece:
        """What follows the last word; its text may be empty."""
        return Piece(self._take(len(self._text)), self._end_sample, self._end_sample)

    def _take(self, end: int) -> str:
        found, self._text = self._text[:end], self._text[end:]
        self._base += len(found)
        return found
