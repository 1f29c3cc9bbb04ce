"""What every store of audio does, on memory and on a real Redis; and what memory does beside."""

from __future__ import annotations

import asyncio
import sys
import tracemalloc
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.fakes.audio_stores import FarStore
from tests.server.redis_process import RedisProcess, redis_process
from voxswap_server.speech.cache.redis_store import RedisStore
from voxswap_server.speech.cache.store import AudioStore, MemoryStore, TieredStore

ROOM = 1 << 20


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    with redis_process() as process:
        yield process


@pytest.fixture(params=["memory", "far", "redis", "tiered"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[AudioStore]:
    made: AudioStore = FarStore(ROOM) if request.param == "far" else MemoryStore(ROOM)
    if request.param in ("redis", "tiered"):
        redis: RedisProcess = request.getfixturevalue("redis")
        far = RedisStore(redis.url, ttl_s=60, most_bytes=ROOM // 4, get_s=30, put_s=30)
        await far._redis.flushall()
        made = far if request.param == "redis" else TieredStore(made, far)
    yield made
    await made.close()


async def test_what_was_put_is_there_and_nothing_else(store: AudioStore) -> None:
    assert await store.get("a") is None
    await store.put("a", b"\x00\xff\r\n one")
    await store.put("b", b"two")
    assert await store.get("a") == b"\x00\xff\r\n one"
    assert await store.get("b") == b"two"
    assert await store.get("c") is None


async def test_a_later_value_takes_the_place_of_an_earlier_one(store: AudioStore) -> None:
    await store.put("a", b"a longer one")
    await store.put("a", b"two")
    assert await store.get("a") == b"two"


async def test_a_quarter_of_the_room_fits_and_what_is_far_larger_does_not(
    store: AudioStore,
) -> None:
    fits = b"x" * (ROOM // 4 - 1024)
    await store.put("a", fits)
    assert await store.get("a") == fits
    await store.put("b", b"x" * (ROOM // 4 + 1024))
    assert await store.get("b") is None


async def test_many_may_ask_at_a_time(store: AudioStore) -> None:
    values = {f"key {n}": b"%d" % n * 100 for n in range(20)}
    await asyncio.gather(*(store.put(key, value) for key, value in values.items()))
    found = await asyncio.gather(*(store.get(key) for key in values))
    assert found == list(values.values())


async def test_a_cancelled_put_keeps_everything_or_nothing(store: AudioStore) -> None:
    value = b"x" * 100_000
    for turns in range(12):
        key = f"key {turns}"
        task = asyncio.ensure_future(store.put(key, value))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await store.get(key) in (None, value)
    await store.put("after", b"1")
    assert await store.get("after") == b"1"


async def test_what_is_found_far_away_is_kept_nearby() -> None:
    near, far = MemoryStore(ROOM), MemoryStore(ROOM)
    tiered = TieredStore(near, far)
    await far.put("a", b"1")
    assert await tiered.get("a") == b"1"
    assert await near.get("a") == b"1"
    await tiered.put("b", b"2")
    assert [await s.get("b") for s in (near, far)] == [b"2", b"2"]
    await tiered.close()
    assert near.statistics().entries == far.statistics().entries == 0


async def test_a_value_that_is_too_large_still_replaces_what_was_there() -> None:
    store = MemoryStore(8_000)
    await store.put("a", b"old")
    await store.put("a", b"x" * 2_001)
    assert await store.get("a") is None
    store.check_integrity()


@pytest.mark.parametrize("size", [0, 100, 3_000])
async def test_no_more_memory_is_taken_than_is_counted(size: int) -> None:
    store = MemoryStore(64 << 20)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for n in range(5_000):
            await store.put(f"{n:064x}", bytes(size))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    counted = store.statistics().bytes
    assert store.statistics().entries == 5_000
    assert taken <= counted <= 1.2 * taken + 5_000 * 256


keys = st.sampled_from("abcdefgh")


class MemoryMachine(RuleBasedStateMachine):
    """Against a plain list of what was used when."""

    def __init__(self) -> None:
        super().__init__()
        self.evicted = self.pushed_out = 0
        self.store = MemoryStore(4_000, on_eviction=self.count)
        self.model: OrderedDict[str, bytes] = OrderedDict()

    def count(self) -> None:
        self.evicted += 1

    @rule(key=keys, size=st.integers(0, 1_200))
    def put(self, key: str, size: int) -> None:
        value = bytes([len(self.model)]) * size
        asyncio.run(self.store.put(key, value))
        self.model.pop(key, None)
        charged = self.charge(key, value)
        if charged <= 1_000:
            while charged + sum(self.charge(*item) for item in self.model.items()) > 4_000:
                self.model.popitem(last=False)
                self.pushed_out += 1
            self.model[key] = value

    @rule(key=keys)
    def get(self, key: str) -> None:
        assert asyncio.run(self.store.get(key)) == self.model.get(key)
        if key in self.model:
            self.model.move_to_end(key)

    @staticmethod
    def charge(key: str, value: bytes) -> int:
        return sys.getsizeof(key) + sys.getsizeof(value) + 256

    @invariant()
    def the_same_entries_in_the_same_order_within_the_bound(self) -> None:
        self.store.check_integrity()
        assert [(k, v) for k, (_, v) in self.store._entries._values.items()] == list(
            self.model.items()
        )
        counted = self.store.statistics()
        assert counted.entries == len(self.model)
        assert counted.bytes == sum(self.charge(*item) for item in self.model.items()) <= 4_000
        assert self.evicted == self.pushed_out


TestMemoryMachine = MemoryMachine.TestCase
