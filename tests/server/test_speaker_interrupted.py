"""Interruptions, lines that are too late, and audio that takes long to encode, without a wire."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.executors import settle
from tests.fakes.gates import AsyncGate
from tests.server.speaker_fixture import (
    LINE,
    OFF,
    OPUS,
    SpeakerFixture,
    WatchedConversation,
    conversation,
    hear,
    opened,
)
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.audio.opus import OpusPacketsEncoder
from voxswap_server.speech.errors import TooLateError
from voxswap_server.speech.listening import Stream
from voxswap_server.speech.messages import Chunk, Header, Message, Receipt, Trailer
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.speech.track import Track

LATE = dataclasses.replace(OFF, start_by_s=60.0)


@pytest.fixture
async def fixture(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SpeakerFixture]:
    async with opened(monkeypatch) as made:
        yield made


class Listener:
    """A task that hears a stream, and waits at the door with the ``nth`` of a kind of part."""

    def __init__(
        self,
        fixture: SpeakerFixture,
        request: SpeechRequest,
        *,
        script: WatchedConversation | None = None,
        at: type[Message] | None = None,
        nth: int = 1,
    ) -> None:
        self.got: list[Message] = []
        self.door = AsyncGate()
        self.stream: Stream

        async def write(part: Message) -> None:
            if at is not None and isinstance(part, at) and self.kinds.count(at) == nth:
                await self.door()

        def keep(stream: Stream) -> None:
            self.stream = stream

        self.task = asyncio.ensure_future(
            hear(fixture, request, self.got, script=script, opened=keep, write=write)
        )

    @property
    def kinds(self) -> list[type[Message]]:
        return [type(part) for part in self.got]

    @property
    def samples(self) -> int:
        return sum(part.sample_count for part in self.got if isinstance(part, Chunk))


def cached(request: SpeechRequest, shared: bool) -> SpeechRequest:
    return dataclasses.replace(request, cache_policy=LINE.cache_policy) if shared else request


# A text


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("where", ["load", "prepare", "decode", "encode"])
async def test_a_text_that_waits_ends_with_the_receipt(
    fixture: SpeakerFixture, where: str, shared: bool
) -> None:
    """Once the step under way has ended; by then nothing of it is left."""
    gate = fixture.hold(where)
    heard = Listener(fixture, cached(OPUS if where == "encode" else OFF, shared))
    await asyncio.to_thread(gate.wait_reached)
    await settle()
    before = heard.samples
    receipt = await heard.stream.interrupt()
    assert receipt.end_sample == before
    assert await heard.stream.interrupt() is receipt
    gate.open()
    await heard.task
    assert heard.got[-1] is receipt
    assert heard.samples == before
    await fixture.nothing_is_left()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("at", "nth"), [(Header, 1), (Chunk, 1), (Chunk, 3), (Trailer, 1)])
async def test_a_text_that_is_written_ends_with_the_receipt(
    fixture: SpeakerFixture, at: type[Message], nth: int, shared: bool
) -> None:
    heard = Listener(fixture, cached(OFF, shared), at=at, nth=nth)
    await heard.door.reached.wait()
    n, before = len(heard.got), heard.samples
    receipt = await heard.stream.interrupt()
    assert receipt.end_sample == before
    heard.door.open()
    await heard.task
    assert heard.got[n:] == ([] if at is Trailer else [receipt])
    await fixture.nothing_is_left()


async def test_who_shares_a_line_interrupts_nobody_else(fixture: SpeakerFixture) -> None:
    gate = fixture.hold("decode")
    one, other = Listener(fixture, LINE), Listener(fixture, LINE)
    await asyncio.to_thread(gate.wait_reached)
    await settle()
    receipt = await one.stream.interrupt()
    await one.task
    assert one.got == [receipt]
    gate.open()
    await other.task
    assert other.kinds[-1] is Trailer
    assert fixture.voice.steps.count("prepare") == 2, "made once, by the means of who has left"


# A conversation


@pytest.mark.parametrize("where", ["load", "prepare", "decode", "encode"])
async def test_a_conversation_that_waits_goes_on_after_the_receipt(
    fixture: SpeakerFixture, where: str
) -> None:
    gate = fixture.hold(where)
    script = conversation(ends=False)
    heard = Listener(fixture, OPUS if where == "encode" else OFF, script=script)
    await asyncio.to_thread(gate.wait_reached)
    await settle()
    asking = asyncio.ensure_future(heard.stream.interrupt())
    await settle()
    assert asking.done() == (where != "encode"), "what is being encoded goes out before"
    gate.open()
    receipt = await asking
    script.push("Now this.")
    script.end()
    await heard.task
    check_conversation(heard, receipt)


@pytest.mark.parametrize(
    "request_", [OFF, OPUS, dataclasses.replace(OFF, sample_rate_hertz=24_000)]
)
@pytest.mark.parametrize(("at", "nth"), [(Header, 1), (Chunk, 1), (Chunk, 3), (Receipt, 1)])
async def test_a_conversation_that_is_written_goes_on_after_the_receipt(
    fixture: SpeakerFixture, at: type[Message], nth: int, request_: SpeechRequest
) -> None:
    """Interrupted with its header it has a chunk on its way already: that is before the receipt."""
    script = conversation(ends=False)
    heard = Listener(fixture, request_, script=script, at=at, nth=nth)
    if at is Receipt:
        await settle()
        await heard.stream.interrupt()
        script.push("And so on. ")
        script.flush()
    await heard.door.reached.wait()
    asking = asyncio.ensure_future(heard.stream.interrupt())
    await settle()
    assert asking.done() == (at is not Header)
    heard.door.open()
    receipt = await asking
    script.push("Now this.")
    script.end()
    await heard.task
    check_conversation(heard, receipt, receipts=1 + (at is Receipt))


def check_conversation(heard: Listener, receipt: Receipt, *, receipts: int = 1) -> None:
    """A header, chunks without a gap, the receipts where they were asked for, and a trailer."""
    assert heard.kinds[0] is Header
    assert heard.kinds.count(Header) == 1
    assert [part for part in heard.got if isinstance(part, Receipt)][-1] == receipt
    assert heard.kinds.count(Receipt) == receipts
    position = 0
    for part in heard.got:
        if isinstance(part, Chunk):
            assert part.start_sample == position
            position += part.sample_count
        if isinstance(part, Receipt):
            assert part.end_sample == position, "what had been given out"
    trailer = heard.got[-1]
    assert isinstance(trailer, Trailer)
    assert trailer.total_samples == position
    assert position > receipt.end_sample, "what was said next is heard"


async def test_an_interruption_before_anybody_speaks_has_its_receipt(
    fixture: SpeakerFixture,
) -> None:
    """There is no synthesis yet to tell of it."""
    gate = fixture.hold("outlook")
    script = conversation(ends=False)
    heard = Listener(fixture, LATE, script=script)
    await asyncio.to_thread(gate.wait_reached)
    for _ in range(3):
        assert await heard.stream.interrupt() == Receipt(0, "", 0)
    gate.open()
    script.push("Now this.")
    script.end()
    await heard.task
    assert heard.kinds[:4] == [Header, Receipt, Receipt, Receipt]
    check_conversation(heard, Receipt(0, "", 0), receipts=3)


async def test_an_interruption_that_waits_for_a_stream_that_ends_is_answered(
    fixture: SpeakerFixture,
) -> None:
    gate = fixture.hold("encode")
    heard = Listener(fixture, OPUS, script=conversation())
    await asyncio.to_thread(gate.wait_reached)
    asking = asyncio.ensure_future(heard.stream.interrupt())
    await settle()
    heard.task.cancel()
    await settle()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await heard.task
    assert (await asking).end_sample == heard.samples


# Too late


def let_time_pass(stream: Stream) -> None:
    """To when it was to begin: the limit's turn is the next one."""
    assert stream._limit is not None
    stream._limit.reschedule(asyncio.get_running_loop().time())


