from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.text.by_hand import PIPER
from voxswap_families.symbols import Symbol, SymbolTable
from voxswap_registry.errors import ManifestError

SMALL: dict[str, list[int]] = {"_": [0], "^": [1], "$": [2], " ": [3], "a": [4], "b": [5, 6]}
SMALL_TABLE = SymbolTable.piper(SMALL)


def spoken(*words: str) -> list[Symbol]:
    """Words one after another; a blank or mark belongs to none."""
    symbols = []
    for index, word in enumerate(words):
        owner = None if word in (" ", ",", ".") else index
        symbols += [Symbol(letter, owner) for letter in word]
    return symbols


def phones(*words: str) -> list[str]:
    return [phone.text for phone in PIPER.sequence(spoken(*words)).phones]


def test_piper_pads_after_the_beginning_and_each_symbol_but_not_after_the_end() -> None:
    sequence = SMALL_TABLE.sequence(spoken("ab", " ", "a"))
    assert sequence.ids == (1, 0, 4, 0, 5, 6, 0, 3, 0, 4, 0, 2)
    spans = [(phone.text, phone.first, phone.last, phone.word) for phone in sequence.phones]
    assert spans == [("a", 2, 4, 0), ("b", 4, 7, 0), (" ", 7, 9, None), ("a", 9, 11, 2)]


def test_a_symbol_of_kantts_is_a_row_of_each_table() -> None:
    tables = {
        "sy": ["a_c", "n_c", "#3", "_", "~", "@[MASK]"],
        "tone": ["tone1", "tone_none", "_", "~"],
        "syllable_flag": ["s_begin", "_", "~"],
        "word_segment": ["word_begin", "word_end", "_", "~"],
    }
    data = json.dumps({"layout": "kantts", **tables, "emotion": ["emotion_none"]})
    table = SymbolTable.from_json(data.encode())
    named = ["n_c$tone_none$s_begin$word_end", "#3$tone1$s_begin$word_begin"]
    unknown = ["n_c$tone_none$s_begin", "_$tone1$s_begin$word_end", "word_end$tone1$s_begin$a_c"]
    sequence = table.sequence([Symbol(text, 0) for text in (*named, *unknown)], group=False)
    assert [phone.text for phone in sequence.phones] == named
    assert sequence.unknown == dict.fromkeys(unknown, 1)
    for text, left in zip(named, sequence.ids, strict=True):
        rows, rest = [], left
        for names in tables.values():
            rest, row = divmod(rest, len(names))
            rows.append(names[row])
        assert ("$".join(rows), rest) == (text, 0)
    assert len(table.symbols) == len(set(table.symbols)) == 3 * 2 * 1 * 2


def test_blanks_stand_around_every_symbol() -> None:
    table = SymbolTable.blanks({"a": [7], "b": [8]})
    sequence = table.sequence(spoken("ab"), group=False)
    assert sequence.ids == (0, 7, 0, 8, 0)
    assert [(phone.first, phone.last) for phone in sequence.phones] == [(1, 3), (3, 5)]


def test_nothing_said_is_only_the_frame() -> None:
    assert SMALL_TABLE.sequence([]).ids == (1, 0, 2)
    assert SymbolTable.blanks({"a": [7]}).sequence([]).ids == (0,)
    assert not SMALL_TABLE.sequence([]).speaks


def test_unknown_symbols_are_left_out_and_counted() -> None:
    sequence = SMALL_TABLE.sequence(spoken("aqbqx"))
    assert sequence.ids == SMALL_TABLE.sequence(spoken("ab")).ids
    assert sequence.unknown == {"q": 2, "x": 1}


def test_marks_without_a_symbol_are_left_out() -> None:
    table = SymbolTable.piper({"a": [4]}, pad=None, bos=None, eos=None)
    assert table.sequence(spoken("aa")).ids == (4, 4)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("həlˈoʊ", ["h", "ə", "l", "ˈoʊ"]),
        ("tʃˈɜːtʃ", ["tʃ", "ˈɜː", "tʃ"]),
        ("ˈæpəl", ["ˈæ", "p", "ə", "l"]),
        ("mˈæn\u0303", ["m", "ˈæ", "n\u0303"]),
        ("ɹˈɪʔn\u0329", ["ɹ", "ˈɪ", "ʔ", "n\u0329"]),
        ("fˈaɪɚ", ["f", "ˈaɪ", "ɚ"]),
        ("aːɪ", ["aː", "ɪ"]),
        ("pʰa", ["pʰ", "a"]),
        ("ma1", ["m", "a1"]),
        ("aˈɪ", ["a", "ˈɪ"]),
        ("aˈ", ["a", "ˈ"]),
        ("ːa", ["ː", "a"]),
    ],
)
def test_grouping(word: str, expected: list[str]) -> None:
    assert phones(word) == expected


def test_grouping_never_crosses_a_words_border() -> None:
    assert phones("a", "ɪ") == ["a", "ɪ"]
    assert phones("t", "ʃ") == ["t", "ʃ"]
    assert phones("ˈ", "a") == ["ˈ", "a"]
    assert phones("a", "ː") == ["a", "ː"]


