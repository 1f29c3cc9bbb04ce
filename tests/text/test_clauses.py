"""Where a sentence may be parted: between clauses, and nowhere that would be heard as a fault."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.text.texts import TEXTS, TEXTS_WITH_RUNS
from voxswap_server.text.segmentation.clauses import clause_ends

# A stroke stands where one clause ends.
PARTED = [
    "When the sun came up over the hills,| we saw that the bridge was gone.",
    "He took the horses with him;| nobody saw him again.",
    "One thing you should know:| they never sleep.",
    "The old mill by the river —| the one without a roof —| is where he lives.",
    "The old mill by the river—|the one without a roof—|is where he lives.",
    "The old mill by the river –| the one without a roof.",
    "Nobody came that night -| so they told me -- at least.",
    "“The bridge is closed after dark,”| said the guard at the gate.",
    "\"The bridge is closed,\"| said the guard at the gate, 'after dark'.",
    "The bridge is closed after dark, stranger,| so turn back now.",
    "It cost 1,000 crowns in those days,| and nobody could pay that.",
    "We met in March, 2019,| at the old harbour,| where his ship lay.",
    "La rivière est haute ce soir ;| revenez demain matin.",
    "我们昨天晚上在桥上看到了他，|他告诉我们国王已经死了。",
    "كان الجسر مغلقا بعد الظلام،| ولم يعبر أحد النهر",
]
WHOLE = [
    "The bridge is closed after dark.",
    "It cost 1,000,000 or 3,000 crowns, not 7: 30 of them were false.",
    "We counted all of them, 12, 14, 16, and then no more.",
    "There were at least 10, 20 or 30 of them in the yard.",
    "It is open every day from 10 – 12 in the old town hall.",
    "Bring all of the usual tools, i.e., a hammer and two nails.",
    "He lives in Washington, D.C., where the river bends.",
    "Apples, pears, and plums from the market in the town.",
    "They sold old boots and hats, swords, and many kinds of bread.",
    "Red, green, blue, or any of the other colours.",
    'He looked at me and said "yes," and then he went away.',
    'He looked at me and said "yes", and then he went away.',
    "He looked at me and said ‘yes’, and then he went away.",
    "彼は昨日の夜に橋の上で「はい」、と答えてから行ってしまった。",
    "Well, I never said that to anybody in this town.",
    "No one shall pass through here tonight, my lord.",
    "Is a well-known man-at-arms of the old king's guard there?",
    "At 10:30 the first of them came to https://example.com/a,b for it.",
    "",
    ",;:—",
]


@pytest.mark.parametrize("marked", PARTED)
def test_clauses_end_behind_their_marks_and_quotes(marked: str) -> None:
    clauses = marked.split("|")
    ends = [sum(map(len, clauses[:n])) for n in range(1, len(clauses))]
    assert list(clause_ends("".join(clauses))) == ends


@pytest.mark.parametrize("text", WHOLE)
def test_numbers_lists_and_words_stay_whole(text: str) -> None:
    assert not list(clause_ends(text))


@given(TEXTS | TEXTS_WITH_RUNS)
def test_any_text_is_parted_behind_marks_alone_with_words_on_either_side(text: str) -> None:
    ends = list(clause_ends(text))
    assert ends == sorted(set(ends))
    for end in ends:
        assert not text[end - 1].isalnum()
        for side in (text[:end], text[end:]):
            assert sum(map(str.isalnum, side)) >= 3
