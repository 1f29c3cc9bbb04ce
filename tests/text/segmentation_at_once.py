"""Segmentation of a whole text in plain passes: what `segments` must give, written another way.

Blocks first, then their sentences, then the pieces of those that are too long. The server had this
before it took text in fragments. Texts with a run of hundreds of marks or blanks come out otherwise
here, and so do sentences of more than twice the longest segment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from voxswap_server.text.segmentation.layout import (
    _LEADS_ON,
    PARAGRAPH_PAUSE_MS,
    SENTENCE_PAUSE_MS,
    line_breaks,
)
from voxswap_server.text.segmentation.pieces import cut
from voxswap_server.text.segmentation.sentence_ends import (
    SENTENCE_END,
    ends_sentence,
    pause_after,
)
from voxswap_server.text.types import Segment

_WHITESPACE = re.compile(r"\s++")
_SPEAKABLE = re.compile("[^\\W_]|[%‰&@§$¢£¤¥\u20a0-\u20c0°±×÷√∞≈≠≤≥]")
_ITEM = re.compile(r"[•‣◦▪—]|[-*+–]\s|\d{1,3}[.)]\s")
_LINE_START = re.compile(r"[^\w]{0,8}(\w)")


class _Span(NamedTuple):
    start: int
    end: int
    pause_ms: int


def segment_at_once(text: str, longest: int) -> list[Segment]:
    indent = len(text) - len(text.lstrip())
    text = text.lstrip()
    spans = [
        piece
        for block in _blocks(text)
        for sentence in _sentences(text, block)
        for piece in _pieces(text, sentence, longest)
    ]
    if spans:
        spans[-1] = spans[-1]._replace(pause_ms=0)
    return [Segment(text[start:end], indent + start, pause_ms) for start, end, pause_ms in spans]


def _blocks(text: str) -> Iterator[_Span]:
    start = line_start = 0
    for gap in _WHITESPACE.finditer(text):
        lines = line_breaks(gap[0])
        if lines > 1 or (lines and _line_stands_alone(text, line_start, gap)):
            if start < gap.start():
                pause_ms = PARAGRAPH_PAUSE_MS if lines > 1 else SENTENCE_PAUSE_MS
                yield _Span(start, gap.start(), pause_ms)
            start = gap.end()
        if lines:
            line_start = gap.end()
    end = len(text.rstrip())
    if start < end:
        yield _Span(start, end, 0)


def _line_stands_alone(text: str, line_start: int, gap: re.Match[str]) -> bool:
    if _ITEM.match(text, gap.end()):
        return True
    if gap.start() - line_start > 50 or text[gap.start() - 1] in ",;:-–—":
        return False
    ahead = _LINE_START.match(text, gap.end())
    if ahead is None or not ahead[1].islower():
        return True
    line = text[line_start : gap.start()]
    last = re.search(r"([^\W_]+)\W*\Z", line)
    short = len(line) <= 24 and len(line.split()) <= 3
    return short and last is not None and last[1].lower() not in _LEADS_ON


def _sentences(text: str, block: _Span) -> Iterator[_Span]:
    held: _Span | None = None
    start = read = block.start
    for stop, after, pause_ms in _stops(text, block):
        if _SPEAKABLE.search(text, read, stop):
            if held:
                yield held
            held = _Span(start, stop, pause_ms)
            start = after
        elif held:
            held = held._replace(end=stop, pause_ms=pause_ms)
            start = after
        read = after
    if held:
        yield held._replace(pause_ms=max(block.pause_ms, held.pause_ms))


def _stops(text: str, block: _Span) -> Iterator[tuple[int, int, int]]:
    start = block.start
    for end in SENTENCE_END.finditer(text, block.start, block.end):
        if end.end() == block.end or ends_sentence(text, start, end):
            yield end.start("space"), end.end(), pause_after(end["mark"])
            start = end.end()
    if start < block.end:
        yield block.end, block.end, 0


def _pieces(text: str, sentence: _Span, longest: int) -> Iterator[_Span]:
    start, pieces = sentence.start, list[_Span]()
    while sentence.end - start > longest:
        place = cut(text, start, sentence.end, longest)
        pieces.append(_Span(start, start + len(text[start:place].rstrip()), 0))
        gap = _WHITESPACE.match(text, place, sentence.end)
        start = gap.end() if gap else place
    pieces.append(_Span(start, sentence.end, 0))
    speakable = [piece for piece in pieces if _SPEAKABLE.search(text, piece.start, piece.end)]
    yield from speakable[:-1]
    yield speakable[-1]._replace(pause_ms=sentence.pause_ms)
