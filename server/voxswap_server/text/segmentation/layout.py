"""What the whitespace between two words says: nothing, a new line, or a new paragraph."""

from __future__ import annotations

import re

SENTENCE_PAUSE_MS = 150
DASH_PAUSE_MS = 200
ELLIPSIS_PAUSE_MS = 350
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
# A line of so few characters and words is an item, unless its last word cannot be the end of one.
_SHORT_LINE, _SHORT_WORDS = 24, 3
_LEADS_ON = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be been but by can do for from had has have he her his i if in is it "
        "its my no not of on or our she so than that the their them then they this to very was we "
        "were what when which who will with would you your au aux d de del della den der des di "
        "die du e ein eine el en et il im la las le les los mit o ou para por que u un una une "
        "und von y zu",
    )
)
_LAST_WORD = re.compile(r"([^\W_]+)\W*\Z")
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
        return not ahead[1].islower() or _is_item(text[max(line_start, 0) : start], line_start)
    return True if whole or len(text) - end > _MOST_BEFORE_LETTER else None


def _is_item(line: str, line_start: int) -> bool:
    """Whether a line is one of several things, each on a line of its own: "one", "two"."""
    if line_start < 0 or len(line) > _SHORT_LINE or len(line.split()) > _SHORT_WORDS:
        return False
    last = _LAST_WORD.search(line)
    return last is not None and last[1].lower() not in _LEADS_ON
