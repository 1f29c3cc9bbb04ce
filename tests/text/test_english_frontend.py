from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.text.by_hand import GOLDEN, PIPER, by_hand, check, said, said_by_word
from voxswap_families.text import NormalizedText, Word
from voxswap_server.text.english.front_end import EnglishFrontEnd
from voxswap_server.text.english.phonemes import linked, to_espeak

pytest.importorskip("hibari.g2p", reason="needs hibari-tts (extra: server)")


@pytest.fixture(scope="module")
def american() -> EnglishFrontEnd:
    return EnglishFrontEnd(PIPER)


@pytest.mark.parametrize(
    ("misaki", "spelling", "expected"),
    [
        ("həlˈO", "hello", "həlˈoʊ"),
        ("ʧˈɜɹʧ", "church", "tʃˈɜːtʃ"),
        ("ʤˈɔɪn", "join", "dʒˈɔɪn"),
        ("ɹˈɛvəɹənt", "reverent", "ɹˈɛvɚɹənt"),
        ("wˈɔTəɹ", "water", "wˈɔːɾɚ"),
        ("kˈɑɹ", "car", "kˈɑːɹ"),
        ("sˈɑdᵊn", "sodden", "sˈɑːdən"),
        ("bˈʌtn", "button", "bˈʌʔn\u0329"),
        ("ɹˈɪvəɹ", "river", "ɹˈɪvɚ"),
        ("hjumˈɪdəTi", "humidity", "hjuːmˈɪdᵻɾi"),
        ("əvˈAləbᵊl", "available", "ɐvˈeɪləbəl"),
        ("fˈɔɹmˌæt", "format", "fˈɔːɹmæt"),
        ("sˈɛnətˌæf", "cenotaph", "sˈɛnətˌæf"),
        ("ɹətˈɜɹn", "return", "ɹᵻtˈɜːn"),
        ("lˈɔŋ", "long", "lˈɔŋ"),
        ("ɪnklˈud", "include", "ɪŋklˈuːd"),
        ("wi", "we", "wiː"),
        ("", "", ""),
    ],
)
def test_misakis_phonemes_as_espeak_spells_them(misaki: str, spelling: str, expected: str) -> None:
    assert to_espeak(misaki, spelling) == expected


def test_british_is_not_rhotic() -> None:
    assert to_espeak("həlˈQ", british=True) == "həlˈəʊ"
    assert to_espeak("ðˈɛː", british=True) == "ðˈeə"


def test_words_link_to_a_vowel() -> None:
    assert linked("nˈʌmbɚ", "ˈɪz") == "nˈʌmbɚɹ"
    assert linked("nˈʌmbɚ", "kˈæn") == "nˈʌmbɚ"
    assert linked("nˈʌmbɚ", ".") == "nˈʌmbɚ"
    assert linked("ɪt", "ɪz") == "ɪɾ"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", "həlˈoʊ, wˈɜːld!"),
        ("Yes. No", "jˈɛs.nˈoʊ"),
        ("Cat?! Dog.", "kˈæt?dˈɔɡ."),
        ("He said: go; now.", "hiː sˈɛd: ɡˈoʊ; nˈaʊ."),
        ("“Yes,” he said.", "jˈɛs, hiː sˈɛd."),
        ("(Yes)", "jˈɛs"),
        ("no — yes", "nˈoʊ; jˈɛs"),
        ("no - yes", "nˈoʊ jˈɛs"),
        ("Well... yes.", "wˈɛl, jˈɛs."),
        ("[dog](/cat/)", "dˈɔɡ kˈæt"),
        ("Cats, etc.", "kˈæts, ɛtsˈɛɾɚɹə."),
        ("Say why, not me.", "sˈeɪ wˈaɪ, nˌɑːt mˈiː."),
        ("?!", ""),
        ("", ""),
    ],
)
def test_marks_stand_as_in_piper(american: EnglishFrontEnd, text: str, expected: str) -> None:
    assert said(american.symbols(by_hand(text))) == expected


def agreement(row: dict[str, Any], front_end: EnglishFrontEnd) -> float:
    ours = said(front_end.symbols(by_hand(row["text"])))
    return SequenceMatcher(None, ours, row["phonemes"].replace("ʲ", ""), autojunk=False).ratio()


def test_it_says_nearly_what_espeak_says(american: EnglishFrontEnd) -> None:
    plain = re.compile(r"[A-Za-z' ,;:]{20,}[.?!]")
    rows = [row for row in GOLDEN["sentences"] if row["voice"] == "en-us"]
    ratios = sorted(agreement(row, american) for row in rows if plain.fullmatch(row["text"]))
    assert len(ratios) > 70
    assert sum(ratios) / len(ratios) > 0.95
    assert ratios[0] > 0.8


def test_british_says_nearly_what_espeak_says() -> None:
    british = EnglishFrontEnd(PIPER, british=True)
    rows = [row for row in GOLDEN["sentences"] if row["voice"] == "en-gb-x-rp"]
    assert rows
    for row in rows:
        assert agreement(row, british) > 0.85


def test_every_phone_knows_its_word(american: EnglishFrontEnd) -> None:
    text = by_hand("Don't O'Brien's forty-two state-of-the-art dragons, e.g. Smaug, eat 3.5 kings?")
    words = said_by_word(text, american.symbols(text))
    assert list(words) == [word.text for word in text.words]
    assert words["forty-two"] == "fˈɔːɹɾitˌuː"
    assert words["Don't"] == "dˈoʊnt"


def test_a_word_keeps_its_phones_when_its_spoken_form_has_many_words(
    american: EnglishFrontEnd,
) -> None:
    text = NormalizedText("two dollars now", (Word("$2", 0, 2, 0, 11), Word("now", 3, 6, 12, 15)))
    assert said_by_word(text, american.symbols(text)) == {"$2": "tˈuːdˈɑːlɚz", "now": "nˈaʊ"}


@examples(300)
@given(
    st.one_of(st.text(), st.text("aB1 .,;:?!-–—…\"'()[]<>&%$£²½é"), st.text("0123456789.,-stx "))
)
def test_any_text_is_read(text: str) -> None:
    normalized = by_hand(text)
    check(normalized, EnglishFrontEnd(PIPER).symbols(normalized))
