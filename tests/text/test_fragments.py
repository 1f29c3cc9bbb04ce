"""Text in fragments: cut as the whole would be, as soon as it is certain, and little is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.text.texts import ADVERSARIAL, TEXTS, TEXTS_WITH_RUNS
from voxswap_server.text.segmentation.fragments import Fragments
from voxswap_server.text.segmentation.layout import PARAGRAPH_PAUSE_MS, SENTENCE_PAUSE_MS
from voxswap_server.text.segmentation.segments import LONGEST_SEGMENT, segment
from voxswap_server.text.types import Segment

LONGEST = st.integers(1, 60) | st.just(LONGEST_SEGMENT)
# Sizes of fragments, one after another, again from the first when they are used up.
SIZES = st.lists(st.integers(0, 20), min_size=1, max_size=8).filter(any)
MOST_KEPT = 2500
"""On top of twice the longest segment."""


def parted(text: str, sizes: list[int]) -> list[str]:
    parts, start = list[str](), 0
    while start < len(text):
        size = sizes[len(parts) % len(sizes)]
        parts.append(text[start : start + size])
        start += size
    return parts


def fed(text: str, sizes: list[int], longest: int = LONGEST_SEGMENT) -> list[Segment]:
    fragments = Fragments(longest=longest)
    given_out = [part for fragment in parted(text, sizes) for part in fragments.push(fragment)]
    return given_out + fragments.end()


@given(text=TEXTS | TEXTS_WITH_RUNS, sizes=SIZES, longest=LONGEST)
def test_fragments_are_cut_as_the_whole_text(text: str, sizes: list[int], longest: int) -> None:
    assert fed(text, sizes, longest) == list(segment(text, longest=longest))


@given(text=TEXTS, more=TEXTS, longest=LONGEST)
def test_no_continuation_changes_what_was_given_out(text: str, more: str, longest: int) -> None:
    fragments = Fragments(longest=longest)
    given_out = tuple(part for char in text for part in fragments.push(char))
    assert segment(text + more, longest=longest)[: len(given_out)] == given_out


@given(text=TEXTS_WITH_RUNS, sizes=SIZES, longest=LONGEST)
def test_little_is_kept(text: str, sizes: list[int], longest: int) -> None:
    fragments = Fragments(longest=longest)
    for fragment in parted(text, sizes):
        fragments.push(fragment)
        assert fragments.kept <= 2 * longest + MOST_KEPT
    assert fragments.length == len(text)


@given(texts=st.lists(TEXTS, max_size=5), sizes=SIZES, longest=LONGEST)
def test_each_flush_ends_a_text(texts: list[str], sizes: list[int], longest: int) -> None:
    fragments, start = Fragments(longest=longest), 0
    for text in texts:
        given_out = [part for fragment in parted(text, sizes) for part in fragments.push(fragment)]
        given_out += fragments.flush()
        expected = [
            replace(part, start=start + part.start) for part in segment(text, longest=longest)
        ]
        assert [replace(part, pause_ms=0) for part in given_out[-1:]] == expected[-1:]
        assert given_out[:-1] == expected[:-1]
        start += len(text)
    assert fragments.end() == []


@pytest.mark.parametrize(
    ("text", "pause_ms"),
    [
        ("Hello", SENTENCE_PAUSE_MS),
        ("Hello. ", SENTENCE_PAUSE_MS),
        ("Hello.\n", SENTENCE_PAUSE_MS),
        ("Hello.\n\n", PARAGRAPH_PAUSE_MS),
    ],
)
def test_more_may_come_after_a_flush_so_there_is_a_pause(text: str, pause_ms: int) -> None:
    fragments = Fragments()
    assert fragments.push(text) == []
    assert fragments.flush() == [Segment(text.strip(), 0, pause_ms)]


def test_a_flush_parts_even_a_word() -> None:
    fragments = Fragments()
    fragments.push("Wait for Dr.")
    assert [part.text for part in fragments.flush()] == ["Wait for Dr."]
    fragments.push("Smi")
    assert [part.text for part in fragments.flush()] == ["Smi"]
    fragments.push("th!")
    assert fragments.end() == [Segment("th!", 15, 0)]


def test_a_flush_of_nothing_gives_nothing() -> None:
    fragments = Fragments()
    fragments.push(" ... \n")
    assert fragments.flush() == []
    assert fragments.end() == []


# A stroke stands behind the character with which the sentence before it is given out.
PROMPT = """
Hello there. H|ow are you? F|ine.
Dr. Smith came. H|e left.
It is 3.14 now. Y|es.
Wait... w|hat? N|o.
Wait... I| see. N|o.
Well... I|n time.
The door is open— n|obody came. N|o.
Really?! Y|es.
I heard it. ...a|nd! S|o.
Come! (M|ay I?) No b|ody.
Great!👍🏽 G|o.
See it.[12] T|hen go.
"Stop!" Mary said. G|ood.
"Stop!" She we|nt.
"Stop!" The o|ld man left.
He left. “S|o what?”
Bring plates, etc. Then |we eat.
At 5 p.m. Doors |open.
See No. 5 there. G|ood.
No. I |won't.
It was 1999. T|hen it was not.
It was 1999. May|be.
1. Go. 2|. Stay.
你好。今|天很好！是|吗？
「待て！」と言った。次|は？
これ。」 そ|れ。
"""


@pytest.mark.parametrize("line", PROMPT.strip().split("\n"))
def test_a_sentence_is_given_out_as_soon_as_it_is_certain(line: str) -> None:
    fragments, seen = Fragments(), ""
    for char in line.replace("|", ""):
        seen += char + "|" * len(fragments.push(char))
    assert seen == line


PROMPT_LINES = [
    ("One.\n\nT|wo.", PARAGRAPH_PAUSE_MS),
    ("One.\n\n***\n\nT|wo.", PARAGRAPH_PAUSE_MS),
    ("One.\n \nT|wo.", PARAGRAPH_PAUSE_MS),
    ("A title\nT|he text.", SENTENCE_PAUSE_MS),
    ("A list:\n- o|ne", SENTENCE_PAUSE_MS),
    ("A list:\n1. |one", SENTENCE_PAUSE_MS),
    ("the end of\nthe line. N|ext.", SENTENCE_PAUSE_MS),
]


@pytest.mark.parametrize(("line", "pause_ms"), PROMPT_LINES)
def test_the_layout_after_a_sentence_is_waited_for(line: str, pause_ms: int) -> None:
    before, after = line.split("|")
    fragments = Fragments()
    assert [part for char in before[:-1] for part in fragments.push(char)] == []
    assert [part.pause_ms for part in fragments.push(before[-1])] == [pause_ms]
    assert fragments.push(after) == []


# The end of each is decided by something that comes later, or that came long before.
WAITED_FOR = [
    "Wait. . . what? No.",
    "The door was open -- nobody came out. No.",
    "We open Monday – Friday. No.",
    "Wait... (what)? No.",
    "the end of\n(the line) is here. No.",
    "Nobody came. This line of prose is wrapped where it is\nParis and goes on. No.",
    "He has a piano. 5 men carry it. No.",
    "We take approx. Five of them. No.",
    "Mr. A saw a big casino. 5 men came. No.",
]


@pytest.mark.parametrize("text", WAITED_FOR)
@pytest.mark.parametrize("longest", [1, 2, 3, 5, 8, LONGEST_SEGMENT])
def test_what_decides_may_be_far_away(text: str, longest: int) -> None:
    assert fed(text, [1], longest) == list(segment(text, longest=longest))


def test_punctuation_without_end_is_not_kept() -> None:
    fragments = Fragments()
    assert fragments.push("Stop. ") == []
    assert max(fragments.push("-") == [] and fragments.kept for _ in range(10_000)) < 1300
    assert [part.text for part in fragments.push("x")][:1] == ["Stop."]


def test_text_without_a_sentence_end_is_cut_at_twice_the_longest_segment() -> None:
    fragments, longest, came = Fragments(), LONGEST_SEGMENT, 0
    while not (pieces := fragments.push("word ")):
        came += 5
    assert came == pytest.approx(2 * longest, abs=5)
    assert longest - 5 <= len(pieces[0].text) <= longest
    assert pieces[0].pause_ms == 0


def test_longest_must_be_positive() -> None:
    with pytest.raises(ValueError, match="longest is 0"):
        Fragments(longest=0)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_anything_without_end_comes_by_the_character_and_little_is_kept(name: str) -> None:
    """Quadratic code would take minutes for the longest of these."""
    unit = ADVERSARIAL[name]
    size = 100_000 if name in {"prose", "letters"} else 10_000
    text = "a" + unit * (size // len(unit))
    fragments, given_out = Fragments(), list[Segment]()
    for char in text:
        given_out += fragments.push(char)
        assert fragments.kept <= 2 * LONGEST_SEGMENT + MOST_KEPT
    assert given_out + fragments.end() == list(segment(text))
