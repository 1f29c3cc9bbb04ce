from __future__ import annotations

import itertools

import pytest

from voxswap_families.text import NormalizedText, Phone, SymbolSequence, Word
from voxswap_server.speech.marks import segment_marks
from voxswap_server.speech.messages import Mark
from voxswap_server.speech.request import MarkKind
from voxswap_server.text.types import Segment

SEGMENT = Segment("Hi 2, you", start=100, pause_ms=0)
TEXT = NormalizedText(
    "Hi two, you",
    (Word("Hi", 0, 2, 0, 2), Word("2", 3, 4, 3, 6), Word("you", 6, 9, 8, 11)),
)
# Ids in pairs, a symbol and its blank: begin at 0, then the phones below, end at 17.
SYMBOLS = SymbolSequence(
    tuple(range(18)),
    (
        Phone("h", 1, 3, 0),
        Phone("aɪ", 3, 5, 0),
        Phone(" ", 5, 7, None),
        Phone("t", 7, 9, 1),
        Phone("uː", 9, 11, 1),
        Phone(",", 11, 13, None),
        Phone("j", 13, 15, 2),
        Phone("uː", 15, 17, 2),
    ),
)
DURATIONS = [2] * 18


def marks(*kinds: MarkKind, durations: list[int] = DURATIONS) -> list[Mark]:
    return segment_marks(
        frozenset(kinds), SEGMENT, TEXT, SYMBOLS, durations, lambda frame: 1000 + 10 * frame
    )


def test_words_are_as_written_and_point_into_the_whole_text() -> None:
    found = [
        (m.text, m.start_sample, m.duration_samples, m.text_start, m.text_end)
        for m in marks(MarkKind.WORD)
    ]
    assert found == [
        ("Hi", 1020, 80, 100, 102),
        ("2", 1140, 80, 103, 104),
        ("you", 1260, 80, 106, 109),
    ]


def test_phonemes_are_those_of_words() -> None:
    assert [m.text for m in marks(MarkKind.PHONEME)] == ["h", "aɪ", "t", "uː", "j", "uː"]


def test_visemes_cover_the_segment_and_close_the_mouth() -> None:
    found = marks(MarkKind.VISEME)
    assert found[0].start_sample == 1000
    assert found[0].text == "sil"
    for before, after in itertools.pairwise(found):
        assert before.start_sample + before.duration_samples == after.start_sample
        assert before.text != after.text
    assert found[-1].text == "sil"
    assert found[-1].start_sample + found[-1].duration_samples == 1000 + 10 * sum(DURATIONS)


def test_a_segment_that_ends_in_a_sound_is_closed_by_a_mark_without_length() -> None:
    closing = marks(MarkKind.VISEME, durations=[2] * 17 + [0])[-1]
    assert (closing.text, closing.start_sample, closing.duration_samples) == ("sil", 1340, 0)


@pytest.mark.parametrize("kinds", [(), tuple(MarkKind)])
def test_only_what_was_asked_for_in_order(kinds: tuple[MarkKind, ...]) -> None:
    found = marks(*kinds)
    assert {m.kind for m in found} == set(kinds)
    assert [m.start_sample for m in found] == sorted(m.start_sample for m in found)
