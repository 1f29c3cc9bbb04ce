"""How the messages of an upload go out over grpc: the blocking way and the asyncio way.

grpc takes them in a thread or task of its own. What they raise there is raised here, and the call
is cancelled. If the server ends the call before it has everything, its own status is raised,
whatever became of the message on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future

import grpc
import grpc.aio

from voxswap.v1.voices_pb2 import RegisterVoiceRequest, RegisterVoiceResponse
from voxswap_client.aio_connection import grpc_errors
from voxswap_client.aio_status import Statuses
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
