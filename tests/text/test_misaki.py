from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.text.by_hand import by_hand, check, said_by_word
from voxswap_families.kokoro.format import SYMBOLS, symbol_table_json
from voxswap_families.symbols import SymbolTable
from voxswap_families.text import SymbolSequence
from voxswap_registry.manifest import FrontEndSpec
from voxswap_server.audio.visemes import VISEMES, viseme
from voxswap_server.text.english.misaki import MisakiFrontEnd
from voxswap_server.text.frontends import make_front_end
from voxswap_server.text.normalization import normalize

pytest.importorskip("hibari.g2p", reason="needs hibari-tts (extra: server)")

KOKORO = SymbolTable.from_json(symbol_table_json(SYMBOLS))
LETTERS = {index: symbol for symbol, index in SYMBOLS.items()}


@pytest.fixture(scope="module")
def american() -> MisakiFrontEnd:
    return MisakiFrontEnd(KOKORO)


def written(sequence: SymbolSequence) -> str:
    """The ids as Kokoro's own letters, without the boundaries around them."""
    assert sequence.ids[0] == sequence.ids[-1] == 0
    return "".join(LETTERS[i] for i in sequence.ids[1:-1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", "həlˈO, wˈɜɹld!"),
        ('He said: "go; now..." (yes).', "hˌi sˈɛd: “ɡˌO; nˈW…” (jˈɛs)."),
        ("“Yes,” he said.", "“jˈɛs,” hi sˈɛd."),
        ("no — yes", "nˈO— jˈɛs"),
        ("no - yes", "nˈO jˈɛs"),
        ("Well... yes.", "wˈɛl… jˈɛs."),
        ("What?!?!", "wˌʌt?!"),
        ("Church, judge, boy, water", "ʧˈɜɹʧ, ʤˈʌʤ, bˈY, wˈɔTəɹ"),
        ("[dog](/cat/)", "dˈɔɡ (kˈæt)"),
        ("...so", "sˌO"),
        ("?!", ""),
        ("", ""),
    ],
)
def test_marks_stand_as_in_misaki(american: MisakiFrontEnd, text: str, expected: str) -> None:
    sequence = american.symbols(by_hand(text))
    assert written(sequence) == expected
    assert not sequence.unknown


def test_phones_are_ipa_and_know_their_words(american: MisakiFrontEnd) -> None:
    text = by_hand("Now choose five boys, O'Brien's joke.")
    assert said_by_word(text, american.symbols(text)) == {
        "Now": "nˈaʊ",
        "choose": "tʃˈuz",
        "five": "fˈaɪv",
        "boys,": "bˈɔɪz",
        "O'Brien's": "ˈoʊbɹˈaɪənz",
        "joke.": "dʒˈoʊk",
    }


def test_a_diphthong_is_one_phone_and_has_its_shape(american: MisakiFrontEnd) -> None:
    sequence = american.symbols(by_hand("joy"))
    assert [(p.text, viseme(p.text)) for p in sequence.phones if p.word is not None] == [
        ("dʒ", "CH"),
        ("ˈɔɪ", "oh"),
    ]


def test_british_is_not_rhotic() -> None:
    front_end = make_front_end(FrontEndSpec("misaki", {"british": True}), KOKORO, "en-GB")
    assert written(front_end.symbols(by_hand("No car there"))) == "nˈQ kˈɑː ðˈɛː"


def test_a_table_without_marks_counts_them(american: MisakiFrontEnd) -> None:
    few = {symbol: i for symbol, i in SYMBOLS.items() if symbol not in ",“”"}
    front_end = MisakiFrontEnd(SymbolTable.from_json(symbol_table_json(few)))
    assert front_end.symbols(by_hand('Oh, "no"')).unknown == {",": 1, "“": 1, "”": 1}


def test_the_table_is_what_the_model_was_trained_with() -> None:
    table = json.loads(symbol_table_json(SYMBOLS))
    assert (table["pad"], table["bos"], table["eos"]) == (None, "$", "$")
    assert table["symbols"]["$"] == [0]
    assert KOKORO.sequence([]).ids == (0, 0)
    assert max(SYMBOLS.values()) == 177


def test_what_english_leaves_out_is_told(american: MisakiFrontEnd) -> None:
    assert american.symbols(by_hand("The sign says 東京駅.")).unknown == dict.fromkeys("東京駅", 1)
    assert american.symbols(by_hand("Say 한 now")).unknown == {"한": 1}
    assert normalize("The sign says 東京駅.", "en-US").dropped == dict.fromkeys("東京駅", 1)


@examples(200)
@given(st.one_of(st.text(), st.text("aB1 .,;:?!-–—…\"'()[]<>&%$£²½é“”„«»")))
def test_any_text_is_read(text: str) -> None:
    for normalized in (by_hand(text), normalize(text, "en-US")):
        sequence = MisakiFrontEnd(KOKORO).symbols(normalized)
        check(normalized, sequence)
        said = {phone.word for phone in sequence.phones}
        words = enumerate(normalized.text[word.start : word.end] for word in normalized.words)
        silent = "".join(word for index, word in words if index not in said)
        assert sequence.unknown == Counter(filter(str.isalnum, silent))
        assert all(viseme(phone.text) in VISEMES for phone in sequence.phones)
