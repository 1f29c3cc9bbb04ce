"""A line that is interrupted: by whoever reads it, or by whoever knows its id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from tests.client.fake_conversations import RECEIPT
from tests.client.fake_server import FakeServer
from tests.client.terminal import Connect
from tests.fakes.clocks import FakeClock
from voxswap.v1 import speech_pb2
from voxswap_client import (
    Client,
    IncompleteStreamError,
    InterruptReceipt,
    InvalidRequestError,
    StreamNotFoundError,
    UnavailableError,
    VoxswapClientError,
)

HEARD = InterruptReceipt(end_sample=4, last_word="Hi", text_end=2)
STOPPED = speech_pb2.SynthesizeResponse(interrupted=RECEIPT)
ASKED = speech_pb2.InterruptRequest(stream_id="stream-1")


def cut_line(
    server: FakeServer,
) -> tuple[
    speech_pb2.SynthesizeResponse, speech_pb2.SynthesizeResponse, speech_pb2.SynthesizeResponse
]:
    return (server.header(stream_id="stream-1"), server.line[1], STOPPED)


async def test_an_interrupted_line_ends_well_with_a_receipt(
    server: FakeServer, connect: Connect
) -> None:
    server.script.append(server.play(*cut_line(server)))
    async with connect().synthesize("npc/smith", "Hi there") as stream:
        chunks = []
        async for chunk in stream:
            assert stream.receipt is None
            chunks.append(chunk)
        assert (stream.receipt, stream.trailer) == (HEARD, None)
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()
        with pytest.raises(IncompleteStreamError, match="interrupted after 4 samples"):
            stream.result(chunks)
    assert len(chunks) == 1


async def test_the_stream_interrupts_itself_by_its_id(server: FakeServer, connect: Connect) -> None:
    server.script.append(server.play(*cut_line(server)))
    async with connect().synthesize("npc/smith", "Hi there") as stream:
        await stream.__anext__()
        assert await stream.interrupt() == HEARD
        assert [chunk async for chunk in stream] == []
    assert server.requests[1:] == [ASKED]


async def test_nothing_is_interrupted_before_the_header_is_there(
    server: FakeServer, connect: Connect
) -> None:
    async with connect().synthesize("npc/smith", "Hi there") as stream:
        with pytest.raises(VoxswapClientError, match="cancel the stream"):
            await stream.interrupt()
        assert (await stream.collect()).trailer.total_samples == 12
    assert ASKED not in server.requests


async def test_another_thread_interrupts_while_one_reads(server: FakeServer) -> None:
    server.script.append(server.stall(*cut_line(server)[:2]))
    with Client(server.address) as client, client.synthesize("npc/smith", "Hi there") as stream:
        next(stream)
        reading = asyncio.create_task(asyncio.to_thread(next, stream, None))
        assert await asyncio.to_thread(server.waiting.wait, server.patience_s)
        assert await asyncio.to_thread(stream.interrupt) == HEARD
        assert not reading.done()
        stream.cancel()
        with pytest.raises(VoxswapClientError):
            await reading


async def test_any_stream_is_interrupted_by_its_id(server: FakeServer, connect: Connect) -> None:
    assert await connect().interrupt("stream-1") == HEARD
    assert server.requests == [ASKED]


async def test_a_stream_that_is_over(server: FakeServer, connect: Connect) -> None:
    gone = server.reason("STREAM_NOT_FOUND")
    server.script.append(server.fail(grpc.StatusCode.NOT_FOUND, "no such stream", gone))
    with pytest.raises(StreamNotFoundError):
        await connect().interrupt("stream-1")


async def test_an_interruption_that_may_have_been_carried_out_is_not_repeated(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.script.append(server.fail(grpc.StatusCode.UNAVAILABLE, "broke"))
    with pytest.raises(UnavailableError):
        await connect(time=fake_clock).interrupt("stream-1")
    assert (len(server.requests), fake_clock.sleeps) == (1, [])


async def test_an_id_that_is_none(server: FakeServer, connect: Connect) -> None:
    with pytest.raises(InvalidRequestError, match="stream_id"):
        await connect().interrupt(7)
    assert server.requests == []


@pytest.mark.parametrize(
    "parts",
    [
        lambda line, cut: (cut[0], cut[2]),
        lambda line, cut: (*cut, line[2]),
        lambda line, cut: (*cut, cut[2]),
        lambda line, cut: (*cut, line[4]),
        lambda line, cut: (*line, cut[2]),
        lambda line, cut: cut[2:],
    ],
    ids=["audio missing", "audio after it", "two", "a trailer", "after a trailer", "no header"],
)
async def test_a_receipt_out_of_place(
    server: FakeServer, connect: Connect, parts: Callable[..., Any]
) -> None:
    server.script.append(server.play(*parts(server.line, cut_line(server))))
    with pytest.raises(IncompleteStreamError):
        async for _ in connect().synthesize("npc/smith", "Hi there"):
            pass
