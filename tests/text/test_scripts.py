from __future__ import annotations

import pytest

from voxswap_server.text.scripts import foreign_spans, is_foreign


@pytest.mark.parametrize(
    ("text", "languages", "foreign"),
    [
        ("你好，世界！", ["en-US"], True),
        ("こんにちは", ["de"], True),
        ("你好", ["zh-CN"], False),
        ("東京駅", ["en", "ja_JP"], False),
        ("Say 你好.", ["en-US"], False),
        ("3 个", ["en-US"], False),
        ("Hello", ["zh-CN"], False),
        ("！？", ["en-US"], False),
        ("", ["en-US"], False),
    ],
)
def test_han_and_kana_are_foreign_to_who_is_not_written_in_them(
    text: str, languages: list[str], foreign: bool
) -> None:
    assert is_foreign(text, languages) == foreign


@pytest.mark.parametrize(
    ("text", "language", "spans"),
    [
        ("Say 你好 now", "en", [(4, 6)]),
        ("A かな b 漢", "de", [(2, 4), (7, 8)]),
        ("ไทย ok", "fr", [(0, 3)]),
        ("ไทย ok", "hi", []),
        ("฿5 ؋5 ៛5", "en", []),
        ("東京", "ja", []),
        ("мир", "en", []),
        ("plain", "en", []),
    ],
)
def test_spans_of_scripts_that_a_language_does_not_read(
    text: str, language: str, spans: list[tuple[int, int]]
) -> None:
    assert foreign_spans(text, language) == spans
