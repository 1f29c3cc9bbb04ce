"""Tasks and the calls of grpc.aio, for the asyncio client; `threads` has the same names."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

import grpc
import grpc.aio

from voxswap.v1.voices_pb2 import RegisterVoiceRequest, RegisterVoiceResponse
from voxswap_client.channel import OPTIONS
from voxswap_client.errors import CallCancelledError, VoxswapClientError
from voxswap_client.rpc_status import cancelled, from_rpc_error
from voxswap_client.types import InterruptReceipt
from voxswap_client.upload import Meter

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Sent = TypeVar("_Sent")
_Got = TypeVar("_Got")

Sleep = Callable[[float], Awaitable[object]]
Interrupt = Callable[[str], Awaitable[InterruptReceipt]]
Fragments = AsyncIterable[str] | Iterable[str]
if TYPE_CHECKING:
    Unary = grpc.aio.UnaryUnaryMultiCallable
    Answers = grpc.aio.UnaryStreamCall[Any, _T]
    TwoWay = grpc.aio.StreamStreamCall[Any, _T]

FAULTS = Exception  # what fragments may fail with; a task that is cancelled has not failed
Lock = contextlib.nullcontext  # tasks need none where nothing is awaited
sleep = asyncio.sleep


def open_channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    """A channel to ``address``; without ``credentials`` nothing is encrypted."""
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=OPTIONS)
    return grpc.aio.secure_channel(address, credentials, options=OPTIONS)


@contextlib.contextmanager
def grpc_errors() -> Iterator[None]:
    """What grpc.aio raises in the block leaves it as a `VoxswapClientError`.

    `asyncio.CancelledError` passes only if it was meant for this task: grpc.aio raises one as well
    in a task that nobody cancelled, when its call was.
    """
    try:
        yield
    except grpc.RpcError as raised:
        raise from_rpc_error(raised) from raised
    except grpc.aio.UsageError as error:  # the client is closed
        raise cancelled() from error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling() > 0:
            raise
        raise cancelled() from None


async def receive(call: Answers[_T] | TwoWay[_T]) -> _T | None:
    """The next message, None at the end. Raises `VoxswapClientError`.

    A task that is cancelled here cancels the call.
    """
    try:
        with grpc_errors():
            message = await call.read()
    except asyncio.CancelledError:
        call.cancel()
        raise
    return None if message is grpc.aio.EOF else cast("_T", message)


async def run_blocking(function: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
    """What ``function`` gives, which reads files: in another thread."""
    return await asyncio.to_thread(function, *args, **options)


class Statuses:
    """Every status that a call takes on, one after the other. For one event loop.

    If the server ends a call while a message is being written, grpc.aio makes it INTERNAL before or
    after the true status is there: without details, while our server's INTERNAL has some.
    """

    def __init__(self, call: grpc.aio.Call) -> None:
        self._found: list[grpc.aio.AioRpcError] = []
        call.add_done_callback(lambda _: self._found.extend(_status_now(call)))

    def servers_own(self, raised: grpc.RpcError) -> grpc.RpcError:
        """The status that the server gave, among them and ``raised``, which is the last one."""
        for status in (*self._found, raised):
            if status.code() is not grpc.StatusCode.INTERNAL or status.trailing_metadata():
                return status
        return raised

    @property
    def ended_with(self) -> grpc.RpcError | None:
        """What a call that is over ended with; None if that was well."""
        failures = [s for s in self._found if s.code() is not grpc.StatusCode.OK]
        return self.servers_own(failures[-1]) if failures else None


def _status_now(call: grpc.aio.Call) -> list[grpc.aio.AioRpcError]:
    """The status of a call that has just been given one. It may be another one soon."""
    reading = _status(call)
    try:
        reading.send(None)
    except StopIteration as end:
        return [end.value]
    reading.close()
    return []  # it would have had to wait


async def _status(call: grpc.aio.Call) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        await call.code(),
        trailing_metadata=await call.trailing_metadata(),
        details=await call.details(),
    )


class Exchange(Generic[_Sent, _Got]):
    """A call that sends messages, kept here until there is room, while it receives others.

    For one event loop. ``on_end`` is called once the call is over, however it ended.
    """

    def __init__(
        self,
        start: Callable[[AsyncIterator[_Sent]], TwoWay[_Got]],
        first: _Sent,
        *,
        on_end: Callable[[], object],
    ) -> None:
        self._outbox = outbox = asyncio.Queue[_Sent | None]()
        outbox.put_nowait(first)
        with grpc_errors():
            self._call = start(_until_none(outbox))
        self._statuses = Statuses(self._call)

        def ended(_call: object) -> None:
            outbox.put_nowait(None)  # grpc's own task waits at the outbox: let it go
            on_end()

        self._call.add_done_callback(ended)

    def put(self, message: _Sent | None) -> None:
        """Send ``message`` in its turn; None ends our side. Never waits."""
        self._outbox.put_nowait(message)

    async def receive(self) -> _Got | None:
        """The next message, None at the end. Raises `VoxswapClientError`, as `receive` does."""
        try:
            return await receive(self._call)
        except VoxswapClientError as error:
            raised = error.__cause__
            if not isinstance(raised, grpc.RpcError):
                raise
            raise from_rpc_error(self._statuses.servers_own(raised)) from raised

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self._call.done()

    @property
    def failure(self) -> VoxswapClientError | None:
        """What a call that is over failed with, if it did."""
        found = self._statuses.ended_with
        return None if found is None else from_rpc_error(found)

    def cancel(self) -> None:
        """End the call. Idempotent."""
        self._call.cancel()


async def _until_none(outbox: asyncio.Queue[_T | None]) -> AsyncIterator[_T]:
    while (message := await outbox.get()) is not None:
        yield message


class Feeders:
    """Tasks that work beside a conversation. For one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, feed: Callable[[], Awaitable[None]]) -> None:
        """Run ``feed``."""
        task = asyncio.ensure_future(feed())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Have all of them end; does not wait for it."""
        for task in self._tasks:
            task.cancel()

    async def join(self) -> None:
        """Wait until they have ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def each(fragments: Fragments) -> AsyncIterator[str]:
    """Go through ``fragments``; a plain iterable must not block."""
    if isinstance(fragments, AsyncIterable):
        async for fragment in fragments:
            yield fragment
    else:
        for fragment in fragments:
            yield fragment


