"""The door before `capacity.Books`: it has the clock, raises, and hands tickets out.

A queue that only grows makes everybody late. So a stream that could not be served in time is
refused at once, with a hint when to come again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from voxswap_registry.manifest import Manifest
from voxswap_server.engines.base import Pace
from voxswap_server.speech.capacity import Books, Limits, Machine, Refused, Snapshot, TooLate
from voxswap_server.speech.costs import NOTHING, Costs, Resource, Usage, plus
from voxswap_server.speech.errors import OverloadedError
from voxswap_server.speech.kinds import kind_of
from voxswap_server.speech.lane import Ran
from voxswap_server.speech.listening import too_late
from voxswap_server.speech.need import Stream, Windows
from voxswap_server.speech.playback import Pacing
from voxswap_server.speech.request import SpeechRequest

# Of English: what a character lasts, and how many symbols a voice makes of it, with its blanks.
_AUDIO_S, _SYMBOLS = 0.065, 2.0
# What was measured of another voice, alone, is a little less than what it will be.
_CAUTION = 1.25
# Where nothing was measured: a slow voice on a slow machine. The first segment says better.
_UNKNOWN = Pace(prepare_s_per_symbol=0.0005, decode_s_per_s=0.25)
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
    """A stream's place, and its `Progress`. A context manager: leave it, however it ended."""

    def __init__(self, admission: Admission, stream: Stream) -> None:
        self._admission = admission
        self._stream = stream
        self._spent: Usage = NOTHING  # on what is told next

    def __enter__(self) -> Ticket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._admission.leave(self._stream)

    def weight(self) -> float:
        """See `Books.weight`."""
        return self._admission.weight(self._stream)

    def asks(self, characters_left: int, dry_at_s: float | None) -> None:
        """See `Progress`."""
        self._stream.asks(characters_left, dry_at_s)

    def stands(self, *, for_words: bool = False) -> None:
        """See `Progress`."""
        self._stream.stands(self._admission.clock(), for_words=for_words)

    def cut(self) -> None:
        """See `Progress`."""
        self._stream.cut()

    def computed(self, ran: Ran[Any], *, is_long: bool) -> None:
        """See `Progress`."""
        usage = self._admission.usage(ran, is_long=is_long)
        self._spent = plus(self._spent, usage)

    def prepared(self, characters: int, audio_s: float) -> None:
        """See `Progress`."""
        self._stream.prepared(characters, audio_s, self._take_spent())

    def decoded(self, audio_s: float) -> None:
        """See `Progress`."""
        self._stream.decoded(audio_s, self._take_spent())

    def encoded(self, audio_s: float, took_s: float) -> None:
        """See `Progress`."""
        usage = (0.0, 0.0, took_s, took_s)
        self._admission.books.costs.encoded(self._stream.encoding, audio_s, usage)

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
        windows: Windows | None = None,
        prior: Callable[[Manifest], Costs] = lambda manifest: prior(None),
        busy: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0),
    ) -> None:
        """Long steps take ``long_width`` cores. ``prior`` is believed of kinds never heard.

        ``busy`` says for how many seconds a second the threads for steps, and that for long ones,
        took steps of late.
        """
        self.clock = clock
        self.books = Books(machine or Machine(1, 1.0), limits, windows or Windows())
        self._pacing = pacing
        self._long_width = long_width
        self._prior = prior
        self._busy = busy
        # Frozen, and replaced as a whole: this alone may be read from any thread.
        self.shown = Snapshot()

    def admit(self, request: SpeechRequest, manifest: Manifest, *, swap_s: float = 0.0) -> Ticket:
        """A place for a stream of a voice that is ``swap_s`` away.

        Raises `OverloadedError`, or `TooLateError` for a line that could not start by its time.
        """
        now_s = self.clock()
        for resource, share in zip(
            (Resource.STEPS, Resource.LONG_STEPS), self._busy(), strict=True
        ):
            self.books.busy(resource, share, now_s)
        kind = self.books.costs.of(kind_of(manifest), lambda: self._prior(manifest))
        budget_s = self._pacing.start_budget_s[request.line_class]
        decision = self.books.admit(request, kind, now_s, budget_s=budget_s, swap_s=swap_s)
        match decision:
            case Refused():
                error = OverloadedError(decision.reason)
                error.retry_s = decision.retry_s
                raise error
            case TooLate():
                raise too_late(request.start_by_s or 0.0, decision.estimate_s)
        self.look()
        return Ticket(self, decision)

    def leave(self, stream: Stream) -> None:
        """Give a place back; again does nothing."""
        self.books.leave(stream)
        self.look()

    def look(self) -> None:
        """Show the books as they are now."""
        self.shown = self.books.snapshot(self.clock())

    async def keep_looking(
        self, *, every_s: float = 1.0, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """`look` for ever: what streams need changes by itself as well."""
        while True:
            await sleep(every_s)
            self.look()

    def weight(self, stream: Stream) -> float:
        """See `Books.weight`."""
        return self.books.weight(stream, self._pacing.patience_s, self.clock())

    def usage(self, ran: Ran[Any], *, is_long: bool) -> Usage:
        """What a work took, which was a stream's."""
        usage: Usage = (
            (0.0, ran.compute_s, 0.0, ran.cpu_s * self._long_width)
            if is_long
            else (ran.compute_s, 0.0, 0.0, ran.cpu_s)
        )
        self.books.computed(usage, self.clock())
        return usage

    def unpaced_of(self, tenant: str) -> int:
        """Streams without pacing that a tenant has."""
        return self.books.unpaced_of(tenant)

    def check_integrity(self) -> None:
        """Raise AssertionError if the books do not balance."""
        self.books.check_integrity()
