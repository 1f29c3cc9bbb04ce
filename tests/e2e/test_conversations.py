"""Text that is still being written, over real gRPC: what is said, when, and what ends it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest

from tests.e2e.servers import ServerThread
from voxswap.v1 import speech_pb2, speech_pb2_grpc
from voxswap_client import (
    AsyncClient,
    Chunk,
    Client,
    ConversationIdleError,
    InterruptReceipt,
    InvalidRequestError,
    Mark,
    StreamNotFoundError,
    VoiceNotFoundError,
)
from voxswap_client.rpc_status import from_rpc_error
from voxswap_server.doors import silence
from voxswap_server.doors.grpc import speech
from voxswap_server.speech.conversation import Conversation
from voxswap_server.speech.messages import Receipt
from voxswap_server.speech.pipeline import Synthesis
from voxswap_server.text.types import Segment

TEXT = (
    "Halt! Who goes there? The bridge, Dr. Smith, is closed after dark, and the toll is 2.5 "
    "silver coins. Come back\ntomorrow."
)
LONG = "The road goes ever on and on, down from the door where it began. " * 20
Parts = Iterable[Chunk | InterruptReceipt]


def active_leases(server: ServerThread) -> int:
    return sum(resident.leases for resident in server.house.manager.residents())


def nothing_is_left(server: ServerThread) -> None:
    server.wait_until(lambda: active_leases(server) == 0)
    server.on_loop(server.house.manager.check_integrity)


def samples(chunks: Iterable[Chunk]) -> npt.NDArray[np.float32]:
    return np.frombuffer(b"".join(chunk.audio for chunk in chunks), "<f4")


def marks(chunks: Iterable[Chunk]) -> list[Mark]:
    return [mark for chunk in chunks for mark in chunk.marks]


def chunks_of(parts: Parts) -> list[Chunk]:
    return [part for part in parts if isinstance(part, Chunk)]


def pieces(text: str, *sizes: int) -> Sequence[str]:
    """``text`` in fragments of these sizes, over and over."""
    found, at = list[Any](), 0
    for size in itertools.cycle(sizes):
        if at >= len(text):
            return found
        found.append(text[at : at + size])
        at += size
    return found


@pytest.mark.parametrize("sizes", [(1,), (5, 1, 17), (10_000,)], ids=str)
def test_a_text_in_fragments_is_the_same_line(client: Client, sizes: tuple[int, ...]) -> None:
    whole = client.say("joe", TEXT, seed=11, encoding="pcm_f32le", marks=["word", "viseme"])
    with client.converse(
        "joe", seed=11, encoding="pcm_f32le", marks=["word", "viseme"], pacing="none"
    ) as conversation:
        for piece in pieces(TEXT, *sizes):
            conversation.send(piece)
        conversation.end()
        chunks = chunks_of(conversation)
        assert conversation.result(chunks).trailer.seed == 11
    position = 0
    for chunk in chunks:
        assert chunk.start_sample == position
        position += chunk.sample_count
    expected = np.frombuffer(whole.audio, "<f4")
    assert len(samples(chunks)) == len(expected)
    # bfloat16 rounds otherwise in a step of another size
    assert np.abs(samples(chunks) - expected).max() < 5e-3
    assert marks(chunks) == list(whole.marks)


def test_the_text_of_the_first_message_is_spoken_first(client: Client) -> None:
    with client.converse("joe", "Halt! Who", marks=["word"]) as conversation:
        conversation.send(" goes there?")
        conversation.end()
        words = marks(chunks_of(conversation))
    assert [(word.text, word.text_start) for word in words] == [
        ("Halt", 0), ("Who", 6), ("goes", 10), ("there", 15),
    ]  # fmt: skip


def test_a_sentence_is_spoken_before_the_next_one_is_written(client: Client) -> None:
    sentences = {"Halt! W": "Halt", "ho goes there? T": "there", "he bridge is closed. B": "closed"}
    with client.converse("joe", marks=["word"]) as conversation:
        for sentence, last_word in sentences.items():
            conversation.send(sentence)
            while last_word not in [word.text for word in marks(chunks_of([next(conversation)]))]:
                pass
        conversation.send("e gone.")
        conversation.end()
        assert [word.text for word in marks(chunks_of(conversation))][-2:] == ["Be", "gone"]


def test_what_is_flushed_need_not_be_a_sentence(client: Client) -> None:
    with client.converse("joe", marks=["word"], seed=3) as conversation:
        conversation.send("Well, let me")
        conversation.flush()
        first = next(conversation)
        assert isinstance(first, Chunk)
        conversation.send("think")
        conversation.end()
        chunks = [first, *chunks_of(conversation)]
    text = "Well, let methink"
    assert [(w.text, text[w.text_start : w.text_end]) for w in marks(chunks)] == [
        (word, word) for word in ("Well", "let", "me", "think")
    ]


def test_no_text_at_all(server: ServerThread, client: Client) -> None:
    for text in ("", " \n", "..."):
        with client.converse("joe", text) as conversation:
            conversation.end()
            assert list(conversation) == []
            assert conversation.header.voice == "joe@1"
            assert conversation.trailer is not None
            assert conversation.trailer.total_samples == 0
    nothing_is_left(server)


def until_receipt(conversation: Parts) -> tuple[list[Chunk], InterruptReceipt]:
    chunks: list[Any] = []
    for part in conversation:
        if isinstance(part, InterruptReceipt):
            return chunks, part
        chunks.append(part)
    raise AssertionError("no receipt came")


def test_barge_in(server: ServerThread, client: Client) -> None:
    with client.converse("joe", LONG, marks=["word"]) as conversation:
        before = list(itertools.islice(conversation, 6))
        conversation.interrupt()
        more, receipt = until_receipt(conversation)
        chunks = [*chunks_of(before), *more]
        said = sum(chunk.sample_count for chunk in chunks)
        assert receipt.end_sample == said
        whole = [w for w in marks(chunks) if w.start_sample + w.duration_samples <= said]
        assert (receipt.last_word, receipt.text_end) == (whole[-1].text, whole[-1].text_end)
        assert LONG[: receipt.text_end].endswith(receipt.last_word)

        conversation.send("All right, all right.")
        conversation.end()
        after = chunks_of(conversation)
        assert after[0].start_sample == said
        assert conversation.trailer is not None
        assert conversation.trailer.total_samples == said + sum(c.sample_count for c in after)
    everything = LONG + "All right, all right."
    words = marks(after)
    assert [word.text for word in words] == ["All", "right", "all", "right"]
    assert all(everything[w.text_start : w.text_end] == w.text for w in words)
    assert all(word.start_sample >= said for word in words)
    nothing_is_left(server)


def test_each_interruption_has_a_receipt_and_text_between_them_is_not_spoken(
    client: Client,
) -> None:
    with client.converse("joe", LONG, marks=["word"]) as conversation:
        before = list(itertools.islice(conversation, 6))
        for _ in range(3):
            conversation.interrupt()
            conversation.send("Never to be heard. ")
        conversation.interrupt()
        conversation.send("The end.")
        conversation.end()
        parts = [*before, *conversation]
    receipts = [part for part in parts if isinstance(part, InterruptReceipt)]
    assert len(receipts) == 4
    last = len(parts) - 1 - parts[::-1].index(receipts[-1])
    assert [word.text for word in marks(chunks_of(parts[last:]))] == ["The", "end"]
    assert len(set(receipts)) == 1
    assert LONG[: receipts[0].text_end].endswith(receipts[0].last_word or "no word")


def test_text_right_after_an_interruption_is_not_lost(
    server: ServerThread, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes in the same turn of the server's loop is already new."""
    cut, ask = Synthesis.cut, Conversation.next
    waits_for_words = False

    def followed_at_once(synthesis: Synthesis, receipt: Receipt) -> None:
        cut(synthesis, receipt)
        assert isinstance(synthesis._script, Conversation)
        synthesis._script.push("All right. ")
        synthesis._script.flush()

    async def noted(script: Conversation) -> Segment | None:
        nonlocal waits_for_words
        waits_for_words = not script.is_ready
        found = await ask(script)
        waits_for_words = False
        return found

    monkeypatch.setattr(Synthesis, "cut", followed_at_once)
    monkeypatch.setattr(Conversation, "next", noted)
    with client.converse("joe", "Halt! ", marks=["word"], pacing="none") as conversation:
        conversation.flush()
        while not marks(chunks_of([next(conversation)])):
            pass
        server.wait_until(lambda: waits_for_words)
        conversation.interrupt()
        until_receipt(conversation)
        conversation.end()
        assert [word.text for word in marks(chunks_of(conversation))] == ["All", "right"]


