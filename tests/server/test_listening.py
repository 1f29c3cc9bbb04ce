"""What a listener got when it interrupts, and lines that come too late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.executors import settle
from voxswap_server.app.metrics import Metrics
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech.errors import TooLateError
from voxswap_server.speech.listening import Heard, Stream
from voxswap_server.speech.messages import Chunk, Header, Mark, Message, Receipt, Trailer
from voxswap_server.speech.metrics import StreamObservation
from voxswap_server.speech.request import MarkKind

HEADER = Header("a@1", (), 16_000, AudioEncoding.PCM_S16LE, 0, False, 0.0, 0.0, stream_id="id")
TRAILER = Trailer(300, 16_000, 0, 0.0, 0.0, {})


def word(text: str, start: int, length: int, end: int) -> Mark:
    return Mark(MarkKind.WORD, text, start, length, end - len(text), end)


def chunk(start: int, count: int, *words: Mark) -> Chunk:
    return Chunk(bytes(2 * count), start, count, (), (), words)


class Maker:
    """Parts that come when they are let go."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Message | Exception] = asyncio.Queue()
        self.is_closed = False

    async def messages(self) -> AsyncGenerator[Message, None]:
        try:
            while True:
                part = await self.queue.get()
                if isinstance(part, Exception):
                    raise part
                yield part
                if isinstance(part, Trailer):
                    return
        finally:
            self.is_closed = True


T = TypeVar("T")


def stream_of(
    made: AsyncGenerator[Message, None], *, arrived_s: float = 0.0, start_by_s: float | None = None
) -> Stream:
    loop = asyncio.get_running_loop()
    seen = StreamObservation(Metrics("cpu").streams)
    return Stream(*("id", made, seen), arrived_s=arrived_s, clock=loop.time, start_by_s=start_by_s)


async def hear(stream: Stream, made: AsyncGenerator[Message, None], into: list[Message]) -> None:
    try:
        async for part in stream:
            into.append(part)  # noqa: PERF401 - what came is looked at while more comes
    finally:
        await made.aclose()


def at_once(answer: Coroutine[Any, Any, T]) -> T:
    """What is answered without a turn of the loop."""
    try:
        answer.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    raise AssertionError("it waits")


async def test_an_interruption_ends_a_stream_that_waits_for_its_next_part() -> None:
    maker, got = Maker(), list[Message]()
    made = maker.messages()
    stream = stream_of(made)
    hearing = asyncio.ensure_future(hear(stream, made, got))
    maker.queue.put_nowait(HEADER)
    maker.queue.put_nowait(chunk(0, 100, word("stop", 10, 50, 4), word("there", 70, 60, 10)))
    await settle()
    receipt = at_once(stream.interrupt())
    assert receipt == Receipt(100, "stop", 4), "'there' was not said whole"
    assert at_once(stream.interrupt()) is receipt
    await hearing
    assert got[2:] == [receipt]
    assert maker.is_closed


async def test_a_part_that_came_meanwhile_is_not_let_through() -> None:
    maker, got = Maker(), list[Message]()
    made = maker.messages()
    stream = stream_of(made)
    hearing = asyncio.ensure_future(hear(stream, made, got))
    maker.queue.put_nowait(HEADER)
    await settle()
    maker.queue.put_nowait(chunk(0, 100))
    receipt = at_once(stream.interrupt())
    await hearing
    assert got == [HEADER, receipt]
    assert receipt == Receipt(0, "", 0)


async def test_an_interruption_while_the_client_is_written_to_waits_for_that() -> None:
    maker = Maker()
    made = maker.messages()
    stream = stream_of(made)
    for part in (HEADER, chunk(0, 100, word("a", 0, 10, 1)), chunk(100, 100)):
        maker.queue.put_nowait(part)
    assert await anext(stream) == HEADER
    assert isinstance(await anext(stream), Chunk)
    receipt = at_once(stream.interrupt())
    assert await anext(stream) == receipt == Receipt(100, "a", 1)
    assert maker.is_closed, "nothing is held for a client that is slow to take it"
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_line_that_is_not_there_in_time_is_dropped() -> None:
    now = asyncio.get_running_loop().time()
    maker = Maker()
    made = maker.messages()
    stream = stream_of(made, arrived_s=now - 1.0, start_by_s=0.5)
    with pytest.raises(TooLateError, match="within 500 ms and did not"):
        await hear(stream, made, [])
    assert maker.is_closed


async def test_one_that_began_in_time_is_never_too_late() -> None:
    maker, got = Maker(), list[Message]()
    made = maker.messages()
    stream = stream_of(made, arrived_s=asyncio.get_running_loop().time(), start_by_s=60.0)
    hearing = asyncio.ensure_future(hear(stream, made, got))
    maker.queue.put_nowait(HEADER)
    await settle()
    assert stream._limit is not None
    assert stream._limit.when() is None
    maker.queue.put_nowait(TRAILER)
    await hearing
    assert got == [HEADER, TRAILER]


