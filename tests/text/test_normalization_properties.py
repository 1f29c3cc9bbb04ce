"""Normalisation of any text at all: spans, tidiness, what is lost, and time."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxswap_server.text.normalization import normalize

PIECES = (
    *("1", "12", "1999", "2,000", "3.5", "0", "00", "$", "€", "%", "°", "C", "km", "m²", "-", "–"),
    *("—", " ", "\n", ".", ",", "!", "'", '"', "“", "(", "[", "/", ":", "st", "th", "s", "p", "x"),
    *("am", "p.m.", "Dr.", "St.", "No.", "May", "Sept.", "e.g.", "Henry", "VIII", "I", "Chapter"),
    *("#", "@", "&", "+", "=", "~", "^", "*", "_", "½", "②", "e\u0301", "\u0301", "🎉", "\u200b"),
    *("https://", "example.com", "a.b", "million", "٣", "中", "。", "ﬁ", "№", "…", "--", "K", "-5"),
    *("W-w-", "Mmm", "oooo", "*sighs*", "MOVE ", "IT ", "'T", "1h", "34m", "2/4", "10x15", "S$"),
    *("USD ", "0x1F", "A-Z", "Mk.", "III", " 000", "m/s²", "Tue ", "w/", "x3", "6'", "#fff", "·"),
)
ANY_TEXT = st.text() | st.lists(st.sampled_from(PIECES), max_size=15).map("".join)
LANGUAGES = st.sampled_from(["en", "en-GB", "de", "ru", "ja", "ko", "zh", "da"])


@given(text=ANY_TEXT, language=LANGUAGES)
def test_words_are_spans_in_order(text: str, language: str) -> None:
    result = normalize(text, language)
    source_end = end = 0
    for word in result.words:
        assert source_end <= word.source_start < word.source_end <= len(text)
        assert end <= word.start < word.end <= len(result.text)
        assert word.text == text[word.source_start : word.source_end]
        assert result.text[word.start : word.end].strip()
        source_end, end = word.source_end, word.end


@given(text=ANY_TEXT, language=LANGUAGES)
def test_every_letter_that_is_read_belongs_to_a_word(text: str, language: str) -> None:
    result = normalize(text, language)
    rest = list(result.text)
    for word in result.words:
        rest[word.start : word.end] = " " * (word.end - word.start)
    assert not any(char.isalnum() for char in rest)


@given(text=ANY_TEXT, language=LANGUAGES)
def test_result_is_tidy(text: str, language: str) -> None:
    result = normalize(text, language).text
    assert unicodedata.is_normalized("NFC", result)
    assert result == " ".join(result.split())


@given(text=ANY_TEXT)
def test_no_digit_remains_in_english(text: str) -> None:
    assert not any(char.isdigit() for char in normalize(text, "en").text)


@given(text=ANY_TEXT, language=LANGUAGES)
def test_no_letter_or_digit_of_ascii_is_dropped(text: str, language: str) -> None:
    dropped = normalize(text, language).dropped
    assert not any(char.isascii() and char.isalnum() for char in dropped)


TOKENS = (
    *("42", "1999", "$3.50", "5km", "10-20", "3:45pm", "1st", "1/2", "50%", "MP3", "v1.2", "word"),
    *("Dr.", "St.", "St", "No.", "e.g.", "Mon.", "Sept.", "May", "Gen.", "Main", "Smith", "U.S."),
    *("Henry", "VIII", "Chapter", "IV", "I", "R&D", "C++", "&", "#1", "*", "—", "-", "–", "🎉"),
    *("2h", "34m", "5m ago", "3d ago", "12 345", "S$5.50", "USD", "Step", "2/4", "10x15", "6'"),
    *("0x1F", "#ff8800", "w/o", "A-Z", "Tue", "Sun", "Mk.", "III", "Apt.", "4B", "PIN", "0412"),
    *("W-w-what", "Th-that's", "Mmm", "Shh", "Nooooo", "MOVE", "IT", "US", "DON'T", "USA", "MIX"),
    *("Node.js", "snake_case", "it’s", "A", "a", "etc", "&c", "§", "+", "=", "he/she", "_so_"),
)
ORDINARY = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "", "", "(", "“", "'", "-", "$"]),
    st.sampled_from(TOKENS),
    st.sampled_from(["", "", "", ",", "!", "?", ")", "”", "'s", "%", "km"]),
)


@given(text=st.lists(ORDINARY, max_size=10).map(" ".join))
def test_english_once_normalised_stays_as_it_is(text: str) -> None:
    once = normalize(text, "en").text
    assert normalize(once, "en").text == once


# A sound, or a word that is drawn out.
_SOUND = re.compile(r"[^aeiou]+|[aeou]+[hwmgkr]+|y+a+y+|a?(?:ha)+h?|(?:he)+h?|.*(.)\1\1.*")
WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1).filter(
    lambda word: word not in {"aka", "etc", "vs"} and not _SOUND.fullmatch(word)
)


@given(words=st.lists(WORDS, min_size=1))
def test_plain_words_are_left_alone(words: list[str]) -> None:
    text = " ".join(words)
    assert normalize(text, "en").text == text


ADVERSARIAL = {
    "prose": "Dr. No paid $3.50 at 3 p.m. on Monday, and left 12 dogs in 1999. ",
    "digits": "1",
    "thousands": ",111",
    "hyphens": "1-",
    "hyphens and letters": "-1",
    "by": "1x",
    "points": "1.",
    "strokes": "1/",
    "times": "12:30-",
    "labels": "a.",
    "addresses": "a@",
    "schemes": "http://",
    "brackets after a scheme": ")",
    "abbreviations": "Mr.,",
    "saints": 'St. "',
    "marks": "\u0301\u0327",
    "bare marks": " \u0301",
    "emoji": "a🎉",
    "decoration": "*a",
    "apostrophes": "'99",
    "spaces": " ",
    "dashes": "— ",
    "ideographs": "中",
    "links": "[a](",
    "brackets": "[",
    "entities": "&amp;",
    "half entities": "&am",
    "comma thousands": ",111.222",
    "spaced thousands": "111 ",
    "fractions": "1/2 ",
    "ordinals": "3. ",
    "escapes": "\\\\*",
    "hashes": "# ",
}


ENGLISH = {
    "durations": "1h",
    "spaced durations": "1h 2m ",
    "spaced thousands": "12 345 ",
    "round thousands": "100 000 ",
    "dimensions": "10x15 cm x ",
    "quoted feet": "'6' ",
    "inches": '6" ',
    "angles": "4°2'",
    "money": "USD 5 S$",
    "signs": "$",
    "counters": "2/4 ",
    "rates": "5 m/s/",
    "stammers": "W-",
    "one stammer": "w-W-",
    "interjections": "m",
    "laughs": "ha",
    "stage directions": "*sighs",
    "adverbs": "*a ly ",
    "shouts": "MOVE IT, ",
    "one shout": "IT",
    "apostrophes in shouts": "IT'S",
    "numerals": "IV ",
    "hexadecimal": "0x",
    "streets": "12 W Main ",
    "days": "Mon-",
    "versions": "Python 3.",
    "letters": "A-Z-",
}
ROWS = [
    *((unit, language) for unit in ADVERSARIAL.values() for language in ("en", "zh", "ru", "ja")),
    *((unit, "en") for unit in ENGLISH.values()),
]


@pytest.mark.parametrize(("unit", "language"), ROWS)
def test_thousands_of_characters_of_anything_are_read(unit: str, language: str) -> None:
    """Quadratic code would take minutes here; how long it really takes is for `bench/` to say."""
    length = 5_000 if unit in ENGLISH.values() else 20_000
    text = "http://" * (unit == ")") + unit * (length // len(unit)) + "a"
    words = normalize(text, language).words
    assert all(text[word.source_start : word.source_end] == word.text for word in words)
    edges = [edge for word in words for edge in (word.source_start, word.source_end)]
    assert edges == sorted(edges)
