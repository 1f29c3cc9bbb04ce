"""How the messages of an upload go out over grpc: the blocking way and the asyncio way.

grpc takes them in a thread or task of its own. What they raise there is raised here, and the call
is cancelled: a stream that just ended would look complete to the server. If the server ends the
call before it has everything, its own status is raised, whatever became of the message on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future

import grpc
import grpc.aio

from voxswap.v1.voices_pb2 import RegisterVoiceRequest, RegisterVoiceResponse
from voxswap_client.aio_connection import grpc_errors
from voxswap_client.errors import CallCancelledError
from voxswap_client.rpc_status import from_rpc_error
from voxswap_client.upload import Meter


def send(
    method: grpc.StreamUnaryMultiCallable[RegisterVoiceRequest, RegisterVoiceResponse],
    messages: Iterator[RegisterVoiceRequest],
    meter: Meter,
    timeout_s: float | None,
) -> RegisterVoiceResponse:
    """Send everything and wait for the answer. Blocks. Raises `VoxswapClientError`."""
    failures: list[Exception] = []
    begun: Future[grpc.Future[RegisterVoiceResponse]] = Future()

    def feed() -> Iterator[RegisterVoiceRequest]:
        call = begun.result()  # nothing goes out that nobody could stop
        try:
            for message in messages:
                yield message
                meter.sent(message)
        except Exception as error:  # noqa: BLE001 - grpc would log it, and say UNKNOWN
            failures.append(error)
            call.cancel()

    try:
        call = method.future(feed(), timeout=timeout_s)
        begun.set_result(call)
        return call.result()
    except grpc.FutureCancelledError:
        raise failures[0] from None  # nobody else can have cancelled it
    except grpc.RpcError as raised:
        raise from_rpc_error(raised) from raised
    finally:
        if not begun.cancel():
            begun.result().cancel()


async def send_async(
    method: grpc.aio.StreamUnaryMultiCallable[RegisterVoiceRequest, RegisterVoiceResponse],
    messages: Iterator[RegisterVoiceRequest],
    meter: Meter,
    timeout_s: float | None,
) -> RegisterVoiceResponse:
    """Send everything and wait for the answer; reads files in other threads."""
    failures: list[Exception] = []
    statuses: list[grpc.aio.AioRpcError] = []

    async def feed() -> AsyncIterator[RegisterVoiceRequest]:
        # Writing to the call ourselves would hang if it were cancelled before it had begun.
        try:
            while (message := await asyncio.to_thread(next, messages, None)) is not None:
                yield message
                meter.sent(message)
        except Exception as error:
            failures.append(error)
            raise  # grpc cancels the call

    call = method(feed(), timeout=timeout_s)
    call.add_done_callback(lambda _: statuses.extend(_status_now(call)))
    try:
        with grpc_errors():
            try:
                return await call
            except grpc.RpcError as raised:
                raise _servers_own([*statuses, raised]) from None
    except CallCancelledError:
        if failures:
            raise failures[0] from None
        raise
    finally:
        call.cancel()


def _servers_own(statuses: list[grpc.RpcError]) -> grpc.RpcError:
    """The status that the server gave, of all that a call took on one after the other.

    If the server ends a call while a message is being written, grpc.aio makes it INTERNAL before or
    after the true status is there: without details, while our server's INTERNAL has some.
    """
    for status in statuses:
        if status.code() is not grpc.StatusCode.INTERNAL or status.trailing_metadata():
            return status
    return statuses[-1]


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