@pytest.mark.parametrize("error", [TimeoutError("the engine's own"), ValueError("broken")])
async def test_errors_of_the_maker_are_passed_on(error: Exception) -> None:
    maker = Maker()
    made = maker.messages()
    stream = stream_of(made)
    maker.queue.put_nowait(error)
    with pytest.raises(type(error), match=str(error)):
        await hear(stream, made, [])


async def test_cancelling_closes_the_maker() -> None:
    maker = Maker()
    made = maker.messages()
    stream = stream_of(made)
    hearing = asyncio.ensure_future(hear(stream, made, []))
    await settle()
    hearing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hearing
    assert maker.is_closed


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.data())
def test_the_last_word_is_the_last_that_ended_by_then(
    lengths: list[int], data: st.DataObject
) -> None:
    words, start = [], 0
    for i, length in enumerate(lengths):
        words.append(word(f"w{i}", start, length, 10 * i + 5))
        start += length
    cuts = sorted(data.draw(st.sets(st.integers(1, start), min_size=1)))
    heard, before = Heard(), 0
    for cut in cuts:
        heard.note(
            chunk(before, cut - before, *(w for w in words if before <= w.start_sample < cut))
        )
        before = cut
    said = [w for w in words if w.start_sample + w.duration_samples <= cuts[-1]]
    expected = (said[-1].text, said[-1].text_end) if said else ("", 0)
    assert heard.cut() == Receipt(cuts[-1], *expected)


# Interruptions and limits at the same moment


class SlowToEnd:
    """Parts that never come, from a maker that gives its lease back slowly."""

    def __init__(self) -> None:
        self.is_ending, self.may_end = asyncio.Event(), asyncio.Event()

    async def messages(self) -> AsyncGenerator[Message, None]:
        try:
            await asyncio.Event().wait()
            yield HEADER
        finally:
            self.is_ending.set()
            await self.may_end.wait()


async def test_an_interruption_in_the_turn_in_which_the_time_is_over_is_one() -> None:
    """It is answered, so what it says is what the listener gets: the receipt and no error."""
    loop = asyncio.get_running_loop()
    made, got = Maker().messages(), list[Message]()
    stream = stream_of(made, arrived_s=loop.time(), start_by_s=0.0)
    receipts: list[Receipt] = []
    # Called in the turn in which the limit's timer is, and after it.
    hearing = asyncio.ensure_future(hear(stream, made, got))
    await asyncio.sleep(0)
    loop.call_later(0.0, lambda: receipts.append(at_once(stream.interrupt())))
    await hearing
    assert receipts == got == [Receipt(0, "", 0)]


async def test_an_interruption_while_a_line_that_is_too_late_ends_is_one() -> None:
    loop = asyncio.get_running_loop()
    maker, got = SlowToEnd(), list[Message]()
    made = maker.messages()
    stream = stream_of(made, arrived_s=loop.time(), start_by_s=0.0)
    hearing = asyncio.ensure_future(hear(stream, made, got))
    await maker.is_ending.wait()
    receipt = at_once(stream.interrupt())
    assert at_once(stream.interrupt()) is receipt
    maker.may_end.set()
    await hearing
    assert got == [receipt]


async def test_two_interruptions_in_one_turn_are_one() -> None:
    maker, got = SlowToEnd(), list[Message]()
    made = maker.messages()
    stream = stream_of(made)
    hearing = asyncio.ensure_future(hear(stream, made, got))
    await settle()
    receipt = at_once(stream.interrupt())
    assert at_once(stream.interrupt()) is receipt
    await maker.is_ending.wait()
    assert at_once(stream.interrupt()) is receipt
    maker.may_end.set()
    await hearing
    assert got == [receipt]


async def test_an_interruption_before_anybody_listens_lets_nothing_through() -> None:
    maker, got = Maker(), list[Message]()
    made = maker.messages()
    stream = stream_of(made)
    maker.queue.put_nowait(HEADER)
    receipt = at_once(stream.interrupt())
    await hear(stream, made, got)
    assert got == [receipt]


async def test_an_interruption_after_the_end_changes_nothing() -> None:
    maker, got = Maker(), list[Message]()
    made = maker.messages()
    stream = stream_of(made)
    for part in (HEADER, chunk(0, 100), TRAILER):
        maker.queue.put_nowait(part)
    await hear(stream, made, got)
    assert at_once(stream.interrupt()) == Receipt(100, "", 0)
    assert got == [HEADER, chunk(0, 100), TRAILER]


@pytest.mark.parametrize("interrupted_first", [True, False])
async def test_a_call_that_is_cancelled_as_it_is_interrupted_is_cancelled(
    interrupted_first: bool,
) -> None:
    maker, got = SlowToEnd(), list[Message]()
    made = maker.messages()
    stream = stream_of(made)
    hearing = asyncio.ensure_future(hear(stream, made, got))
    await settle()
    for act in (lambda: at_once(stream.interrupt()), hearing.cancel)[
        :: 1 if interrupted_first else -1
    ]:
        act()
    maker.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await hearing
    assert got == []
