"""The door before `Books`: it has the clock, lets wait, raises, and hands tickets out.

A queue that only grows makes everybody late. So a stream that could not be served in time is
refused, with a hint when to come again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

from voxswap_families.contract import Pace
from voxswap_registry.manifest import Manifest
from voxswap_server.compute.hooks import Ran
from voxswap_server.speech.books import Books, Limits, Snapshot, TooLate
from voxswap_server.speech.chunking import Chunking
from voxswap_server.speech.costs import (
    LEAST_AUDIO_S,
    NOTHING,
    CostBook,
    Costs,
    Machine,
    Usage,
    plus,
)
from voxswap_server.speech.errors import OverloadedError, too_late
from voxswap_server.speech.need import Stream
from voxswap_server.speech.playback import Pacing
from voxswap_server.speech.request import SpeechRequest

# Whoever comes at a busy moment has a place soon after. And a client that asks again as soon as it
# is refused does so once a second: it keeps nobody from speaking.
_PATIENCE_S = 1.0
# Of a conversation that has not said anything yet: a minute of speech.
_UNKNOWN_CHARACTERS = 900
# Of English: what a character lasts, and how many symbols a voice makes of it, with its blanks.
_AUDIO_S, _SYMBOLS = 0.065, 2.0
# What was measured of another voice, alone, is a little less than what it will be.
_CAUTION = 1.25
# Where nothing was measured: a middling voice, and long steps of a slow machine, which others feel.
# The first segment says better.
_UNKNOWN = Pace(prepare_s_per_symbol=0.0003, decode_s_per_s=0.12)
_UNKNOWN_LONG = Pace(prepare_s_per_symbol=0.5 * _AUDIO_S / _SYMBOLS, decode_s_per_s=0.005)


def prior(pace: Pace | None, *, long_width: float = 0.0) -> Costs:
    """What to believe of a kind that was never heard.

    ``long_width`` is how many cores its preparations take, if these are long steps; else 0.
    """
    caution = 1.0 if pace is None else _CAUTION
    pace = pace or (_UNKNOWN_LONG if long_width else _UNKNOWN)
    prepare_s = caution * _SYMBOLS * pace.prepare_s_per_symbol
    decode_s = caution * pace.decode_s_per_s
    prepare = (prepare_s, 0.0, 0.0, prepare_s)
    if long_width:
        prepare = (0.0, prepare_s, 0.0, prepare_s * long_width)
    return Costs(prepare, (decode_s, 0.0, 0.0, decode_s), _AUDIO_S)


class Ticket:
    """A stream's place. A context manager: leave it, however the stream ended.

    It hears how the stream goes, on its event loop. Nothing blocks or raises.
    """

    def __init__(self, admission: Admission, stream: Stream) -> None:
        self._admission = admission
        self._stream = stream
        self._spent: Usage = NOTHING  # on what is told next

    def __enter__(self) -> Ticket:
        return self

    def __exit__(self, *_: object) -> None:
        self._admission.leave(self._stream)

    def weight(self) -> float:
        """How many times longer than usual the steps of a stream without pacing may wait."""
        return self._admission.books.weight(self._stream, self._admission.clock())

    def asks(self, characters_left: int, dry_at_s: float | None) -> None:
        """It wants its next window, and has so much text left.

        What was delivered will have been played at ``dry_at_s``; None: nothing was yet.
        """
        now_s = self._admission.clock()
        self._admission.books.asks(self._stream, characters_left, dry_at_s, now_s)
        self._admission.look()

    def stands(self, *, for_words: bool = False) -> None:
        """A window is there until it is taken; or there is nothing to say until text comes."""
        self._stream.stands(self._admission.clock(), for_words=for_words)
        self._admission.look()

    def cut(self) -> None:
        """What was prepared will not be spoken."""
        self._stream.cut()

    def computed(self, ran: Ran[Any], *, is_long: bool) -> None:
        """A work ended; what it was for is told next."""
        cpu_s = ran.cpu_s
        usage = (cpu_s, 0.0, 0.0, cpu_s)
        if is_long:
            usage = (0.0, cpu_s, 0.0, cpu_s * self._admission.long_width)
        self._spent = plus(self._spent, usage)

    def prepared(self, characters: int, audio_s: float) -> None:
        """A segment of so many characters, which has so much audio."""
        self._stream.prepared(characters, audio_s, self._take_spent())

    def decoded(self, audio_s: float) -> None:
        """A window of audio."""
        self._stream.decoded(audio_s, self._take_spent())

    def encoded(self, audio_s: float, took_s: float) -> None:
        """So much audio was encoded on the event loop."""
        if audio_s >= LEAST_AUDIO_S:
            self._stream.encoding.learn((0.0, 0.0, took_s, took_s), audio_s)

    def _take_spent(self) -> Usage:
        spent, self._spent = self._spent, NOTHING
        return spent


class Admission:
    """Lets streams in, or refuses them. Confined to one event loop, but for `shown`."""

    def __init__(
        self,
        limits: Limits,
        pacing: Pacing,
        *,
        clock: Callable[[], float],
        machine: Machine | None = None,
        long_width: float = 1.0,
        chunking: Chunking | None = None,
        prior: Callable[[Manifest], Costs] = lambda manifest: prior(None),
        speeds: Callable[[], tuple[float, float]] = lambda: (1.0, 1.0),
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """Long steps take ``long_width`` cores. ``prior`` is believed of kinds never heard.

        ``speeds`` are those of the threads for steps, and of that for long ones, of late.
        """
        self.clock = clock
        self.books = Books(
            machine or Machine(1, 1.0), limits, chunking or Chunking(), pacing, speeds
        )
        self._costs = CostBook()
        self._pacing = pacing
        self.long_width = long_width
        self._prior = prior
        self._patience_s = patience_s
        self._next_look_s = -math.inf
        self._later: asyncio.TimerHandle | None = None
        self._places: dict[Stream, asyncio.Future[TooLate | None]] = {}  # of those at the door
        # Frozen, and replaced as a whole: this alone may be read from any thread.
        self.shown = Snapshot()

    async def admit(
        self, request: SpeechRequest, manifest: Manifest, *, swap_s: float = 0.0
    ) -> Ticket:
        """A place for a stream of a voice that is ``swap_s`` away. It may wait for it a little.

        Raises `OverloadedError`, or `TooLateError` for a line that could not start by its time.
        Cancelling gives back what was got meanwhile.
        """
        stream, patience_s = self._stream(request, manifest), self._patience_s
        start_by_s = None
        if request.start_by_s is not None:
            start_by_s = stream.admitted_s + request.start_by_s
            patience_s = min(patience_s, request.start_by_s)
        place: asyncio.Future[TooLate | None] = asyncio.get_running_loop().create_future()
        self._places[stream] = place
        self.books.wait(stream, start_by_s=start_by_s, swap_s=swap_s)
        try:
            self.look()
            if not place.done():
                await asyncio.wait([place], timeout=patience_s)
                self.look(now=True)
        except BaseException:
            self.books.give_up(stream)  # first: who leaves lets others in
            self.leave(stream)
            raise
        finally:
            del self._places[stream]
            refused = self.books.give_up(stream)
        if refused is not None:
            error = OverloadedError(refused.reason)
            error.retry_s = refused.retry_s
            raise error
        late = place.result()
        if late is not None:
            raise too_late(request.start_by_s or 0.0, late.estimate_s)
        return Ticket(self, stream)

    def _stream(self, request: SpeechRequest, manifest: Manifest) -> Stream:
        now_s, characters = self.clock(), len(request.text) or _UNKNOWN_CHARACTERS
        return Stream(
            kind=self._costs.of(manifest.kind, lambda: self._prior(manifest)),
            encoding=self._costs.encoding(request.encoding),
            tenant=request.tenant,
            paced=request.paced,
            rate=request.rate,
            admitted_s=now_s,
            begin_by_s=now_s + self._pacing.start_budget_s[request.line_class],
            left=characters / request.rate,
        )

    def leave(self, stream: Stream) -> None:
        """Give a place back; again does nothing."""
        self.books.leave(stream)
        self.look()
        self.show()

    def look(self, *, now: bool = False) -> None:
        """See `Books.look`. Not in this turn, but for ``now``, if it has just been done.

        Beside hundreds of streams it takes milliseconds, and each of them may let somebody in; so
        it has a tenth of the event loop's time.
        """
        if not self._places:
            return
        began_s = self.clock()
        if began_s < self._next_look_s and not now:
            if self._later is None:
                delay_s = self._next_look_s - began_s
                self._later = asyncio.get_running_loop().call_later(delay_s, self._look_later)
            return
        for stream, late in self.books.look(began_s):
            self._places[stream].set_result(late)
        self.show()
        ended_s = self.clock()
        self._next_look_s = ended_s + 9 * (ended_s - began_s)

    def _look_later(self) -> None:
        self._later = None
        self.look(now=True)

    def show(self) -> None:
        """Show the books as they are now."""
        self.shown = self.books.snapshot(self.clock())

    async def keep_showing(self, *, every_s: float = 1.0) -> None:
        """`show` for ever: what streams need changes by itself as well."""
        while True:
            await asyncio.sleep(every_s)
            self.show()

    def check_integrity(self) -> None:
        """Raise AssertionError if the books do not balance."""
        self.books.check_integrity()
