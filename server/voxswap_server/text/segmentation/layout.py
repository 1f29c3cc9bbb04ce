"""What the whitespace between two words says: nothing, a new line, or a new paragraph."""

from __future__ import annotations

import re

SENTENCE_PAUSE_MS = 150
PARAGRAPH_PAUSE_MS = 450
LONGEST_GAP = 1000
"""Whitespace of so many characters parts paragraphs, whatever it is: nobody need keep more."""

# Lines longer than this are taken for wrapped prose, whose line breaks mean nothing.
_WRAPPED_LINE = 50
# How much punctuation may stand before the first letter of a line.
_MOST_BEFORE_LETTER = 8

_LINE_BREAK = re.compile("\r\n|[\n\r\x0b\x85\u2028]")
_PARAGRAPH_BREAK = re.compile("[\x0c\u2029]")
_ITEM = re.compile(r"[•‣◦▪—]|[-*+–]\s|\d{1,3}[.)]\s")
_ITEM_BEGUN = re.compile(r"(?:[-*+–]|\d{1,3}[.)]?)\Z")
_LINE_START = re.compile(rf"[^\w]{{0,{_MOST_BEFORE_LETTER}}}(\w)")


def line_breaks(gap: str) -> int:
    """How many lines the whitespace ``gap`` ends; more than one is a paragraph's end."""
    if gap == " ":
        return 0
    return len(_LINE_BREAK.findall(gap)) + 2 * len(_PARAGRAPH_BREAK.findall(gap))


def pause_at(text: str, line_start: int, start: int, end: int, *, whole: bool = True) -> int | None:
    """The silence for the whitespace ``text[start:end]``: 0 where what is around it goes on.

    Its line begins at ``line_start``. None: what comes after ``text`` decides; never if ``whole``,
    else the whitespace must have ended or be a `LONGEST_GAP`.
    """
    if end - start >= LONGEST_GAP:
        return PARAGRAPH_PAUSE_MS
    lines = line_breaks(text[start:end])
    if lines > 1:
        return PARAGRAPH_PAUSE_MS
    alone = bool(lines) and _line_stands_alone(text, line_start, start, end, whole=whole)
    return None if alone is None else alone * SENTENCE_PAUSE_MS


def _line_stands_alone(
    text: str, line_start: int, start: int, end: int, *, whole: bool
) -> bool | None:
    """Whether one line break ends an utterance: in lists, verse and dialogue, not wrapped prose."""
    if _ITEM.match(text, end):
        return True
    goes_on = None if not whole and _ITEM_BEGUN.match(text, end) else False
    if start - line_start > _WRAPPED_LINE or text[start - 1 : start] in ",;:-–—":
        return goes_on
    ahead = _LINE_START.match(text, end)
    if ahead:
        return not ahead[1].islower()
    return True if whole or len(text) - end > _MOST_BEFORE_LETTER else None
