"""A long first segment that somebody waits for: where it is parted, and what is not."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.executors import settle
from tests.fakes.family import FakeVoice
from tests.fakes.manifests import make_manifest
from tests.server.first_segments import CLAUSE, LONG, REST, letters, read_all
from tests.server.speaker_fixture import WatchedConversation
from tests.server.synthesis_fixture import alone
from voxswap_families.contract import Delivery, Utterance
from voxswap_families.work import Work
from voxswap_registry.names import VoiceRef
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.residency.lease import Lease
from voxswap_server.speech.messages import Chunk, Mark, Receipt
from voxswap_server.speech.pipeline import Stage, Synthesis
from voxswap_server.speech.request import LineClass, MarkKind, SpeechRequest
from voxswap_server.speech.script import Script
from voxswap_server.text.segmentation.segments import segment
from voxswap_server.text.types import Segment

_WORDS = st.sampled_from(["a", "of", "the", "bridge", "carried", "1,000", '"yes"', "Dr.", "e.g."])
_CLAUSES = st.lists(_WORDS, min_size=1, max_size=9).map(" ".join)
_MARKS = st.sampled_from([", ", "; ", ": ", " — ", "—", ",” ", ",  ", ". ", "! ", "\n\n"])
TEXTS = st.lists(st.tuples(_CLAUSES, _MARKS), min_size=1, max_size=8).map(
    lambda pairs: "".join(clause + mark for clause, mark in pairs)
)


class LongStep(FakeVoice):
    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[Utterance]:
        work = super().prepare(ids, delivery)
        work.may_be_long = True
        return work


@given(TEXTS, st.booleans())
def test_nothing_but_a_long_first_segment_is_parted_and_nothing_is_lost(
    text: str, is_long: bool
) -> None:
    whole = list(segment(text))
    voice = LongStep() if is_long else FakeVoice()
    usual = read_all(whole, is_awaited=False, voice=voice)
    found = read_all(whole, is_awaited=True, voice=voice)
    assert [read.segment for read in usual] == whole
    for read in found:
        assert text[read.segment.start :].startswith(read.segment.text)
    if len(found) == len(whole):
        assert [read.segment for read in found] == whole
        return
    first, rest, *others = found
    assert [read.segment for read in others] == whole[1:]
    together = text[first.segment.start : rest.segment.start + len(rest.segment.text)]
    assert together == whole[0].text
    assert together.split() == [*first.segment.text.split(), *rest.segment.text.split()] or (
        "—" in first.segment.text
    )
    assert (first.segment.pause_ms, rest.segment.pause_ms) == (0, whole[0].pause_ms)
    total = len(usual[0].symbols.ids)
    assert total > 120
    # A part has blanks of its own at its ends.
    assert len(first.symbols.ids) >= (0.4 * total if is_long else 30) - 2
    assert len(rest.symbols.ids) >= 20 - 2


@given(TEXTS)
def test_the_words_that_are_read_and_where_they_stand_are_the_same(text: str) -> None:
    ways = [
        [
            (
                word.text,
                word.source_start + read.segment.start,
                word.source_end + read.segment.start,
            )
            for read in read_all(list(segment(text)), is_awaited=is_awaited)
            for word in read.text.words
        ]
        for is_awaited in (True, False)
    ]
    assert ways[0] == ways[1]


def test_the_first_part_keeps_its_comma_and_the_rest_its_pause_and_place() -> None:
    first, rest = read_all([Segment(LONG, 7, 150)], is_awaited=True)
    assert first.segment == Segment(CLAUSE, 7, 0)
    assert rest.segment == Segment(REST, 7 + len(CLAUSE) + 1, 150)
    assert [phone.text for phone in first.symbols.phones][-1] == ","


def test_a_date_is_not_parted_although_its_comma_is_one() -> None:
    text = "The king and all of his men came down from the hills on the 3rd of May 2024, a Friday"
    read = read_all([Segment(text + " as I remember it.", 0, 0)], is_awaited=True)
    assert len(read) == 2
    text = "The king and all of his men came down from the hills on Friday, May 3, 2024, I think."
    assert len(read_all([Segment(text, 0, 0)], is_awaited=True)) == 1


@pytest.mark.parametrize(
    "text", [f"{'a' * 50} and so on, {REST[:20]}", "The bridge is closed, sir."]
)
def test_what_is_short_stays_whole(text: str) -> None:
    assert len(read_all([Segment(text[:59], 0, 0)], is_awaited=True)) == 1


def test_unspeakable_segments_before_it_change_nothing() -> None:
    parts = [Segment("Ж", 0, 0), Segment(LONG, 2, 0), Segment(LONG, 200, 0)]
    assert [read.segment.text for read in read_all(parts, is_awaited=True)] == [CLAUSE, REST, LONG]


class Heard:
    """What one stream of a voice that reads letters gave."""

    def __init__(self, request: SpeechRequest, *, parts: bool = True) -> None:
        self.request, self.parts = request, parts
        self.voice = FakeVoice()
        self.marks: list[Mark] = []
        self.chunk_samples: list[int] = []

    @property
    def prepared(self) -> int:
        """How many segments were spoken."""
        return self.voice.steps.count("prepare")

    async def listen(self, script: Script | None = None, **stage: Any) -> list[str]:
        """The words that were said."""
        compute, manifest = Scheduler(), make_manifest("a")
        made = Stage(compute, parts_at_clause=self.parts, **stage)
        ticket = alone(self.request, manifest, made)
        self.synthesis = Synthesis(self.request, manifest, made, ticket, script=script)
        try:
            async for part in self.synthesis.messages(Lease(letters(self.voice), lambda: None)):
                if isinstance(part, Chunk):
                    self.marks += part.marks
                    self.chunk_samples.append(part.sample_count)
        finally:
            compute.close()
        return [mark.text for mark in self.marks]


REQUEST = SpeechRequest(
    VoiceRef("a", 1), f"{LONG} {LONG}", seed=1, marks=frozenset({MarkKind.WORD})
)


@pytest.mark.parametrize(
    ("changes", "prepared"),
    [
        ({}, 3),
        ({"line_class": LineClass.BARK}, 3),
        ({"eager": True}, 3),
        ({"paced": False, "eager": True}, 2),
        ({"line_class": LineClass.CINEMATIC}, 2),
    ],
)
async def test_only_what_somebody_waits_for_is_parted(
    changes: dict[str, Any], prepared: int
) -> None:
    heard = Heard(dataclasses.replace(REQUEST, **changes))
    said = await heard.listen()
    assert heard.prepared == prepared
    assert len({delivery.seed for delivery in heard.voice.deliveries}) == prepared
    assert said == [word.strip(",.") for word in REQUEST.text.split()]
    for mark in heard.marks:
        assert REQUEST.text[mark.text_start : mark.text_end] == mark.text


async def test_without_the_setting_nothing_is_parted() -> None:
    heard = Heard(REQUEST, parts=False)
    await heard.listen()
    assert heard.prepared == 2


@pytest.mark.parametrize("size", [1, 7, 1_000])
async def test_a_text_in_fragments_is_parted_as_the_whole(size: int) -> None:
    whole, conversation = Heard(REQUEST), WatchedConversation()
    await whole.listen()
    heard = Heard(dataclasses.replace(REQUEST, text=""))
    listening = asyncio.create_task(heard.listen(conversation))
    for start in range(0, len(REQUEST.text), size):
        conversation.push(REQUEST.text[start : start + size])
        await settle()
    conversation.end()
    await listening
    assert heard.voice.deliveries == whole.voice.deliveries
    assert heard.marks == whole.marks


@pytest.mark.parametrize(("seed", "prepared"), [(None, 4), (1, 3)])
async def test_after_a_silence_the_next_turn_is_waited_for(seed: int | None, prepared: int) -> None:
    """With a seed it is not parted: its audio must not depend on when its text came."""
    now, conversation = 0.0, WatchedConversation()
    heard = Heard(dataclasses.replace(REQUEST, text="", seed=seed))
    listening = asyncio.create_task(heard.listen(conversation, clock=lambda: now))
    conversation.push(f"{LONG} S")  # nothing more than usual has to come before it is spoken
    await conversation.is_waited_for.wait()
    conversation.is_waited_for.clear()
    assert heard.prepared == 2
    first = heard.chunk_samples[0]
    turn = len(heard.chunk_samples)
    now = 100.0
    conversation.push(f"{LONG[1:]}".replace("he bridge", "o the bridge"))
    conversation.end()
    await listening
    assert heard.prepared == prepared
    assert heard.chunk_samples[turn] == first < max(heard.chunk_samples)


async def test_text_that_comes_while_the_listener_hears_what_was_before_is_not_parted() -> None:
    conversation = WatchedConversation()
    heard = Heard(dataclasses.replace(REQUEST, text="", seed=None))
    listening = asyncio.create_task(heard.listen(conversation, clock=lambda: 0.0))
    conversation.push(LONG)
    conversation.flush()
    await conversation.is_waited_for.wait()
    conversation.push(LONG)
    conversation.end()
    await listening
    assert heard.prepared == 3


async def test_what_is_said_after_an_interruption_is_waited_for() -> None:
    conversation = WatchedConversation()
    heard = Heard(dataclasses.replace(REQUEST, text="", seed=None))
    listening = asyncio.create_task(heard.listen(conversation, clock=lambda: 0.0))
    conversation.push(LONG)
    conversation.flush()
    await conversation.is_waited_for.wait()
    conversation.cut()
    heard.synthesis.cut(Receipt(0, "", 0))
    conversation.push(LONG)
    conversation.end()
    await listening
    assert heard.prepared == 4
