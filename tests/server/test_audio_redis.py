"""Whatever Redis does: audio is there or it is not, in time, and nobody sees an error."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.fakes.clocks import FakeClock
from tests.fakes.executors import settle
from tests.server.redis_process import RedisProcess, redis_process
from voxswap_server.speech.cache.redis_store import KEY_PREFIX, RedisStore
from voxswap_server.speech.cache.store import StoreFault

SOON_S, AT_LEISURE_S = 0.05, 30.0


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    with redis_process() as process:
        yield process


class RedisFixture:
    """A store, its clock and its faults."""

    def __init__(self, url: str, *, patience_s: float = AT_LEISURE_S, **settings: Any) -> None:
        self.clock = FakeClock()
        self.faults: Counter[StoreFault] = Counter()
        self.store = RedisStore(
            url,
            **({"ttl_s": 60, "most_bytes": 1 << 16} | settings),
            on_fault=lambda fault: self.faults.update([fault]),
            clock=self.clock,
            get_s=patience_s,
            put_s=patience_s,
            rest_s=5.0,
        )


@contextlib.asynccontextmanager
async def watched(url: str, **settings: Any) -> AsyncIterator[RedisFixture]:
    made = RedisFixture(url, **settings)
    try:
        yield made
    finally:
        await made.store.close()


@pytest.fixture
async def plain(redis: RedisProcess) -> AsyncIterator[Any]:
    client: Any = Redis.from_url(redis.url)
    yield client
    await client.aclose()


async def test_keys_have_a_prefix_with_the_schema_and_entries_an_end(
    redis: RedisProcess, plain: Any
) -> None:
    async with watched(redis.url, ttl_s=1_000) as fixture:
        await fixture.store.put("a", b"1")
    assert await plain.keys() == [KEY_PREFIX.encode() + b"a"]
    assert KEY_PREFIX == "voxswap:audio:1:"
    assert 990_000 < await plain.pttl(KEY_PREFIX + "a") <= 1_000_000


async def test_what_is_too_large_is_not_taken_in_and_is_no_fault(
    redis: RedisProcess, plain: Any
) -> None:
    await plain.set(KEY_PREFIX + "a", b"x" * 101)
    await plain.set(KEY_PREFIX + "b", b"x" * 100)
    async with watched(redis.url, most_bytes=100) as fixture:
        assert await fixture.store.get("a") is None
        assert await fixture.store.get("b") == b"x" * 100
        await fixture.store.put("c", b"x" * 101)
        assert not fixture.faults
    assert await plain.get(KEY_PREFIX + "c") is None


async def test_a_key_of_another_type_is_not_there_and_is_put_right(
    redis: RedisProcess, plain: Any
) -> None:
    await plain.rpush(KEY_PREFIX + "a", "a list")
    async with watched(redis.url) as fixture:
        assert await fixture.store.get("a") is None
        assert fixture.faults == {StoreFault.REFUSED: 1}
        await fixture.store.put("a", b"1")
        assert await fixture.store.get("a") == b"1", "one that answers is not left alone"


async def test_a_full_redis_keeps_nothing_and_is_still_read(redis: RedisProcess) -> None:
    async with watched(redis.url, most_bytes=1 << 20) as fixture:
        await fixture.store.put("a", b"1")
        await fixture.store._redis.config_set("maxmemory", 1)
        await fixture.store.put("b", b"2")
        assert fixture.faults == {StoreFault.REFUSED: 1}
        assert await fixture.store.get("a") == b"1"


async def test_what_cannot_be_reached_is_left_alone_for_a_while(tmp_path: Path) -> None:
    async with watched(f"unix://{tmp_path}/nobody") as fixture:
        assert await fixture.store.get("a") is None
        assert fixture.faults == {StoreFault.CONNECTION: 1}
        for _ in range(5):
            assert await fixture.store.get("a") is None
            await fixture.store.put("a", b"1")
        assert fixture.faults.total() == 1, "nobody tried"
        fixture.clock.now_s += 5
        await asyncio.gather(*(fixture.store.get("a") for _ in range(5)))
        assert fixture.faults.total() == 2, "one tried for all"


async def test_one_that_comes_back_is_used_again(redis: RedisProcess) -> None:
    async with watched(redis.url) as fixture:
        await fixture.store.put("a", b"1")
        redis.kill()
        assert await fixture.store.get("a") is None
        await fixture.store.put("b", b"2")
        redis.start()
        assert await fixture.store.get("a") is None, "it is left alone"
        fixture.clock.now_s += 5
        await fixture.store.put("b", b"2")
        assert await fixture.store.get("b") == b"2"
        assert fixture.faults == {StoreFault.CONNECTION: 1}


async def test_one_that_is_killed_under_load_fails_nobody(redis: RedisProcess) -> None:
    values = {f"{n}": b"%d" % n * 5_000 for n in range(30)}
    async with watched(redis.url) as fixture:
        for _ in range(3):
            for key, value in values.items():
                await fixture.store.put(key, value)
            assert await fixture.store.get("7") == values["7"]

            async def ask(key: str) -> None:
                for _ in range(20):
                    assert await fixture.store.get(key) in (None, values[key])
                    await fixture.store.put(key, values[key])

            await asyncio.gather(asyncio.to_thread(redis.kill), *(ask(key) for key in values))
            assert await fixture.store.get("7") is None
            redis.start()
            fixture.clock.now_s += 10
        assert set(fixture.faults) == {StoreFault.CONNECTION}
        assert not fixture.store._calls


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(path: Path, answer: Answer) -> AsyncIterator[str]:
    """A server on a socket; its connections are closed in the end."""
    answering: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering[asyncio.ensure_future(answer(reader, writer))] = writer

    server = await asyncio.start_unix_server(connected, path)
    try:
        yield f"unix://{path}"
    finally:
        server.close()
        for writer in answering.values():
            writer.close()
        await asyncio.gather(*answering, return_exceptions=True)
        for writer in answering.values():
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes whatever comes and says nothing."""
    while await reader.read(1 << 16):
        pass


