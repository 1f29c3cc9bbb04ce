"""Everyday polyphones: those that the project was given, and more of their kinds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from voxswap_server.text.mandarin.polyphones import _lines, _rules, reading_at
from voxswap_server.text.mandarin.reader import MandarinReader
from voxswap_server.text.normalization import normalize

_ROW = re.compile(r"\| (?P<before>[^▁|]*)▁(?P<one>.)▁(?P<after>[^▁|]*) \| (?P<reading>\w+) \|")


def rows(name: str) -> Iterator[tuple[str, int, str]]:
    for line in Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines():
        if row := _ROW.fullmatch(line):
            text = row["before"] + row["one"] + row["after"]
            yield text, len(row["before"]), row["reading"]


def read_at(reader: MandarinReader, text: str, place: int) -> str:
    spoken = reader.read(normalize(text, "zh-CN"), english=False)
    (word,) = (word for word in spoken.han if word.start <= place < word.end)
    return word.syllables[place - word.start]


@pytest.mark.parametrize(("name", "count"), [("everyday.md", 49), ("polyphones.md", 880)])
def test_everyday_lines_are_read_right(reader: MandarinReader, name: str, count: int) -> None:
    lines = list(rows(name))
    assert len(lines) == count
    misread = {
        (text, reading, found)
        for text, place, reading in lines
        if (found := read_at(reader, text, place)) != reading
    }
    assert not misread


def test_every_line_of_the_rules_can_be_read() -> None:
    lines = _lines()
    assert len(lines) > 200
    for character, listed in lines.items():
        assert len(_rules(character)) == len(listed)
        for rule in _rules(character):
            assert re.fullmatch(r"[a-zv]+[1-5]", rule.reading), (character, rule.reading)


def test_what_no_rule_knows_is_left_to_the_dictionary() -> None:
    assert reading_at("山", 0, in_word=False) is None
    assert reading_at("音乐", 1, in_word=True) is None
    assert reading_at("大夫", 1, in_word=True) == "fu5"
