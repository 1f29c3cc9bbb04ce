"""Limits of calls and connections, on real sockets, with handlers of a few lines."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from tests.fakes.doors import shared
from tests.raw_http2 import RawClient
from voxswap_server.doors.grpc import guard as guard_module
from voxswap_server.doors.grpc.guard import Guard
from voxswap_server.doors.grpc.server import ConnectionLimits, Server
from voxswap_server.doors.shared import Limits

SPEECH = "voxswap.v1.SpeechService"
SPEAK, PLAIN = f"/{SPEECH}/Synthesize", "/test.Test/Plain"


async def echo(request: bytes, context: object) -> bytes:
    return request


class GuardedServer:
    """A guarded server and what it counted."""

    def __init__(self, limits: Limits, connections: ConnectionLimits) -> None:
        self.refused: Counter[str] = Counter()
        self.guard = Guard(shared(limits, refused=lambda reason: self.refused.update([reason])))
        self.server = Server(self.guard, connections)
        self.address = ""
        self.finished: asyncio.Queue[str] = asyncio.Queue()
        self.gate = asyncio.Event()

    def add(self, service: str, **handlers: grpc.RpcMethodHandler[Any, Any]) -> None:
        self.server.add_registered_method_handlers(service, handlers)

    async def flood(self, request: bytes, context: Any) -> None:
        """Writes for ever."""
        try:
            while True:
                await context.write(b"." * 20_000)
        finally:
            await self.finished.put("flood")

    async def wait(self, request: bytes, context: Any) -> None:
        """Writes once, then nothing."""
        try:
            await context.write(request)
            await self.gate.wait()
        finally:
            await self.finished.put("wait")

    async def until(self, look: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not look():  # noqa: ASYNC110 - any change, from the core's threads
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def server(
    limits: Limits | None = None, connections: ConnectionLimits | None = None
) -> AsyncIterator[GuardedServer]:
    found = GuardedServer(limits or Limits(), connections or ConnectionLimits())
    found.add(
        SPEECH,
        Synthesize=grpc.unary_stream_rpc_method_handler(found.wait),
        Converse=grpc.stream_stream_rpc_method_handler(found.wait),
    )
    found.add(
        "test.Test",
        Plain=grpc.unary_unary_rpc_method_handler(echo),
        Flood=grpc.unary_stream_rpc_method_handler(found.flood),
        Wait=grpc.unary_stream_rpc_method_handler(found.wait),
    )
    found.address = f"127.0.0.1:{found.server.add_insecure_port('127.0.0.1:0')}"
    await found.server.start()
    try:
        yield found
    finally:
        await found.server.stop(0)
    guard = found.guard
    # The core has ended them all; their handlers are about to know.
    await found.until(lambda: not guard.open_calls + len(guard.waiting) + len(guard.answering))


@contextlib.asynccontextmanager
async def connected(found: GuardedServer, **options: int) -> AsyncIterator[Any]:
    pairs = [(f"grpc.{name}", value) for name, value in options.items()]
    async with grpc.aio.insecure_channel(found.address, options=pairs) as channel:
        yield channel


async def plain(found: GuardedServer) -> None:
    async with connected(found) as channel:
        assert await channel.unary_unary(PLAIN)(b"hello", timeout=30) == b"hello"


def begun(channel: grpc.aio.Channel, path: str) -> Any:
    """A call that has sent its headers, and whose message never comes."""
    call: Any = channel.stream_unary(path)(timeout=60)
    return call


async def to_its_end(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


# Calls


async def test_all_four_kinds_of_calls_pass_messages_and_metadata_on() -> None:
    async def doubled(request: bytes, context: Any) -> None:
        assert dict(context.invocation_metadata())["key"] == "value"
        assert 0 < context.time_remaining() <= 30
        context.set_trailing_metadata((("answer", "trailer"),))
        for _ in range(2):
            await context.write(request)

    async def joined(requests: AsyncIterator[bytes], context: Any) -> bytes:
        return b"".join([message async for message in requests])

    async def echoes(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for message in requests:
            yield message

    found = GuardedServer(Limits(), ConnectionLimits())
    found.add(
        "test.Test",
        Plain=grpc.unary_unary_rpc_method_handler(echo),
        Doubled=grpc.unary_stream_rpc_method_handler(doubled),
        Joined=grpc.stream_unary_rpc_method_handler(joined),
        Echoes=grpc.stream_stream_rpc_method_handler(echoes),
    )
    found.address = f"127.0.0.1:{found.server.add_insecure_port('127.0.0.1:0')}"
    await found.server.start()
    async with connected(found) as channel:
        await plain(found)
        call = channel.unary_stream("/test.Test/Doubled")(
            b"a", metadata=(("key", "value"),), timeout=30
        )
        assert [message async for message in call] == [b"a", b"a"]
        assert dict(await call.trailing_metadata()) == {"answer": "trailer"}
        joining = channel.stream_unary("/test.Test/Joined")(iter([b"a", b"", b"c"]), timeout=30)
        assert await joining == b"ac"
        echoing = channel.stream_stream("/test.Test/Echoes")(iter([b"a", b"b"]), timeout=30)
        assert [message async for message in echoing] == [b"a", b"b"]
    await found.server.stop(0)
    assert not found.refused


async def test_a_call_without_a_message_ends_after_the_limit() -> None:
    async with server(Limits(first_message_s=0.1)) as found, connected(found) as channel:
        for path in (PLAIN, SPEAK, f"/{SPEECH}/Converse"):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await begun(channel, path)
            assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert "within 0.1 s" in (raised.value.details() or "")
        await found.until(lambda: not found.guard.open_calls)
        assert found.refused == {"FIRST_MESSAGE_LATE": 3}
        assert found.guard.places(SPEAK).taken == 0


async def test_who_waits_without_a_message_pushes_out_his_own_kind_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard_module, "_MOST_WAITING", 8)
    async with server(Limits(first_message_s=60)) as found, connected(found) as channel:
        calls = [begun(channel, SPEAK) for _ in range(50)]
        await found.until(lambda: sum(call.done() for call in calls) == 50 - 8)
        assert found.refused == {"FIRST_MESSAGE_LATE": 50 - 8}
        assert len(found.guard.waiting) == 8
        told = [await call.details() for call in calls if call.done()]
        assert all("waited longest" in details for details in told)
        await plain(found)  # and pushes out one more
        for call in calls:
            call.cancel()


async def test_a_unary_call_that_ends_without_a_message_is_told_so() -> None:
    async with server() as found, connected(found) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.stream_unary(PLAIN)(iter(()), timeout=30)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_streams_are_counted_together_and_other_calls_get_in() -> None:
    async with server(Limits(most_streams=3)) as found, connected(found) as channel:
        speak = channel.unary_stream(SPEAK)
        calls: list[Any] = [speak(b"hello", timeout=60) for _ in range(2)]
        conversation = channel.stream_stream(f"/{SPEECH}/Converse")(timeout=60)
        await conversation.write(b"hello")
        await found.until(lambda: found.guard.places(SPEAK).taken == 2)
        conversation.cancel()  # its behaviour takes its requests for a message; no matter
        await found.until(lambda: found.guard.places(SPEAK).taken == 2)
        calls.append(speak(b"hello", timeout=60))
        for call in calls:
            assert await call.read() == b"hello"
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await speak(b"hello", timeout=60).read()
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert any(
            key == "grpc-status-details-bin" and b"RetryInfo" in value
            for key, value in raised.value.trailing_metadata()
        )
        assert found.refused == {"TOO_MANY_STREAMS": 1}
        await plain(found)
        calls[0].cancel()
        await found.until(lambda: found.guard.places(SPEAK).taken == 2)
        assert await speak(b"hello", timeout=60).read() == b"hello"


async def test_a_method_that_is_flooded_shuts_nobody_out_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard_module, "_MOST_OPEN", 2)
    async with server() as found, connected(found) as channel:
        wait = channel.unary_stream("/test.Test/Wait")
        calls = [wait(b"hello", timeout=60) for _ in range(2)]
        for call in calls:
            await call.read()
        with pytest.raises(grpc.aio.AioRpcError, match="2 calls of Wait are open"):
            await wait(b"hello", timeout=60).read()
        await plain(found)
        assert found.refused == {"TOO_MANY_CALLS": 1}


# Clients that do not read


async def test_a_stalled_write_ends_the_call_and_is_told_once_the_client_reads() -> None:
    async with server(Limits(stalled_write_s=0.5)) as found, connected(found) as channel:
        healthy = channel.unary_stream("/test.Test/Wait")(b"hello", timeout=60)
        assert await healthy.read() == b"hello"
        call = channel.unary_stream("/test.Test/Flood")(b"", timeout=60)
        assert await found.finished.get() == "flood"
        assert found.refused["WRITE_STALLED"] == 1
        # It reads again: what was sent, and the status after it.
        with pytest.raises(grpc.aio.AioRpcError, match=r"took nothing for 0\.5 s"):
            await to_its_end(call)
        await found.until(lambda: found.guard.open_calls == 1)
        assert healthy.done() is False, "its connection does other things, so it was left alone"


async def test_a_connection_that_does_nothing_but_stall_is_ended() -> None:
    async with server(Limits(stalled_write_s=0.2)) as found:
        with RawClient(found.address) as client:
            client.call("/test.Test/Flood", b"")
            assert await found.finished.get() == "flood"
            await found.until(lambda: not client.is_open())
        await found.until(lambda: not found.guard.open_calls)
        assert found.refused == {"WRITE_STALLED": 1, "CONNECTION_STALLED": 1}
        await plain(found)


async def test_a_client_that_takes_not_even_the_first_message_loses_its_connection() -> None:
    async with server(Limits(stalled_write_s=0.2)) as found:
        with RawClient(found.address, window_bytes=0) as client:
            client.call("/test.Test/Wait", b"hello")
            assert await found.finished.get() == "wait"
            await found.until(lambda: not client.is_open())
        await found.until(lambda: not found.guard.open_calls)


async def test_answers_that_nobody_takes_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand calls whose answers have no window: nothing here writes, and nothing waits."""
    monkeypatch.setattr(guard_module, "_MOST_ANSWERING", 32)
    monkeypatch.setattr(guard_module, "_MOST_LAME", 4)
    async with server(Limits(stalled_write_s=60)) as found:
        with RawClient(found.address, window_bytes=0) as client:
            for _ in range(200):
                client.call(PLAIN, b"hello")
            await found.until(lambda: not client.is_open())
        await found.until(lambda: not found.guard.open_calls)
        assert found.refused["CONNECTION_STALLED"] >= 1
        await plain(found)