@pytest.mark.parametrize("kind", ["alone", "shared", "conversation"])
@pytest.mark.parametrize("where", ["outlook", "load", "prepare", "decode"])
async def test_a_line_that_is_not_there_in_time_is_dropped(
    fixture: SpeakerFixture, where: str, kind: str
) -> None:
    gate = fixture.hold(where)
    script = conversation() if kind == "conversation" else None
    heard = Listener(fixture, cached(LATE, kind == "shared"), script=script)
    await asyncio.to_thread(gate.wait_reached)
    let_time_pass(heard.stream)
    await settle()
    gate.open()
    with pytest.raises(TooLateError, match="within 60000 ms and did not"):
        await heard.task
    assert heard.got == []
    await fixture.nothing_is_left()
    assert fixture.streams("expired") == 1


async def test_a_conversation_without_words_is_too_late_as_well(fixture: SpeakerFixture) -> None:
    script = WatchedConversation()
    heard = Listener(fixture, LATE, script=script)
    await script.is_waited_for.wait()
    let_time_pass(heard.stream)
    with pytest.raises(TooLateError):
        await heard.task


async def test_a_conversation_that_began_in_time_may_wait_for_words(
    fixture: SpeakerFixture,
) -> None:
    script = conversation("One two. ", ends=False)
    heard = Listener(fixture, LATE, script=script)
    await script.is_waited_for.wait()
    assert heard.stream._start_by_s is None
    script.end()
    await heard.task
    assert heard.kinds[-1] is Trailer


