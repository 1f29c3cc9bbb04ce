"""What callers do wrong is no fault of the server's, with real calls over real sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest
from grpc._cython import cygrpc
from grpc_health.v1.health_pb2 import HealthCheckRequest as Request
from grpc_health.v1.health_pb2 import HealthCheckResponse as Response
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fakes.doors import shared
from voxswap_registry.errors import VoiceNotFoundError
from voxswap_server.doors.grpc.calls import patience_s
from voxswap_server.doors.grpc.decoding import Undecodable
from voxswap_server.doors.grpc.guard import Call, Guard
from voxswap_server.doors.grpc.reflection import add_reflection
from voxswap_server.doors.grpc.server import ConnectionLimits, Server

SERVICE = "test.Kinds"
# None is a HealthCheckRequest: cut, of a wrong wire type, no UTF-8, deeper than messages may be.
UNDECODABLE = (b"\x0a", b"\x0a\x05ab", b"\x0f", b"\x0a\x02\xc3\x28", b"\x0b" * 200)
WAIT_S = 30


class Kinds:
    """A method of each kind; answers are the names that came."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.closed = asyncio.Event()
        self.remaining_s: float | None = None

    def answer(self, request: Request) -> Response:
        self.heard.append(request.service)
        return Response(status=Response.SERVING)

    async def unary_unary(self, request: Request, context: Any) -> Response:
        if request.service == "nobody":
            raise VoiceNotFoundError("no voice 'nobody' is registered")
        if request.service == "broken":
            raise ZeroDivisionError
        if request.service.startswith("long"):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no voice {request.service}")
        self.remaining_s = context.time_remaining()
        return self.answer(request)

    async def unary_stream(self, request: Request, context: Any) -> None:
        for _ in range(2):
            await context.write(self.answer(request))

    async def stream_unary(self, requests: AsyncIterator[Request], context: Any) -> Response:
        return [self.answer(request) async for request in requests][-1]

    async def stream_stream(self, requests: AsyncIterator[Request], context: Any) -> None:
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(self.answer(request))

    async def generator(
        self, requests: AsyncIterator[Request], context: Any
    ) -> AsyncIterator[Response]:
        try:
            async for request in requests:
                yield self.answer(request)
        finally:
            self.closed.set()

    def not_written(self, request: Request, context: Any) -> Response:
        """As generated code has it."""
        raise NotImplementedError("Method not implemented!")

    def handlers(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        coders = (Request.FromString, Response.SerializeToString)
        return {
            "UnaryUnary": grpc.unary_unary_rpc_method_handler(self.unary_unary, *coders),
            "UnaryStream": grpc.unary_stream_rpc_method_handler(self.unary_stream, *coders),
            "StreamUnary": grpc.stream_unary_rpc_method_handler(self.stream_unary, *coders),
            "StreamStream": grpc.stream_stream_rpc_method_handler(self.stream_stream, *coders),
            "Generator": grpc.stream_stream_rpc_method_handler(self.generator, *coders),
            "NotWritten": grpc.unary_unary_rpc_method_handler(self.not_written, *coders),
        }


KINDS = ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream", "Generator")


def a_guard(**more: Any) -> Guard:
    return Guard(shared(), **more)


class DecodingServer:
    """A server with `Kinds`, and a channel to it."""

    def __init__(self) -> None:
        self.kinds = Kinds()
        self.undecodable = 0
        self.server = Server(a_guard(observe_undecodable=self._count), ConnectionLimits())
        self.server.add_registered_method_handlers(SERVICE, self.kinds.handlers())
        add_reflection(self.server, [SERVICE])

    def _count(self) -> None:
        self.undecodable += 1

    async def start(self) -> None:
        port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        self.channel: Any = grpc.aio.insecure_channel(f"127.0.0.1:{port}")

    def path(self, kind: str) -> str:
        return f"/{SERVICE}/{kind}"

    def call(
        self,
        kind: str,
        messages: Iterable[bytes],
        timeout: float = WAIT_S,
        *,
        stays_open: bool = False,
    ) -> Any:
        """Raw, and as streams both ways: on the wire, one message is a stream of one.

        A client whose call ends while it writes may make an INTERNAL of its own of that; one that
        ``stays_open`` writes nothing more.
        """
        waiting = iter(list(messages))

        async def feed() -> AsyncIterator[bytes]:
            for message in waiting:
                yield message
            if stays_open:
                await asyncio.Event().wait()

        return self.channel.stream_stream(self.path(kind))(feed(), timeout=timeout)

    async def ended(
        self, kind: str, *messages: bytes, stays_open: bool = False
    ) -> tuple[int, grpc.StatusCode, str]:
        """How many answers came, and the status."""
        call, answers = self.call(kind, messages, stays_open=stays_open), 0
        try:
            async for _ in call:
                answers += 1
        except grpc.aio.AioRpcError:
            pass
        return answers, await call.code(), await call.details()


@pytest.fixture
async def server() -> AsyncIterator[DecodingServer]:
    server = DecodingServer()
    await server.start()
    yield server
    await server.channel.close()
    await server.server.stop(None)


JOE = Request(service="joe").SerializeToString()


@pytest.mark.parametrize(("kind", "answers"), [*zip(KINDS, (1, 2, 1, 1, 1), strict=True)])
async def test_messages_that_are_sound_get_through(
    server: DecodingServer, kind: str, answers: int
) -> None:
    assert await server.ended(kind, JOE) == (answers, grpc.StatusCode.OK, "")
    assert set(server.kinds.heard) == {"joe"}
    assert server.undecodable == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", UNDECODABLE)
async def test_a_message_that_is_none_is_the_callers_fault(
    server: DecodingServer, kind: str, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answers, code, details = await server.ended(kind, data)
    assert (answers, code) == (0, grpc.StatusCode.INVALID_ARGUMENT)
    assert "is no grpc.health.v1.HealthCheckRequest" in details
    assert (server.kinds.heard, server.undecodable) == ([], 1)
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["StreamUnary", "StreamStream", "Generator"])
async def test_one_in_the_midst_of_a_stream_ends_it(
    server: DecodingServer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, code, _ = await server.ended(kind, JOE, b"\x0a", stays_open=True)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert server.kinds.heard == ["joe"]
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["UnaryUnary", "UnaryStream"])
async def test_a_call_that_ends_without_its_message_gets_an_answer(
    server: DecodingServer, kind: str
) -> None:
    """grpc's own server says nothing, and the client waits as long as it will."""
    _, code, details = await server.ended(kind)
    assert (code, "is missing" in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_a_method_that_nobody_wrote_is_unimplemented(
    server: DecodingServer, caplog: pytest.LogCaptureFixture
) -> None:
    _, code, _ = await server.ended("NotWritten", JOE)
    assert code == grpc.StatusCode.UNIMPLEMENTED
    assert caplog.records == []


async def test_errors_of_any_servicer_are_mapped(server: DecodingServer) -> None:
    nobody = Request(service="nobody").SerializeToString()
    _, code, details = await server.ended("UnaryUnary", nobody)
    assert (code, "no voice 'nobody'" in details) == (grpc.StatusCode.NOT_FOUND, True)
    broken = Request(service="broken").SerializeToString()
    _, code, details = await server.ended("UnaryUnary", broken)
    assert (code, "reference" in details) == (grpc.StatusCode.INTERNAL, True)


async def test_what_a_servicer_says_of_a_long_name_is_short_enough_to_arrive(
    server: DecodingServer,
) -> None:
    """grpc's client says RESOURCE_EXHAUSTED to trailers over 16 KiB, whatever their code."""
    long = Request(service="long" * 10_000).SerializeToString()
    _, code, details = await server.ended("UnaryUnary", long)
    assert (code, details[:18]) == (grpc.StatusCode.NOT_FOUND, "no voice longlongl")


async def test_a_generator_of_answers_is_closed_when_its_client_goes(
    server: DecodingServer,
) -> None:
    call = server.channel.stream_stream(server.path("Generator"))(timeout=WAIT_S)
    await call.write(JOE)
    assert await call.read()
    call.cancel()
    async with asyncio.timeout(WAIT_S):
        await server.kinds.closed.wait()


# A connection that goes away


class Gone:
    """A context whose connection was reset."""

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def time_remaining(self) -> float | None:
        return None

    async def fail(self, *_: object) -> None:
        raise grpc.aio.InternalError("failed to send")

    read = write = abort = fail


@pytest.mark.parametrize("method", ["read", "write", "abort"])
async def test_a_connection_that_was_reset_is_a_call_that_was_cancelled(method: str) -> None:
    context = Call(Gone(), a_guard())  # type: ignore[arg-type]
    with pytest.raises(asyncio.CancelledError):
        await getattr(context, method)(*([] if method == "read" else [b""]))


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), False),
        (cygrpc.ExecuteBatchError("failed to send"), False),
        (ZeroDivisionError(), True),
        (None, True),
    ],
)
async def test_what_grpc_logs_of_its_callers_is_left_out(
    server: DecodingServer, caplog: pytest.LogCaptureFixture, error: Exception | None, shown: bool
) -> None:
    logging.getLogger("grpc._cython.cygrpc").error("it happened", exc_info=error)
    assert ("it happened" in caplog.text) is shown


