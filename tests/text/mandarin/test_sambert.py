"""Tokens of KAN-TTS's voices: tones as they are said, prosodic words, breaks, erhua, English."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.text.by_hand import check, said_by_word
from tests.text.mandarin.tables import kantts_table, tokens
from voxswap_families.text import LongReadingError
from voxswap_server.speech.reader import read_segment
from voxswap_server.text.mandarin.kantts import KanttsFrontEnd


def written(front_end: KanttsFrontEnd, text: str) -> list[str]:
    return tokens(read_segment(text, "zh-CN", front_end)[1])


def syllables(front_end: KanttsFrontEnd, text: str) -> str:
    """Finals with their tones, and breaks: ``ao2 ian3 | ...``."""
    said = []
    for token in written(front_end, text):
        phone, tone, place, _ = token.split("$")
        if place in {"s_end", "s_both"}:
            said.append(phone.removesuffix("_c") + tone.removeprefix("tone"))
        elif place == "s_none":
            said.append(phone)
    return " ".join(said)


def test_a_line_in_tokens(sambert: KanttsFrontEnd) -> None:
    assert written(sambert, "我们去公园，好吗？") == [
        "w_c$tone3$s_begin$word_begin",
        "o_c$tone3$s_end$word_middle",
        "m_c$tone5$s_begin$word_middle",
        "en_c$tone5$s_end$word_middle",
        "q_c$tone4$s_begin$word_middle",
        "v_c$tone4$s_end$word_end",
        "#1$tone_none$s_none$word_none",
        "g_c$tone1$s_begin$word_begin",
        "ong_c$tone1$s_end$word_middle",
        "y_c$tone2$s_begin$word_middle",
        "van_c$tone2$s_end$word_end",
        "#3$tone_none$s_none$word_none",
        "h_c$tone3$s_begin$word_begin",
        "ao_c$tone3$s_end$word_middle",
        "m_c$tone5$s_begin$word_middle",
        "a_c$tone5$s_end$word_end",
        "#4$tone_none$s_none$word_none",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("你好", "i2 ao3 #4"),
        ("展览馆", "an2 an2 uan3 #4"),
        ("小雨伞", "iao3 v2 an3 #4"),
        ("一个", "i2 e4 #4"),
        ("一天", "i4 ian1 #4"),
        ("一起", "i4 i3 #4"),
        ("第一名", "i4 i1 ing2 #4"),
        ("一月一号", "i1 ve4 #1 i1 ao4 #4"),
        ("二十一", "er4 ih2 i1 #4"),
        ("统一", "ong3 i1 #4"),
        ("看一看", "an4 i5 an4 #4"),
        ("不是", "u2 ih4 #4"),
        ("不好", "u4 ao3 #4"),
        ("好不好", "ao3 u5 ao3 #4"),
        ("东西", "ong1 i5 #4"),
        ("妈妈", "a1 a5 #4"),
    ],
)
def test_tones_are_as_they_are_said(sambert: KanttsFrontEnd, text: str, said: str) -> None:
    assert syllables(sambert, text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("花儿", "uar1 #4"),
        ("一点儿", "i4 ianr3 #4"),
        ("女儿", "v3 er2 #4"),
        ("幼儿园", "ou4 er2 van2 #4"),
        ("儿子", "er2 ii5 #4"),
    ],
)
def test_a_final_curls_before_er_unless_that_is_a_child(
    sambert: KanttsFrontEnd, text: str, said: str
) -> None:
    assert syllables(sambert, text) == said


def test_without_the_curled_final_er_is_a_syllable() -> None:
    pytest.importorskip("kaldifst", reason="needs the extra mandarin")
    front_end = KanttsFrontEnd(kantts_table(without="uar_c"))
    _, sequence = read_segment("花儿", "zh-CN", front_end)
    assert len(sequence.ids) == 5
    assert not sequence.unknown


def test_english_is_arpabet_with_its_stress(sambert: KanttsFrontEnd) -> None:
    pytest.importorskip("hibari.g2p", reason="needs hibari-tts (extra: server)")
    assert written(sambert, "hello好") == [
        "hh$tone0$s_begin$word_begin",
        "ah$tone0$s_end$word_middle",
        "l$tone1$s_begin$word_middle",
        "ow$tone1$s_end$word_end",
        "#1$tone_none$s_none$word_none",
        "h_c$tone3$s_begin$word_begin",
        "ao_c$tone3$s_end$word_end",
        "#4$tone_none$s_none$word_none",
    ]


def test_who_knows_no_english_spells_letters_and_tells_words(
    mandarin_only: KanttsFrontEnd,
) -> None:
    text, sequence = read_segment("NBA的windows", "zh-CN", mandarin_only)
    assert sequence.unknown == {"windows": 1}
    assert said_by_word(text, sequence) == {"NBA": "ʔə˥npi˥˩ʔei˥", "的": "tɤ"}
    _, sequence = read_segment("Nobody speaks.", "zh-CN", mandarin_only)
    assert not sequence.speaks
    assert sequence.unknown == {"Nobody": 1, "speaks": 1}


def test_rare_characters_and_emoji_are_told_and_left_out(sambert: KanttsFrontEnd) -> None:
    text, sequence = read_segment("你好😀世界𠮷か", "zh-CN", sambert)
    assert sequence.unknown == {"𠮷": 1, "か": 1}
    assert text.dropped == {"😀": 1}
    assert syllables(sambert, "你好😀世界𠮷か") == "i2 ao3 #1 ih4 ie4 #4"


def test_nobody_says_six_hundred_characters_in_one_breath(sambert: KanttsFrontEnd) -> None:
    _, sequence = read_segment("今天我们一起去公园散步" * 36, "zh-CN", sambert)
    run = longest = 0
    for token in tokens(sequence):
        phone, _, place, _ = token.split("$")
        run = 0 if phone in {"#2", "#3"} else run + (place == "s_end")
        longest = max(longest, run)
    assert longest <= 20


def test_what_is_far_more_to_say_than_to_write_is_parted(sambert: KanttsFrontEnd) -> None:
    with pytest.raises(LongReadingError):
        read_segment("5mmHg，" * 200, "zh-CN", sambert)


@examples(200)
@given(st.one_of(st.text(), st.text("中国人儿一不了得😀𠮷々〇12.,%￥Aa'\" 　（《…—")))
def test_any_text_is_read(sambert: KanttsFrontEnd, text: str) -> None:
    normalized, sequence = read_segment(text, "zh-CN", sambert)
    check(normalized, sequence)
    assert len(sequence.phones) == len(sequence.ids)
    if sequence.ids:
        assert tokens(sequence)[-1].startswith("#4")
        assert sequence.speaks