@pytest.mark.parametrize("talks", [False, True])
async def test_an_interruption_in_the_turn_in_which_the_time_is_over_is_answered(
    fixture: SpeakerFixture, talks: bool
) -> None:
    """A text ends with that receipt; a conversation has ended for being late."""
    gate = fixture.hold("load")
    script = conversation(ends=False) if talks else None
    heard = Listener(fixture, LATE, script=script)
    await asyncio.to_thread(gate.wait_reached)
    answers: list[Receipt] = []

    def interrupt() -> None:
        assert heard.stream._limit is not None
        assert heard.stream._limit.expired()
        with pytest.raises(StopIteration) as answered:
            heard.stream.interrupt().send(None)
        answers.append(answered.value.value)

    let_time_pass(heard.stream)
    asyncio.get_running_loop().call_soon(interrupt)
    if talks:
        with pytest.raises(TooLateError):
            await heard.task
        assert heard.got == []
    else:
        await heard.task
        assert heard.got == answers
    assert answers == [Receipt(0, "", 0)]


async def test_a_conversation_that_is_interrupted_need_not_begin_by_then(
    fixture: SpeakerFixture,
) -> None:
    gate = fixture.hold("load")
    script = conversation(ends=False)
    heard = Listener(fixture, LATE, script=script)
    await asyncio.to_thread(gate.wait_reached)
    await heard.stream.interrupt()
    assert heard.stream._limit is not None
    assert heard.stream._limit.when() is None
    gate.open()
    script.push("Now this.")
    script.end()
    await heard.task
    check_conversation(heard, Receipt(0, "", 0))


# Encoding


async def test_a_codec_holds_up_nobody(fixture: SpeakerFixture) -> None:
    """While it encodes on its thread the loop goes on: another line comes from the cache."""
    await hear(fixture, LINE, [])
    gate = fixture.hold("encode")
    heard = Listener(fixture, OPUS)
    await asyncio.to_thread(gate.wait_reached)
    assert not heard.task.done()
    assert heard.kinds == [Header, Chunk], "what takes under a millisecond is not handed over"
    other: list[Message] = []
    await hear(fixture, LINE, other)
    assert isinstance(other[-1], Trailer)
    assert not heard.task.done()
    gate.open()
    await heard.task
    assert heard.kinds[-1] is Trailer


@pytest.mark.parametrize(
    ("encoding", "rate_hertz", "on_loop"),
    [
        (AudioEncoding.PCM_S16LE, None, True),
        (AudioEncoding.PCM_S16LE, 48_000, True),
        (AudioEncoding.WAV, 24_000, True),
        (AudioEncoding.MULAW, 8_000, True),
        (AudioEncoding.OPUS_PACKETS, None, False),
        (AudioEncoding.OGG_OPUS, 48_000, False),
        (AudioEncoding.MP3, 24_000, False),
    ],
)
async def test_what_is_encoded_where(
    fixture: SpeakerFixture,
    monkeypatch: pytest.MonkeyPatch,
    encoding: AudioEncoding,
    rate_hertz: int | None,
    on_loop: bool,
) -> None:
    """And what comes is what one encoder gives, whatever thread it is on."""
    push, threads = Track.push, []

    def noted(track: Track, *args: object, **named: object) -> Chunk | None:
        threads.append(threading.current_thread())
        return push(track, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Track, "push", noted)
    text = "One two. " * 8  # windows of up to a segment
    request = dataclasses.replace(OFF, text=text, encoding=encoding, sample_rate_hertz=rate_hertz)
    heard = Listener(fixture, request)
    await heard.task
    here = threading.current_thread()
    assert threads[0] is here, "the first chunk of 80 ms is quick in any encoding"
    assert (set(threads) == {here}) == on_loop
    monkeypatch.setattr(Track, "takes_s", lambda *_: 0.0)
    again = Listener(fixture, request)
    await again.task
    if encoding is not AudioEncoding.OGG_OPUS:  # whose serial number is random
        assert again.got[1:-1] == heard.got[1:-1]
    assert again.samples == heard.samples


async def test_two_codecs_do_not_share_a_turn(
    fixture: SpeakerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of a stream are encoded one after another, however slowly they are taken."""
    at_work: set[int] = set()
    encode: Any = OpusPacketsEncoder.encode

    def alone(encoder: OpusPacketsEncoder, samples: object) -> object:
        assert id(encoder) not in at_work
        at_work.add(id(encoder))
        try:
            return encode(encoder, samples)
        finally:
            at_work.remove(id(encoder))

    monkeypatch.setattr(OpusPacketsEncoder, "encode", alone)
    heard = [Listener(fixture, dataclasses.replace(OPUS, seed=n)) for n in range(4)]
    await asyncio.gather(*(one.task for one in heard))
    lines = [b"".join(p.audio for p in one.got if isinstance(p, Chunk)) for one in heard]
    assert len(set(lines)) == 1
    assert at_work == set()
