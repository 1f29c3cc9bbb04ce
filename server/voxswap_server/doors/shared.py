"""What all doors share: one set of limits, one count of streams, one book of refusals."""

from __future__ import annotations

from dataclasses import dataclass

from voxswap_server.doors.errors import TooManyStreamsError
from voxswap_server.doors.failures import Failure, failure_of
from voxswap_server.doors.places import Places
from voxswap_server.doors.refusals import Refusals
from voxswap_server.doors.under_way import CallsUnderWay


@dataclass(frozen=True, slots=True)
class Limits:
    """``most_streams`` speak at a time, by whichever door they came.

    ``first_message_s`` is for saying what one wants, ``stalled_write_s`` for taking what is sent,
    ``idle_s`` for connections that do nothing; after ``keepalive_s`` they are asked whether anybody
    is there. The others are of what a client may send.
    """

    most_streams: int = 256
    first_message_s: float = 10.0
    stalled_write_s: float = 60.0
    idle_s: float = 300.0
    keepalive_s: float = 30.0
    max_message_bytes: int = 2 << 20
    max_text_characters: int = 10_000


@dataclass(frozen=True, slots=True)
class Shared:
    """Confined to one event loop."""

    limits: Limits
    streams: Places
    calls: CallsUnderWay
    refusals: Refusals

    def failure_of(self, error: BaseException) -> Failure:
        """What a caller is told of ``error``; it is counted if the request was right."""
        failure = failure_of(error)
        if failure.refused:
            self.refusals.note(failure.reason, failure.refused)
        # What it has passed through holds the voice, and the client may take its time.
        error.__traceback__ = error.__context__ = error.__cause__ = None
        return failure


def stream_places(most: int) -> Places:
    """Those of all streams together; who finds none is told `TooManyStreamsError`."""
    return Places(most, _too_many_streams)


def _too_many_streams(most: int) -> TooManyStreamsError:
    return TooManyStreamsError(
        f"{most} streams are open, the most that this server takes at a time; try again, or raise "
        "max_streams"
    )
