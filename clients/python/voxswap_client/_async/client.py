"""The asyncio client: its methods are coroutines and asynchronous iterators."""

from __future__ import annotations

import math
from typing import Unpack

from grpc_health.v1 import health_pb2

from voxswap_client import convert
from voxswap_client._async.catalog import AsyncCatalog
from voxswap_client._async.conversation import AsyncConversation
from voxswap_client._async.recordings import AsyncRecordings
from voxswap_client._async.residency import AsyncResidency
from voxswap_client._async.stream import AsyncSpeechStream
from voxswap_client._backend import aio as backend
from voxswap_client.channel import effective_timeout_s
from voxswap_client.errors import (
    DeadlineExceededError,
    NotImplementedByServerError,
    UnavailableError,
    VoxswapClientError,
)
from voxswap_client.request import SpeechOptions, build_request, interrupt_request, may_wait
from voxswap_client.retry import Repeat
from voxswap_client.types import InterruptReceipt, Pacing, SpeechResult

_READY_POLL_S = 0.1


class AsyncClient(AsyncCatalog, AsyncRecordings, AsyncResidency):
    """Speaks to one voxswap server over one channel. For one event loop, its streams for one task.

    Make it inside the loop that uses it; cancelling a task cancels its call. Every method but
    `synthesize`, `converse` and `watch` waits until the server has answered, and raises
    `VoxswapClientError`. ``timeout_s`` is the deadline of a call with all of its tries: the
    call's own, or else the client's; ``math.inf`` is none. ``credentials`` None: without
    encryption. ``clock``, ``sleep`` and ``random`` are for tests.
    """

    def synthesize(
        self,
        voice: str,
        text: str,
        *,
        timeout_s: float | None = None,
        **options: Unpack[SpeechOptions],
    ) -> AsyncSpeechStream:
        """Begin to speak; returns at once.

        ``async with client.synthesize(...) as stream:`` is its use. ``voice`` is an id, or
        ``id@version``; see `SpeechOptions` for the rest. The deadline holds for the stream's last
        chunk, so give one that plays as it reads enough time.
        """
        request = build_request(voice, text, **options)
        return AsyncSpeechStream(
            lambda remaining_s: self._speech.Synthesize(request, timeout=remaining_s),
            self._attempts(timeout_s, may_wait=may_wait(request)),
            interrupt=self.interrupt,
            clock=self._clock,
            sleep=self._sleep,
        )

    async def say(
        self,
        voice: str,
        text: str,
        *,
        timeout_s: float | None = None,
        **options: Unpack[SpeechOptions],
    ) -> SpeechResult:
        """Speak a line and return it whole.

        Nobody listens while it is made: ``pacing`` is "none" unless another one is given.
        """
        options.setdefault("pacing", Pacing.NONE)
        async with self.synthesize(voice, text, timeout_s=timeout_s, **options) as stream:
            return await stream.collect()

    def converse(
        self,
        voice: str,
        text: str = "",
        *,
        timeout_s: float = math.inf,
        **options: Unpack[SpeechOptions],
    ) -> AsyncConversation:
        """Begin to speak a text that is still being written; returns at once.

        ``async with client.converse(...) as conversation:`` is its use. ``text`` is spoken first,
        and may be empty. Without ``timeout_s`` there is no deadline, even if the client has one,
        but the server ends a conversation in which nothing is said for a minute.
        """
        request = build_request(voice, text, **options)
        remaining_s = effective_timeout_s(timeout_s, None)
        return AsyncConversation(
            lambda messages: self._speech.Converse(messages, timeout=remaining_s),
            request,
            interrupt=self.interrupt,
            clock=self._clock,
        )

    async def interrupt(
        self, stream_id: str, *, timeout_s: float | None = None
    ) -> InterruptReceipt:
        """Stop a stream by its ``header.stream_id``; what of it had been sent.

        A line of `synthesize` then ends, and a conversation goes on with what is said from now on.
        Raises `StreamNotFoundError` if there is no such stream, or no longer.
        """
        asked = interrupt_request(stream_id)
        # The stream that was stopped may be gone when an unanswered call is made again.
        answer = await self._unary(self._speech.Interrupt, asked, timeout_s, Repeat.IF_ASKED)
        return convert.value(InterruptReceipt, answer.receipt)

    async def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until the server is there and its health service says that it serves.

        Raises `DeadlineExceededError` if that takes longer than ``timeout_s``.
        """
        attempts = self._attempts(timeout_s)
        answered = False
        while True:
            left_s = attempts.next_timeout_s()
            try:
                with backend.grpc_errors():
                    request = health_pb2.HealthCheckRequest()  # for the server as a whole
                    answer = await self._health.Check(request, timeout=left_s, wait_for_ready=True)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
                answered = True
            except NotImplementedByServerError:
                return  # without a health service, it is ready once it answers at all
            except VoxswapClientError as error:
                if not isinstance(error, UnavailableError | DeadlineExceededError):
                    raise  # waiting does not mend it
            left_s = attempts.remaining_s()
            if left_s is not None and left_s <= _READY_POLL_S:
                told = "does not answer"
                remedy = "check the address, and that `voxswap serve` runs there"
                if answered:
                    told = "answers, but says that it is not serving yet"
                    remedy = "give it longer, or read its log"
                raise DeadlineExceededError(
                    f"{self._address} {told} after {timeout_s:g} s; {remedy}",
                    code="DEADLINE_EXCEEDED",
                )
            await self._sleep(_READY_POLL_S)