async def test_of_many_lame_calls_the_connection_with_the_most_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard_module, "_MOST_LAME", 8)
    async with server(Limits(stalled_write_s=0.3)) as found:
        with RawClient(found.address) as few, RawClient(found.address) as many:
            for client, floods in ((few, 1), (many, 8)):
                client.call("/test.Test/Wait", b"hello")  # this one is well
                for _ in range(floods):
                    client.call("/test.Test/Flood", b"")
            await found.until(lambda: few.is_open() and not many.is_open())
            await found.until(lambda: found.guard.open_calls == 2)
            assert few.is_open(), "its connection does other things"
            assert found.refused == {"WRITE_STALLED": 9, "CONNECTION_STALLED": 1}


async def test_what_a_failed_call_held_is_free_before_its_client_knows() -> None:
    """An error keeps the frames that it passed through, and those keep voices."""

    class Voice:
        pass

    held: list[Any] = []

    async def speak(request: bytes, context: Any) -> None:
        import weakref

        voice = Voice()
        held.append(weakref.ref(voice))
        while True:
            await context.write(b"." * 20_000)

    found = GuardedServer(Limits(stalled_write_s=0.2), ConnectionLimits())
    found.add(
        "test.Test",
        Speak=grpc.unary_stream_rpc_method_handler(speak),
        Wait=grpc.unary_stream_rpc_method_handler(found.wait),
    )
    found.address = f"127.0.0.1:{found.server.add_insecure_port('127.0.0.1:0')}"
    await found.server.start()
    async with connected(found) as channel:
        healthy = channel.unary_stream("/test.Test/Wait")(b"hello", timeout=60)
        assert await healthy.read() == b"hello"
        call = channel.unary_stream("/test.Test/Speak")(b"", timeout=60)
        await found.until(lambda: found.refused["WRITE_STALLED"] == 1)
        await found.until(lambda: held[0]() is None)
        assert found.guard.open_calls == 2
        call.cancel()
    await found.server.stop(0)


