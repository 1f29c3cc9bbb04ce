"""One making for all who want it: joined, followed, left, and what its failing means."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import weakref
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from tests.fakes.audio_stores import FarStore
from tests.fakes.executors import settle
from tests.server.audio_cache_fixture import (
    ALL,
    REQUEST,
    VOICE,
    CacheFixture,
    FakeListener,
    check_whole,
    heard,
)
from voxswap_registry.errors import EngineError
from voxswap_server.speech.cache.flight import Outcome
from voxswap_server.speech.cache.subscriber import Terms
from voxswap_server.speech.messages import Message, Trailer
from voxswap_server.speech.request import LineClass, SpeechRequest


@pytest.fixture
async def fixture() -> AsyncIterator[CacheFixture]:
    made = CacheFixture()
    yield made
    await settle()
    made.cache.check_integrity()
    assert not made.running
    assert made.cache.statistics() == type(made.cache.statistics())(0, 0, 0)
    await made.cache.close()


async def test_followers_hear_it_grow(fixture: CacheFixture) -> None:
    first = FakeListener(fixture, REQUEST).read()
    second = FakeListener(fixture, REQUEST).read()
    await settle()
    (stream,) = fixture.streams
    for n in range(1, 4):
        stream.let()
        await settle()
        assert len(first.parts) == len(second.parts) == n
    late = FakeListener(fixture, REQUEST).read()
    await settle()
    assert len(late.parts) == 3
    assert not first.header.cached
    assert second.header.cached
    assert second.header.swap_ms == second.header.queue_ms == 0
    stream.let(ALL)
    await asyncio.gather(first.task, second.task, late.task)
    for listener in (first, second, late):
        check_whole(listener.parts)
    assert len(fixture.streams) == 1
    assert fixture.observer.outcomes == {Outcome.MISS: 1, Outcome.JOINED: 2}


async def test_no_more_is_made_than_the_fastest_reads(fixture: CacheFixture) -> None:
    slow, fast = FakeListener(fixture, REQUEST).read(1), FakeListener(fixture, REQUEST).read(3)
    await settle()
    (stream,) = fixture.streams
    stream.let(ALL)
    await settle()
    # Three were read, and the reader waits with the fourth not yet asked for.
    assert [len(slow.parts), len(fast.parts)] == [1, 3]
    assert not stream.waits
    assert stream.gate._value == ALL - 3
    fast.read()
    await asyncio.wait_for(fast.task, 30)
    check_whole(fast.parts)
    assert len(slow.parts) == 1, "and the slow one held up nobody"
    await asyncio.wait_for(slow.read().task, 30)
    check_whole(slow.parts)


async def test_the_first_may_leave_and_nobody_notices(fixture: CacheFixture) -> None:
    first, second = (FakeListener(fixture, REQUEST).read() for _ in range(2))
    await settle()
    (stream,) = fixture.streams
    stream.let(2)
    await settle()
    await first.leave()
    assert stream.running
    stream.let(ALL)
    await asyncio.wait_for(second.task, 30)
    check_whole(second.parts)
    assert len(fixture.streams) == 1


@pytest.mark.parametrize("parts", [0, 1, 3])
async def test_the_last_to_leave_ends_the_making(fixture: CacheFixture, parts: int) -> None:
    listeners = [FakeListener(fixture, REQUEST).read() for _ in range(2)]
    await settle()
    (stream,) = fixture.streams
    stream.let(parts)
    await settle()
    await listeners[0].leave()
    assert stream.running
    await listeners[1].leave()
    assert stream.cancelled
    check_whole(await heard(fixture))
    assert len(fixture.streams) == 2, "half a line is not kept"


async def test_who_leaves_before_anything_began_leaves_nothing(fixture: CacheFixture) -> None:
    listener = FakeListener(fixture, REQUEST).read()
    for _ in range(3):
        await asyncio.sleep(0)
    await listener.leave()
    assert fixture.cache.statistics().flights == 0


@pytest.mark.parametrize("n_listeners", [1, 2, 7])
@pytest.mark.parametrize("parts", range(6))
async def test_an_error_ends_every_stream_that_listens(
    fixture: CacheFixture, n_listeners: int, parts: int
) -> None:
    """Whoever's means it was made by, and however far each has read. Nothing is made for them."""
    listeners = [
        FakeListener(fixture, REQUEST).read(ALL if i % 2 == 0 else 1) for i in range(n_listeners)
    ]
    await settle()
    fixture.streams[0].let(parts)
    await settle()
    fixture.streams[0].fail(EngineError("out of luck"))
    await settle()
    for listener in listeners:
        with pytest.raises(EngineError, match="out of luck"):
            await asyncio.wait_for(listener.read().task, 30)
        assert len(listener.parts) <= parts
    assert len(fixture.streams) == 1
    assert len({id(listener.task.exception()) for listener in listeners}) == n_listeners, (
        "each has its own"
    )
    check_whole(await heard(fixture))
    assert len(fixture.streams) == 2, "what failed is neither kept nor told again"