def test_an_interruption_before_anything_is_said(client: Client) -> None:
    with client.converse("joe", start_by_ms=30_000) as conversation:
        conversation.interrupt()
        assert next(conversation) == InterruptReceipt(0, "", 0)
        conversation.send("Now then.")
        conversation.end()
        assert chunks_of(conversation)[0].start_sample == 0


def test_a_line_is_interrupted_by_its_id(server: ServerThread, client: Client) -> None:
    with client.synthesize("joe", LONG, marks=["word"]) as stream:
        chunks = [next(stream)]
        receipt = stream.interrupt()
        chunks.extend(stream)
        assert (stream.receipt, stream.trailer) == (receipt, None)
        with pytest.raises(StreamNotFoundError):
            stream.interrupt()
    assert receipt.end_sample == sum(chunk.sample_count for chunk in chunks)
    assert LONG[: receipt.text_end].endswith(receipt.last_word)
    nothing_is_left(server)


def test_a_conversation_is_interrupted_by_its_id_after_our_end(client: Client) -> None:
    with client.converse("joe", LONG) as conversation:
        conversation.end()
        next(conversation)
        conversation.interrupt()
        _, receipt = until_receipt(conversation)
        assert list(conversation) == []
        assert conversation.trailer is not None
        assert conversation.trailer.total_samples == receipt.end_sample


