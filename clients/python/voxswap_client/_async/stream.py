"""One line being spoken, for the asyncio client."""

from __future__ import annotations

from collections.abc import Callable

from voxswap.v1 import speech_pb2
from voxswap_client._async.answers import AsyncAnswers, AsyncItems
from voxswap_client._backend import aio as backend
from voxswap_client.assembly import SpeechAssembly, not_begun
from voxswap_client.channel import Clock
from voxswap_client.errors import VoxswapClientError
from voxswap_client.retry import Attempts
from voxswap_client.types import Chunk, Header, InterruptReceipt, SpeechResult, Trailer


class AsyncSpeechStream(AsyncItems[Chunk]):
    """Iterates over the chunks of one line, each as it arrives.

    Use it in an ``async with`` block: leaving the block early cancels the call, and the server
    stops computing. For one task at a time, in the event loop of its client, but for `cancel` and
    `interrupt`, which any of its tasks may call. `header`, iteration, `collect` and `interrupt`
    wait for the server; they raise `VoxswapClientError`. Where the waiting task is cancelled, so is
    the call. A line that was interrupted ends well, with a `receipt` and no `trailer`.
    """

    def __init__(
        self,
        start: Callable[[float | None], backend.Answers[speech_pb2.SynthesizeResponse]],
        attempts: Attempts,
        *,
        interrupt: backend.Interrupt,
        clock: Clock,
        sleep: backend.Sleep,
    ) -> None:
        self._interrupt = interrupt
        self._clock = clock
        self._assembly = SpeechAssembly(began_s=clock())
        self._delivered = False  # then nothing is begun anew
        self._answers = AsyncAnswers(
            lambda: start(attempts.next_timeout_s()),
            lambda error: None if self._delivered else attempts.delay_s(error),
            sleep=sleep,
        )

    # sync: @property
    async def header(self) -> Header:
        """What is known when the audio begins. Waits until the first message is there.

        Raises `VoxswapClientError`.
        """
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

    async def __anext__(self) -> Chunk:
        while (message := await self._receive()) is not None:
            part = self._accept(message)
            if isinstance(part, Chunk):
                return part
        self._assembly.finish()
        raise StopAsyncIteration

    async def collect(self) -> SpeechResult:
        """Read all of the line. Call it before anything of it has been iterated over.

        Raises `VoxswapClientError`.
        """
        return self._assembly.result([chunk async for chunk in self])

    def result(self, chunks: list[Chunk]) -> SpeechResult:
        """The whole line from its chunks, for who has iterated to the end and kept them.

        Raises `IncompleteStreamError`.
        """
        return self._assembly.result(chunks)

    async def interrupt(self) -> InterruptReceipt:
        """Say nothing more; what had been sent. The iteration then ends by itself.

        Raises `StreamNotFoundError` if the line is over.
        """
        if self._assembly.header is None:
            raise not_begun()
        return await self._interrupt(self._assembly.header.stream_id)

    async def _receive(self) -> speech_pb2.SynthesizeResponse | None:
        message = await self._answers.next()
        self._delivered = True
        return message

    def _accept(self, message: speech_pb2.SynthesizeResponse) -> Chunk | InterruptReceipt | None:
        try:
            return self._assembly.accept(message, self._clock())
        except VoxswapClientError:
            self.cancel()
            raise
