"""A text spoken while it is being written, for the blocking client."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc

from voxswap.v1 import speech_pb2
from voxswap_client.assembly import SpeechAssembly, not_begun, over
from voxswap_client.channel import Clock
from voxswap_client.errors import VoxswapClientError
from voxswap_client.request import FLUSH, INTERRUPT, more_text
from voxswap_client.rpc_status import from_rpc_error
from voxswap_client.types import Chunk, Header, InterruptReceipt, SpeechResult, Trailer

if TYPE_CHECKING:
    from grpc import _CallIterator as CallIterator  # the stubs' name for a call that is iterated

    Request = speech_pb2.ConverseRequest
    Start = Callable[[Iterator[Request]], CallIterator[speech_pb2.ConverseResponse]]


class Conversation(Iterator[Chunk | InterruptReceipt]):
    """Text in, audio out. Iterates over chunks as they arrive, and a receipt for each interruption.

    Use it in a ``with`` block: leaving it cancels the call unless the iteration has ended. One
    thread iterates, while any threads send; one alone may send first and iterate then. `send`,
    `flush` and `end` never block: what the server has no room for yet is kept here. Iteration,
    `header` and, once our side has ended, `interrupt` block for the server.

    Nothing is spoken before a sentence is certain, and `header` comes with the first audio, so send
    something before waiting for it. What was already on its way when `interrupt` was called still
    arrives before the receipt. Afterwards new text may be sent; samples count on.

    Everything raises `VoxswapClientError`. When the server ends the conversation with an error, the
    iteration raises it, and so does everything that is sent from then on. Nothing is tried again.
    """

    def __init__(
        self,
        start: Start,
        request: speech_pb2.SynthesizeRequest,
        *,
        interrupt: Callable[[str], InterruptReceipt],
        clock: Clock,
    ) -> None:
        self._interrupt = interrupt
        self._clock = clock
        self._assembly = SpeechAssembly(began_s=clock(), goes_on=True)
        self._outbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        # Guards the three below: of what is fed, nothing may follow an interruption or the end.
        self._lock = threading.Lock()
        self._ended = False
        self._turn = 0
        self._failure: BaseException | None = None  # of what was to be fed
        outbox = self._outbox
        outbox.put(speech_pb2.ConverseRequest(start=request))
        self._call = start(iter(outbox.get, None))
        # grpc's own thread waits at the outbox: let it go.
        if not self._call.add_callback(lambda: outbox.put(None)):
            outbox.put(None)

    def send(self, text: str) -> None:
        """More text. Whole sentences are spoken as soon as nothing can change them."""
        self._put(more_text(text))

    def flush(self) -> None:
        """Speak what has been sent, even if it ends within a sentence."""
        self._put(FLUSH)

    def speak(self, fragments: Iterable[str], *, end: bool = True) -> None:
        """Send ``fragments`` as they come, in a thread of their own; then `end`, or else `flush`.

        `interrupt` stops it: no further fragment is sent, a generator is closed, and our side stays
        open. What ``fragments`` raises ends the conversation, and is raised by the iteration.
        """
        with self._lock:
            self._check()
            turn = self._turn
        threading.Thread(
            target=self._feed, args=(fragments, turn, end), name="voxswap-feed", daemon=True
        ).start()

    def interrupt(self) -> None:
        """Stop speaking, and forget what has not been spoken. The iteration gets a receipt."""
        with self._lock:
            self._turn += 1
            if not self._ended:
                self._check()
                self._outbox.put(INTERRUPT)
                return
        if self._assembly.header is None:
            raise not_begun()
        self._interrupt(self._assembly.header.stream_id)

    def end(self) -> None:
        """All is said: the iteration ends once it has been spoken. Idempotent."""
        with self._lock:
            self._ended = True
        self._outbox.put(None)

    @property
    def header(self) -> Header:
        """What is known when the audio begins. Blocks until the first message is there."""
        while self._assembly.header is None:
            self._receive()
        return self._assembly.header

    @property
    def trailer(self) -> Trailer | None:
        """What is known when the audio is complete; None until the iteration has ended."""
        return self._assembly.trailer

    @property
    def ttfa_ms(self) -> float | None:
        """Time from the beginning to the first audio bytes; None until they have been read."""
        return self._assembly.ttfa_ms

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk | InterruptReceipt:
        while True:
            part = self._receive()
            if part is not None:
                return part

    def result(self, chunks: list[Chunk]) -> SpeechResult:
        """All of the audio, for who has iterated to the end and kept the chunks."""
        return self._assembly.result(chunks)

    def cancel(self) -> None:
        """Stop all of it, here and at the server. Any thread may; does nothing after the end."""
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

    def _receive(self) -> Chunk | InterruptReceipt | None:
        """Take the next message; StopIteration after the last."""
        try:
            message = next(self._call, None)
        except grpc.RpcError as raised:
            if self._failure is not None:
                raise self._failure from None
            raise from_rpc_error(raised) from raised
        if message is None:
            self._assembly.finish()
            raise StopIteration
        try:
            return self._assembly.accept(message, self._clock())
        except VoxswapClientError:
            self.cancel()
            raise

    def _put(self, message: Request) -> None:
        with self._lock:
            self._check()
            self._outbox.put(message)

    def _check(self) -> None:
        """Raise if nothing more can be sent: what the call has ended with, if it has."""
        if self._ended:
            raise over("has been ended")
        if self._call.is_active():
            return
        if isinstance(self._call, grpc.RpcError) and self._call.code() is not grpc.StatusCode.OK:
            raise from_rpc_error(self._call)
        raise over("is over")

    def _feed(self, fragments: Iterable[str], turn: int, end: bool) -> None:  # noqa: FBT001
        try:
            for fragment in fragments:
                if not self._put_fed(turn, more_text(fragment)):
                    if isinstance(fragments, Generator):
                        fragments.close()  # whoever writes them need not go on
                    return
        except BaseException as error:  # noqa: BLE001 - raised where the conversation is heard
            self._failure = error
            self.cancel()
        else:
            self._put_fed(turn, None if end else FLUSH)

    def _put_fed(self, turn: int, message: Request | None) -> bool:
        """Whether it still is its turn. None: our side ends."""
        with self._lock:
            if self._turn != turn or self._ended or not self._call.is_active():
                return False
            self._ended = message is None
            self._outbox.put(message)
            return True
