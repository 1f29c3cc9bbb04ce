"""Timing marks of a segment, from the durations that its engine decided on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, groupby

from voxswap_families.text import NormalizedText, Phone, SymbolSequence
from voxswap_server.audio.visemes import viseme
from voxswap_server.speech.messages import Mark
from voxswap_server.speech.request import MarkKind
from voxswap_server.text.types import Segment

SILENCE = "sil"

# (text, first frame, last frame)
_Span = tuple[str, int, int]


def segment_marks(
    kinds: frozenset[MarkKind],
    segment: Segment,
    text: NormalizedText,
    symbols: SymbolSequence,
    durations_frames: Sequence[int],
    to_sample: Callable[[int], int],
) -> list[Mark]:
    """Marks of one segment in order of their start.

    ``to_sample`` maps a frame of the segment to a sample of the stream. Visemes cover the segment
    without a gap and end with ``sil``, with a duration of 0 if the audio ends in a sound.
    """
    edges = [0, *accumulate(durations_frames)]
    marks: list[Mark] = []

    def add(kind: MarkKind, span: _Span, start: int = 0, end: int = 0) -> None:
        label, first, last = span
        begin = to_sample(first)
        marks.append(Mark(kind, label, begin, to_sample(last) - begin, start, end))

    spoken = [phone for phone in symbols.phones if phone.word is not None]
    if MarkKind.WORD in kinds:
        for index, first, last in _words(spoken, edges):
            word = text.words[index]
            add(
                MarkKind.WORD,
                (word.text, first, last),
                segment.start + word.source_start,
                segment.start + word.source_end,
            )
    if MarkKind.PHONEME in kinds:
        for phone in spoken:
            add(MarkKind.PHONEME, (phone.text, edges[phone.first], edges[phone.last]))
    if MarkKind.VISEME in kinds:
        for span in _visemes(spoken, edges):
            add(MarkKind.VISEME, span)
    marks.sort(key=lambda mark: mark.start_sample)
    return marks


def _words(spoken: Sequence[Phone], edges: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    for index, group in groupby(spoken, key=lambda phone: phone.word):
        phones = list(group)
        assert index is not None  # noqa: S101 - spoken phones belong to words
        yield index, edges[phones[0].first], edges[phones[-1].last]


def _visemes(spoken: Sequence[Phone], edges: Sequence[int]) -> list[_Span]:
    """Mouth shapes over the whole segment; neighbours of one shape are one span."""
    spans: list[_Span] = []

    def put(shape: str, first: int, last: int) -> None:
        if first == last:
            return
        if spans and spans[-1][0] == shape:
            spans[-1] = (shape, spans[-1][1], last)
        else:
            spans.append((shape, first, last))

    position = 0
    for phone in spoken:
        first, last = edges[phone.first], edges[phone.last]
        put(SILENCE, position, first)
        put(viseme(phone.text), first, last)
        position = last
    put(SILENCE, position, edges[-1])
    if not spans or spans[-1][0] != SILENCE:
        spans.append((SILENCE, edges[-1], edges[-1]))
    return spans