async def test_one_that_says_nothing_costs_one_wait(tmp_path: Path) -> None:
    async with listening(tmp_path / "s", silent) as url:
        async with watched(url, patience_s=SOON_S) as fixture:
            assert await fixture.store.get("a") is None
            assert fixture.faults == {StoreFault.TIMEOUT: 1}
            for _ in range(100):
                assert await fixture.store.get("a") is None
            assert fixture.faults.total() == 1
            fixture.clock.now_s += 5
            await fixture.store.put("a", b"1")
            assert fixture.faults == {StoreFault.TIMEOUT: 2}


async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speaks another protocol."""
    while await reader.read(1 << 16):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def test_one_that_is_no_redis_is_a_fault_and_no_error(tmp_path: Path) -> None:
    async with listening(tmp_path / "s", nonsense) as url:
        async with watched(url, patience_s=1.0) as fixture:
            assert await fixture.store.get("a") is None
            fixture.clock.now_s += 5
            await fixture.store.put("a", b"1")
            assert fixture.faults.total() == 2


async def test_a_late_answer_is_not_taken_for_the_next(redis: RedisProcess, tmp_path: Path) -> None:
    """Redis behind a wire whose answers are held up."""
    flows = asyncio.Event()
    flows.set()

    async def wire(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, asks = await asyncio.open_unix_connection(redis.socket)

        async def there() -> None:
            while data := await reader.read(1 << 16):
                asks.write(data)
            asks.close()
            await asks.wait_closed()

        async def back() -> None:
            while data := await answers.read(1 << 16):
                await flows.wait()
                writer.write(data)

        await asyncio.gather(there(), back())

    async with listening(tmp_path / "s", wire) as url:
        async with watched(url) as fixture:
            await fixture.store.put("a", b"1")
            await fixture.store.put("b", b"2")
            flows.clear()
            fixture.store._get_s = SOON_S
            assert await fixture.store.get("a") is None
            assert fixture.faults == {StoreFault.TIMEOUT: 1}
            fixture.clock.now_s += 5
            fixture.store._get_s = AT_LEISURE_S
            flows.set()
            assert await fixture.store.get("b") == b"2"
            assert await fixture.store.get("a") == b"1"


async def test_more_calls_than_it_takes_are_not_made(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        fixture = await stack.enter_async_context(watched(f"unix://{tmp_path}/s"))
        await stack.enter_async_context(listening(tmp_path / "s", silent))  # goes first
        calls = [asyncio.ensure_future(fixture.store.get("a")) for _ in range(40)]
        await settle()
        assert fixture.faults == {StoreFault.BUSY: 8}
        assert sum(call.done() for call in calls) == 8
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        assert len(fixture.store._calls) == 32, "they end on their own"
    assert not fixture.store._calls


async def test_it_is_logged_once_in_a_while_and_without_the_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watched("redis://me:hunter2@127.0.0.1:1/0") as fixture:
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                await fixture.store.get("a")
                fixture.clock.now_s += 6
            assert fixture.faults.total() == 3
            assert len(caplog.records) == 1
            fixture.clock.now_s += 60
            await fixture.store.get("a")
    assert len(caplog.records) == 2
    assert "127.0.0.1:1" in caplog.text
    assert "hunter2" not in caplog.text
