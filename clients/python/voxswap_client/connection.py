"""One channel to one server, and how a blocking call is tried until its deadline."""

from __future__ import annotations

import random as _random
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import grpc

from voxswap.v1 import residency_pb2_grpc, speech_pb2_grpc, voices_pb2_grpc
from voxswap_client.channel import (
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT_S,
    OPTIONS,
    Clock,
    Random,
    effective_timeout_s,
)
from voxswap_client.retry import DEFAULT_RETRIES, Attempts, Repeat, RetryPolicy
from voxswap_client.rpc_status import from_rpc_error

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class Connection:
    """What `voxswap_client.Client` is made of, but for its methods. Thread-safe."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        credentials: grpc.ChannelCredentials | None = None,
        retries: RetryPolicy = DEFAULT_RETRIES,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        random: Random = _random.random,
    ) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._retries = retries
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._channel = (
            grpc.insecure_channel(address, options=OPTIONS)
            if credentials is None
            else grpc.secure_channel(address, credentials, options=OPTIONS)
        )
        self._speech = speech_pb2_grpc.SpeechServiceStub(self._channel)
        self._voices = voices_pb2_grpc.VoiceServiceStub(self._channel)
        self._residency = residency_pb2_grpc.ResidencyServiceStub(self._channel)

    def close(self) -> None:
        """Close the channel; calls in flight are cancelled. Idempotent."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

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

    def _unary(
        self,
        method: grpc.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        timeout_s: float | None,
        repeat: Repeat = Repeat.ALWAYS,
    ) -> _Response:
        attempts = self._attempts(timeout_s, repeat)
        while True:
            try:
                return method(request, timeout=attempts.next_timeout_s())
            except grpc.RpcError as raised:
                error = from_rpc_error(raised)
                delay_s = attempts.delay_s(error)
                if delay_s is None:
                    raise error from raised
            self._sleep(delay_s)