async def test_a_client_that_goes_while_it_is_written_to_leaves_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with server() as found:
        for _ in range(20):
            with RawClient(found.address) as client:
                client.call("/test.Test/Flood", b"")
                await found.until(lambda: found.guard.places("/test.Test/Flood").taken == 1)
            assert await found.finished.get() == "flood"
            await found.until(lambda: not found.guard.open_calls)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# Connections


async def test_connections_that_say_nothing_are_closed() -> None:
    limits = ConnectionLimits(hello_s=0.2, idle_s=0.4)
    async with server(connections=limits) as found:
        with contextlib.ExitStack() as stack:
            silent = []
            for _ in range(20):
                connection = await asyncio.open_connection(*found.address.split(":"))
                stack.callback(connection[1].close)
                silent.append(connection[0])
            idle = [stack.enter_context(RawClient(found.address)) for _ in range(20)]
            async with asyncio.timeout(30):
                for reader in silent:
                    await reader.read()
            await found.until(lambda: not any(client.is_open() for client in idle))


async def test_a_silent_stream_keeps_its_connection() -> None:
    """Through many limits of idleness and pings of both sides."""
    limits = ConnectionLimits(hello_s=0.2, idle_s=0.2, keepalive_s=0.4)
    async with server(connections=limits) as found:
        pings = {"keepalive_time_ms": 300, "http2.max_pings_without_data": 0}
        async with connected(found, **pings) as channel:
            call = channel.unary_stream("/test.Test/Wait")(b"hello", timeout=60)
            assert await call.read() == b"hello"
            reading = asyncio.ensure_future(call.read())
            with pytest.raises(TimeoutError):  # that is: nothing happens for so long
                async with asyncio.timeout(3):
                    await asyncio.shield(reading)
            found.gate.set()
            assert await reading is grpc.aio.EOF


