"""One stream on its way to whoever listens: how far it got, and what stops it before its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from voxswap_server.speech.errors import TooLateError
from voxswap_server.speech.parts import Chunk, Mark, Part, Receipt

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
        while self._words and _end(self._words[0]) <= self.samples:
            self._last = self._words.popleft()

    def cut(self) -> Receipt:
        """The receipt of an interruption here; words under way will not be finished."""
        self._words.clear()
        if self._last is None:
            return Receipt(self.samples, "", 0)
        return Receipt(self.samples, self._last.text, self._last.text_end)


def _end(word: Mark) -> int:
    return word.start_sample + word.duration_samples


class Listening:
    """Passes parts on until it is interrupted. Used once; confined to one event loop."""

    def __init__(self, *, arrived_s: float, start_by_s: float | None = None) -> None:
        """Nothing is of use that does not begin ``start_by_s`` after ``arrived_s``.

        That is on the event loop's clock.
        """
        self._arrived_s = arrived_s
        self._start_by_s = start_by_s
        self._heard = Heard()
        self._limit: asyncio.Timeout | None = None
        self._receipt: Receipt | None = None

    def interrupt(self) -> Receipt:
        """Let nothing more through, at whatever moment. Asked again, the answer is the same.

        Also for a line that is just becoming too late: its end is then this receipt and no error.
        """
        if self._receipt is None:
            self._receipt = self._heard.cut()
            # A limit that is over ends the wait by itself, in its own time, and cannot be moved.
            if self._limit is not None and not self._limit.expired():
                self._limit.reschedule(0.0)
        return self._receipt

    async def parts(self, made: AsyncGenerator[Part, None]) -> AsyncGenerator[Part, None]:
        """``made``, or as much of it as there is time for; the receipt if it is interrupted.

        Raises `TooLateError` if it did not begin in time, and whatever ``made`` raises. ``made`` is
        the caller's to close.
        """
        until = None if self._start_by_s is None else self._arrived_s + self._start_by_s
        while self._receipt is None:
            try:
                async with asyncio.timeout_at(until) as self._limit:
                    part = await anext(made, None)
            except TimeoutError:
                limit = self._limit
                if limit is None or not limit.expired():
                    raise  # somebody else's
                if self._receipt is not None:
                    break
                raise too_late(self._start_by_s or 0.0, None) from None
            finally:
                self._limit = None
            until = None
            if part is None:
                return
            if self._receipt is None:
                if isinstance(part, Chunk):
                    self._heard.note(part)
                yield part
        yield self._receipt


def too_late(start_by_s: float, estimate_s: float | None) -> TooLateError:
    """The error of a line that is of no use any more; None: it became late in the queue."""
    message = (
        f"the line was to start within {start_by_s * 1e3:.0f} ms and did not; it was dropped"
        if estimate_s is None
        else f"the line is to start within {start_by_s * 1e3:.0f} ms and would take "
        f"{estimate_s * 1e3:.0f} ms; send it earlier, or leave start_by_ms unset"
    )
    metadata = {} if estimate_s is None else {"estimated_start_ms": f"{estimate_s * 1e3:.0f}"}
    return TooLateError(message, metadata=metadata)
