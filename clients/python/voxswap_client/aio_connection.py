"""One channel to one server, and how an asyncio call is tried until its deadline."""

from __future__ import annotations

import asyncio
import contextlib
import random as _random
import time
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar

import grpc
import grpc.aio

from voxswap.v1 import residency_pb2_grpc, speech_pb2_grpc, voices_pb2_grpc
from voxswap_client.channel import (
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT_S,
    OPTIONS,
    Clock,
    Random,
    effective_timeout_s,
)
from voxswap_client.errors import CallCancelledError, VoxswapClientError
from voxswap_client.retry import DEFAULT_RETRIES, Attempts, Repeat, RetryPolicy
from voxswap_client.rpc_status import from_rpc_error

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")
Sleep = Callable[[float], Awaitable[object]]


def call_cancelled() -> CallCancelledError:
    """The error for a call that was cancelled, in a task that was not."""
    return CallCancelledError("the call was cancelled", code="CANCELLED")


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
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling() > 0:
            raise
        raise call_cancelled() from None


class AsyncConnection:
    """What `voxswap_client.AsyncClient` is made of, but for its methods. For one event loop."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        credentials: grpc.ChannelCredentials | None = None,
        retries: RetryPolicy = DEFAULT_RETRIES,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        random: Random = _random.random,
    ) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._retries = retries
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._channel = (
            grpc.aio.insecure_channel(address, options=OPTIONS)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, options=OPTIONS)
        )
        self._speech = speech_pb2_grpc.SpeechServiceStub(self._channel)
        self._voices = voices_pb2_grpc.VoiceServiceStub(self._channel)
        self._residency = residency_pb2_grpc.ResidencyServiceStub(self._channel)

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled. Idempotent."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._address!r})"

    def _attempts(
        self,
        timeout_s: float | None,
        repeat: Repeat = Repeat.ALWAYS,
        *,
        may_wait: bool = False,
    ) -> Attempts:
        return Attempts.begin(
            self._retries,
            clock=self._clock,
            random=self._random,
            timeout_s=effective_timeout_s(timeout_s, self._timeout_s),
            repeat=repeat,
            may_wait=may_wait,
        )

    async def _unary(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        timeout_s: float | None,
        repeat: Repeat = Repeat.ALWAYS,
    ) -> _Response:
        attempts = self._attempts(timeout_s, repeat)
        while True:
            try:
                with grpc_errors():
                    return await method(request, timeout=attempts.next_timeout_s())
            except VoxswapClientError as error:
                delay_s = attempts.delay_s(error)
                if delay_s is None:
                    raise
            await self._sleep(delay_s)
