"""When characters sound: in order, all of them, by the words' marks, however audio is cut."""

from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from voxswap_server.doors.http.elevenlabs.alignment import Alignment, Character, filled
from voxswap_server.speech.messages import Chunk, Mark
from voxswap_server.speech.request import MarkKind

WORD = re.compile(r"\w+")


def marks_of(text: str, lengths: list[int], gap: int) -> list[Mark]:
    """Its words, one after the other with silence between them."""
    marks, at = [], gap
    for found, length in zip(WORD.finditer(text), lengths, strict=False):
        marks.append(Mark(MarkKind.WORD, found.group(), at, length, found.start(), found.end()))
        at += length + gap
    return marks


def chunks_of(marks: list[Mark], samples: int, cuts: list[int]) -> list[Chunk]:
    edges = sorted({0, samples, *(cut for cut in cuts if cut < samples)})
    return [
        Chunk(b"", a, b - a, tuple(m for m in marks if a <= m.start_sample < b))
        for a, b in itertools.pairwise(edges)
    ]


@given(
    text=st.text(st.sampled_from("abc äß,.!? '—-"), min_size=1, max_size=40),
    lengths=st.lists(st.integers(1, 5000), min_size=40, max_size=40),
    gap=st.integers(0, 3000),
    cuts=st.lists(st.integers(1, 100_000), max_size=12),
)
def test_each_character_sounds_once_in_order_and_by_its_word(
    text: str, lengths: list[int], gap: int, cuts: list[int]
) -> None:
    marks = marks_of(text, lengths, gap)
    samples = marks[-1].start_sample + marks[-1].duration_samples + gap if marks else 100
    alignment = Alignment()
    for piece in (text[:7], text[7:]):
        alignment.push(piece)
    found: list[Character] = []
    for chunk in chunks_of(marks, samples, cuts):
        of_chunk = alignment.chunk(chunk)
        end = chunk.start_sample + chunk.sample_count
        assert all(character.start < end for character in of_chunk)
        whole = filled(of_chunk, chunk, amid_word=alignment.is_amid_word)
        assert whole[-1].end >= end  # who adds up the chunks has the time of the next one
        found += of_chunk
    found += alignment.rest(samples)
    assert "".join(character.text for character in found) == text
    starts = [character.start for character in found]
    assert starts == sorted(starts)
    assert all(character.start <= character.end for character in found)
    for mark in marks:
        spoken = found[mark.text_start : mark.text_end]
        assert spoken[0].start == mark.start_sample
        assert spoken[-1].end == mark.start_sample + mark.duration_samples


def test_a_mark_behind_a_word_comes_with_it_and_the_next_word_does_not() -> None:
    alignment = Alignment()
    alignment.push("Halt—who? Me")
    (halt, *_) = marks_of("Halt—who? Me", [400, 300, 200], 100)
    first = alignment.chunk(Chunk(b"", 0, 1000, (halt,)))
    assert "".join(character.text for character in first) == "Halt—"


def test_what_is_cut_does_not_come() -> None:
    text = "One two. "
    alignment = Alignment()
    alignment.push(text)
    one, two = marks_of(text, [400, 400], 100)
    alignment.chunk(Chunk(b"", 0, 600, (one,)))
    alignment.cut()
    alignment.push("Three.")
    three = Mark(MarkKind.WORD, "Three", 700, 400, len(text), len(text) + 5)
    found = alignment.chunk(Chunk(b"", 600, 1000, (three,)))
    assert "".join(character.text for character in found) == "Three."
    assert not alignment.chunk(Chunk(b"", 1600, 100, (two,)))
