"""Lines of sixteen languages, written by us, each with what is to be spoken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.text.corpus_lines import LINES, NAMES, lines, read
from voxswap_families.text import NormalizedText
from voxswap_server.text.normalization import normalize


@pytest.mark.parametrize("name", NAMES)
def test_every_line_is_read_as_it_is_spoken(name: str) -> None:
    misses = [
        f"{written} | {said} (not: {spoken})"
        for language, written, spoken in lines(name)
        if (said := read(language, written).text) != spoken
    ]
    assert not misses, "\n".join(misses)


def test_each_language_has_its_lines() -> None:
    assert len(NAMES) >= 15
    assert all(len(lines(name)) >= 12 for name in NAMES)


def check_words(text: NormalizedText, written: str) -> None:
    source_end = end = 0
    rest = list(text.text)
    for word in text.words:
        assert source_end <= word.source_start < word.source_end <= len(written)
        assert end <= word.start < word.end <= len(text.text)
        assert word.text == written[word.source_start : word.source_end]
        source_end, end = word.source_end, word.end
        rest[word.start : word.end] = " " * (word.end - word.start)
    assert not any(char.isalnum() for char in rest)


@given(
    st.sampled_from(LINES),
    st.sampled_from(LINES),
    st.integers(0, 60),
    st.integers(0, 60),
    st.sampled_from(["", " ", "-", "**", "🎉 ", "&amp;"]),
)
def test_word_marks_point_at_what_was_written(
    one: tuple[str, str, str], other: tuple[str, str, str], cut: int, start: int, between: str
) -> None:
    """Lines, and what is made of two of them cut anywhere, in the language of either."""
    for written in (one[1], one[1][:cut] + between + other[1][start:]):
        for language in (one[0], other[0]):
            check_words(normalize(written, language), written)
