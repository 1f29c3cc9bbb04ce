from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tests.text.by_hand import PIPER, by_hand, check, said, said_by_word
from voxswap_families.symbols import SymbolTable
from voxswap_families.text import NormalizedText, Word
from voxswap_server.text.characters import CharacterFrontEnd
from voxswap_server.text.normalization import normalize

LETTERS = SymbolTable.blanks({letter: [i] for i, letter in enumerate("_ abcdefghij'é", 0)})


def test_every_character_has_blanks_around_it() -> None:
    sequence = CharacterFrontEnd(LETTERS, lowercase=False).symbols(by_hand("ab c"))
    assert sequence.ids == (0, 2, 0, 3, 0, 1, 0, 4, 0)
    assert [(phone.text, phone.word) for phone in sequence.phones] == [
        ("a", 0),
        ("b", 0),
        (" ", None),
        ("c", 1),
    ]


def test_lowercase() -> None:
    text = by_hand("ABBA")
    assert said(CharacterFrontEnd(LETTERS, lowercase=True).symbols(text)) == "abba"
    left_out = CharacterFrontEnd(LETTERS, lowercase=False).symbols(text)
    assert left_out.unknown == {"A": 2, "B": 2}
    assert not left_out.speaks


def test_unknown_characters_are_counted_and_blanks_at_the_ends_dropped() -> None:
    sequence = CharacterFrontEnd(LETTERS, lowercase=False).symbols(by_hand(" ! ab ☃ !"))
    assert said(sequence) == "ab"
    assert sequence.unknown == {"!": 2, "☃": 1}


def test_piper_keeps_blanks_at_the_ends_and_decomposes() -> None:
    table = SymbolTable.piper({"_": [0], "^": [1], "$": [2], " ": [3], "e": [4], "\u0301": [5]})
    sequence = CharacterFrontEnd(table, lowercase=False).symbols(by_hand(" é"))
    assert sequence.ids == (1, 0, 3, 0, 4, 0, 5, 0, 2)
    assert [phone.word for phone in sequence.phones] == [None, 0, 0]


def test_a_letter_takes_the_form_that_the_table_has() -> None:
    composed = CharacterFrontEnd(LETTERS, lowercase=False)
    marks = SymbolTable.blanks({"e": [1], "\u0301": [2]})
    apart = CharacterFrontEnd(marks, lowercase=False)
    for text in ("é", "e\u0301"):
        assert said(composed.symbols(by_hand(text))) == "é"
        assert said(apart.symbols(by_hand(text))) == "e\u0301"


def test_letters_of_capitals_that_grow_in_lower_case() -> None:
    table = SymbolTable.piper({"_": [0], "^": [1], "$": [2], "i": [3], "\u0307": [4]})
    sequence = CharacterFrontEnd(table, lowercase=True).symbols(by_hand("İ"))
    assert said(sequence) == "i\u0307"


def test_an_apostrophe_belongs_to_its_word_and_a_mark_around_it_does_not() -> None:
    sequence = CharacterFrontEnd(LETTERS, lowercase=False).symbols(by_hand("'a'b'"))
    assert [phone.word for phone in sequence.phones] == [None, 0, 0, 0, None]


def test_vowel_signs_belong_to_their_word() -> None:
    table = SymbolTable.blanks({"क": [1], "ी": [2]})
    sequence = CharacterFrontEnd(table, lowercase=False).symbols(by_hand("की"))
    assert [phone.word for phone in sequence.phones] == [0, 0]


def test_words_come_from_the_spoken_form() -> None:
    text = NormalizedText("ab ab c", (Word("2", 0, 1, 0, 5), Word("c", 2, 3, 6, 7)))
    sequence = CharacterFrontEnd(LETTERS, lowercase=False).symbols(text)
    assert [phone.word for phone in sequence.phones] == [0, 0, None, 0, 0, None, 1]


def spelled(letters: str, text: str, language: str = "en") -> tuple[str, dict[str, int]]:
    table = SymbolTable.blanks({letter: [i] for i, letter in enumerate(letters)})
    front_end = CharacterFrontEnd(table, lowercase=True, language=language)
    sequence = front_end.symbols(normalize(text, language))
    return said(sequence), dict(sequence.unknown)


ALPHABET = "_ abcdefghijklmnopqrstuvwxyz"


def test_a_letter_that_is_lacking_is_its_nearest() -> None:
    assert spelled(ALPHABET, "Naïve café") == ("naive cafe", {})
    assert spelled(ALPHABET + "ăâîşţ", "Universității", "ro") == ("universităţii", {})
    assert spelled(ALPHABET + "ăâîșț", "Universităţii", "ro") == ("universității", {})
    assert spelled(ALPHABET, "Øre, straße, Łódź", "da") == ("ore strasse lodz", {",": 2})
    assert spelled("_ абвгдежзийклмнопрстуфхцчшщъыьэюя", "ёж", "ru") == ("еж", {})


def test_capitals_have_the_nearest_capital() -> None:
    table = SymbolTable.blanks({letter: [i] for i, letter in enumerate("_ ŢaE")})
    front_end = CharacterFrontEnd(table, lowercase=False)
    assert said(front_end.symbols(by_hand("Ța É"))) == "Ţa E"


def test_digits_that_are_lacking_are_said_in_words() -> None:
    assert spelled(ALPHABET + "äöüß", "Straße 5", "de") == ("straße fünf", {})
    assert spelled(ALPHABET + "áéíóöőúüű", "a 25x", "hu") == ("a huszonöt x", {})
    assert spelled(ALPHABET, "no 5", "xx") == ("no", {"5": 1})
    assert spelled(ALPHABET + "5", "a 5", "hu") == ("a 5", {})
    assert spelled(ALPHABET, "007", "fi")[0] == "nolla nolla seitseman"


def test_digits_in_words_belong_to_their_word() -> None:
    table = SymbolTable.blanks({letter: [i] for i, letter in enumerate(ALPHABET + "ö")})
    text = by_hand("a 25, b")
    sequence = CharacterFrontEnd(table, lowercase=True, language="hu").symbols(text)
    check(text, sequence)
    assert said_by_word(text, sequence) == {"a": "a", "25,": "huszonöt", "b": "b"}


@given(st.text(), st.booleans(), st.sampled_from([PIPER, LETTERS]))
def test_any_text_is_read(text: str, lowercase: bool, table: SymbolTable) -> None:
    normalized = by_hand(text)
    sequence = CharacterFrontEnd(table, lowercase=lowercase).symbols(normalized)
    check(normalized, sequence)
    read = sum(sequence.unknown.values()) + len(said(sequence))
    folded = unicodedata.normalize("NFC", text.lower() if lowercase else text)
    # A hyphen that the table lacks stands for a blank.
    assert read >= len("".join(folded.replace("-", " ").split()))
