"""Segmentation: where sentences end, what they span, how long they pause, and how fast it is."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.text.segmentation_at_once import segment_at_once
from tests.text.texts import ADVERSARIAL, TEXTS
from voxswap_server.text.segmentation.layout import (
    DASH_PAUSE_MS,
    ELLIPSIS_PAUSE_MS,
    PARAGRAPH_PAUSE_MS,
    SENTENCE_PAUSE_MS,
)
from voxswap_server.text.segmentation.segments import LONGEST_SEGMENT, Cutter, segment, segments

# Sentences are written with a stroke between them; joining them with a space gives the text.
SPACED = """
Hello there.|How are you?|Fine!
Dr. Smith met Mr. Jones and Mrs. Brown.|They talked.
Prof. Plum, Gen. Lee and Sgt. Pepper came.|Nobody else did.
We like fruit, e.g. apples, i.e. Malus domestica.|We do.
Bring cups, plates, etc. and a cake.|Come early.
Bring cups, plates, etc.|Come early.
The U.S. Government is large.|It is.
She moved to the U.S.|The move was hard.
Meet me at 5 p.m. tomorrow.|Don't be late.
It starts at 5 p.m.|Doors open earlier.
It starts at 9 a.m. Monday in New York.|Be there.
J. R. R. Tolkien wrote it.|C. S. Lewis read it.
Samuel L. Jackson spoke.|We listened.
See No. 5 on the list.|It is short.
See vol. 2, pp. 3-4 and fig. 7 there.|Then stop.
No.|I won't go.
He lives on Main St. near St. John.|She does too.
He lives on Main St.|She lives elsewhere.
Acme Inc. announced it.|Shares rose.
He works for Acme Inc.|He likes it.
Pi is 3.14 and e is 2.718.|Both are irrational.
Use v1.2.3 of it.|Not v1.2.4.
It costs $3.50 or £2.99.|That is cheap.
It was 1999.|Then came 2000.
Visit example.com or https://example.com/a?b=c.d today.|Thanks.
Mail joe.bloggs@example.co.uk now.|He answers.
Node.js and .NET are tools.|Use either.
"Halt!" he said.|Nobody moved.
"Why?" Mary asked.|"Because."
"Why?" the old man asked.|No answer.
"Stop!" I cried.|He did not.
"It is late."|He yawned.
He said "Stop."|She stopped.
“Come in!”|“Thank you.”
(He left early.)|She stayed.
He left (really!) and she stayed.|Good.
Wait...|what?|Nothing.
Wait…|what?|Nothing.
Well...|I suppose so.|Fine.
"Well..." he said.|Then he left.
It is 1...5 or a..b of them.|Fine.
The door was open —|nobody came out.|Fine.
He was gone for good -|she stayed at home.|Fine.
He is – well – a bit odd.|Fine.
We open Monday – Friday at nine, 9 a.m. - 5 p.m. in winter.|Fine.
"I was not going to—" he said.|Fine.
See Apt. 4B on Rte. 66.|Fine.
See Fig. A in Ep. 5.|Fine.
He is Lv. 5, min. 5, max. 9.|Fine.
Call ext. 42 in Bldg. C of Ste. 200.|Fine.
Msgr. O'Brien met Insp. Clouseau.|Fine.
A Cobra Mk. III lands.|Fine.
It took 5 min.|Then we left.
We like the app.|Good.
And then...|Nothing happened.
Wait . . .|what is that?|A cat.
What?!|You did what?!
What‽|Yes‽
No!!!|Yes???
Great!|👍 Let's go.
Great!👍|Let's go.
**Stop!**|Now.
*sighs.*|Fine.
Am 3. Oktober kam er.|Am 4. ging er.
Das kostet z.B. fünf Euro.|Gut.
« Non ! » dit-il.|« Oui ! »
¿Qué?|¡Nada!|Bien.
»Halt!« rief er.|»Nein!«
यह घर है।|वह बाहर है।
هل أنت بخير؟|نعم.
これはペンです。|はい。
See the note.[12]|It is short.
i went home. then i slept.
1. Go home.|2. Sleep.
He weighs 80 kg.|She does not.
Ph.D. students work.|Others rest.
It is 6 ft. tall.|Wow.
Smith et al. showed it.|We agree.
Smith vs. Jones was heard.|It ended.
Is that all?|yes.
At 10 a.m. EST it opened.|We went.
Yes, Sen. Smith.|No, Rep. Jones.
"""
CASES = [line.split("|") for line in SPACED.strip().split("\n")]
CASES[CASES.index(["i went home. then i slept."])] = ["i went home.", "then i slept."]

UNSPACED = [
    ["你好。", "今天天气很好！", "走吧？"],
    ["他走了……真的走了。", "是吗？！", "是。"],
    ["“等等！”他说。", "她没有停。"],
    ["「行こう。」", "「はい。」"],
    ["「待て！」と彼は言った。", "誰も動かない。"],
    ["円周率は３．１４です。", "はい。"],
    ["OK!", "好的。"],
    ["The door was open—", "nobody came out."],
    ["Wait...", "what?"],
    ["Well…", "I guess so."],
]


@pytest.mark.parametrize("sentences", CASES, ids=lambda s: s[0])
def test_sentences_with_space_between(sentences: list[str]) -> None:
    assert [s.text for s in segment(" ".join(sentences))] == sentences


@pytest.mark.parametrize("sentences", UNSPACED, ids=lambda s: s[0])
def test_sentences_without_space_between(sentences: list[str]) -> None:
    assert [s.text for s in segment("".join(sentences))] == sentences


LINES = [
    ("One.\n\nTwo.", ["One.", "Two."]),
    ("A title\n\nThe text.", ["A title", "The text."]),
    ("A title\r\n\r\nThe text.", ["A title", "The text."]),
    ("Roses are red\nViolets are blue", ["Roses are red", "Violets are blue"]),
    ("the end of\nthe line", ["the end of\nthe line"]),
    ("Dear John,\nI am well.", ["Dear John,\nI am well."]),
    ("- milk\n- eggs", ["- milk", "- eggs"]),
    ("1. milk\n2. eggs", ["1. milk", "2. eggs"]),
    (
        "This line of prose is wrapped where it reached the margin of\nParis and goes on.",
        ["This line of prose is wrapped where it reached the margin of\nParis and goes on."],
    ),
    (
        "The patient in the fourth room on the left was seen by Dr.\nSmith at noon. Good.",
        [
            "The patient in the fourth room on the left was seen by Dr.\nSmith at noon.",
            "Good.",
        ],
    ),
    ("—Hola.\n—Adiós.", ["—Hola.", "—Adiós."]),
    ("one\ntwo", ["one", "two"]),
    ("brown bread\nmilk\nsalt and pepper", ["brown bread", "milk", "salt and pepper"]),
    ("I want to go\nwith you", ["I want to go\nwith you"]),
    ("bread and\nbutter", ["bread and\nbutter"]),
    ("pain et\nbeurre", ["pain et\nbeurre"]),
    ("we went to the harbour before\nnoon", ["we went to the harbour before\nnoon"]),
    (
        "This line of prose is wrapped where it reached the margin of\nthe page\nA title",
        ["This line of prose is wrapped where it reached the margin of\nthe page", "A title"],
    ),
]


@pytest.mark.parametrize(("text", "sentences"), LINES)
def test_line_breaks(text: str, sentences: list[str]) -> None:
    assert [s.text for s in segment(text)] == sentences


PUNCTUATION = [
    ("", []),
    (" \n\t ", []),
    (" Stop \n", ["Stop"]),
    ("...", []),
    ("?! -- *", []),
    ("Stop. !!!", ["Stop. !!!"]),
    ("*** Stop.", ["*** Stop."]),
    ("!!! Stop. ?? Go.", ["!!! Stop. ??", "Go."]),
    ("One.\n\n***\n\nTwo.", ["One.", "Two."]),
    pytest.param("Stop. " + "-" * 300, ["Stop. " + "-" * 300], id="a long tail"),
    pytest.param("Stop. " + "-" * 401, ["Stop."], id="too long a tail"),
]


@pytest.mark.parametrize(("text", "sentences"), PUNCTUATION)
def test_punctuation_is_no_sentence_of_its_own(text: str, sentences: list[str]) -> None:
    assert [s.text for s in segment(text)] == sentences


def test_pauses_follow_the_layout_and_none_the_last() -> None:
    pauses = [s.pause_ms for s in segment("One. Two.\n\nThree.\nFour.\n\n")]
    assert pauses == [SENTENCE_PAUSE_MS, PARAGRAPH_PAUSE_MS, SENTENCE_PAUSE_MS, 0]


def test_an_ellipsis_and_a_dash_pause_for_longer_than_a_comma() -> None:
    text = "Well... I saw the door open—nobody came out. Nobody...\n\nFine..."
    pauses = [s.pause_ms for s in segment(text)]
    assert pauses == [
        *(ELLIPSIS_PAUSE_MS, DASH_PAUSE_MS, SENTENCE_PAUSE_MS, PARAGRAPH_PAUSE_MS, 0),
    ]


@pytest.mark.parametrize("symbol", ["%", "&", "@", "§", "€", "÷"])
def test_a_symbol_that_has_a_name_is_spoken_by_itself(symbol: str) -> None:
    assert [s.text for s in segment(symbol)] == [symbol]


def test_pause_is_kept_when_a_paragraph_of_punctuation_is_left_out() -> None:
    assert [s.pause_ms for s in segment("One.\n\n***\n\nTwo.")] == [PARAGRAPH_PAUSE_MS, 0]


def test_long_sentence_is_parted_at_clauses() -> None:
    text = "When the rain had stopped, we went outside; the street, however, was still wet."
    assert [s.text for s in segment(text, longest=40)] == [
        "When the rain had stopped,",
        "we went outside; the street,",
        "however, was still wet.",
    ]


def test_long_sentence_without_clauses_is_parted_at_spaces() -> None:
    text = "one two three four five six seven"
    pieces = [s.text for s in segment(text, longest=12)]
    assert " ".join(pieces) == text


def test_long_word_is_parted_anywhere_but_before_a_combining_mark() -> None:
    text = "e\u0301" * 10
    pieces = [s.text for s in segment(text, longest=5)]
    assert "".join(pieces) == text
    assert all(piece.startswith("e") for piece in pieces)


def test_split_inside_a_sentence_does_not_pause() -> None:
    pieces = segment("a " * 300 + "end. Next.", longest=100)
    assert [s.pause_ms for s in pieces[:-2]] == [0] * (len(pieces) - 2)
    assert [s.pause_ms for s in pieces[-2:]] == [SENTENCE_PAUSE_MS, 0]


def test_default_bound_holds() -> None:
    assert max(len(s.text) for s in segment("word " * 1000)) <= LONGEST_SEGMENT


def test_longest_must_be_positive() -> None:
    with pytest.raises(ValueError, match="longest is 0"):
        segments("Hello.", longest=0)


def test_chinese_without_a_mark_is_parted_behind_a_particle() -> None:
    text = "今天我们在公园里看到了很多美丽的花" * 36
    pieces = [s.text for s in segment(text)]
    assert len(text) > 600
    assert "".join(pieces) == text
    assert all(piece[-1] in "们了的" for piece in pieces[:-1])


NAMED = frozenset("%‰&@§$¢£¤¥°±×÷√∞≈≠≤≥") | {chr(code) for code in range(0x20A0, 0x20C1)}


@given(text=TEXTS, longest=st.integers(1, 60))
def test_segments_are_slices_in_order_within_the_bound(text: str, longest: int) -> None:
    end = 0
    for part in segment(text, longest=longest):
        assert part.start >= end
        end = part.start + len(part.text)
        assert text[part.start : end] == part.text
        assert part.text == part.text.strip()
        assert 0 < len(part.text) <= longest
        assert any(char.isalnum() or char in NAMED for char in part.text)


@given(text=TEXTS, longest=st.integers(1, 60))
def test_no_letter_or_digit_is_lost(text: str, longest: int) -> None:
    spoken = "".join(part.text for part in segment(text, longest=longest))
    assert [c for c in spoken if c.isalnum()] == [c for c in text if c.isalnum()]


@given(text=TEXTS)
def test_only_the_last_segment_is_sure_not_to_pause(text: str) -> None:
    pauses = [part.pause_ms for part in segment(text)]
    assert pauses[-1:] in ([], [0])
    assert set(pauses) <= {
        *(0, SENTENCE_PAUSE_MS, PARAGRAPH_PAUSE_MS, ELLIPSIS_PAUSE_MS, DASH_PAUSE_MS),
    }


@given(text=TEXTS, longest=st.integers(1, 60) | st.just(LONGEST_SEGMENT))
def test_segments_are_those_of_a_text_that_is_read_in_passes(text: str, longest: int) -> None:
    assert list(segments(text, longest=longest)) == segment_at_once(text, longest)


def test_a_segment_comes_before_the_rest_is_cut() -> None:
    """However long the text: at the first letter after it."""
    cutter = Cutter(LONGEST_SEGMENT)
    cutter.add(ADVERSARIAL["prose"] * 1000)
    for part in islice(cutter.certain(whole=True), 100):
        assert cutter.read - (part.start + len(part.text)) < len(ADVERSARIAL["prose"])


def test_pieces_of_a_long_sentence_come_before_its_end_is_known() -> None:
    text = "word " * 1000
    assert segment(text)[0] == segment(text[: 2 * LONGEST_SEGMENT])[0]


def test_whitespace_without_end_parts_paragraphs() -> None:
    text = "one" + " " * 1000 + "two" + " " * 999 + "three"
    assert [part.pause_ms for part in segment(text, longest=2000)] == [PARAGRAPH_PAUSE_MS, 0]


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_hundred_thousand_characters_of_anything_are_cut_into_bounded_segments(name: str) -> None:
    """Quadratic code would take minutes here; how long it really takes is for `bench/` to say."""
    unit = ADVERSARIAL[name]
    text = "a" + unit * (100_000 // len(unit))
    for part in segment(text):
        assert len(part.text) <= 400
        assert text[part.start : part.start + len(part.text)] == part.text
