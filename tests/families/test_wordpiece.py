"""WordPiece against the tokenizer of transformers, which EmotiVoice asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from voxswap_families.emotivoice.wordpiece import MAX_VOCABULARY_BYTES, WordPiece
from voxswap_registry.errors import EngineError

_PIECES = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##able", "##lo", "##an", "##22", "an", "un"),
    *("hell", "he", "20", *"普通生气开心非常,.!?，。()$~_'abchelois1nßσςöä々é\u1100"),
    *("##" + letter for letter in "abclsnd2σ\u1161"),
]
# Letters, accents alone and in one, capitals without one, controls, blanks, other scripts.
_LETTERS = (
    "abchelosÅéÖÄßΣσςİıǅ普通\uf900豈々가1２20²$~_!?，。、“'()<\t\n\r "
    "\u3000\u2028\x85\x00\x07\u200b\ufffd\u0301😀"
)


@pytest.fixture(scope="module")
def data() -> bytes:
    return "\n".join(_PIECES).encode()


@pytest.fixture(scope="module")
def pieces(data: bytes) -> WordPiece:
    return WordPiece.from_bytes(data)


@pytest.fixture(scope="module")
def reference(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> Any:
    transformers = pytest.importorskip("transformers", reason="needs transformers (extra: dev)")
    path: Path = tmp_path_factory.mktemp("bert") / "vocab.txt"
    path.write_bytes(data)
    vocabulary = {line: row for row, line in enumerate(data.decode().split("\n"))}
    return transformers.BertTokenizer(vocab=vocabulary)


@pytest.mark.parametrize(
    "text",
    [
        "非常开心",
        "Hello, unable AND  café!",
        "普通abc通",
        "20 2022 $20~a_b (é)",
        "x" * 101 + " a",
        "a" * 100 + " " + "a" * 101,
        "ΑΣ Σσς İstanbul ß ẞ",
        "",
        "가 각",
        "あ ㍿ 々",
    ],
)
def test_ids_are_those_of_transformers(pieces: WordPiece, reference: Any, text: str) -> None:
    assert pieces.ids(text) == reference(text)["input_ids"]


@examples(300)
@given(st.text(st.one_of(st.sampled_from(_LETTERS), st.characters(max_codepoint=0x17F))))
def test_any_text_has_the_ids_of_transformers(pieces: WordPiece, reference: Any, text: str) -> None:
    expected = reference(text, truncation=True, max_length=512)["input_ids"]
    assert pieces.ids(text) == expected


def test_pieces_are_the_longest_there_are(pieces: WordPiece) -> None:
    def named(text: str) -> str:
        return " ".join(_PIECES[row] for row in pieces.ids(text))

    assert named("HELLLO unable") == "[CLS] hell ##lo un ##able [SEP]"
    assert named("Hello café，开心") == "[CLS] [UNK] [UNK] ， 开 心 [SEP]"
    assert pieces.unknown == 1


def test_a_text_without_end_is_cut(pieces: WordPiece) -> None:
    for text in ("开" * 1_000, "开" * 1_000_000, "\x00" * 1_000_000 + "a"):
        ids = pieces.ids(text)
        assert (ids[0], ids[-1]) == (2, 3)
        assert len(ids) == (512 if text[0] == "开" else 2)


def test_marks_in_a_text_are_text(pieces: WordPiece) -> None:
    assert pieces.ids("[SEP]") == [2, 1, 1, 1, 3]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", r"no \[UNK\]"),
        (b"[UNK]\n[CLS]\n", r"no \[SEP\]"),
        (b"[UNK]\n[CLS]\n[SEP]\n\xff\n", "no UTF-8"),
        (b"a" * (MAX_VOCABULARY_BYTES + 1), "1048577 bytes"),
        (b"\n" * 100_002, "100002 pieces"),
    ],
)
def test_what_is_no_vocabulary_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(EngineError, match=told):
        WordPiece.from_bytes(data)


def test_a_vocabulary_of_windows_is_the_same(data: bytes, pieces: WordPiece) -> None:
    again = WordPiece.from_bytes(data.replace(b"\n", b"\r\n"))
    assert again.ids("非常开心") == pieces.ids("非常开心")
    assert len(again) == len(pieces) == len(_PIECES)
