"""A text spoken while it is being written, for the asyncio client."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from voxswap.v1 import speech_pb2
from voxswap_client._backend import aio as backend
from voxswap_client.assembly import SpeechAssembly, not_begun, over
from voxswap_client.channel import Clock
from voxswap_client.errors import VoxswapClientError
from voxswap_client.request import FLUSH, INTERRUPT, more_text
from voxswap_client.types import Chunk, Header, InterruptReceipt, SpeechResult, Trailer

if TYPE_CHECKING:
    Request = speech_pb2.ConverseRequest
    Call = backend.TwoWay[speech_pb2.ConverseResponse]


class AsyncConversation(AsyncIterator[Chunk | InterruptReceipt]):
    """Text in, audio out. Iterates over chunks as they arrive, and a receipt for each interruption.

    Use it in an ``async with`` block, in the event loop of its client: leaving it cancels the call
    unless the iteration has ended. One task iterates, while any tasks send; one alone may send
    first and iterate then. `send`, `flush` and `end` wait for nobody: what the server has no room
    for yet is kept here. Iteration, `header` and, once our side has ended, `interrupt` wait for the
    server. Where the task that iterates is cancelled, so is the conversation.

    Nothing is spoken before a sentence is certain, and `header` comes with the first audio, so send
    something before waiting for it. What was already on its way when `interrupt` was called still
    arrives before the receipt. Afterwards new text may be sent; samples count on.

    Everything raises `VoxswapClientError`. When the server ends the conversation with an error, the
    iteration raises it, and so does everything that is sent from then on. Nothing is tried again.
    """

    def __init__(
        self,
        start: Callable[[AsyncIterator[Request]], Call],
        request: speech_pb2.SynthesizeRequest,
        *,
        interrupt: backend.Interrupt,
        clock: Clock,
    ) -> None:
        self._interrupt = interrupt
        self._clock = clock
        self._assembly = SpeechAssembly(began_s=clock(), goes_on=True)
        # Guards the three below: of what is fed, nothing may follow an interruption or the end.
        self._lock = backend.Lock()
        self._ended = False
        self._turn = 0
        self._failure: BaseException | None = None  # of what was to be fed
        self._feeders = backend.Feeders()
        self._call = backend.Exchange(
            start, speech_pb2.ConverseRequest(start=request), on_end=self._feeders.stop
        )

    async def send(self, text: str) -> None:
        """More text. Whole sentences are spoken as soon as nothing can change them.

        Raises `VoxswapClientError`.
        """
        self._put(more_text(text))

    async def flush(self) -> None:
        """Speak what has been sent, even if it ends within a sentence.

        Raises `VoxswapClientError`.
        """
        self._put(FLUSH)

    def speak(self, fragments: backend.Fragments, *, end: bool = True) -> None:
        """Send ``fragments`` as they come, in a task of their own; then `end`, or `flush`.

        `interrupt` stops it: no further fragment is sent, a generator is closed, and our side stays
        open. What ``fragments`` raises ends the conversation, and is raised by the iteration.
        """
        with self._lock:
            self._check()
            turn = self._turn
        self._feeders.begin(functools.partial(self._feed, fragments, turn, end=end))

    async def interrupt(self) -> None:
        """Stop speaking, and forget what has not been spoken. The iteration gets a receipt.

        Raises `VoxswapClientError`.
        """
        with self._lock:
            self._turn += 1
            self._feeders.stop()
            if not self._ended:
                self._check()
                self._call.put(INTERRUPT)
                return
        if self._assembly.header is None:
            raise not_begun()
        await self._interrupt(self._assembly.header.stream_id)

    async def end(self) -> None:
        """All is said: the iteration ends once it has been spoken. Idempotent."""
        with self._lock:
            self._ended = True
        self._call.put(None)

    # sync: @property
    async def header(self) -> Header:
        """What is known when the audio begins. Waits until the first message is there.

        Raises `VoxswapClientError`.
        """
        while self._assembly.header is None:
            await self._receive()
        return self._assembly.header

    @property
    def trailer(self) -> Trailer | None:
        """What is known when the audio is complete; None until the iteration has ended."""
        return self._assembly.trailer

    @property
    def ttfa_ms(self) -> float | None:
        """Time from the beginning to the first audio bytes; None until they have been read."""
        return self._assembly.ttfa_ms

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk | InterruptReceipt:
        while True:
            part = await self._receive()
            if part is not None:
                return part

    def result(self, chunks: list[Chunk]) -> SpeechResult:
        """All of the audio, for who has iterated to the end and kept the chunks.

        Raises `IncompleteStreamError`.
        """
        return self._assembly.result(chunks)

    def cancel(self) -> None:
        """Stop all of it, here and at the server. Idempotent; does nothing after the end."""
        self._feeders.stop()
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
        await self._feeders.join()

    async def _receive(self) -> Chunk | InterruptReceipt | None:
        """Take the next message; StopAsyncIteration after the last."""
        try:
            message = await self._call.receive()
            if message is not None:
                return self._assembly.accept(message, self._clock())
            self._assembly.finish()
        except VoxswapClientError:
            self.cancel()
            if self._failure is not None:
                raise self._failure from None
            raise
        raise StopAsyncIteration

    def _put(self, message: Request) -> None:
        with self._lock:
            self._check()
            self._call.put(message)

    def _check(self) -> None:
        """Raise if nothing more can be sent: what the call has ended with, if it has."""
        if self._ended:
            raise over("has been ended")
        if self._call.is_over:
            raise self._call.failure or over("is over")

    async def _feed(self, fragments: backend.Fragments, turn: int, *, end: bool) -> None:
        try:
            async for fragment in backend.each(fragments):
                if not self._put_fed(turn, more_text(fragment)):
                    await backend.close(fragments)
                    return
        except backend.FAULTS as error:
            self._failure = error
            self._call.cancel()
        else:
            self._put_fed(turn, None if end else FLUSH)

    def _put_fed(self, turn: int, message: Request | None) -> bool:
        """Whether it still is its turn. None: our side ends."""
        with self._lock:
            if self._turn != turn or self._ended or self._call.is_over:
                return False
            self._ended = message is None
            self._call.put(message)
            return True
