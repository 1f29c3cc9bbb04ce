"""Conversations of both clients: what is sent, what is heard, interruptions, errors, leaving."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from tests.client.fake_server import FakeServer
from tests.client.sync_face import SyncConversation
from tests.client.terminal import Connect
from tests.fakes.clocks import FakeClock
from voxswap.v1 import speech_pb2
from voxswap_client import (
    AsyncClient,
    AsyncConversation,
    CallCancelledError,
    Chunk,
    Client,
    ConversationIdleError,
    IncompleteStreamError,
    InterruptReceipt,
    InvalidRequestError,
    UnavailableError,
    VoxswapClientError,
)

FLUSH = speech_pb2.ConverseRequest(flush=speech_pb2.Flush())
INTERRUPT = speech_pb2.ConverseRequest(interrupt=speech_pb2.Interrupt())


def text(fragment: str) -> speech_pb2.ConverseRequest:
    return speech_pb2.ConverseRequest(text=fragment)


async def heard(conversation: AsyncConversation | SyncConversation) -> list[InterruptReceipt | int]:
    """How many samples each chunk has; receipts as they are."""
    return [part.sample_count if isinstance(part, Chunk) else part async for part in conversation]


async def test_everything_is_sent_in_order_after_the_start(
    server: FakeServer, connect: Connect
) -> None:
    async with connect().converse("npc/smith", "Hi. ", seed=7, marks=["word"]) as conversation:
        await conversation.send("Who")
        await conversation.send(" goes there?")
        await conversation.flush()
        await conversation.interrupt()
        await conversation.send("")
        await conversation.end()
        await conversation.end()
        await heard(conversation)
    start = speech_pb2.SynthesizeRequest(
        voice="npc/smith", text="Hi. ", seed=7, marks=[speech_pb2.MARK_KIND_WORD]
    )
    assert server.requests == [
        speech_pb2.ConverseRequest(start=start),
        text("Who"),
        text(" goes there?"),
        FLUSH,
        INTERRUPT,
        text(""),
    ]


async def test_audio_and_receipts_come_in_order(server: FakeServer, connect: Connect) -> None:
    async with connect().converse("npc/smith") as conversation:
        await conversation.send("four")
        await conversation.interrupt()
        await conversation.send("fives")
        await conversation.end()
        parts = [part async for part in conversation]
        assert (await conversation.header()).stream_id == "stream-1"
        assert conversation.trailer.total_samples == 9
        assert conversation.ttfa_ms > 0
        with pytest.raises(StopAsyncIteration):
            await conversation.__anext__()
    chunks = [part for part in parts if isinstance(part, Chunk)]
    assert parts[1] == InterruptReceipt(end_sample=4, last_word="Hi", text_end=4)
    assert [chunk.start_sample for chunk in chunks] == [0, 4]
    assert len(conversation.result(chunks).audio) == 18
    with pytest.raises(IncompleteStreamError):
        conversation.result(chunks[1:])


async def test_audio_comes_before_the_end_is_sent(server: FakeServer, connect: Connect) -> None:
    async with connect().converse("npc/smith") as conversation:
        for fragment in ("a", "bc", "def"):
            await conversation.send(fragment)
            assert (await conversation.__anext__()).sample_count == len(fragment)
        await conversation.end()
        assert await heard(conversation) == []


async def test_a_conversation_without_words(server: FakeServer, connect: Connect) -> None:
    async with connect().converse("npc/smith") as conversation:
        await conversation.end()
        assert await heard(conversation) == []
        assert (await conversation.header()).voice == "npc/smith@3"
        assert conversation.trailer.total_samples == 0


async def test_sending_waits_neither_for_the_server_nor_for_a_reader(
    server: FakeServer, connect: Connect
) -> None:
    """Far more than the transport holds."""
    server.script.append(server.deaf(server.stall(server.header())))
    async with connect().converse("npc/smith") as conversation:
        for _ in range(64):
            await conversation.send("x" * (1 << 20))
        assert await asyncio.to_thread(server.waiting.wait, server.patience_s)
        await conversation.end()
    assert await asyncio.to_thread(server.ended.wait, server.patience_s)


async def test_after_our_end_nothing_can_be_said(server: FakeServer, connect: Connect) -> None:
    async with connect().converse("npc/smith", "Hi") as conversation:
        await conversation.end()
        for saying in (conversation.send("more"), conversation.flush()):
            with pytest.raises(VoxswapClientError, match="has been ended"):
                await saying
        with pytest.raises(VoxswapClientError, match="has been ended"):
            conversation.speak(["more"])
        assert await heard(conversation) == [2]


async def test_after_our_end_it_is_interrupted_by_its_id(
    server: FakeServer, connect: Connect
) -> None:
    async with connect().converse("npc/smith", "Hi") as conversation:
        await conversation.end()
        with pytest.raises(VoxswapClientError, match="cancel the stream"):
            await conversation.interrupt()
        await conversation.header()
        await conversation.interrupt()
        await heard(conversation)
    assert speech_pb2.InterruptRequest(stream_id="stream-1") in server.requests


async def test_an_error_of_the_server_is_raised_on_both_sides(
    server: FakeServer, connect: Connect
) -> None:
    fault = error_details_pb2.BadRequest.FieldViolation(field="text", description="is bad")
    request = error_details_pb2.BadRequest(field_violations=[fault])
    failing = server.fail(grpc.StatusCode.INVALID_ARGUMENT, "bad text", request)
    server.script.append(server.saying(failing))
    async with connect().converse("npc/smith") as conversation:
        for raising in (
            conversation.__anext__,
            lambda: conversation.send("more"),
            conversation.flush,
            conversation.interrupt,
            conversation.__anext__,
        ):
            with pytest.raises(InvalidRequestError) as caught:
                await raising()
            assert caught.value.violations == [("text", "is bad")]


async def test_an_error_while_much_is_being_sent(server: FakeServer, connect: Connect) -> None:
    """What becomes of a message on its way does not hide why the server ended the call."""
    failing = server.fail(
        grpc.StatusCode.DEADLINE_EXCEEDED, "idle", server.reason("CONVERSATION_IDLE")
    )
    server.script.append(server.saying(failing))
    async with connect().converse("npc/smith") as conversation:
        for _ in range(16):
            try:
                await conversation.send("x" * (1 << 20))
            except ConversationIdleError:
                break
        with pytest.raises(ConversationIdleError):
            await heard(conversation)
        with pytest.raises(ConversationIdleError):
            await conversation.send("more")


async def test_a_server_that_ends_it_by_itself(server: FakeServer, connect: Connect) -> None:
    server.script.append(server.saying(server.play(server.header(), server.trailer(0))))
    async with connect().converse("npc/smith") as conversation:
        assert await heard(conversation) == []
        with pytest.raises(VoxswapClientError, match="is over"):
            await conversation.send("more")


async def test_nothing_is_tried_again(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.script.append(server.saying(server.fail(grpc.StatusCode.UNAVAILABLE, "down")))
    async with connect(time=fake_clock).converse("npc/smith", "Hi", pacing="none") as conversation:
        with pytest.raises(UnavailableError):
            await heard(conversation)
    assert (len(server.requests), fake_clock.sleeps) == (1, [])


async def test_leaving_the_block_stops_the_server(server: FakeServer, connect: Connect) -> None:
    server.script.append(server.saying(server.stall(*server.line[:2])))
    async with connect().converse("npc/smith", "Hi") as conversation:
        await conversation.__anext__()
    assert await asyncio.to_thread(server.ended.wait, server.patience_s)
    with pytest.raises(CallCancelledError):
        await conversation.send("more")


async def test_cancel_is_an_error_of_its_own(server: FakeServer, connect: Connect) -> None:
    server.script.append(server.saying(server.stall(*server.line[:2])))
    async with connect().converse("npc/smith", "Hi") as conversation:
        await conversation.__anext__()
        conversation.cancel()
        conversation.cancel()
        with pytest.raises(CallCancelledError):
            await conversation.__anext__()


async def test_its_own_deadline_alone_holds(server: FakeServer, connect: Connect) -> None:
    server.script.append(server.saying(server.stall(*server.line[:2])))
    client = connect(timeout_s=0.01)
    await client.wait_ready(server.patience_s)
    async with client.converse("npc/smith", "Hi") as conversation:
        assert await asyncio.to_thread(server.waiting.wait, server.patience_s)
        assert (await conversation.__anext__()).sample_count == 4


async def test_a_text_that_cannot_be_sent_changes_nothing(
    server: FakeServer, connect: Connect
) -> None:
    client = connect()
    with pytest.raises(InvalidRequestError, match="voice"):
        client.converse(7)
    async with client.converse("npc/smith") as conversation:
        for bad in ("\ud800", b"\xff", None, 7):
            with pytest.raises(InvalidRequestError, match="text"):
                await conversation.send(bad)
        await conversation.send("good")
        await conversation.end()
        assert await heard(conversation) == [4]


@pytest.mark.parametrize(
    "order",
    [(), (1,), (0, 1), (0, 1, 3), (0, 1, 2, 4), (0, 1, 0)],
    ids=["nothing", "no header", "no trailer", "a gap", "too little", "two headers"],
)
async def test_a_conversation_that_is_not_whole(
    server: FakeServer, connect: Connect, order: tuple[int, ...]
) -> None:
    parts = [server.line[index] for index in order]
    server.script.append(server.saying(server.play(*parts)))
    async with connect().converse("npc/smith", "Hi") as conversation:
        with pytest.raises(IncompleteStreamError):
            await heard(conversation)


# Fragments that come by themselves


async def test_fragments_are_sent_as_they_come(server: FakeServer, connect: Connect) -> None:
    async with connect().converse("npc/smith") as conversation:
        conversation.speak(["a", "bc", "def"])
        assert await heard(conversation) == [1, 2, 3]


async def test_after_the_fragments_of_one_turn_more_may_be_said(
    server: FakeServer, connect: Connect
) -> None:
    async with connect().converse("npc/smith") as conversation:
        conversation.speak(["a"], end=False)
        assert (await conversation.__anext__()).sample_count == 1
        conversation.speak(["bc"])
        assert await heard(conversation) == [2]
    assert server.requests[1:] == [text("a"), FLUSH, text("bc")]


async def test_an_interruption_stops_the_fragments_and_leaves_our_side_open(
    server: FakeServer, connect: Connect
) -> None:
    taken, stopped = [], threading.Event()

    async def endless_async() -> AsyncIterator[Any]:
        try:
            for n in itertools.count():
                taken.append(n)
                yield "x"
                await asyncio.sleep(0)
        finally:
            stopped.set()

    def endless() -> Iterator[str]:
        try:
            for n in itertools.count():
                taken.append(n)
                yield "x"
        finally:
            stopped.set()

    client = connect()
    fragments = endless_async() if isinstance(client, AsyncClient) else endless()
    async with client.converse("npc/smith") as conversation:
        conversation.speak(fragments)
        assert (await conversation.__anext__()).sample_count == 1
        await conversation.interrupt()
        assert await asyncio.to_thread(stopped.wait, server.patience_s)
        await conversation.send("new")
        await conversation.end()
        parts = await heard(conversation)
    receipt = next(part for part in parts if isinstance(part, InterruptReceipt))
    # What was sent before the interruption is heard, and of the rest what was sent afterwards.
    assert parts[parts.index(receipt) + 1 :] == [3]
    assert receipt.end_sample <= len(taken)


async def test_fragments_that_fail_end_the_conversation(
    server: FakeServer, connect: Connect
) -> None:
    def failing() -> Iterator[str]:
        yield "a"
        raise ZeroDivisionError

    async with connect().converse("npc/smith") as conversation:
        conversation.speak(failing())
        with pytest.raises(ZeroDivisionError):
            await heard(conversation)
        with pytest.raises(CallCancelledError):
            await conversation.send("more")


async def test_fragments_that_are_no_text_end_the_conversation(
    server: FakeServer, connect: Connect
) -> None:
    async with connect().converse("npc/smith") as conversation:
        conversation.speak([7])
        with pytest.raises(InvalidRequestError, match="text"):
            await heard(conversation)


async def test_leaving_the_block_ends_fragments_that_wait(server: FakeServer) -> None:
    waiting, ended = asyncio.Event(), asyncio.Event()

    async def silent() -> AsyncIterator[Any]:
        try:
            waiting.set()
            await asyncio.Event().wait()
            yield ""
        finally:
            ended.set()

    async with AsyncClient(server.address) as client:
        async with client.converse("npc/smith") as conversation:
            conversation.speak(silent())
            await waiting.wait()
        assert ended.is_set()


# What only one of the clients has


async def test_one_thread_reads_while_another_one_writes(server: FakeServer) -> None:
    with Client(server.address) as client, client.converse("npc/smith") as conversation:
        reading = asyncio.create_task(asyncio.to_thread(lambda: list(conversation)))
        for _ in range(100):
            await asyncio.to_thread(conversation.send, "ab")
        conversation.end()
        assert [part.sample_count for part in await reading] == [2] * 100


async def test_another_thread_may_cancel_a_blocked_read(server: FakeServer) -> None:
    server.script.append(server.saying(server.stall(server.header())))
    with Client(server.address) as client, client.converse("npc/smith") as conversation:
        reading = asyncio.create_task(asyncio.to_thread(next, conversation))
        assert await asyncio.to_thread(server.waiting.wait, server.patience_s)
        conversation.cancel()
        with pytest.raises(CallCancelledError):
            await reading


async def test_no_thread_waits_for_text_when_the_call_is_over(server: FakeServer) -> None:
    server.script.append(server.saying(server.fail(grpc.StatusCode.INTERNAL, "broken")))
    with Client(server.address) as client:
        before = set(threading.enumerate())
        conversation = client.converse("npc/smith")
        begun = set(threading.enumerate()) - before
        assert begun
        with pytest.raises(VoxswapClientError):
            next(conversation)
        for thread in begun:
            if not thread.name.startswith("ThreadPoolExecutor"):  # the fake server's
                await asyncio.to_thread(thread.join, server.patience_s)
                assert not thread.is_alive()


async def test_cancelling_the_task_that_listens_ends_it(server: FakeServer) -> None:
    server.script.append(server.saying(server.stall(*server.line[:1])))
    async with AsyncClient(server.address) as client, client.converse("npc/smith") as conversation:
        task = asyncio.create_task(heard(conversation))
        assert await asyncio.to_thread(server.waiting.wait, server.patience_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.ended.wait, server.patience_s)
