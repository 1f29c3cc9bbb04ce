"""One line being spoken, for the blocking client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc

from voxswap.v1 import speech_pb2
from voxswap_client.assembly import SpeechAssembly, not_begun
from voxswap_client.channel import Clock
from voxswap_client.errors import CallCancelledError, VoxswapClientError
from voxswap_client.retry import Attempts
from voxswap_client.rpc_status import from_rpc_error
from voxswap_client.types import Chunk, Header, InterruptReceipt, SpeechResult, Trailer

if TYPE_CHECKING:
    from grpc import _CallIterator as CallIterator  # the stubs' name for a call that is iterated


class SpeechStream(Iterator[Chunk]):
    """Iterates over the chunks of one line, each as it arrives.

    Use it in a ``with`` block: leaving the block early cancels the call, and the server stops
    computing. Not thread-safe, but for `cancel` and `interrupt`, which any thread may call at any
    time. `header`, iteration, `collect` and `interrupt` block for the server; they raise
    `VoxswapClientError`. A line that was interrupted ends well, with a `receipt` and no `trailer`.
    """

    def __init__(
        self,
        start: Callable[[float | None], CallIterator[speech_pb2.SynthesizeResponse]],
        attempts: Attempts,
        *,
        interrupt: Callable[[str], InterruptReceipt],
        clock: Clock,
        sleep: Callable[[float], object],
    ) -> None:
        self._start = start
        self._interrupt = interrupt
        self._attempts = attempts
        self._clock = clock
        self._sleep = sleep
        self._assembly = SpeechAssembly(began_s=clock())
        self._delivered = False
        self._lock = threading.Lock()  # guards _cancelled and _call: a retry must not outrun cancel
        self._cancelled = False
        self._call = start(attempts.next_timeout_s())

    @property
    def header(self) -> Header:
        """What is known when the audio begins. Blocks until the first message is there."""
        while self._assembly.header is None:
            message = self._receive()
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

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        while (message := self._receive()) is not None:
            part = self._accept(message)
            if isinstance(part, Chunk):
                return part
        self._assembly.finish()
        raise StopIteration

    def collect(self) -> SpeechResult:
        """Read all of the line. Call it before anything of it has been iterated over."""
        return self._assembly.result(list(self))

    def result(self, chunks: list[Chunk]) -> SpeechResult:
        """The whole line from its chunks, for who has iterated to the end and kept them."""
        return self._assembly.result(chunks)

    def interrupt(self) -> InterruptReceipt:
        """Say nothing more; what had been sent. The iteration then ends by itself.

        Raises `StreamNotFoundError` if the line is over.
        """
        if self._assembly.header is None:
            raise not_begun()
        return self._interrupt(self._assembly.header.stream_id)

    def cancel(self) -> None:
        """Stop the line, here and at the server. Idempotent; does nothing after the end."""
        with self._lock:
            self._cancelled = True
            self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    def _receive(self) -> speech_pb2.SynthesizeResponse | None:
        """The next message, None at the end; begins anew as long as nothing was delivered."""
        while True:
            try:
                message = next(self._call, None)
            except grpc.RpcError as raised:
                error = from_rpc_error(raised)
                delay_s = None if self._delivered else self._attempts.delay_s(error)
                if delay_s is None:
                    raise error from raised
            else:
                self._delivered = True
                return message
            self._sleep(delay_s)
            with self._lock:
                if self._cancelled:
                    raise CallCancelledError("the call was cancelled", code="CANCELLED")
                self._call = self._start(self._attempts.next_timeout_s())

    def _accept(self, message: speech_pb2.SynthesizeResponse) -> Chunk | InterruptReceipt | None:
        try:
            return self._assembly.accept(message, self._clock())
        except VoxswapClientError:
            self.cancel()
            raise