async def test_who_joins_after_the_failure_begins_anew(fixture: CacheFixture) -> None:
    """While those who were told of it have not even looked yet."""
    slow, fast = FakeListener(fixture, REQUEST).read(1), FakeListener(fixture, REQUEST).read()
    await settle()
    fixture.streams[0].let(3)
    await settle()
    fixture.streams[0].fail(EngineError("out of luck"))
    await asyncio.wait([fast.task])
    late = FakeListener(fixture, REQUEST).read()
    await settle()
    assert len(fixture.streams) == 2
    assert fixture.cache.statistics().held_bytes == 0
    with pytest.raises(EngineError):
        await slow.read().task
    with pytest.raises(EngineError):
        await fast.task
    fixture.streams[1].let(ALL)
    await late.task
    check_whole(late.parts)
    assert not late.header.cached


async def test_what_nobody_foresaw_is_told_to_all_and_logged_once(
    fixture: CacheFixture, caplog: pytest.LogCaptureFixture
) -> None:
    listeners = [FakeListener(fixture, REQUEST).read() for _ in range(3)]
    await settle()
    fixture.streams[0].fail(ZeroDivisionError("a bug"))
    for listener in listeners:
        with pytest.raises(RuntimeError, match="a bug"):
            await listener.task
    (record,) = caplog.records
    assert record.exc_info is not None


async def test_who_has_left_before_it_is_made_has_it_made_by_no_means_of_its_own() -> None:
    """Looking up is shared: the first of those who are left is whose means are used."""
    store = FarStore()
    fixture = CacheFixture(store)
    store.reads.clear()
    first, second, third = (FakeListener(fixture, REQUEST).read() for _ in range(3))
    await settle()
    await first.leave()
    store.reads.set()
    await settle()
    fixture.streams[0].let(ALL)
    await asyncio.gather(second.task, third.task)
    assert not second.header.cached
    assert third.header.cached
    assert len(fixture.streams) == 1
    await fixture.cache.close()


def asks(start_by_s: float | None) -> SpeechRequest:
    return dataclasses.replace(REQUEST, start_by_s=start_by_s)


async def test_the_terms_are_those_of_whoever_waits_longest(fixture: CacheFixture) -> None:
    """A deadline of one ends nobody else's line, whoever came first."""
    first = FakeListener(fixture, asks(0.5), arrived_s=10.0, until_s=11.0).read()
    await settle()
    (stream,) = fixture.streams
    assert stream.terms() == Terms(11.0, 0.5)
    sooner = FakeListener(fixture, asks(0.1), arrived_s=10.2, until_s=10.9).read()
    await settle()
    assert stream.terms() == Terms(11.0, 0.5)
    later = FakeListener(fixture, asks(0.4), arrived_s=10.3, until_s=12.0).read()
    await settle()
    assert stream.terms() == Terms(12.0, 0.4), "0.4 s from 10.3 on are later than 0.5 from 10 on"
    patient = FakeListener(fixture, asks(None), arrived_s=10.4, until_s=None).read()
    await settle()
    assert stream.terms() == Terms(None, None)
    await patient.leave()
    await first.leave()
    assert stream.terms() == Terms(12.0, 0.4), "who has left wants nothing any more"
    stream.let(ALL)
    for listener in (sooner, later):
        await listener.task
        check_whole(listener.parts)
    assert len(fixture.streams) == 1


async def test_nobody_waits_at_the_pace_of_another(fixture: CacheFixture) -> None:
    requests = [
        REQUEST,
        dataclasses.replace(REQUEST, line_class=LineClass.BARK),
        dataclasses.replace(REQUEST, paced=False),
    ]
    listeners = [FakeListener(fixture, request).read() for request in requests]
    await settle()
    assert len(fixture.streams) == 3
    for stream in fixture.streams:
        stream.let(ALL)
    await asyncio.gather(*(listener.task for listener in listeners))
    for request in requests:
        check_whole(await heard(fixture, request))
    assert len(fixture.streams) == 3, "what is kept is for all of them"


async def test_an_error_that_was_told_keeps_nothing(fixture: CacheFixture) -> None:
    """Its frames had weights in them."""

    class Weights:
        pass

    seen: list[weakref.ref[Weights]] = []

    async def failing(request: SpeechRequest, terms: object) -> AsyncGenerator[Message, None]:
        weights = Weights()
        seen.append(weakref.ref(weights))
        if weights:
            raise EngineError("out of luck")
        yield Trailer(0, 0, 0, 0.0, 0.0, {})

    gc.disable()
    try:
        stream = fixture.cache.messages(REQUEST, VOICE, failing, arrived_s=0.0)
        try:
            await anext(stream)
        except EngineError:
            pass
        else:
            pytest.fail("it had to be told")
        del stream
        await settle()
        assert [ref() for ref in seen] == [None]
    finally:
        gc.enable()
