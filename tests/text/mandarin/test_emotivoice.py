"""Tokens of EmotiVoice's voices, against its own front-end's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.text.by_hand import check, said_by_word
from tests.text.mandarin.tables import EMOTIVOICE, emotivoice_tokens
from voxswap_families.symbols import SymbolTable
from voxswap_families.text import LongReadingError
from voxswap_server.audio.visemes import VISEMES, viseme
from voxswap_server.speech.reader import read_segment
from voxswap_server.text.mandarin import latin, syllables
from voxswap_server.text.mandarin.emotivoice import EmotiVoiceFrontEnd

_LINES = json.loads(
    Path(__file__).with_name("emotivoice_frontend.json").read_text(encoding="utf-8")
)["lines"]
# Where we read otherwise: what it writes, what we write, and why.
_OTHERWISE = {
    # 很长 is long, and its dictionary has it grow.
    "银行行长走了很长的路。": ("h en3 sp0 zh ang3", "h en3 sp0 ch ang2"),
    "重庆的重量很重要，长大了长得很长": ("h en3 sp0 zh ang3", "h en3 sp0 ch ang2"),
    # A year is read digit by digit.
    "2023年10月1日": (
        "er4 sp0 q ian1 sp1 l ing2 sp1 er4 sp0 sh iii2 sp0 s an1",
        "er4 sp0 l ing2 sp1 er4 sp0 s an1",
    ),
    # 道 has no tone in 知道.
    "嗯，我知道了。": ("d ao4", "d ao5"),
    # Two letters are one word, whose stress is on the first.
    "我们用Hello world来测试AI吧。": ("[EY1] [AY1]", "[EY1] [AY2]"),
}


def written(front_end: EmotiVoiceFrontEnd, text: str) -> str:
    return emotivoice_tokens(read_segment(text, "zh-CN", front_end)[1])


@pytest.mark.parametrize("line", _LINES, ids=lambda line: line["text"])
def test_tokens_are_its_own(emotivoice: EmotiVoiceFrontEnd, line: dict[str, str]) -> None:
    theirs, ours = _OTHERWISE.get(line["text"], ("", ""))
    expected = line["phonemes"].replace(theirs, ours) if theirs else line["phonemes"]
    pytest.importorskip("hibari.g2p", reason="needs hibari-tts (extra: server)")
    _, sequence = read_segment(line["text"], "zh-CN", emotivoice)
    assert emotivoice_tokens(sequence) == expected
    assert not sequence.unknown


def test_most_lines_need_no_excuse() -> None:
    assert len(_LINES) - len(_OTHERWISE) == 15


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "你好, Hello, 世界",
            "n i3 sp0 h ao3 sp3 [HH] [AH0] [L] [OW1] eng_cn_sp sh iii4 sp0 j ie4",
        ),
        ("a “cat”, and", "[EY1] engsp1 [K] [AE1] [T] engsp4 [AE1] [N] [D]"),
        ("I have it", "[AY1] engsp1 [HH] [AE1] [V] engsp1 [IH1] [T]"),
        ("（好）吗", "h ao3 sp3 m a5"),
        ("不是一个", "b u4 sp0 sh iii4 sp1 i1 sp0 g e4"),
        ("女儿在这儿", "n v3 sp0 er2 sp1 z ai4 sp1 zh e4 sp0 er5"),
        ("噷，呣", "h eng5 sp3 m u2"),
    ],
)
def test_what_stands_between_words(emotivoice: EmotiVoiceFrontEnd, text: str, said: str) -> None:
    pytest.importorskip("hibari.g2p", reason="needs hibari-tts (extra: server)")
    assert written(emotivoice, text) == f"<sos/eos> {said} <sos/eos>"


def test_words_that_no_dictionary_has_are_read(emotivoice: EmotiVoiceFrontEnd) -> None:
    pytest.importorskip("hibari.g2p", reason="needs hibari-tts (extra: server)")
    text, sequence = read_segment("去Zyzzogeton玩3次", "zh-CN", emotivoice)
    said = said_by_word(text, sequence)
    assert set(said) == {"去", "Zyzzogeton", "玩", "3次"}
    assert len(said["Zyzzogeton"]) > 6
    assert not sequence.unknown


def test_without_english_letters_are_spelled_and_words_told() -> None:
    pytest.importorskip("kaldifst", reason="needs the extra mandarin")
    mandarin = {name: ids for name, ids in EMOTIVOICE.symbols.items() if name[0] != "["}
    front_end = EmotiVoiceFrontEnd(
        SymbolTable.piper(mandarin, pad=None, bos="<sos/eos>", eos="<sos/eos>")
    )
    text, sequence = read_segment("NBA的windows", "zh-CN", front_end)
    assert sequence.unknown == {"windows": 1}
    assert said_by_word(text, sequence) == {"NBA": "ə˥npi˥˩ei˥", "的": "tɤ"}


def test_tokens_that_the_table_lacks_are_told(emotivoice: EmotiVoiceFrontEnd) -> None:
    lacking = {name: ids for name, ids in EMOTIVOICE.symbols.items() if name != "ao3"}
    front_end = EmotiVoiceFrontEnd(
        SymbolTable.piper(lacking, pad=None, bos="<sos/eos>", eos="<sos/eos>")
    )
    _, sequence = read_segment("你好😀𠮷", "zh-CN", front_end)
    assert sequence.unknown == {"ao3": 1, "𠮷": 1}
    assert emotivoice_tokens(sequence) == "<sos/eos> n i3 sp0 h <sos/eos>"
    assert not read_segment("か😀", "zh-CN", emotivoice)[1].speaks


def test_every_syllable_has_tokens() -> None:
    pytest.importorskip("pypinyin", reason="needs the extra mandarin")
    from pypinyin.contrib.tone_convert import to_tone3
    from pypinyin.pinyin_dict import pinyin_dict

    marked = {reading for readings in pinyin_dict.values() for reading in readings.split(",")}
    found = {to_tone3(reading, neutral_tone_with_five=True) for reading in marked}
    assert len(found) > 1_300
    rhotic = {"huar1": "uar1", "wanr2": "uanr2"}
    for pinyin in found:
        for token, ipa in syllables.emotivoice(pinyin):
            assert token in EMOTIVOICE.symbols, pinyin
            assert viseme(ipa) != "sil"
    assert {p: syllables.emotivoice(p)[-1][0] for p in rhotic} == rhotic


def test_every_letter_of_misaki_has_a_token() -> None:
    for letter in latin._ARPABET:
        for phone in latin.phones(f"ˈ{letter}"):
            assert f"[{phone.arpabet.upper()}{phone.stress}]" in EMOTIVOICE.symbols


def test_what_is_far_more_to_say_than_to_write_is_parted(emotivoice: EmotiVoiceFrontEnd) -> None:
    with pytest.raises(LongReadingError):
        read_segment("5mmHg，" * 200, "zh-CN", emotivoice)


@examples(60)
@given(st.one_of(st.text(), st.text("中国人儿一不了得😀𠮷々〇12.,%￥Aa'\" 　（《…—")))
def test_any_text_is_read(emotivoice: EmotiVoiceFrontEnd, text: str) -> None:
    normalized, sequence = read_segment(text, "zh-CN", emotivoice)
    check(normalized, sequence)
    assert sequence.ids[0] == sequence.ids[-1] == 1
    assert len(sequence.ids) == len(sequence.phones) + 2
    assert all(viseme(phone.text) in VISEMES for phone in sequence.phones)
    for word in normalized.words:
        assert word.text == text[word.source_start : word.source_end]