def test_an_id_that_nobody_has(client: Client) -> None:
    with pytest.raises(StreamNotFoundError):
        client.interrupt("no-such-stream")
    with pytest.raises(InvalidRequestError) as caught:
        client.interrupt("")
    assert [fault.field for fault in caught.value.violations] == ["stream_id"]


# Conversations that go wrong


def faults(client: Client, *messages: speech_pb2.ConverseRequest) -> list[str]:
    """The fields that the server finds fault with."""
    stub = speech_pb2_grpc.SpeechServiceStub(client._channel)
    with pytest.raises(grpc.RpcError) as caught:
        for _ in stub.Converse(iter(messages), timeout=60):
            pass
    error = from_rpc_error(caught.value)
    assert isinstance(error, InvalidRequestError), error
    return [fault.field for fault in error.violations]


def start(**fields: object) -> speech_pb2.ConverseRequest:
    request = speech_pb2.SynthesizeRequest(voice="joe", **fields)  # type: ignore[arg-type]
    return speech_pb2.ConverseRequest(start=request)


def test_messages_out_of_place_are_named(server: ServerThread, client: Client) -> None:
    more = speech_pb2.ConverseRequest(text="Halt!")
    assert faults(client) == ["start"]
    assert faults(client, more) == ["start"]
    assert faults(client, speech_pb2.ConverseRequest()) == ["start"]
    assert faults(client, start(), start()) == ["start"]
    assert faults(client, start(), more, speech_pb2.ConverseRequest()) == ["part"]
    assert faults(client, start(text="A\x07B")) == ["text"]
    assert faults(client, start(), speech_pb2.ConverseRequest(text="A\x07B")) == ["text"]
    assert faults(client, start(), speech_pb2.ConverseRequest(text="x" * 10_001)) == ["text"]
    assert faults(client, start(speaker="nobody")) == ["speaker"]
    nothing_is_left(server)


def test_an_unknown_voice(client: Client) -> None:
    with client.converse("nobody", "Halt!") as conversation:
        with pytest.raises(VoiceNotFoundError):
            next(conversation)
        with pytest.raises(VoiceNotFoundError):
            conversation.send("Who goes there?")


def test_a_conversation_that_says_nothing_is_ended(
    server: ServerThread, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "IDLE_S", 0.05)
    with client.converse("joe", "Halt! And then") as conversation:
        with pytest.raises(ConversationIdleError, match="close your side"):
            for _ in conversation:
                pass
    nothing_is_left(server)


def test_who_listens_is_not_idle(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as there is something to hear, nothing need be said: each part breaks the silence."""
    broken = []

    class Silence(silence.Silence):
        def broken(self) -> None:
            super().broken()
            broken.append(self)

    monkeypatch.setattr(speech, "Silence", Silence)
    with client.converse("joe", "Halt! Who goes there?") as conversation:
        conversation.end()
        chunks = list(conversation)
    while_spoken = [kept for kept in broken if kept.most_s == silence.IDLE_S]
    # The header, the trailer, and when the silence and the one read after the start began.
    assert len(while_spoken) == len(chunks) + 4


def test_a_client_that_vanishes_leaves_nothing(server: ServerThread) -> None:
    client = Client(server.server.address)
    conversation = client.converse("joe", LONG)
    next(conversation)
    client.close()
    nothing_is_left(server)


async def test_a_task_that_is_cancelled_leaves_nothing(server: ServerThread) -> None:
    async with AsyncClient(server.server.address) as client:
        begun = asyncio.Event()

        async def listen() -> None:
            async with client.converse("joe", LONG) as conversation:
                async for _ in conversation:
                    begun.set()

        task = asyncio.create_task(listen())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.to_thread(nothing_is_left, server)


async def test_a_language_model_is_spoken_as_it_writes(server: ServerThread) -> None:
    heard = asyncio.Event()

    async def write() -> AsyncIterator[str]:
        for piece in pieces("Halt! Who goes there? The bridge", 3):
            yield piece
        await heard.wait()  # the first sentence is heard before the last one is written
        yield " is closed."

    async with AsyncClient(server.server.address, timeout_s=60) as client:
        async with client.converse("joe", marks=["word"]) as conversation:
            conversation.speak(write())
            chunks = []
            async for part in conversation:
                chunks.append(part)
                heard.set()
    words = [word.text for word in marks(chunks_of(chunks))]
    assert words == ["Halt", "Who", "goes", "there", "The", "bridge", "is", "closed"]