@given(
    st.lists(
        st.builds(
            Symbol,
            st.sampled_from("aɪtʃˈˌː\u0303dʒ1 ,☃"),
            st.one_of(st.none(), st.integers(0, 2)),
        )
    )
)
def test_grouping_never_changes_the_ids(symbols: list[Symbol]) -> None:
    grouped = PIPER.sequence(symbols)
    single = PIPER.sequence(symbols, group=False)
    assert grouped.ids == single.ids
    assert "".join(p.text for p in grouped.phones) == "".join(p.text for p in single.phones)
    edges = [len(PIPER.start), *(phone.last for phone in grouped.phones)]
    assert [phone.first for phone in grouped.phones] == edges[:-1]


def test_clusters_are_one_symbol_within_a_word() -> None:
    symbols = {**SMALL, "ab": [9], "aba": [8]}
    table = SymbolTable.piper(symbols, clusters=frozenset({("a", "b"), ("a", "b", "a")}))
    assert table.sequence(spoken("aba")).ids == (1, 0, 8, 0, 2)
    assert table.sequence(spoken("abb")).ids == (1, 0, 9, 0, 5, 6, 0, 2)
    assert table.sequence(spoken("a", "b")).ids == (1, 0, 4, 0, 5, 6, 0, 2)


def test_from_json() -> None:
    assert SymbolTable.from_json(
        json.dumps({"layout": "piper", "symbols": SMALL}).encode()
    ) == SymbolTable.piper(SMALL)
    assert SymbolTable.from_json(b'{"layout": "blanks", "symbols": {"a": [0]}}').blank == (0,)
    bare = b'{"layout": "piper", "symbols": {"a": [4]}, "pad": null, "bos": null, "eos": null}'
    assert SymbolTable.from_json(bare).start == ()
    clustered: dict[str, Any] = {
        "layout": "piper",
        "symbols": {**SMALL, "ab": [9]},
        "clusters": [["a", "b"]],
    }
    assert SymbolTable.from_json(json.dumps(clustered).encode()).clusters == {("a", "b")}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"\xff", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"[" * 100_000, "not JSON"),
        (b'{"layout": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"layout": ' + b"[" * 40 + b"]" * 40 + b"}", "nested deeper than 32"),
        (b" " * (4 << 20) + b"{}", "more than 4194304 bytes"),
        (b"{}", "layout is missing"),
        (b'{"layout": "kokoro"}', "layout is 'kokoro'"),
        (b'{"layout": "piper"}', "symbols is missing"),
        (
            b'{"layout": "piper", "symbols": {}}',
            "symbols has too few entries; write 1 or more",
        ),
        (b'{"layout": "piper", "symbols": {"a": [1]}}', "pad is '_', which has no ids"),
        (b'{"layout": "blanks", "symbols": {"a": 1}}', "symbols.a must be a list"),
        (
            b'{"layout": "blanks", "symbols": {"a": []}}',
            "symbols.a has too few entries; write 1 or more",
        ),
        (b'{"layout": "blanks", "symbols": {"a": [-1]}}', "symbols.a[0] is -1; use 0 or more"),
        (b'{"layout": "blanks", "symbols": {"a": [true]}}', "symbols.a[0] is True; use 0 or more"),
        (
            b'{"layout": "blanks", "symbols": {"a": [1]}, "pad": "a"}',
            "pad is not known here; leave it out",
        ),
        (b'{"layout": "piper", "symbols": {"a": [1]}, "pad": 3}', "pad must be a text, found 3"),
        (
            b'{"layout": "piper", "symbols": {"_": [0], "^": [1], "$": [2]}, "clusters": [["a"]]}',
            "clusters[0] has too few entries; write 2 or more",
        ),
        (
            b'{"layout": "piper", "symbols": {"_": [0], "^": [1], "$": [2]}, "clusters": 1}',
            "clusters must be a list, found 1",
        ),
        (b'{"layout": "kantts", "sy": ["a"], "tone": ["1"]}', "syllable_flag is missing"),
        (
            (
                b'{"layout": "kantts", "sy": ["a"], "tone": ["1", "1"],'
                b' "syllable_flag": ["s"], "word_segment": ["w"]}'
            ),
            "tone[1] '1' has another row already",
        ),
        (
            (
                b'{"layout": "kantts", "sy": ["a"], "tone": ["1"],'
                b' "syllable_flag": ["s$"], "word_segment": ["w"]}'
            ),
            "syllable_flag[0] 's$' has a $, which parts names",
        ),
    ],
)
def test_from_json_says_what_is_wrong(data: bytes, fault: str) -> None:
    with pytest.raises(ManifestError) as raised:
        SymbolTable.from_json(data)
    assert fault in raised.value.message


@pytest.mark.parametrize(
    "table",
    [
        {"layout": "x" * 10_000},
        {"layout": "blanks", "x" * 10_000: 1},
        {"layout": "blanks", "symbols": {"a" * 10_000: ["b" * 10_000]}},
        {"layout": "piper", "symbols": SMALL, "pad": "x" * 10_000},
        {"layout": "piper", "symbols": SMALL, "clusters": [["x" * 10_000]]},
    ],
)
def test_from_json_repeats_little_of_what_is_wrong(table: dict[str, Any]) -> None:
    with pytest.raises(ManifestError) as raised:
        SymbolTable.from_json(json.dumps(table).encode())
    assert len(raised.value.message) < 600