async def test_a_client_that_answers_no_pings_is_gone() -> None:
    async with server(connections=ConnectionLimits(keepalive_s=0.2)) as found:
        with RawClient(found.address, answers=False) as client:
            client.call("/test.Test/Wait", b"hello")
            async with asyncio.timeout(15):  # a minute, if the core's own limit held
                assert await found.finished.get() == "wait"


# The way down


@pytest.mark.parametrize("says_hello", [False, True])
async def test_connections_without_calls_do_not_hold_up_the_stop(says_hello: bool) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        async with server() as found:
            for _ in range(50):
                if says_hello:
                    stack.enter_context(RawClient(found.address))
                else:
                    _, writer = await asyncio.open_connection(*found.address.split(":"))
                    stack.callback(writer.close)
            await plain(found)
            began = loop.time()
            await found.server.stop(60)
            assert loop.time() - began < 30


async def test_a_stop_waits_for_calls_and_no_longer() -> None:
    async with server() as found, connected(found) as channel:
        call = channel.unary_stream("/test.Test/Wait")(b"hello", timeout=60)
        assert await call.read() == b"hello"
        with RawClient(found.address):
            stopping = asyncio.ensure_future(found.server.stop(60))
            with contextlib.suppress(grpc.aio.AioRpcError):  # until no more are let in
                while True:
                    await plain(found)
            assert not stopping.done()
            found.gate.set()
            assert await call.read() is grpc.aio.EOF
            assert await call.code() is grpc.StatusCode.OK
            async with asyncio.timeout(30):
                await stopping


async def test_after_the_grace_calls_are_cancelled() -> None:
    async with server() as found, connected(found) as channel:
        call = channel.unary_stream("/test.Test/Wait")(b"hello", timeout=60)
        assert await call.read() == b"hello"
        async with asyncio.timeout(30):
            await found.server.stop(0.1)
        assert await found.finished.get() == "wait"
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
