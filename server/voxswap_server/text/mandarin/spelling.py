"""Text that is being rewritten, and where each character of it was written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from voxswap_families.text import NormalizedText
from voxswap_server.text.cleaning import clean


class Rewrite(NamedTuple):
    """``text[start:end]`` is read as ``spoken``; an empty one is left out."""

    start: int
    end: int
    spoken: str


class Spelling(NamedTuple):
    """Character ``i`` stands for ``source[starts[i]:ends[i]]``.

    Both are -1 for what belongs to no word of the source. Where they are not, they never decrease;
    what was rewritten has the whole span for each of its characters.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def rewritten(self, rewrites: Iterable[Rewrite]) -> Spelling:
        """The text with ``rewrites`` carried out: in order, and none within another."""
        parts: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        position = 0
        for start, end, spoken in rewrites:
            parts += (self.text[position:start], spoken)
            known = [i for i in range(start, end) if self.starts[i] >= 0]
            first = self.starts[known[0]] if known else -1
            last = self.ends[known[-1]] if known else -1
            starts += (*self.starts[position:start], *[first] * len(spoken))
            ends += (*self.ends[position:start], *[last] * len(spoken))
            position = end
        if not parts:
            return self
        return Spelling(
            "".join((*parts, self.text[position:])),
            (*starts, *self.starts[position:]),
            (*ends, *self.ends[position:]),
        )

    def substituted(
        self, pattern: re.Pattern[str], spoken: Callable[[re.Match[str]], str | None]
    ) -> Spelling:
        """What ``spoken`` says of each match in its place; of None, the match stays."""
        rewrites = []
        for found in pattern.finditer(self.text):
            said = spoken(found)
            if said is not None and said != found[0]:
                rewrites.append(Rewrite(found.start(), found.end(), said))
        return self.rewritten(rewrites)


def spelling_of(text: NormalizedText) -> Spelling:
    """``text`` with the places in its source that its words tell of."""
    starts = [-1] * len(text.text)
    ends = [-1] * len(text.text)
    for word in text.words:
        length = word.end - word.start
        places: Sequence[int] = range(word.source_start, word.source_end)
        stops: Sequence[int] = range(word.source_start + 1, word.source_end + 1)
        if len(word.text) != length:
            again = clean(word.text, english=False)
            if len(again.text) == length:
                places = [word.source_start + place for place in again.starts]
                stops = [word.source_start + place for place in again.ends]
            else:
                places = [word.source_start] * length
                stops = [word.source_end] * length
        starts[word.start : word.end] = places
        ends[word.start : word.end] = stops
    return Spelling(text.text, starts, ends)
