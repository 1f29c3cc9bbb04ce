"""The blocking client."""

from __future__ import annotations

import random as _random
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc

from voxswap.v1 import (
    residency_pb2,
    residency_pb2_grpc,
    speech_pb2_grpc,
    voices_pb2,
    voices_pb2_grpc,
)
from voxswap_client import convert, readiness
from voxswap_client.channel import (
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT_S,
    OPTIONS,
    Clock,
    Random,
    effective_timeout_s,
)
from voxswap_client.request import SpeechOptions, build_request
from voxswap_client.retry import DEFAULT_RETRIES, Attempts, RetryPolicy
from voxswap_client.rpc_status import from_rpc_error
from voxswap_client.stream import SpeechStream
from voxswap_client.types import Ledger, Resident, SpeechResult, Voice

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class Client:
    """Speaks to one voxswap server over one channel. Thread-safe; its streams are not.

    Every method but `synthesize` blocks until the server has answered, and raises
    `VoxswapClientError`. ``timeout_s`` is the deadline of a call with all of its tries: the call's
    own, or else the client's; ``math.inf`` is none. ``credentials`` None: without encryption.
    ``clock``, ``sleep`` and ``random`` are for tests.
    """

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

    def synthesize(
        self,
        voice: str,
        text: str,
        *,
        timeout_s: float | None = None,
        **options: Unpack[SpeechOptions],
    ) -> SpeechStream:
        """Begin to speak; returns at once. ``with client.synthesize(...) as stream:`` is its use.

        ``voice`` is an id, or ``id@version``; see `SpeechOptions` for the rest. The deadline holds
        for the stream's last chunk, so give one that plays as it reads enough time.
        """
        request = build_request(voice, text, **options)
        return SpeechStream(
            lambda remaining_s: self._speech.Synthesize(request, timeout=remaining_s),
            self._attempts(timeout_s),
            clock=self._clock,
            sleep=self._sleep,
        )

    def say(
        self,
        voice: str,
        text: str,
        *,
        timeout_s: float | None = None,
        **options: Unpack[SpeechOptions],
    ) -> SpeechResult:
        """Speak a line and return it whole."""
        with self.synthesize(voice, text, timeout_s=timeout_s, **options) as stream:
            return stream.collect()

    def list_voices(
        self,
        *,
        prefix: str = "",
        language: str = "",
        engine: str = "",
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> Iterator[Voice]:
        """Voices by id, each at its newest version. Asks for a page at a time, as they are read."""
        request = voices_pb2.ListVoicesRequest(
            prefix=prefix, language=language, engine=engine, page_size=page_size
        )
        while True:
            page = self._unary(self._voices.ListVoices, request, timeout_s)
            yield from map(convert.voice, page.voices)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def get_voice(self, ref: str, *, timeout_s: float | None = None) -> Voice:
        """One voice, ``id`` or ``id@version``. Raises `VoiceNotFoundError`."""
        request = voices_pb2.GetVoiceRequest(voice=ref)
        return convert.voice(self._unary(self._voices.GetVoice, request, timeout_s).voice)

    def list_versions(self, voice_id: str, *, timeout_s: float | None = None) -> list[Voice]:
        """All versions of a voice, the newest first. Raises `VoiceNotFoundError`."""
        request = voices_pb2.ListVersionsRequest(voice=voice_id)
        answer = self._unary(self._voices.ListVersions, request, timeout_s)
        return [convert.voice(item) for item in answer.versions]

    def residents(self, *, timeout_s: float | None = None) -> tuple[list[Resident], list[Ledger]]:
        """What is in memory, the most recently used first, and the books of each device."""
        request = residency_pb2.ListResidentsRequest()
        return convert.residency(self._unary(self._residency.ListResidents, request, timeout_s))

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Block until the server is there and its health service says that it serves.

        Raises `DeadlineExceededError` if that takes longer than ``timeout_s``.
        """
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes]
        check = self._channel.unary_unary(readiness.HEALTH_CHECK)
        attempts = self._attempts(timeout_s)
        answered = False
        while True:
            left_s = attempts.next_timeout_s()
            try:
                request = readiness.health_request("")
                if readiness.is_serving(check(request, timeout=left_s, wait_for_ready=True)):
                    return
                answered = True
            except grpc.RpcError as raised:
                if not readiness.may_become_ready(from_rpc_error(raised)):
                    return
            left_s = attempts.remaining_s()
            if left_s is not None and left_s <= readiness.POLL_S:
                raise readiness.not_ready(self._address, timeout_s, answered=answered)
            self._sleep(readiness.POLL_S)

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
        return f"Client({self._address!r})"

    def _attempts(self, timeout_s: float | None) -> Attempts:
        return Attempts.begin(
            self._retries,
            clock=self._clock,
            random=self._random,
            timeout_s=effective_timeout_s(timeout_s, self._timeout_s),
        )

    def _unary(
        self,
        method: grpc.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        timeout_s: float | None,
    ) -> _Response:
        attempts = self._attempts(timeout_s)
        while True:
            try:
                return method(request, timeout=attempts.next_timeout_s())
            except grpc.RpcError as raised:
                error = from_rpc_error(raised)
                delay_s = attempts.delay_s(error)
                if delay_s is None:
                    raise error from raised
            self._sleep(delay_s)
