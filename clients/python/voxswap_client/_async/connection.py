"""One channel to one server, and how a call of the asyncio client is tried until its deadline."""

from __future__ import annotations

import random as _random
import time
from types import TracebackType
from typing import Self, TypeVar

import grpc
from grpc_health.v1 import health_pb2_grpc

from voxswap.v1 import (
    recordings_pb2_grpc,
    residency_pb2_grpc,
    speech_pb2_grpc,
    voices_pb2_grpc,
)
from voxswap_client._backend import aio as backend
from voxswap_client.channel import (
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT_S,
    Clock,
    Random,
    effective_timeout_s,
)
from voxswap_client.errors import VoxswapClientError
from voxswap_client.retry import DEFAULT_RETRIES, Attempts, Repeat, RetryPolicy

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


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
        sleep: backend.Sleep = backend.sleep,
        random: Random = _random.random,
    ) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._retries = retries
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._channel = backend.open_channel(address, credentials)
        self._speech = speech_pb2_grpc.SpeechServiceStub(self._channel)
        self._voices = voices_pb2_grpc.VoiceServiceStub(self._channel)
        self._residency = residency_pb2_grpc.ResidencyServiceStub(self._channel)
        self._recordings = recordings_pb2_grpc.RecordingServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)  # on a closed one, grpc crashes

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
        method: backend.Unary[_Request, _Response],
        request: _Request,
        timeout_s: float | None,
        repeat: Repeat = Repeat.ALWAYS,
    ) -> _Response:
        attempts = self._attempts(timeout_s, repeat)
        while True:
            try:
                with backend.grpc_errors():
                    return await method(request, timeout=attempts.next_timeout_s())
            except VoxswapClientError as error:
                delay_s = attempts.delay_s(error)
                if delay_s is None:
                    raise
            await self._sleep(delay_s)
