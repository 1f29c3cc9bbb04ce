"""The asyncio client: the methods of `Client` as coroutines and asynchronous iterators."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

import grpc
import grpc.aio

from voxswap.v1 import speech_pb2
from voxswap_client import convert, readiness
from voxswap_client.aio_catalog import AsyncCatalog
from voxswap_client.aio_connection import Sleep, call_cancelled, grpc_errors
from voxswap_client.aio_conversation import AsyncConversation
from voxswap_client.aio_residency import AsyncResidency
from voxswap_client.assembly import SpeechAssembly, not_begun
from voxswap_client.channel import Clock, effective_timeout_s
from voxswap_client.errors import VoxswapClientError
from voxswap_client.request import SpeechOptions, build_request, interrupt_request, may_wait
from voxswap_client.retry import Attempts, Repeat
from voxswap_client.rpc_status import from_rpc_error
from voxswap_client.types import Chunk, Header, InterruptReceipt, Pacing, SpeechResult, Trailer

if TYPE_CHECKING:
    SpeechCall = grpc.aio.UnaryStreamCall[
        speech_pb2.SynthesizeRequest, speech_pb2.SynthesizeResponse
    ]


class AsyncSpeechStream(AsyncIterator[Chunk]):
    """Iterates over the chunks of one line, each as it arrives.

    Use it in an ``async with`` block: leaving the block early cancels the call, and the server
    stops computing; so does cancelling the task that waits for it. For one task at a time, in the
    event loop of its client, but for `cancel` and `interrupt`, which any of its tasks may call.
    `header`, iteration, `collect` and `interrupt` raise `VoxswapClientError`. A line that was
    interrupted ends well, with a `receipt` and no `trailer`.
    """

    def __init__(
        self,
        start: Callable[[float | None], SpeechCall],
        attempts: Attempts,
        *,
        interrupt: Callable[[str], Awaitable[InterruptReceipt]],
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._start = start
        self._interrupt = interrupt
        self._attempts = attempts
        self._clock = clock
        self._sleep = sleep
        self._assembly = SpeechAssembly(began_s=clock())
        self._delivered = False
        self._cancelled = False
        self._call = start(attempts.next_timeout_s())

    async def header(self) -> Header:
        """What is known when the audio begins. Waits until the first message is there."""
        while self._assembly.header is None:
            message = await self._receive()
            if message is None:
                self._assembly.finish()
            else:
                self._accept(message)
        return self._assembly.header

    @property
    def trailer(self) -> Trailer | None:
        """What is known when the audio is complete; None until the iteration has ended."""
        return self._assembly.trailer

    @property
    def receipt(self) -> InterruptReceipt | None:
        """What had been sent, if the line was interrupted; None until the iteration has ended."""
        return self._assembly.receipt

    @property
    def ttfa_ms(self) -> float | None:
        """Time from the request to the first audio bytes; None until they have been read."""
        return self._assembly.ttfa_ms

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        while (message := await self._receive()) is not None:
            part = self._accept(message)
            if isinstance(part, Chunk):
                return part
        self._assembly.finish()
        raise StopAsyncIteration

    async def collect(self) -> SpeechResult:
        """Read all of the line. Call it before anything of it has been iterated over."""
        return self._assembly.result([chunk async for chunk in self])

    def result(self, chunks: list[Chunk]) -> SpeechResult:
        """The whole line from its chunks, for who has iterated to the end and kept them."""
        return self._assembly.result(chunks)

    async def interrupt(self) -> InterruptReceipt:
        """Say nothing more; what had been sent. The iteration then ends by itself.

        Raises `StreamNotFoundError` if the line is over.
        """
        if self._assembly.header is None:
            raise not_begun()
        return await self._interrupt(self._assembly.header.stream_id)

    def cancel(self) -> None:
        """Stop the line, here and at the server. Idempotent; does nothing after the end."""
        self._cancelled = True
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    async def _receive(self) -> speech_pb2.SynthesizeResponse | None:
        """The next message, None at the end; begins anew as long as nothing was delivered."""
        while True:
            try:
                with grpc_errors():
                    message = await self._call.read()
            except asyncio.CancelledError:
                self.cancel()
                raise
            except VoxswapClientError as error:
                delay_s = None if self._delivered else self._attempts.delay_s(error)
                if delay_s is None:
                    self.cancel()
                    raise
            else:
                self._delivered = True
                return message if isinstance(message, speech_pb2.SynthesizeResponse) else None
            await self._sleep(delay_s)
            if self._cancelled:
                raise call_cancelled()
            self._call = self._start(self._attempts.next_timeout_s())

    def _accept(self, message: speech_pb2.SynthesizeResponse) -> Chunk | InterruptReceipt | None:
        try:
            return self._assembly.accept(message, self._clock())
        except VoxswapClientError:
            self.cancel()
            raise


class AsyncClient(AsyncCatalog, AsyncResidency):
    """Speaks to one voxswap server over one channel, from one event loop.

    Make it inside the loop that uses it; any number of that loop's tasks may share it. Cancelling a
    task cancels its call. Everything else is as in `voxswap_client.Client`.
    """

    def synthesize(
        self,
        voice: str,
        text: str,
        *,
        timeout_s: float | None = None,
        **options: Unpack[SpeechOptions],
    ) -> AsyncSpeechStream:
        """Begin to speak; returns at once. ``async with client.synthesize(...) as stream:``."""
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
        """Speak a line and return it whole."""
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

        ``async with client.converse(...) as conversation:`` is its use.
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

        Raises `StreamNotFoundError` if there is no such stream, or no longer.
        """
        asked = interrupt_request(stream_id)
        answer = await self._unary(self._speech.Interrupt, asked, timeout_s, Repeat.IF_ASKED)
        return convert.receipt(answer.receipt)

    async def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until the server is there and its health service says that it serves.

        Raises `DeadlineExceededError` if that takes longer than ``timeout_s``.
        """
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        check = self._channel.unary_unary(readiness.HEALTH_CHECK)
        attempts = self._attempts(timeout_s)
        answered = False
        while True:
            left_s = attempts.next_timeout_s()
            try:
                request = readiness.health_request("")
                if readiness.is_serving(await check(request, timeout=left_s, wait_for_ready=True)):
                    return
                answered = True
            except grpc.RpcError as raised:
                if not readiness.may_become_ready(from_rpc_error(raised)):
                    return
            left_s = attempts.remaining_s()
            if left_s is not None and left_s <= readiness.POLL_S:
                raise readiness.not_ready(self._address, timeout_s, answered=answered)
            await self._sleep(readiness.POLL_S)
