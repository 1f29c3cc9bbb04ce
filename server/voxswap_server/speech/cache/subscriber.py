"""One stream's place in audio that is made for several."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxswap_server.speech.messages import Chunk, Header, Message, Trailer, digest_of
from voxswap_server.speech.request import SpeechRequest

if TYPE_CHECKING:
    from voxswap_server.speech.cache.flight import Flight


@dataclass(frozen=True, slots=True)
class Terms:
    """How long somebody waits for audio; None: without an end.

    Until ``until_s`` on the cache's clock for a voice that can make it, and ``start_by_s`` after
    the request's arrival for its beginning.
    """

    until_s: float | None = None
    start_by_s: float | None = None


# What makes audio: for a request, on terms that may change while it waits, as others join.
Make = Callable[[SpeechRequest, Callable[[], Terms]], AsyncGenerator[Message, None]]


class Subscriber:
    """One stream's `Parts`: what it was sent, and what comes next. Confined to one event loop.

    It boards a flight when it is read, and leaves it when it is closed, or told of an error.
    """

    def __init__(
        self,
        request: SpeechRequest,
        make: Make,
        find: Callable[[], Flight],
        *,
        arrived_s: float,
        until_s: float | None,
        clock: Callable[[], float],
    ) -> None:
        self.request = request
        self.make = make
        self.arrived_s = arrived_s
        self.terms = Terms(until_s, request.start_by_s)
        self.place = 0
        """Index of the next message."""
        self.error: BaseException | None = None
        """What ends this stream, once it has been set."""
        self._find = find
        self._flight: Flight | None = None
        self._is_over = False
        self._clock = clock
        self._text_digest = digest_of(request.text)
        self._is_same_text = True
        self._first_chunk_ms: float | None = None

    def __aiter__(self) -> Subscriber:
        return self

    async def __anext__(self) -> Message:
        if self._is_over:
            raise StopAsyncIteration
        if self._flight is None:
            self._flight = self._find()
            self._flight.join(self)
        try:
            message = await self._flight.next_message(self)
        except Exception:
            await self.aclose()
            raise
        self._is_over = isinstance(message, Trailer)
        return message

    async def aclose(self) -> None:
        """Leave."""
        self._is_over = True
        if self._flight is not None:
            self._flight.leave(self)

    def hears(self, message: Message, *, own: bool) -> Message:
        """``message`` as this stream is to be sent it.

        ``own`` says whether it is made by this very stream's means.
        """
        match message:
            case Header():
                self._is_same_text = message.text_digest == self._text_digest
                if own:
                    return message
                # Nothing is loaded or computed for this one.
                return dataclasses.replace(
                    message, cached=True, cold=False, queue_ms=0.0, swap_ms=0.0
                )
            case Chunk():
                if self._first_chunk_ms is None:
                    self._first_chunk_ms = (self._clock() - self.arrived_s) * 1e3
                if self._is_same_text:
                    return message
                # It is said the same, and its words stand elsewhere.
                words = (dataclasses.replace(w, text_start=0, text_end=0) for w in message.words)
                return dataclasses.replace(message, words=tuple(words))
            case Trailer():
                return dataclasses.replace(
                    message,
                    compute_ms=message.compute_ms if own else 0.0,
                    first_chunk_ms=self._first_chunk_ms or 0.0,
                )
        raise AssertionError("what is shared is not interrupted: each subscriber is")


def loosest(subscribers: Sequence[Subscriber]) -> Terms:
    """The terms of whoever waits longest: what is too late for one may be in time for another."""
    untils = [x.terms.until_s for x in subscribers]
    starts = [(x.arrived_s, x.terms.start_by_s) for x in subscribers]
    until_s = start_by_s = None
    if subscribers and None not in untils:
        until_s = max(u for u in untils if u is not None)
    if subscribers and all(s is not None for _, s in starts):
        start_by_s = max(((a + s, s) for a, s in starts if s is not None))[1]
    return Terms(until_s, start_by_s)
