"""Pieces of a text in time: together they are all of it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from voxswap_client import Mark, MarkKind
from voxswap_client.transcript import Piece, Transcript


def marks_of(text: str) -> list[Mark]:
    """A mark for each run of letters and digits, 100 samples long, 200 after the other."""
    words = enumerate(re.finditer(r"\w+", text))
    return [Mark(MarkKind.WORD, w[0], 200 * i, 100, w.start(), w.end()) for i, w in words]


def test_words_have_the_marks_and_spaces_around_them() -> None:
    text = ' "Halt!" he said (twice) - well-known…'
    transcript = Transcript(text)
    pieces = [transcript.piece(mark) for mark in marks_of(text)]
    assert [piece.text for piece in pieces] == [
        *(' "Halt!" ', "he ", "said ", "(twice) ", "- well-", "known…"),
    ]
    assert pieces[1] == Piece("he ", 200, 300)
    assert transcript.rest() == Piece("", 1100, 1100)


def test_what_comes_later_goes_with_the_next_word_or_the_rest() -> None:
    transcript = Transcript()
    transcript.push("One")
    first, second = marks_of("One, two.")
    assert transcript.piece(first).text == "One"
    transcript.push(", two")
    assert transcript.piece(second).text == ", two"
    transcript.push(". ")
    assert transcript.rest() == Piece(". ", 300, 300)


def test_a_mark_within_what_was_given_takes_nothing() -> None:
    transcript = Transcript("One two")
    _, second = marks_of("One two")
    assert transcript.piece(second).text == "One two"
    first, _ = marks_of("One two")
    assert transcript.piece(first) == Piece("", 0, 100)


@given(st.text(st.sampled_from("ab1é .,!\"'-(\n"), max_size=60), st.data())
def test_all_pieces_together_are_the_text(text: str, data: st.DataObject) -> None:
    spoken = marks_of(text)
    kept = data.draw(st.lists(st.sampled_from(spoken), unique=True)) if spoken else []
    transcript = Transcript(text)
    pieces = [transcript.piece(mark) for mark in sorted(kept, key=lambda m: m.start_sample)]
    assert "".join(piece.text for piece in [*pieces, transcript.rest()]) == text
