"""A text spoken while it is being written, for the asyncio client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc
import grpc.aio

from voxswap.v1 import speech_pb2
from voxswap_client.aio_connection import grpc_errors
from voxswap_client.aio_status import Statuses
from voxswap_client.assembly import SpeechAssembly, not_begun, over
from voxswap_client.channel import Clock
from voxswap_client.errors import VoxswapClientError
from voxswap_client.request import FLUSH, INTERRUPT, more_text
from voxswap_client.rpc_status import from_rpc_error
from voxswap_client.types import Chunk, Header, InterruptReceipt, SpeechResult, Trailer

if TYPE_CHECKING:
    Request = speech_pb2.ConverseRequest
    ConverseCall = grpc.aio.StreamStreamCall[Request, speech_pb2.ConverseResponse]
    Start = Callable[[AsyncIterator[Request]], ConverseCall]


class AsyncConversation(AsyncIterator[Chunk | InterruptReceipt]):
    """Text in, audio out; see `voxswap_client.conversation.Conversation`.

    Use it in an ``async with`` block, in the event loop of its client. One task iterates, and
    cancelling it ends the conversation; any tasks send. `send`, `flush` and `end` do not wait for
    the server, nor for the iteration.
    """

    def __init__(
        self,
        start: Start,
        request: speech_pb2.SynthesizeRequest,
        *,
        interrupt: Callable[[str], Awaitable[InterruptReceipt]],
        clock: Clock,
    ) -> None:
        self._interrupt = interrupt
        self._clock = clock
        self._assembly = SpeechAssembly(began_s=clock(), goes_on=True)
        self._ended = False
        self._feeding: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None  # of what was to be fed
        self._outbox: asyncio.Queue[Request | None] = asyncio.Queue()
        self._outbox.put_nowait(speech_pb2.ConverseRequest(start=request))
        self._call = start(_until_none(self._outbox))
        self._statuses = Statuses(self._call)
        outbox = self._outbox
        # grpc's own task waits at the outbox: let it go.
        self._call.add_done_callback(lambda _: outbox.put_nowait(None))

    async def send(self, text: str) -> None:
        """More text. Whole sentences are spoken as soon as nothing can change them."""
        self._put(more_text(text))

    async def flush(self) -> None:
        """Speak what has been sent, even if it ends within a sentence."""
        self._put(FLUSH)

    def speak(self, fragments: AsyncIterable[str] | Iterable[str], *, end: bool = True) -> None:
        """Send ``fragments`` as they come, in a task of their own; then `end`, or else `flush`.

        `interrupt` cancels it, and our side stays open. What ``fragments`` raises ends the
        conversation, and is raised by the iteration. A plain iterable must not block.
        """
        self._check()
        task = asyncio.get_running_loop().create_task(self._feed(fragments, end=end))
        self._feeding.add(task)
        task.add_done_callback(self._feeding.discard)

    async def interrupt(self) -> None:
        """Stop speaking, and forget what has not been spoken. The iteration gets a receipt."""
        for task in self._feeding:
            task.cancel()
        if not self._ended:
            self._put(INTERRUPT)
            return
        if self._assembly.header is None:
            raise not_begun()
        await self._interrupt(self._assembly.header.stream_id)

    async def end(self) -> None:
        """All is said: the iteration ends once it has been spoken. Idempotent."""
        self._ended = True
        self._outbox.put_nowait(None)

    async def header(self) -> Header:
        """What is known when the audio begins. Waits until the first message is there."""
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
        """All of the audio, for who has iterated to the end and kept the chunks."""
        return self._assembly.result(chunks)

    def cancel(self) -> None:
        """Stop all of it, here and at the server. Idempotent; does nothing after the end."""
        for task in self._feeding:
            task.cancel()
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
        await asyncio.gather(*self._feeding, return_exceptions=True)

    async def _receive(self) -> Chunk | InterruptReceipt | None:
        """Take the next message; StopAsyncIteration after the last."""
        try:
            with grpc_errors():
                try:
                    message = await self._call.read()
                except grpc.RpcError as raised:
                    raise self._statuses.servers_own(raised) from None
            if not isinstance(message, speech_pb2.ConverseResponse):
                self._assembly.finish()
                raise StopAsyncIteration
            return self._assembly.accept(message, self._clock())
        except asyncio.CancelledError:
            self.cancel()
            raise
        except VoxswapClientError:
            self.cancel()
            if self._failure is not None:
                raise self._failure from None
            raise

    def _put(self, message: Request) -> None:
        self._check()
        self._outbox.put_nowait(message)

    def _check(self) -> None:
        """Raise if nothing more can be sent: what the call has ended with, if it has."""
        if self._ended:
            raise over("has been ended")
        if self._call.done():
            failure = self._statuses.ended_with
            raise over("is over") if failure is None else from_rpc_error(failure)

    async def _feed(self, fragments: AsyncIterable[str] | Iterable[str], *, end: bool) -> None:
        try:
            if isinstance(fragments, AsyncIterable):
                async for fragment in fragments:
                    self._put_fed(more_text(fragment))
            else:
                for fragment in fragments:
                    self._put_fed(more_text(fragment))
            self._put_fed(None if end else FLUSH)
        except Exception as error:  # noqa: BLE001 - raised where the conversation is heard
            self._failure = error
            self._call.cancel()

    def _put_fed(self, message: Request | None) -> None:
        """None: our side ends. What comes after the end is dropped: the iteration says why."""
        if not self._ended and not self._call.done():
            self._ended = message is None
            self._outbox.put_nowait(message)


async def _until_none(outbox: asyncio.Queue[Request | None]) -> AsyncIterator[Request]:
    while (message := await outbox.get()) is not None:
        yield message