# Paths


PATHS = (b"/\xff\xfe", b"/test.Kinds/UnaryUnary\xc3", b"/", b"x", b"/test.Kinds/Sing")


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_of_any_bytes_is_an_unknown_method(
    server: DecodingServer, path: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """grpc's own server ends for one that is no UTF-8, and takes no call any more."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await server.channel.unary_unary(path)(JOE, timeout=WAIT_S)
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert (await server.ended("UnaryUnary", JOE))[1] == grpc.StatusCode.OK
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_unknown_methods_are_refused_in_any_number(server: DecodingServer) -> None:
    async def ask(n: int) -> grpc.StatusCode:
        path = PATHS[n % len(PATHS)]
        try:
            await server.channel.unary_unary(path)(JOE, timeout=WAIT_S)
        except grpc.aio.AioRpcError as error:
            return error.code()
        raise AssertionError

    assert set(await asyncio.gather(*map(ask, range(200)))) == {grpc.StatusCode.UNIMPLEMENTED}


async def test_a_server_that_stops_waits_for_no_unknown_method(server: DecodingServer) -> None:
    async with asyncio.timeout(WAIT_S):
        await server.server.stop(WAIT_S)


# Deadlines


def on_the_wire_s(timeout_s: float) -> float:
    """A timeout as grpc's core sends it: three digits, rounded up."""
    ms = max(1, -int(-timeout_s * 1000 // 1))
    step = 1
    while ms >= 1000 * step:
        step *= 10
    return -(-ms // step) * step / 1000


class Waiting:
    """A context whose client said ``timeout_s``, which took ``way_s`` to get here."""

    def __init__(self, timeout_s: float, way_s: float) -> None:
        self.ends_s, self.now_s = on_the_wire_s(timeout_s), way_s

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def time_remaining(self) -> float:
        return max(0.0, self.ends_s - self.now_s)


@given(
    timeout_s=st.floats(0.01, 90_000),
    way_s=st.floats(0, 0.005),
    share=st.floats(0, 1),
)
@example(timeout_s=0.010000000000000002, way_s=0.00390625, share=0.0)
@example(timeout_s=10.001, way_s=0.0, share=0.0)
@example(timeout_s=100.1, way_s=0.0, share=0.99)
@example(timeout_s=1000.5, way_s=0.0, share=0.5)
def test_patience_ends_before_the_clients_whatever_grpc_made_of_its_deadline(
    timeout_s: float, way_s: float, share: float
) -> None:
    """However much of the time has passed when somebody asks how much is left."""
    inner = Waiting(timeout_s, way_s)
    context = Call(inner, a_guard())  # type: ignore[arg-type]
    inner.now_s += share * max(0.0, timeout_s - way_s)
    patience = patience_s(context)  # type: ignore[arg-type]
    clients_s = timeout_s - inner.now_s
    assert patience is not None
    assert patience <= max(0.0, clients_s) + 1e-9
    # And it is nearly all of it.
    assert patience >= clients_s - 0.06 - 0.011 * on_the_wire_s(timeout_s)


@pytest.mark.parametrize("timeout_s", [5.001, 10.001, 10.01, 100.1, 1000.1])
async def test_a_real_call_is_said_to_last_no_longer_than_its_client_waits(
    server: DecodingServer, timeout_s: float
) -> None:
    call = server.call("UnaryUnary", [JOE], timeout=timeout_s)
    async for _ in call:
        pass
    assert server.kinds.remaining_s is not None
    assert timeout_s * 0.97 < server.kinds.remaining_s < timeout_s


def test_an_undecodable_message_tells_what_was_expected() -> None:
    (violation,) = Undecodable("voxswap.v1.LoadRequest").error().violations
    assert "is no voxswap.v1.LoadRequest" in violation.description
