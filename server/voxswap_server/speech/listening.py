"""One stream on its way to whoever listens: how far it got, and what stops it before its end."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Callable

from voxswap_server.speech.errors import too_late
from voxswap_server.speech.messages import Chunk, Header, Mark, Message, Messages, Receipt, Trailer
from voxswap_server.speech.metrics import StreamObservation
from voxswap_server.speech.pipeline import Synthesis
from voxswap_server.speech.script import Script

# Words are kept until they have been said, and one begins every 100 ms at the least.
_WORDS_KEPT = 256


class Heard:
    """What was given out: samples, and the words that were said whole. Not thread-safe."""

    def __init__(self) -> None:
        self.samples = 0
        self._words: deque[Mark] = deque(maxlen=_WORDS_KEPT)
        self._last: Mark | None = None

    def note(self, chunk: Chunk) -> None:
        """This goes out."""
        self.samples = chunk.start_sample + chunk.sample_count
        self._words.extend(chunk.words)
        while self._words:
            word = self._words[0]
            if word.start_sample + word.duration_samples > self.samples:
                break
            self._last = self._words.popleft()

    def cut(self) -> Receipt:
        """The receipt of an interruption here; words under way will not be finished."""
        self._words.clear()
        if self._last is None:
            return Receipt(self.samples, "", 0)
        return Receipt(self.samples, self._last.text, self._last.text_end)


class Stream:
    """The messages of one request, until it is interrupted or too late. Used once.

    An async iterator, confined to one event loop; one task reads, any may `interrupt`. Reading ends
    after a `Trailer`, or after the `Receipt` of a text that was interrupted. A conversation goes on
    after a receipt, with what is said next. Raises `TooLateError` if nothing comes ``start_by_s``
    after the request's arrival, and whatever its making raises; it cannot be read on then. A
    reader that is cancelled leaves it to whoever opened it to be closed.
    """

    def __init__(
        self,
        stream_id: str,
        made: Messages,
        seen: StreamObservation,
        *,
        arrived_s: float,
        clock: Callable[[], float],
        start_by_s: float | None = None,
        script: Script | None = None,
    ) -> None:
        """``made`` is where its messages come from, and is the opener's to close in the end.

        ``script`` is that of a conversation.
        """
        self.id = stream_id
        self._made = made
        self._seen = seen
        self._arrived_s = arrived_s
        self._clock = clock
        self._start_by_s = start_by_s  # None once it is of no meaning any more
        self._script = script
        self._heard = Heard()
        self._limit: asyncio.Timeout | None = None
        self._synthesis: Synthesis | None = None  # of a conversation
        self._receipt: Receipt | None = None
        self._asked = 0  # interruptions of a conversation without a receipt of theirs
        self._owed = 0  # receipts that go out next
        self._sends_chunk = False
        self._is_over = False

    def begun(self, synthesis: Synthesis) -> None:
        """The conversation is spoken by ``synthesis`` from now on."""
        self._synthesis = synthesis
        if self._asked and self._receipt is not None:
            synthesis.cut(self._receipt)

    async def interrupt(self) -> Receipt:
        """Let nothing more through of what there is; what had been given out until now.

        Of a text the first answer is the answer for ever, and there at once, at whatever moment:
        also when it is just becoming too late. Its end is then this receipt and no error. Of a
        conversation each is a receipt of its own; a chunk that is being encoded goes out before.
        Cancelling changes nothing.
        """
        if self._script is None:
            if self._receipt is None:
                self._receipt = self._heard.cut()
                self._move_limit(0.0)
            return self._receipt
        if self._synthesis is not None:
            await self._synthesis.settled()
        self._receipt = self._heard.cut()
        self._asked += 1
        self._script.cut()
        if self._synthesis is not None:
            self._synthesis.cut(self._receipt)
        # What had to begin by then is not wanted any more.
        self._start_by_s = None
        self._move_limit(None)
        return self._receipt

    def _move_limit(self, when_s: float | None) -> None:
        # A limit that is over ends the wait by itself, in its own time, and cannot be moved.
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(when_s)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Message:
        if self._sends_chunk:
            # Who asks for more has handed it to the transport.
            self._sends_chunk = False
            self._seen.sent_chunk(self._clock() - self._arrived_s)
        message = await self._next()
        match message:
            case Header():
                self._seen.cached = message.cached
                return dataclasses.replace(message, stream_id=self.id)
            case Chunk():
                self._heard.note(message)
                self._sends_chunk = True
            case Trailer():
                self._is_over = True
                if self._synthesis is not None:
                    self._seen.characters = self._seen.characters or self._synthesis.characters
                # Before the client knows, and may look at what was counted.
                self._seen.finished(message)
        return message

    async def _next(self) -> Message:
        if self._owed and self._receipt is not None:
            self._owed -= 1
            return self._receipt
        if self._is_over:
            raise StopAsyncIteration
        message = await self._pulled()
        self._start_by_s = None
        if self._receipt is not None and self._script is None:
            self._is_over = True
            await self._made.aclose()  # nothing is held for a client that is slow to take it
            return self._receipt
        if message is None:
            raise StopAsyncIteration
        if isinstance(message, Receipt):
            self._owed, self._asked = self._asked - 1, 0
        return message

    async def _pulled(self) -> Message | None:
        """What is made next; None at the end, or if a text was interrupted."""
        if self._receipt is not None and self._script is None:
            return None
        start_by_s, left_s = self._start_by_s, None
        if start_by_s is not None:
            left_s = self._arrived_s + start_by_s - self._clock()
        try:
            async with asyncio.timeout(left_s) as self._limit:
                return await anext(self._made, None)
        except TimeoutError:
            limit = self._limit
            if limit is None or not limit.expired():
                raise  # somebody else's
            if self._receipt is not None and self._script is None:
                return None
            # A conversation that is interrupted in this very turn has ended as well.
            raise too_late(start_by_s or 0.0, None) from None
        finally:
            self._limit = None
