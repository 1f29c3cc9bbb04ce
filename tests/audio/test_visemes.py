from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.text.by_hand import PIPER
from voxswap_server.audio.visemes import VISEMES, viseme


def test_the_set_is_ovrs_in_its_order() -> None:
    assert " ".join(VISEMES) == "sil PP FF TH DD kk CH SS nn RR aa E ih oh ou"


@pytest.mark.parametrize(
    ("shape", "phones"),
    [
        ("sil", ["", " ", ".", ",", ":", ";", "?", "!", "'", "-", "(", '"', "…", "_", "^", "$"]),
        ("PP", ["p", "b", "m", "pʰ", "B", "п", "μ"]),
        ("FF", ["f", "v", "ʋ", "ф"]),
        ("TH", ["θ", "ð", "þ"]),
        ("DD", ["t", "d", "t̪", "ʈ", "т"]),
        ("kk", ["k", "ɡ", "g", "ŋ", "x", "h", "ʔ", "c", "q", "к", "ग"]),
        ("CH", ["tʃ", "dʒ", "ʃ", "ˈʃ", "ʒ", "tɕ", "ç", "ш"]),
        ("SS", ["s", "z", "sʲ", "ß", "с"]),
        ("nn", ["n", "n\u0329", "l", "ɲ", "ñ", "ɫ", "л", "न"]),
        ("RR", ["ɹ", "r", "ɾ", "ɚ", "ʁ", "р"]),
        ("aa", ["wa˥ŋ", "ja˨˩˦", "a", "ɑː", "ˈæ", "ʌ", "ˈaɪ", "aʊ", "ɐ", "ä", "а", "あ"]),
        ("E", ["ɥɛ˧˥n", "ɛ", "eɪ", "ə", "ɜː", "é", "漢"]),
        ("ih", ["jʲ", "ɪ", "iː", "ᵻ", "ˌi", "j", "ʲ", "y", "и"]),
        ("oh", ["ɔː", "oʊ", "ˈɔɪ", "ɒ", "ø", "ö", "o"]),
        ("ou", ["uː", "ʊ", "w", "ü", "ũ"]),
    ],
)
def test_shapes(shape: str, phones: list[str]) -> None:
    assert {phone: viseme(phone) for phone in phones} == dict.fromkeys(phones, shape)


def test_every_letter_of_pipers_table_opens_the_mouth() -> None:
    letters = [symbol for symbol in PIPER.symbols if symbol.isalpha() and symbol not in "ˈˌːˑ"]
    assert len(letters) > 110
    assert {viseme(letter) for letter in letters} == set(VISEMES) - {"sil"}


@given(st.text(max_size=4))
def test_every_text_has_a_shape(text: str) -> None:
    assert viseme(text) in VISEMES
