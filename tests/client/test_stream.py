"""Streams of both clients against a real server: values, order, early exit and cancellation."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.client.fake_server import FakeServer
from tests.client.terminal import Connect
from tests.fakes.clocks import FakeClock
from voxswap.v1 import speech_pb2
from voxswap_client import (
    AsyncClient,
    CallCancelledError,
    Chunk,
    Client,
    DeadlineExceededError,
    Encoding,
    Header,
    IncompleteStreamError,
    InvalidRequestError,
    LineClass,
    Mark,
    MarkKind,
    Trailer,
    UnavailableError,
    UnknownSymbol,
    VoxswapClientError,
    __version__,
)

SAMPLES = struct.pack("<12h", *range(12))


async def test_the_parts_of_a_line_are_typed(server: FakeServer, connect: Connect) -> None:
    async with connect().synthesize("npc/smith", "Hi") as stream:
        assert await stream.header() == Header(
            voice="npc/smith@3",
            component_digests=("sha256:" + "a" * 64,),
            sample_rate_hertz=8000,
            encoding=Encoding.PCM_S16LE,
            estimated_samples=12,
            cold=True,
            queue_ms=1.5,
            swap_ms=20.0,
            cached=False,
        )
        chunks = []
        async for chunk in stream:
            assert stream.trailer is None
            chunks.append(chunk)
        assert stream.trailer == Trailer(
            total_samples=12, seed=7, compute_ms=0.75, first_chunk_ms=30.0
        )
    assert chunks == [
        Chunk(SAMPLES[:8], 0, 4, (Mark(MarkKind.WORD, "Hi", 0, 8, 0, 2),)),
        Chunk(SAMPLES[8:16], 4, 4),
        Chunk(SAMPLES[16:], 8, 4, (Mark(MarkKind.VISEME, "sil", 12, 0),)),
    ]


async def test_packets_and_delay_reach_the_listener(server: FakeServer, connect: Connect) -> None:
    packets = [(b"ab", b"c"), (b"", b"defg")]
    parts = [server.chunk(6 * n, 6, audio=b"".join(some)) for n, some in enumerate(packets)]
    for part, some in zip(parts, packets, strict=True):
        part.chunk.packet_sizes.extend(map(len, some))
    first = server.header(encoding=speech_pb2.AUDIO_ENCODING_OPUS_PACKETS, codec_delay_samples=52)
    server.script.append(server.play(first, *parts, server.trailer()))
    async with connect().synthesize("npc/smith", "Hi", encoding="opus_packets") as stream:
        chunks = [chunk async for chunk in stream]
        result = stream.result(chunks)
    assert result.header.codec_delay_samples == 52
    assert [chunk.packets for chunk in chunks] == packets
    assert result.packets == (b"ab", b"c", b"", b"defg")


async def test_every_option_reaches_its_field(server: FakeServer, connect: Connect) -> None:
    await connect().say(
        "npc/smith@3",
        "Hi",
        speaker="anna",
        rate=0.5,
        seed=2**64 - 1,
        sample_rate_hertz=16000,
        encoding=Encoding.PCM_F32LE,
        marks=[MarkKind.WORD, "viseme"],
        noise_scale=0.0,
        duration_noise_scale=0.75,
        pacing="realtime",
        line_class=LineClass.BARK,
        start_by_ms=300,
        cache="off",
    )
    assert server.requests == [
        speech_pb2.SynthesizeRequest(
            voice="npc/smith@3",
            text="Hi",
            speaker="anna",
            audio=speech_pb2.AudioFormat(
                encoding=speech_pb2.AUDIO_ENCODING_PCM_F32LE, sample_rate_hertz=16000
            ),
            controls=speech_pb2.Controls(rate=0.5, noise_scale=0.0, duration_noise_scale=0.75),
            seed=2**64 - 1,
            marks=[speech_pb2.MARK_KIND_WORD, speech_pb2.MARK_KIND_VISEME],
            pacing=speech_pb2.PACING_REALTIME,
            line_class=speech_pb2.LINE_CLASS_BARK,
            start_by_ms=300,
            cache_policy=speech_pb2.CACHE_POLICY_OFF,
        )
    ]
    assert server.user_agents[0].startswith(f"voxswap-client/{__version__}")


async def test_what_is_not_asked_for_stays_unset(server: FakeServer, connect: Connect) -> None:
    async with connect().synthesize("npc/smith", "Hi") as stream:
        await stream.collect()
    assert server.requests == [speech_pb2.SynthesizeRequest(voice="npc/smith", text="Hi")]


async def test_who_collects_a_line_does_not_listen_to_it(
    server: FakeServer, connect: Connect
) -> None:
    client = connect()
    await client.say("npc/smith", "Hi")
    await client.say("npc/smith", "Hi", pacing=None)
    assert [request.pacing for request in server.requests] == [
        speech_pb2.PACING_NONE,
        speech_pb2.PACING_UNSPECIFIED,
    ]


async def test_values_that_fit_no_field_are_all_named_before_anything_is_sent(
    server: FakeServer, connect: Connect
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await connect().say(
            "npc/smith",
            "\ud800",
            seed=-1,
            encoding="mp4",
            marks=["vowel"],
            rate="fast",
            pacing="slow",
            line_class="song",
            start_by_ms=2**40,
            cache="maybe",
        )
    assert [violation.field for violation in caught.value.violations] == [
        "text",
        "seed",
        "controls.rate",
        "audio.encoding",
        "marks",
        "line_class",
        "start_by_ms",
        "cache_policy",
        "pacing",
    ]
    assert "word, phoneme, viseme" in caught.value.violations[4].description
    assert "realtime, none" in caught.value.violations[-1].description
    assert server.requests == []


async def test_an_option_that_there_is_not_is_an_error_of_the_program(
    server: FakeServer, connect: Connect
) -> None:
    with pytest.raises(TypeError, match="no option loudness, pitch"):
        await connect().say("npc/smith", "Hi", pitch=2, seed=7, loudness=1)
    assert server.requests == []


async def test_say_collects_a_line_and_measures_ttfa_at_the_client(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    def behaviour(
        _request: speech_pb2.SynthesizeRequest, _context: Any
    ) -> Iterator[speech_pb2.SynthesizeResponse]:
        yield server.header()
        fake_clock.now_s += 0.5
        yield server.chunk(0, 4)
        yield server.chunk(4, 8)
        yield server.trailer(unknown_symbols=[speech_pb2.UnknownSymbol(symbol="☃", count=2)])

    server.script.append(behaviour)
    result = await connect(time=fake_clock).say("npc/smith", "Hi")
    assert result.audio == SAMPLES
    assert result.ttfa_ms == 500.0
    assert result.duration_s == 12 / 8000
    assert result.rtf == pytest.approx(0.5)
    assert result.trailer.unknown_symbols == (UnknownSymbol("☃", 2),)


async def test_marks_of_all_chunks_are_in_the_result(server: FakeServer, connect: Connect) -> None:
    result = await connect().say("npc/smith", "Hi")
    assert [(mark.kind, mark.text) for mark in result.marks] == [("word", "Hi"), ("viseme", "sil")]


async def test_leaving_the_block_early_stops_the_server(
    server: FakeServer, connect: Connect
) -> None:
    server.script.append(server.stall(*server.line[:2]))
    async with connect().synthesize("npc/smith", "Hi") as stream:
        async for _ in stream:
            break
    assert await asyncio.to_thread(server.ended.wait, server.patience_s)
    assert stream.trailer is None


async def test_an_error_in_the_block_stops_the_server(server: FakeServer, connect: Connect) -> None:
    server.script.append(server.stall(*server.line[:2]))

    async def fail_in_the_block() -> None:
        async with connect().synthesize("npc/smith", "Hi") as stream:
            async for _ in stream:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_in_the_block()
    assert await asyncio.to_thread(server.ended.wait, server.patience_s)


async def test_cancel_before_the_end_is_an_error_of_its_own(
    server: FakeServer, connect: Connect
) -> None:
    server.script.append(server.stall(*server.line[:2]))
    async with connect().synthesize("npc/smith", "Hi") as stream:
        await stream.__anext__()
        stream.cancel()
        stream.cancel()
        with pytest.raises(CallCancelledError):
            await stream.__anext__()
    assert await asyncio.to_thread(server.ended.wait, server.patience_s)


async def test_cancel_after_the_end_changes_nothing(server: FakeServer, connect: Connect) -> None:
    stream = connect().synthesize("npc/smith", "Hi")
    result = await stream.collect()
    stream.cancel()
    assert stream.trailer == result.trailer
    with pytest.raises(StopAsyncIteration):
        await stream.__anext__()


async def test_another_thread_may_cancel_a_blocked_read(server: FakeServer) -> None:
    server.script.append(server.stall(*server.line[:1]))
    with Client(server.address) as client, client.synthesize("npc/smith", "Hi") as stream:
        reading = asyncio.to_thread(next, stream)
        task = asyncio.ensure_future(reading)
        assert await asyncio.to_thread(server.waiting.wait, server.patience_s)
        stream.cancel()
        with pytest.raises(CallCancelledError):
            await task


async def test_cancelling_the_task_cancels_the_call(server: FakeServer) -> None:
    server.script.append(server.stall(*server.line[:2]))
    async with AsyncClient(server.address) as client:
        task = asyncio.create_task(client.say("npc/smith", "Hi"))
        assert await asyncio.to_thread(server.waiting.wait, server.patience_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.ended.wait, server.patience_s)


async def test_cancelling_the_task_cancels_a_unary_call(server: FakeServer) -> None:
    server.script.append(server.stall())
    async with AsyncClient(server.address) as client:
        task = asyncio.create_task(client.residents())
        assert await asyncio.to_thread(server.waiting.wait, server.patience_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.ended.wait, server.patience_s)


@pytest.mark.parametrize("method", ["say", "get_voice"])
async def test_closing_the_client_ends_its_calls_with_an_error(
    server: FakeServer, method: str
) -> None:
    server.script.append(server.stall())
    client = AsyncClient(server.address)
    arguments = ("npc/smith", "Hi")[: 2 if method == "say" else 1]
    task = asyncio.create_task(getattr(client, method)(*arguments))
    assert await asyncio.to_thread(server.waiting.wait, server.patience_s)
    await client.close()
    with pytest.raises(CallCancelledError):
        await task


async def test_a_stream_past_its_deadline(server: FakeServer, connect: Connect) -> None:
    server.script.append(server.stall(*server.line[:2]))
    client = connect()
    await client.wait_ready()  # so that the deadline meets the stream, not the connecting
    with pytest.raises(DeadlineExceededError):
        await client.say("npc/smith", "Hi", timeout_s=0.2)
    assert await asyncio.to_thread(server.ended.wait, server.patience_s)


async def test_the_clients_deadline_holds_for_calls_without_one(
    server: FakeServer, connect: Connect
) -> None:
    server.script.append(server.stall())
    with pytest.raises(DeadlineExceededError):
        await connect(timeout_s=0.05).get_voice("npc/smith")


# Parts of the default line by index: header, three chunks, trailer.
BROKEN_ORDERS = {
    "nothing": [],
    "header alone": [0],
    "no trailer": [0, 1, 2, 3],
    "a gap": [0, 1, 3, 4],
    "less than the trailer says": [0, 1, 2, 4],
    "no header": [1, 2, 3, 4],
    "trailer alone": [4],
    "two headers": [0, 1, 0],
    "a chunk after the trailer": [0, 1, 2, 3, 4, 3],
    "two trailers": [0, 1, 2, 3, 4, 4],
}


@pytest.mark.parametrize("order", BROKEN_ORDERS.values(), ids=BROKEN_ORDERS.keys())
async def test_a_stream_that_is_not_whole(
    server: FakeServer, connect: Connect, order: list[int]
) -> None:
    server.script.append(server.play(*(server.line[index] for index in order)))
    with pytest.raises(IncompleteStreamError) as caught:
        await connect().say("npc/smith", "Hi")
    assert caught.value.code == ""


async def test_a_broken_stream_is_cancelled(server: FakeServer, connect: Connect) -> None:
    first, one, _, three, _ = server.line
    server.script.append(server.stall(first, one, three))
    with pytest.raises(IncompleteStreamError, match="sample 8 where 4 is due"):
        await connect().synthesize("npc/smith", "Hi").collect()
    assert await asyncio.to_thread(server.ended.wait, server.patience_s)


async def test_a_part_of_a_later_version_is_passed_over(
    server: FakeServer, connect: Connect
) -> None:
    first, *rest = server.line
    later = speech_pb2.SynthesizeResponse.FromString(b"\xaa\x06\x00")  # field 101, no bytes
    server.script.append(server.play(first, later, *rest))
    assert (await connect().say("npc/smith", "Hi")).audio == SAMPLES


async def test_an_encoding_of_a_later_version_is_an_error(
    server: FakeServer, connect: Connect
) -> None:
    server.script.append(server.play(server.header(encoding=99), *server.line[1:]))
    with pytest.raises(VoxswapClientError, match="AUDIO_ENCODING_99"):
        await connect().say("npc/smith", "Hi")


async def test_a_server_that_breaks_off_in_the_middle(server: FakeServer, connect: Connect) -> None:
    server.script.append(
        server.fail(grpc.StatusCode.UNAVAILABLE, "going away", after=server.line[:2])
    )
    with pytest.raises(UnavailableError, match="going away"):
        await connect().say("npc/smith", "Hi")


async def test_a_result_needs_every_chunk(server: FakeServer, connect: Connect) -> None:
    async with connect().synthesize("npc/smith", "Hi") as stream:
        chunks = [chunk async for chunk in stream]
        with pytest.raises(IncompleteStreamError):
            stream.result(chunks[1:])
        assert stream.result(chunks).audio == SAMPLES


async def test_a_result_needs_the_end(server: FakeServer, connect: Connect) -> None:
    async with connect().synthesize("npc/smith", "Hi") as stream:
        first = await stream.__anext__()
        with pytest.raises(IncompleteStreamError):
            stream.result([first])
