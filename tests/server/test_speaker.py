"""The one use case behind every door: what comes, who is told, and what is left afterwards."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest

from tests.fakes.executors import settle
from tests.fakes.gates import AsyncGate
from tests.server.speaker_fixture import (
    LINE,
    OFF,
    OPUS,
    SpeakerFixture,
    conversation,
    hear,
    opened,
)
from voxswap_registry.errors import EngineError, InvalidInputError, VoiceNotFoundError
from voxswap_registry.names import VoiceRef
from voxswap_server.residency.errors import LoadFailedError, LoadTimeoutError
from voxswap_server.speech.conversation import Conversation
from voxswap_server.speech.errors import OverloadedError, StreamNotFoundError
from voxswap_server.speech.messages import Chunk, Header, Message, Trailer
from voxswap_server.speech.request import SpeechRequest


@pytest.fixture
async def fixture(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SpeakerFixture]:
    async with opened(monkeypatch) as made:
        yield made


KINDS = ("alone", "shared", "conversation")


def asked(kind: str, request: SpeechRequest) -> tuple[SpeechRequest, Conversation | None]:
    if kind == "shared":
        return dataclasses.replace(request, cache_policy=LINE.cache_policy), None
    return request, conversation() if kind == "conversation" else None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_line_is_spoken_counted_and_forgotten(fixture: SpeakerFixture, kind: str) -> None:
    request, script = asked(kind, OFF)
    got: list[Message] = []
    await hear(fixture, request, got, script=script)
    header, *chunks, trailer = got
    assert isinstance(header, Header)
    assert header.stream_id
    assert header.voice == "a@1"
    assert isinstance(trailer, Trailer)
    assert {type(chunk) for chunk in chunks} == {Chunk}
    assert trailer.total_samples == sum(c.sample_count for c in chunks if isinstance(c, Chunk))
    await fixture.nothing_is_left()
    assert fixture.used == ["a@1"]
    assert fixture.streams("finished") == 1
    counted = fixture.metrics.registry.get_sample_value("voxswap_characters_total")
    assert counted == len(LINE.text)
    with pytest.raises(StreamNotFoundError):
        await fixture.speaker.interrupt(header.stream_id)


async def test_what_was_kept_is_spoken_without_a_voice(fixture: SpeakerFixture) -> None:
    first, second = list[Message](), list[Message]()
    await hear(fixture, LINE, first)
    (part,) = fixture.manager.memory.holdings
    part_was_used_s = part.last_use_s
    await hear(fixture, LINE, second)
    assert part.last_use_s > part_was_used_s, "its next new line would be cold"
    assert first[1:-1] == second[1:-1]
    assert isinstance(second[0], Header)
    assert second[0].cached
    assert fixture.used == ["a@1"]
    assert fixture.streams("finished") == 2


async def test_a_voice_that_is_not_there_is_told_before_the_block(fixture: SpeakerFixture) -> None:
    with pytest.raises(VoiceNotFoundError):
        await hear(fixture, dataclasses.replace(LINE, voice=VoiceRef("b")), [])
    assert fixture.streams("failed") == 1
    await fixture.nothing_is_left()


# Cancelled at each await

PLACES = {
    "outlook": dataclasses.replace(OFF, start_by_s=60.0),
    "load": OFF,
    "prepare": OFF,
    "decode": OFF,
    "encode": OPUS,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("times", [1, 2])
async def test_cancelled_on_a_thread_nothing_is_left(
    fixture: SpeakerFixture, where: str, kind: str, times: int
) -> None:
    """However often; and whatever a thread still computes with stays until it does not."""
    gate = fixture.hold(where)
    request, script = asked(kind, PLACES[where])
    hearing = asyncio.ensure_future(hear(fixture, request, [], script=script))
    await asyncio.to_thread(gate.wait_reached)
    for _ in range(times):
        hearing.cancel()
        await settle()
    steps = where in ("prepare", "decode", "encode")
    assert fixture.manager.held_leases() == steps
    assert hearing.done() == (kind == "shared" or not steps)
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await hearing
    await fixture.nothing_is_left()
    assert fixture.streams("cancelled") == 1
    got: list[Message] = []
    await hear(fixture, request, got, script=conversation() if script else None)
    assert isinstance(got[-1], Trailer), "and the next one is served"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("written", [Header, Chunk, Trailer])
async def test_cancelled_while_it_is_written_nothing_is_left(
    fixture: SpeakerFixture, kind: str, written: type[Message]
) -> None:
    door = AsyncGate()

    async def write(part: Message) -> None:
        if isinstance(part, written):
            await door()

    request, script = asked(kind, OFF)
    hearing = asyncio.ensure_future(hear(fixture, request, [], script=script, write=write))
    await door.reached.wait()
    hearing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hearing
    await fixture.nothing_is_left()


async def test_cancelled_while_it_is_looked_for_nothing_is_left(fixture: SpeakerFixture) -> None:
    fixture.store.reads.clear()
    hearing = asyncio.ensure_future(hear(fixture, LINE, []))
    await fixture.store.is_asked.wait()
    hearing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hearing
    await fixture.nothing_is_left()
    assert fixture.used == []


async def test_cancelled_while_words_are_waited_for_nothing_is_left(
    fixture: SpeakerFixture,
) -> None:
    got: list[Message] = []
    script = conversation("One two. ", ends=False)
    hearing = asyncio.ensure_future(hear(fixture, OFF, got, script=script))
    await script.is_waited_for.wait()
    assert isinstance(got[-1], Chunk)
    hearing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hearing
    await fixture.nothing_is_left()


async def test_a_door_that_fails_leaves_nothing(fixture: SpeakerFixture) -> None:
    async def write(part: Message) -> None:
        raise ConnectionResetError("the client is gone")

    with pytest.raises(ConnectionResetError):
        await hear(fixture, LINE, [], write=write)
    await fixture.nothing_is_left()
    assert fixture.streams("failed") == 1


# What fails


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["load", "prepare", "decode", "encode"])
async def test_what_fails_is_told_and_leaves_nothing(
    fixture: SpeakerFixture, where: str, kind: str
) -> None:
    fixture.faults[where] = EngineError("out of luck")
    request, script = asked(kind, PLACES[where])
    with pytest.raises((EngineError, LoadFailedError), match="out of luck"):
        await hear(fixture, request, [], script=script)
    await fixture.nothing_is_left()
    assert fixture.streams("failed") == 1


async def test_a_making_that_fails_is_told_to_all_who_listen(fixture: SpeakerFixture) -> None:
    gate = fixture.hold("decode")
    fixture.faults["decode"] = EngineError("out of luck")
    heard: list[list[Message]] = [[] for _ in range(3)]
    hearing = [asyncio.ensure_future(hear(fixture, LINE, into)) for into in heard]
    await asyncio.to_thread(gate.wait_reached)
    await settle()
    assert fixture.cache.statistics().subscribers == 3
    gate.open()
    ended = await asyncio.gather(*hearing, return_exceptions=True)
    assert [type(error) for error in ended] == [EngineError] * 3
    assert len({id(error) for error in ended}) == 3, "each has an error of its own"
    assert heard == [[], [], []]
    await fixture.nothing_is_left()
    assert fixture.voice.steps == ["prepare", "decode"], "made once"
    fixture.faults.clear()
    await hear(fixture, LINE, heard[0])
    assert isinstance(heard[0][-1], Trailer), "who asks then has it made anew"


async def test_who_is_refused_never_began(
    fixture: SpeakerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OverloadedError("as much as there is time for")

    monkeypatch.setattr(type(fixture.admission), "admit", refuse)
    for request in (OFF, LINE):
        with pytest.raises(OverloadedError):
            await hear(fixture, request, [])
    await fixture.nothing_is_left()
    assert fixture.streams("failed") is None
    refused = fixture.metrics.registry.get_sample_value(
        "voxswap_admission_refusals_total", {"reason": "OVERLOADED"}
    )
    assert refused == 2
    assert fixture.used == []


async def test_a_deadline_ends_the_wait_for_the_voice(fixture: SpeakerFixture) -> None:
    fixture.hold("load")
    with pytest.raises(LoadTimeoutError):
        await hear(fixture, OFF, [], until_s=fixture.speaker.clock() + 0.02)
    await fixture.nothing_is_left()


async def test_nothing_to_speak_is_a_fault_of_a_text_and_none_of_a_conversation(
    fixture: SpeakerFixture,
) -> None:
    with pytest.raises(InvalidInputError):
        await hear(fixture, dataclasses.replace(OFF, text="Ждать"), [])
    got: list[Message] = []
    await hear(fixture, OFF, got, script=conversation("Ждать"))
    assert [type(part) for part in got] == [Header, Trailer]


async def test_facts_of_a_version_are_computed_once(fixture: SpeakerFixture) -> None:
    """A manifest may be large, and the loop is everybody's."""
    manifest = fixture.manifest
    asked_for: list[str] = []

    class Config(dict[str, object]):
        def items(self):  # type: ignore[no-untyped-def]
            asked_for.append("config")
            return super().items()

    fixture.manifest = dataclasses.replace(manifest, engine_config=Config(hidden=192))
    for seed in range(3):
        await hear(fixture, dataclasses.replace(LINE, seed=seed), [])
    assert len(asked_for) == 2, "once for its digest, once for its kind"
