from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.text.by_hand import GOLDEN, PIPER, by_hand, check
from voxswap_registry.errors import FrontEndError
from voxswap_server.text.english import reader as english_reader
from voxswap_server.text.english.front_end import EnglishFrontEnd
from voxswap_server.text.english.reader import EnglishReader

pytest.importorskip("hibari.g2p", reason="needs hibari-tts (extra: server)")


@pytest.fixture
def reader() -> EnglishReader:
    return EnglishReader(british=False)


def test_what_is_read_and_where_it_stands(reader: EnglishReader) -> None:
    found = [tuple(reading) for reading in reader.read("Well... “O'Neil” pays, etc.")]
    assert found == [
        ("wˈɛl", False, "well", 0, 4),
        ("…", True, "", 4, 5),
        ("ˈO", False, "o'neil", 9, 15),
        ("nˈil", False, "o'neil", 9, 15),
        ("pˈAz", False, "pays", 17, 21),
        (",", True, "", 21, 22),
        ("ɛtsˈɛTəɹə", False, "etc", 23, 26),
        (".", True, "", 26, 27),
    ]


@pytest.mark.parametrize("text", ["3.5st", "²x", "1,1,1", "٣ cats"])
def test_numbers_that_hibari_stumbles_over_are_read_in_parts(text: str) -> None:
    sequence = EnglishFrontEnd(PIPER).symbols(by_hand(text))
    assert sequence.speaks
    check(by_hand(text), sequence)


def test_a_run_without_spaces_is_read_in_parts(reader: EnglishReader) -> None:
    read: list[str] = []

    class Recorder:
        def tokenize(self, text: str) -> list[Any]:
            read.append(text)
            return []

        def phonemize_tokens(self, tokens: list[Any]) -> list[Any]:
            return tokens

    reader._lexicon = Recorder()
    assert list(reader.read("go " + "-a" * 500 + "b" * 100 + " now")) == []
    assert read[0] == "go "
    assert read[-1] == " now"
    assert max(map(len, read)) <= 48
    assert "".join(read).count("a") == 500


def test_what_hibari_cannot_read_at_all_is_an_error(reader: EnglishReader) -> None:
    class Broken:
        def tokenize(self, text: str) -> list[Any]:
            raise IndexError(text)

    reader._lexicon = Broken()
    with pytest.raises(FrontEndError, match="cannot read 'odd'"):
        list(reader.read("odd text"))


def test_threads_hear_what_one_thread_hears(reader: EnglishReader) -> None:
    texts = [row["text"] for row in GOLDEN["sentences"] if row["voice"] == "en-us"][:80]
    expected = [list(reader.read(text)) for text in texts]
    together = Barrier(8)

    def all_of_them(_: int) -> list[Any]:
        together.wait()
        return [list(reader.read(text)) for text in texts]

    with ThreadPoolExecutor(8) as pool:
        for heard in pool.map(all_of_them, range(8)):
            assert heard == expected


def test_the_lexicon_is_loaded_once(reader: EnglishReader) -> None:
    assert EnglishReader(british=False)._lexicon is reader._lexicon


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hibari.g2p", None)
    with pytest.raises(FrontEndError, match=r"pip install 'voxswap\[server\]'"):
        english_reader._Lexicons().get(british=False)
