"""What Kokoro's z voices are given, against misaki's own phonemes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.text.by_hand import check, said_by_word
from tests.text.mandarin.tables import phonemes
from voxswap_server.audio.visemes import VISEMES, viseme
from voxswap_server.speech.reader import read_segment
from voxswap_server.text.mandarin.misaki import MisakiMandarinFrontEnd

_FIXTURE = json.loads(Path(__file__).with_name("kokoro_zh_ipa.json").read_text(encoding="utf-8"))
# What misaki's dictionary misreads, as it is read here.
_READ_RIGHT = {
    "这条路很长，要走一天。": "ꭧɤ↘tʰjau↗ lu↘ xə↓nꭧʰa↗ŋ, jau↘ ʦou↓ i→tʰjɛ→n.",
    "我觉得你说得对。": "wo↓ ʨɥe↗tɤ ni↓ ʂwo→tɤtwei↘.",
    "他终于还了我的钱。": "tʰa→ ꭧʊ→ŋy↗ xwa↗n lɤ wo↓ tɤ ʨʰjɛ↗n.",
    "那匹马跑得很快。": "na↘pʰi↓ma↓ pʰau↓ tɤ xə↓nkʰwai↘.",
    "时间不早了，我得走了。": "ʂɨ↗ʨjɛ→n pu↘ʦau↓lɤ, wo↓ tei↓ ʦou↓ lɤ.",
    "你数一数有多少金币。": "ni↓ ʂu↓i→ʂu↓ jou↓ two→ʂau↓ ʨi→npi↘.",
}
# Where marks stand next to each other misaki writes more blanks, and more dots.
_LAID_OUT = {
    "“走！”他说：「快走……」": "“ʦou↓!” tʰa→ ʂwo→: “kʰwai↘ ʦou↓…”",
    "《红楼梦》（上）；下？": "“xʊ↗ŋlou↗mə↘ŋ” (ʂa↘ŋ); ɕja↘?",
}


@pytest.mark.parametrize("line", _FIXTURE["lines"], ids=lambda line: line["text"])
def test_phonemes_are_misakis(kokoro: MisakiMandarinFrontEnd, line: dict[str, str]) -> None:
    text = line["text"]
    expected = (_READ_RIGHT | _LAID_OUT).get(text, line["ipa"])
    _, sequence = read_segment(text, "zh-CN", kokoro)
    assert phonemes(sequence) == expected
    assert not sequence.unknown


def test_most_lines_need_no_excuse() -> None:
    assert len(_FIXTURE["lines"]) - len(_READ_RIGHT | _LAID_OUT) == 46


def test_english_inside_is_said_as_english(kokoro: MisakiMandarinFrontEnd) -> None:
    pytest.importorskip("hibari.g2p", reason="needs hibari-tts (extra: server)")
    _, sequence = read_segment("打开Windows，A4纸。", "zh-CN", kokoro)
    assert phonemes(sequence) == "ta↓kʰai→ wˈɪndOz, ˈA sɨ↘ꭧɨ↓."
    _, sequence = read_segment("I have 3 cats.", "zh-CN", kokoro)
    assert phonemes(sequence) == "ˌI hæv θɹˈi kˈæts."


def test_phones_are_ipa_and_know_the_words_as_written(kokoro: MisakiMandarinFrontEnd) -> None:
    text, sequence = read_segment("張先生去銀行。", "zh-TW", kokoro)
    assert said_by_word(text, sequence) == {
        "張": "tʂa˥ŋ",
        "先生": "ɕjɛ˥nʂə˥ŋ",
        "去": "tɕʰy˥˩",
        "銀行": "i˧˥nxa˧˥ŋ",
    }


@examples(200)
@given(st.one_of(st.text(), st.text("中国人儿一不了得😀𠮷々〇12.,%￥Aa'\" 　（《…—")))
def test_any_text_is_read(kokoro: MisakiMandarinFrontEnd, text: str) -> None:
    normalized, sequence = read_segment(text, "zh-CN", kokoro)
    check(normalized, sequence)
    assert all(viseme(phone.text) in VISEMES for phone in sequence.phones)
    for word in normalized.words:
        assert word.text == text[word.source_start : word.source_end]