async def close(fragments: Fragments) -> None:
    """Nobody reads on: whoever writes ``fragments`` need not go on."""
    if isinstance(fragments, AsyncGenerator):
        await fragments.aclose()
    elif isinstance(fragments, Generator):
        fragments.close()


async def send_all(
    method: grpc.aio.StreamUnaryMultiCallable[RegisterVoiceRequest, RegisterVoiceResponse],
    messages: Iterator[RegisterVoiceRequest],
    meter: Meter,
    timeout_s: float | None,
) -> RegisterVoiceResponse:
    """Send everything and wait for the answer; reads files in other threads.

    What ``messages`` and ``meter`` raise is raised here, and the call is cancelled. If the server
    ends the call before it has everything, `VoxswapClientError` has its own status, whatever became
    of the message on its way.
    """
    failures: list[Exception] = []

    async def feed() -> AsyncIterator[RegisterVoiceRequest]:
        # Writing to the call ourselves would hang if it were cancelled before it had begun.
        try:
            while (message := await asyncio.to_thread(next, messages, None)) is not None:
                yield message
                meter.sent(message)
        except Exception as error:
            failures.append(error)
            raise  # grpc cancels the call

    with grpc_errors():
        call = method(feed(), timeout=timeout_s)
    statuses = Statuses(call)
    try:
        with grpc_errors():
            try:
                return await call
            except grpc.RpcError as raised:
                raise statuses.servers_own(raised) from None
    except CallCancelledError:
        if failures:
            raise failures[0] from None
        raise
    finally:
        call.cancel()
