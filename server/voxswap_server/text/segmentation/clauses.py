"""Where a sentence may be parted between two clauses, so that the first is heard the sooner."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

# What has fewer words is a name, a number or an item of a list, and no clause.
_LEAST_WORDS = 3
_QUOTES = "\"'“”„‟‘’‚‛«»‹›「」『』"
_MARK = re.compile(
    rf"(?:[,;:،؛፣፤፥][{_QUOTES}]{{0,3}}|(?<=\s)(?:[–-]|-{{2,9}}))(?=\s)"
    rf"|[，；：、､][{_QUOTES}]{{0,3}}|—{{1,9}}"
)
_ONE_WORD_QUOTED = re.compile(
    rf"[{_QUOTES}]\w+(?:[,;:，；：、､][{_QUOTES}]|[{_QUOTES}][,;:，；：、､])[{_QUOTES}]{{0,2}}\Z"
)
_BETWEEN_DIGITS = re.compile(r"(?<=\d)\s?[,;:，；：、､–—-]{1,9}\s?(?=\d)")
_LIST_GOES_ON = re.compile(r"\s*(?:and|or|nor|und|oder|sowie|et|ou|y|o|e)\b", re.IGNORECASE)
# How far back it is looked for what a mark belongs to.
_CONTEXT = 40
# Of scripts that write no spaces two characters are about a word.
_UNSPACED = re.compile("[\u2e80-\u2fdf\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def clause_ends(text: str) -> Iterator[int]:
    """Ends of the clauses of ``text`` but the last, in order, each behind its mark and quotes.

    A clause has three words or more up to the next mark, so no part of a short list, a date or an
    address is one; an insertion of fewer ("…, my lord, …") goes with the clause before it. No end
    is within a number, behind an abbreviation or a quotation of one word. Takes linear time.
    """
    marks = list(_MARK.finditer(text))
    edges = [0, *(mark.end() for mark in marks), len(text)]
    words = [_words(text[start:end]) for start, end in pairwise(edges)]
    numbers = {found.end() for found in _BETWEEN_DIGITS.finditer(text)}
    for i, mark in enumerate(marks):
        end = mark.end()
        if words[i + 1] < _LEAST_WORDS:
            continue
        if words[i] < _LEAST_WORDS and (
            not i or words[i - 1] < _LEAST_WORDS or _LIST_GOES_ON.match(text, end)
        ):
            continue
        if text[max(0, end - _CONTEXT) : mark.start()].rstrip()[
            -1:
        ] == "." or not numbers.isdisjoint((end, end + 1)):
            continue
        if not _ONE_WORD_QUOTED.search(text[max(0, end - _CONTEXT) : end]):
            yield end


def _words(text: str) -> float:
    """How many there are, about."""
    spaced = sum(any(map(str.isalnum, token)) for token in _UNSPACED.sub(" ", text).split())
    return spaced + len(_UNSPACED.findall(text)) / 2
