"""What was made comes again, within bounds, whatever the store does."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import AsyncIterator

import pytest

from tests.fakes.audio_stores import FarStore
from tests.fakes.executors import settle
from tests.server.audio_cache_fixture import (
    ALL,
    REQUEST,
    TOTAL,
    CacheFixture,
    FakeListener,
    check_whole,
    heard,
)
from voxswap_registry.errors import ClosedError
from voxswap_server.speech.cache.cache import AudioCacheStatistics
from voxswap_server.speech.cache.flight import Outcome, size_bytes
from voxswap_server.speech.cache.store import MemoryStore, StoreFault
from voxswap_server.speech.errors import TooFarBehindError
from voxswap_server.speech.messages import Chunk, Header, Mark, Trailer
from voxswap_server.speech.request import CachePolicy, MarkKind


@pytest.fixture
async def fixture() -> AsyncIterator[CacheFixture]:
    made = CacheFixture()
    yield made
    await settle()
    made.cache.check_integrity()
    assert not made.running
    assert made.cache.statistics() == type(made.cache.statistics())(0, 0, 0)
    await made.cache.close()


async def test_a_line_is_made_once_and_then_it_is_there(fixture: CacheFixture) -> None:
    first, second = await heard(fixture), await heard(fixture)
    check_whole(first)
    check_whole(second)
    assert len(fixture.streams) == 1
    assert fixture.observer.outcomes == {Outcome.MISS: 1, Outcome.HIT: 1}
    header, trailer = first[0], first[-1]
    assert header == Header("a@1", ("sha256:0",), 22050, REQUEST.encoding, TOTAL, True, 3.0, 4.0)
    assert second[0] == dataclasses.replace(
        header, cached=True, cold=False, queue_ms=0.0, swap_ms=0.0
    )
    assert isinstance(trailer, Trailer)
    assert trailer.compute_ms == 5.0
    assert second[-1] == dataclasses.replace(trailer, compute_ms=0.0)
    assert second[1:-1] == first[1:-1]


@pytest.mark.parametrize(
    ("policy", "seed", "streams"),
    [
        (CachePolicy.DEFAULT, 7, 1),
        (CachePolicy.DEFAULT, None, 2),
        (CachePolicy.OFF, 7, 2),
        (CachePolicy.USE, None, 1),
        (CachePolicy.USE, 7, 1),
    ],
)
async def test_who_says_nothing_gets_what_is_the_same_either_way(
    fixture: CacheFixture, policy: CachePolicy, seed: int | None, streams: int
) -> None:
    request = dataclasses.replace(REQUEST, cache_policy=policy, seed=seed)
    listeners = [FakeListener(fixture, request).read(1) for _ in range(2)]
    await settle()
    assert len(fixture.streams) == streams
    off = 2 if streams == 2 else 0
    assert fixture.observer.outcomes[Outcome.OFF] == off
    for listener in listeners:
        await listener.leave()


async def test_off_is_neither_read_nor_written(fixture: CacheFixture) -> None:
    off = dataclasses.replace(REQUEST, cache_policy=CachePolicy.OFF)
    for request, streams in ((off, 1), (REQUEST, 2), (off, 3), (REQUEST, 3)):
        check_whole(await heard(fixture, request))
        assert len(fixture.streams) == streams


async def test_without_a_seed_all_get_the_audio_and_the_seed_of_the_first(
    fixture: CacheFixture,
) -> None:
    request = dataclasses.replace(REQUEST, seed=None, cache_policy=CachePolicy.USE)
    lines = [await heard(fixture, request) for _ in range(3)]
    (stream,) = fixture.streams
    assert stream.seed is not None
    for parts in lines:
        check_whole(parts, stream.seed)


async def test_what_is_too_large_is_not_kept_and_may_not_be_joined() -> None:
    fixture = CacheFixture(entry=2_500)  # three parts or so
    first, second = (FakeListener(fixture, REQUEST).read() for _ in range(2))
    await settle()
    stream = fixture.streams[0]
    stream.let(1)
    await settle()
    assert fixture.cache.statistics().held_bytes > 0
    stream.let(4)
    await settle()
    assert not stream.gate._value
    assert len(first.parts) == len(second.parts) == 5
    assert fixture.cache.statistics().held_bytes == 0, "both have read it"
    third = FakeListener(fixture, REQUEST).read()
    await settle()
    assert len(fixture.streams) == 2
    for one in fixture.streams:
        one.let(ALL)
    for listener in (first, second, third):
        await asyncio.wait_for(listener.task, 30)
        check_whole(listener.parts)
    assert isinstance(fixture.store, MemoryStore)
    assert fixture.store.statistics().entries == 0
    await settle()
    assert fixture.cache.statistics().flights == 0


async def test_all_that_is_held_is_bounded() -> None:
    fixture = CacheFixture(held=5_000)
    requests = [dataclasses.replace(REQUEST, seed=n) for n in range(6)]
    listeners = [FakeListener(fixture, request).read() for request in requests]
    await settle()
    for _ in range(4):
        for stream in fixture.streams:
            stream.let()
        await settle()
        assert fixture.cache.statistics().held_bytes <= 5_000
    for stream in fixture.streams:
        stream.let(ALL)
    for n, listener in enumerate(listeners):
        await asyncio.wait_for(listener.task, 30)
        check_whole(listener.parts, n)


async def test_who_is_far_behind_where_too_much_is_held_is_told_so() -> None:
    """Nobody else notices, and asking again gives a whole line."""
    fixture = CacheFixture(entry=2_000)
    slow, fast = FakeListener(fixture, REQUEST).read(2), FakeListener(fixture, REQUEST).read()
    await settle()
    stream = fixture.streams[0]
    stream.let(ALL)
    await asyncio.wait_for(fast.task, 30)
    check_whole(fast.parts)
    assert fixture.cache.statistics() == AudioCacheStatistics(0, 0, 0), "nothing is held for it"
    with pytest.raises(TooFarBehindError, match="ask again"):
        await asyncio.wait_for(slow.read().task, 30)
    assert len(fixture.streams) == 1
    assert not fixture.running
    check_whole(await heard(fixture))


async def test_who_is_left_behind_and_leaves_ends_nothing_for_the_others() -> None:
    fixture = CacheFixture(entry=2_000)
    slow, fast = FakeListener(fixture, REQUEST).read(1), FakeListener(fixture, REQUEST).read()
    await settle()
    stream = fixture.streams[0]
    stream.let(5)
    await settle()
    assert fixture.cache.statistics().subscribers == 1
    await slow.leave()
    assert stream.running
    stream.let(ALL)
    await asyncio.wait_for(fast.task, 30)
    check_whole(fast.parts)


async def test_a_part_that_is_too_much_alone_is_heard_by_all_who_want_it() -> None:
    fixture = CacheFixture(entry=100)
    listeners = [FakeListener(fixture, REQUEST).read() for _ in range(3)]
    await settle()
    for _ in range(20):
        if fixture.running:
            fixture.streams[0].let()
            await settle()
    for listener in listeners:
        await asyncio.wait_for(listener.task, 30)
        check_whole(listener.parts)


async def test_what_was_kept_is_held_within_the_bound_as_well() -> None:
    """Who reads slowly holds a recording; where many do, lines are made anew, a part at a time."""
    fixture = CacheFixture()
    requests = [dataclasses.replace(REQUEST, seed=n) for n in range(8)]
    for n, request in enumerate(requests):
        check_whole(await heard(fixture, request), n)
    bound = 15_000
    fixture.cache._most_held_bytes = bound
    listeners = [FakeListener(fixture, request).read(1) for request in requests]
    await settle()
    assert fixture.observer.outcomes[Outcome.HIT] > 0
    assert len(fixture.streams) > len(requests)
    for _ in range(4):
        for stream in fixture.running:
            stream.let()
        for listener in listeners:
            listener.read(1)
        await settle()
        latest = sum(max(map(size_bytes, stream.parts)) for stream in fixture.streams[8:])
        assert fixture.cache.statistics().held_bytes <= bound + latest
    for stream in fixture.running:
        stream.let(ALL)
    for n, listener in enumerate(listeners):
        await asyncio.wait_for(listener.read().task, 30)
        check_whole(listener.parts, n)
    assert fixture.cache.statistics() == AudioCacheStatistics(0, 0, 0)


def test_all_that_a_chunk_keeps_is_counted() -> None:
    """Words are there for receipts, whether they were asked for or not."""
    mark = Mark(MarkKind.WORD, "Halt", 0, 1)
    bare = Chunk(b"12", 0, 1, ())
    for fuller in (
        dataclasses.replace(bare, words=(mark,) * 10),
        dataclasses.replace(bare, marks=(mark,) * 10),
    ):
        kept = sum(map(sys.getsizeof, (fuller.words, fuller.marks))) + 10 * sys.getsizeof(mark)
        assert size_bytes(fuller) - size_bytes(bare) >= kept
    packets = dataclasses.replace(bare, packet_sizes=(1_000,) * 10)
    assert size_bytes(packets) - size_bytes(bare) >= 10 * (8 + sys.getsizeof(1_000)) - 80


async def test_a_damaged_recording_is_made_anew_and_put_right(fixture: CacheFixture) -> None:
    await heard(fixture)
    assert isinstance(fixture.store, MemoryStore)
    (key,) = fixture.store._entries._values
    await fixture.store.put(key, b"damaged")
    check_whole(await heard(fixture))
    assert fixture.observer.faults == {StoreFault.DAMAGED: 1}
    check_whole(await heard(fixture))
    assert len(fixture.streams) == 2


async def test_looking_up_is_shared_too() -> None:
    store = FarStore()
    fixture = CacheFixture(store)
    store.reads.clear()
    listeners = [FakeListener(fixture, REQUEST).read() for _ in range(5)]
    await settle()
    await listeners.pop(0).leave()
    assert not fixture.observer.outcomes, "it is not known yet"
    store.reads.set()
    await settle()
    assert fixture.observer.outcomes == {Outcome.MISS: 1, Outcome.JOINED: 3}
    fixture.streams[0].let(ALL)
    for listener in listeners:
        await listener.task
        check_whole(listener.parts)
    assert store.asked == len(fixture.streams) == 1


async def test_a_slow_store_holds_up_no_listener_and_later_ones_need_not_wait_for_it() -> None:
    store = FarStore()
    fixture = CacheFixture(store)
    store.writes.clear()
    check_whole(await heard(fixture))
    check_whole(await heard(fixture))
    assert len(fixture.streams) == 1
    assert fixture.observer.outcomes == {Outcome.MISS: 1, Outcome.HIT: 1}
    assert fixture.cache.statistics().flights == 1, "it is still being kept"
    store.writes.set()
    await settle()
    assert fixture.cache.statistics().flights == 0
    assert store.statistics().entries == 1


async def test_closing_tells_whoever_listens() -> None:
    fixture = CacheFixture()
    listener = FakeListener(fixture, REQUEST).read()
    await settle()
    fixture.streams[0].let(2)
    await settle()
    await fixture.cache.close()
    with pytest.raises(ClosedError):
        await listener.task
    assert fixture.streams[0].cancelled
    assert fixture.cache.statistics().flights == 0


async def test_without_a_store_everything_is_made(fixture: CacheFixture) -> None:
    fixture.cache._store = None
    request = dataclasses.replace(REQUEST, cache_policy=CachePolicy.USE)
    for n in (1, 2):
        check_whole(await heard(fixture, request))
        assert len(fixture.streams) == n
    assert fixture.observer.outcomes == {Outcome.OFF: 2}
