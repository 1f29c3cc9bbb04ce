"""What was made comes again, within bounds, whatever the store does."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import AsyncIterator

import pytest

from tests.fakes.audio_stores import FarStore
from tests.fakes.executors import settle
from tests.server.audio_makers import (
    ALL,
    REQUEST,
    TOTAL,
    Ear,
    Kitchen,
    check_whole,
    heard,
)
from voxswap_registry.errors import ClosedError
from voxswap_server.speech.cache.cache import AudioCacheStatistics
from voxswap_server.speech.cache.flight import Outcome, size_bytes
from voxswap_server.speech.cache.store import MemoryStore, StoreFault
from voxswap_server.speech.errors import TooFarBehindError
from voxswap_server.speech.parts import Chunk, Header, Mark, Trailer
from voxswap_server.speech.request import CachePolicy, MarkKind


@pytest.fixture
async def kitchen() -> AsyncIterator[Kitchen]:
    made = Kitchen()
    yield made
    await settle()
    made.cache.check_integrity()
    assert not made.running
    assert made.cache.statistics() == type(made.cache.statistics())(0, 0, 0)
    await made.cache.close()


async def test_a_line_is_made_once_and_then_it_is_there(kitchen: Kitchen) -> None:
    first, second = await heard(kitchen), await heard(kitchen)
    check_whole(first)
    check_whole(second)
    assert len(kitchen.takes) == 1
    assert kitchen.observer.outcomes == {Outcome.MISS: 1, Outcome.HIT: 1}
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
    ("policy", "seed", "takes"),
    [
        (CachePolicy.DEFAULT, 7, 1),
        (CachePolicy.DEFAULT, None, 2),
        (CachePolicy.OFF, 7, 2),
        (CachePolicy.USE, None, 1),
        (CachePolicy.USE, 7, 1),
    ],
)
async def test_who_says_nothing_gets_what_is_the_same_either_way(
    kitchen: Kitchen, policy: CachePolicy, seed: int | None, takes: int
) -> None:
    request = dataclasses.replace(REQUEST, cache_policy=policy, seed=seed)
    ears = [Ear(kitchen, request).read(1) for _ in range(2)]
    await settle()
    assert len(kitchen.takes) == takes
    off = 2 if takes == 2 else 0
    assert kitchen.observer.outcomes[Outcome.OFF] == off
    for ear in ears:
        await ear.leave()


async def test_off_is_neither_read_nor_written(kitchen: Kitchen) -> None:
    off = dataclasses.replace(REQUEST, cache_policy=CachePolicy.OFF)
    for request, takes in ((off, 1), (REQUEST, 2), (off, 3), (REQUEST, 3)):
        check_whole(await heard(kitchen, request))
        assert len(kitchen.takes) == takes


async def test_without_a_seed_all_get_the_audio_and_the_seed_of_the_first(
    kitchen: Kitchen,
) -> None:
    request = dataclasses.replace(REQUEST, seed=None, cache_policy=CachePolicy.USE)
    lines = [await heard(kitchen, request) for _ in range(3)]
    (take,) = kitchen.takes
    assert take.seed is not None
    for parts in lines:
        check_whole(parts, take.seed)


async def test_what_is_too_large_is_not_kept_and_may_not_be_joined() -> None:
    kitchen = Kitchen(entry=2_500)  # three parts or so
    first, second = (Ear(kitchen, REQUEST).read() for _ in range(2))
    await settle()
    take = kitchen.takes[0]
    take.let(1)
    await settle()
    assert kitchen.cache.statistics().held_bytes > 0
    take.let(4)
    await settle()
    assert not take.gate._value
    assert len(first.parts) == len(second.parts) == 5
    assert kitchen.cache.statistics().held_bytes == 0, "both have read it"
    third = Ear(kitchen, REQUEST).read()
    await settle()
    assert len(kitchen.takes) == 2
    for one in kitchen.takes:
        one.let(ALL)
    for ear in (first, second, third):
        await asyncio.wait_for(ear.task, 30)
        check_whole(ear.parts)
    assert isinstance(kitchen.store, MemoryStore)
    assert kitchen.store.statistics().entries == 0
    await settle()
    assert kitchen.cache.statistics().flights == 0


async def test_all_that_is_held_is_bounded() -> None:
    kitchen = Kitchen(held=5_000)
    requests = [dataclasses.replace(REQUEST, seed=n) for n in range(6)]
    ears = [Ear(kitchen, request).read() for request in requests]
    await settle()
    for _ in range(4):
        for take in kitchen.takes:
            take.let()
        await settle()
        assert kitchen.cache.statistics().held_bytes <= 5_000
    for take in kitchen.takes:
        take.let(ALL)
    for n, ear in enumerate(ears):
        await asyncio.wait_for(ear.task, 30)
        check_whole(ear.parts, n)


async def test_who_is_far_behind_where_too_much_is_held_is_told_so() -> None:
    """Nobody else notices, and asking again gives a whole line."""
    kitchen = Kitchen(entry=2_000)
    slow, fast = Ear(kitchen, REQUEST).read(2), Ear(kitchen, REQUEST).read()
    await settle()
    take = kitchen.takes[0]
    take.let(ALL)
    await asyncio.wait_for(fast.task, 30)
    check_whole(fast.parts)
    assert kitchen.cache.statistics() == AudioCacheStatistics(0, 0, 0), "nothing is held for it"
    with pytest.raises(TooFarBehindError, match="ask again"):
        await asyncio.wait_for(slow.read().task, 30)
    assert len(kitchen.takes) == 1
    assert not kitchen.running
    check_whole(await heard(kitchen))


async def test_who_is_left_behind_and_leaves_ends_nothing_for_the_others() -> None:
    kitchen = Kitchen(entry=2_000)
    slow, fast = Ear(kitchen, REQUEST).read(1), Ear(kitchen, REQUEST).read()
    await settle()
    take = kitchen.takes[0]
    take.let(5)
    await settle()
    assert kitchen.cache.statistics().listeners == 1
    await slow.leave()
    assert take.running
    take.let(ALL)
    await asyncio.wait_for(fast.task, 30)
    check_whole(fast.parts)


async def test_a_part_that_is_too_much_alone_is_heard_by_all_who_want_it() -> None:
    kitchen = Kitchen(entry=100)
    ears = [Ear(kitchen, REQUEST).read() for _ in range(3)]
    await settle()
    for _ in range(20):
        if kitchen.running:
            kitchen.takes[0].let()
            await settle()
    for ear in ears:
        await asyncio.wait_for(ear.task, 30)
        check_whole(ear.parts)


async def test_what_was_kept_is_held_within_the_bound_as_well() -> None:
    """Who reads slowly holds a recording; where many do, lines are made anew, a part at a time."""
    kitchen = Kitchen()
    requests = [dataclasses.replace(REQUEST, seed=n) for n in range(8)]
    for n, request in enumerate(requests):
        check_whole(await heard(kitchen, request), n)
    bound = 15_000
    kitchen.cache._most_held_bytes = bound
    ears = [Ear(kitchen, request).read(1) for request in requests]
    await settle()
    assert kitchen.observer.outcomes[Outcome.HIT] > 0
    assert len(kitchen.takes) > len(requests)
    for _ in range(4):
        for take in kitchen.running:
            take.let()
        for ear in ears:
            ear.read(1)
        await settle()
        latest = sum(max(map(size_bytes, take.parts)) for take in kitchen.takes[8:])
        assert kitchen.cache.statistics().held_bytes <= bound + latest
    for take in kitchen.running:
        take.let(ALL)
    for n, ear in enumerate(ears):
        await asyncio.wait_for(ear.read().task, 30)
        check_whole(ear.parts, n)
    assert kitchen.cache.statistics() == AudioCacheStatistics(0, 0, 0)


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


async def test_a_damaged_recording_is_made_anew_and_put_right(kitchen: Kitchen) -> None:
    await heard(kitchen)
    assert isinstance(kitchen.store, MemoryStore)
    (key,) = kitchen.store._entries
    await kitchen.store.put(key, b"damaged")
    check_whole(await heard(kitchen))
    assert kitchen.observer.faults == {StoreFault.DAMAGED: 1}
    check_whole(await heard(kitchen))
    assert len(kitchen.takes) == 2


async def test_looking_up_is_shared_too() -> None:
    store = FarStore()
    kitchen = Kitchen(store)
    store.reads.clear()
    ears = [Ear(kitchen, REQUEST).read() for _ in range(5)]
    await settle()
    await ears.pop(0).leave()
    assert not kitchen.observer.outcomes, "it is not known yet"
    store.reads.set()
    await settle()
    assert kitchen.observer.outcomes == {Outcome.MISS: 1, Outcome.JOINED: 3}
    kitchen.takes[0].let(ALL)
    for ear in ears:
        await ear.task
        check_whole(ear.parts)
    assert store.asked == len(kitchen.takes) == 1


async def test_a_slow_store_holds_up_no_listener_and_later_ones_need_not_wait_for_it() -> None:
    store = FarStore()
    kitchen = Kitchen(store)
    store.writes.clear()
    check_whole(await heard(kitchen))
    check_whole(await heard(kitchen))
    assert len(kitchen.takes) == 1
    assert kitchen.observer.outcomes == {Outcome.MISS: 1, Outcome.HIT: 1}
    assert kitchen.cache.statistics().flights == 1, "it is still being kept"
    store.writes.set()
    await settle()
    assert kitchen.cache.statistics().flights == 0
    assert store.statistics().entries == 1


async def test_closing_tells_whoever_listens() -> None:
    kitchen = Kitchen()
    ear = Ear(kitchen, REQUEST).read()
    await settle()
    kitchen.takes[0].let(2)
    await settle()
    await kitchen.cache.close()
    with pytest.raises(ClosedError):
        await ear.task
    assert kitchen.takes[0].cancelled
    assert kitchen.cache.statistics().flights == 0


async def test_without_a_store_everything_is_made(kitchen: Kitchen) -> None:
    kitchen.cache._store = None
    request = dataclasses.replace(REQUEST, cache_policy=CachePolicy.USE)
    for n in (1, 2):
        check_whole(await heard(kitchen, request))
        assert len(kitchen.takes) == n
    assert kitchen.observer.outcomes == {Outcome.OFF: 2}
