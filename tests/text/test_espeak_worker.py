"""How texts are cut for the library, with one that is made of rules, and with the real one."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxswap_server
from tests.text.by_hand import GOLDEN
from voxswap_server.text.espeak import worker as espeak_worker
from voxswap_server.text.espeak.worker import (
    LONGEST_CALL,
    MOST_PHONEMES,
    Clauses,
    Library,
    where_they_agree,
    window_end,
)

# What no sentence has: clauses of several hundred characters.
ENGLISH = (
    "The wolves are coming from the forest and nobody is ready for them and where did you find the "
    "old map of the northern mountains that I will never forget what you have done for my family "
    "and that there is nothing left in this village but dust and memories of those who went away."
)
GERMAN = (
    "Das alte Haus am Ende der langen Straße gehört einem Mann der seit vielen Jahren nicht mehr "
    "gesprochen hat und den niemand im Dorf beim Namen nennt weil keiner ihn je gekannt hat."
)


class RuleBook:
    """Says "ab cd, ef" as "<ab cd> <ef>": capitals where a word stands beside an edge."""

    def __init__(self) -> None:
        self.longest = 0

    def read(self, text: str) -> Clauses:
        clauses: Clauses = self.read_all([text])[0]
        return clauses

    def read_all(self, texts: list[str]) -> Any:
        library = Library.__new__(Library)
        library._call = self._call  # type: ignore[method-assign]
        return library.read_all(texts)

    def _call(self, text: str) -> Clauses:
        self.longest = max(self.longest, len(text))
        clauses: Clauses = []
        start = 0
        for place, character in enumerate(text):
            if character == "," or place + 1 == len(text):
                words = text[start : place + 1].split()
                if words:
                    words[0], words[-1] = words[0].upper(), words[-1].upper()
                clauses.append((" ".join(words), start, place + 1))
                start = place + 1
        return clauses or [("", 0, len(text))]


@given(st.text("abc ,", max_size=600) | st.text(max_size=400))
def test_every_character_is_read_once_and_no_call_is_long(text: str) -> None:
    book = RuleBook()
    clauses = book.read(text)
    assert book.longest <= LONGEST_CALL
    edges = [0, *(end for _, _, end in clauses)]
    assert edges[-1] == len(text)
    assert [start for _, start, _ in clauses] == edges[:-1]


@given(st.lists(st.integers(2, 30), min_size=1, max_size=8), st.randoms())
def test_clauses_are_read_as_if_at_once(words: list[int], random: random.Random) -> None:
    text = ", ".join(
        " ".join("".join(random.choices("abcdefg", k=random.randint(1, 7))) for _ in range(count))
        for count in words
    )
    assert RuleBook().read(text) == RuleBook()._call(text)


def test_a_window_ends_at_a_space_where_there_is_one() -> None:
    assert window_end("a" * 99, 0) == 99
    assert window_end("ab " * 60, 0) == 98
    assert window_end("a " + "b" * 200, 0) == LONGEST_CALL


@pytest.mark.parametrize(
    ("before", "after", "words", "found"),
    [
        ("the king of spAIN", "KING of spain and", 3, None),
        ("see the king of spAIN", "THE king of spain and", 4, (3, 2)),
        ("ha ha ha ha", "ha ha ha ha ha", 3, (2, 1)),
        ("one two", "three four", 2, None),
        ("", "", 0, None),
    ],
)
def test_two_windows_are_joined_where_they_agree(
    before: str, after: str, words: int, found: tuple[int, int] | None
) -> None:
    assert where_they_agree(before.split(), after.split(), words) == found


def test_the_pieces_say_what_the_whole_says() -> None:
    """The library opened here would be what all of this is to avoid, so in a process of its own."""
    pytest.importorskip("espeakng_loader", reason="needs the extra espeak")
    rows = [r for r in GOLDEN["sentences"] if r["voice"] == "en-us"]
    texts = [row["text"] for row in rows]
    texts += [" ".join(texts[n : n + 8])[:400] for n in range(0, len(texts), 8)]
    texts += [" and ".join(t.rstrip(".!?") for t in texts[n : n + 6])[:400] for n in range(90)]
    code = (
        "import ctypes, json, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from voxswap_server.text.espeak import worker\n"
        "paths, texts = json.load(sys.stdin)\n"
        "library = worker.Library(ctypes.CDLL(paths[0]), paths[1])\n"
        "def read(voice, text):\n"
        "    library.take(voice)\n"
        "    return [c for c in library.read_all([text])[0] if c[0].strip()]\n"
        "pieces = [read(*text) for text in texts]\n"
        "worker.LONGEST_CALL = 10_000\n"
        "whole = [read(*text) for text in texts]\n"
        "json.dump([pieces, whole], sys.stdout)\n"
    )
    import espeakng_loader

    paths = [espeakng_loader.get_library_path(), espeakng_loader.get_data_path()]
    asked = [("gmw/en-US", text) for text in (*texts, ENGLISH)]
    asked.append(("gmw/de", GERMAN))
    ran = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-I", "-c", code, str(Path(voxswap_server.__file__).parents[1])],
        input=json.dumps([paths, asked]).encode(),
        stdout=subprocess.PIPE,
        timeout=120,
        check=True,
    )
    pieces, whole = json.loads(ran.stdout)
    assert sum(len(text) > LONGEST_CALL for _, text in asked) > 100
    for text, got, expected in zip(asked, pieces, whole, strict=True):
        groups = [clause[0].split() for clause in got]
        assert groups == [clause[0].split() for clause in expected], text
        assert [clause[1:] for clause in got] == [clause[1:] for clause in expected], text


def test_what_says_too_much_is_not_read_to_its_end() -> None:
    """And how much there is left is told, so that it can be parted."""

    class Names(RuleBook):
        calls = 0

        def _call(self, text: str) -> Clauses:
            self.calls += 1
            return [("x" * 18 * len(text), 0, len(text))]

    names = Names()
    assert names.read_all(["字" * 400]) == pytest.approx(400 * 18 / MOST_PHONEMES)
    assert names.calls == 2
    half = MOST_PHONEMES // 18 // 2
    assert isinstance(names.read_all(["字" * half] * 2), list)
    assert isinstance(names.read_all(["字" * (half + 1)] * 2), float)


def test_nothing_of_the_house_is_imported_by_it() -> None:
    """It starts in an interpreter without site-packages."""
    source = Path(espeak_worker.__file__).read_text()
    assert "voxswap" not in source.replace("voxswap_server.compute.workers", "")
