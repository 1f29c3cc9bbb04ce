from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from voxswap_server.text.alignment import align, band_for


def test_joined_words_part_where_each_alone_would_end() -> None:
    assert align("ʌvðə", [("ʌv", 0), ("ðə", 1)]) == [0, 0, 1, 1]


def test_marks_go_with_their_letter_and_blanks_with_nobody() -> None:
    owners = align("hˈiː ˈæsk", [("hiː", 0), ("æsk", 1)])
    assert owners == [0, 0, 0, 0, None, 1, 1, 1, 1]


def test_other_vowels_do_not_mislead() -> None:
    assert align("fɚɹə dˈɑːɡ", [("fɔːɹ", 0), ("ˈeɪ", 1), ("dˈɔɡ", 2)])[:4] == [0, 0, 0, 1]


def test_a_word_that_lost_every_letter_is_given_one() -> None:
    assert set(align("aab", [("aa", 0), ("x", 1), ("b", 2)])) == {0, 1, 2}


def test_nothing_said_alone_goes_to_the_first_word() -> None:
    assert align("ab", [("", 4)]) == [4, 4]
    assert align("ab", []) == [None, None]
    assert align("", [("a", 0)]) == []


LETTERS = st.text("abəɪˈː s", max_size=120)


@given(LETTERS, st.lists(LETTERS, max_size=12))
def test_every_letter_has_a_word_and_words_stay_in_order(heard: str, alone: list[str]) -> None:
    owners = align(heard, [(reading, index) for index, reading in enumerate(alone)])
    assert len(owners) == len(heard)
    words = [owner for owner in owners if owner is not None]
    assert words == sorted(words)
    if alone:
        letters = [o for o, symbol in zip(owners, heard, strict=True) if symbol not in " ˈː"]
        assert None not in letters


@given(
    st.integers(0, 700),
    st.lists(st.integers(0, 400), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_however_much_longer_one_side_is(heard: int, alone: list[int], random: Random) -> None:
    def letters(count: int) -> str:
        return "".join(random.choice("abəɪ") for _ in range(count))

    phonemes = letters(heard)
    owners = align(phonemes, [(letters(count), index) for index, count in enumerate(alone)])
    assert len(owners) == heard
    assert None not in owners
    assert owners == sorted(owners)  # type: ignore[type-var]


def test_few_letters_of_many() -> None:
    """What espeak-ng makes of "한£" 58 times: each sign alone is a word, together they are less."""
    assert align("haɪ", [("pˈaʊndstˈɜːlɪŋ" * 40, 0), ("hˈaɪ", 1)])[-1] == 1


@given(
    st.text("abəɪˈː ", max_size=60).map(lambda unit: unit * 58),
    st.lists(st.tuples(st.text("abəɪˈː ", max_size=60), st.integers(1, 58)), max_size=8),
    st.integers(4, 48),
)
def test_texts_of_very_different_lengths(
    phonemes: str, alone: list[tuple[str, int]], band: int
) -> None:
    """A word that is repeated, beside words read alone that are far longer or shorter."""
    readings = [(unit * times, index) for index, (unit, times) in enumerate(alone)]
    owners = align(phonemes, readings, band=band)
    assert len(owners) == len(phonemes)
    words = [owner for owner in owners if owner is not None]
    assert words == sorted(words)


def test_a_line_of_ordinary_length_has_the_whole_band_and_no_line_has_many_cells() -> None:
    assert band_for(0) == band_for(600) == 48
    assert band_for(100_000) == 4
    for letters in range(600, 7_500, 100):
        assert 2 * letters * band_for(letters) <= 60_000
