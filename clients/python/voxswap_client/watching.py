"""The rules of a stream of events, without any I/O: both clients feed it what they receive."""

from __future__ import annotations

from voxswap.v1 import residency_pb2
from voxswap_client import convert
from voxswap_client.channel import Clock
from voxswap_client.errors import EventsLostError, UnavailableError, VoxswapClientError
from voxswap_client.fields import fitting
from voxswap_client.residency_types import ResidencyEvent
from voxswap_client.retry import Attempts

# A connection that stood for so long did stand: no attempt to make one takes as much.
_PROVEN_S = 60.0


class WatchProgress:
    """Where a watch stands, and when a stream that broke is begun anew. Not thread-safe.

    The tries that ``attempts`` allow are those in a row: an event, or a stream that stood for a
    minute, begins the count anew. A broken stream is resumed after the last event that came; before
    the first one there is only what the caller knew, and without that, what happens during the
    break is not told.
    """

    def __init__(self, attempts: Attempts, *, clock: Clock, after: int | None, epoch: int) -> None:
        self._attempts = attempts
        self._clock = clock
        self._after = after
        self._epoch = epoch
        self._began_s = clock()
        self._request()  # what does not fit is told before anything is sent

    def begin(self) -> residency_pb2.WatchRequest:
        """Count one more try; return its request."""
        self._attempts.next_timeout_s()
        self._began_s = self._clock()
        return self._request()

    def _request(self) -> residency_pb2.WatchRequest:
        with fitting("after and epoch"):
            return residency_pb2.WatchRequest(after_sequence=self._after, epoch=self._epoch)

    def accept(self, message: residency_pb2.WatchResponse) -> ResidencyEvent | None:
        """Take the next message; None if it is of a kind that this client does not know.

        Raises `EventsLostError` if it is not the one after the last, of the same run of the server.
        """
        if self._epoch and message.epoch != self._epoch:
            raise EventsLostError(
                "the server is another one, or was started anew, and counts its events from 1; "
                "list the residents and watch again",
                reason="EVENTS_LOST",
            )
        after = self._after
        # 0 without an epoch asks for all that are kept, and the first may be gone.
        if after is not None and (after or self._epoch) and message.sequence != after + 1:
            raise EventsLostError(
                f"after event {after} came event {message.sequence}; list the residents and "
                "watch again",
                reason="EVENTS_LOST",
            )
        self._after, self._epoch = message.sequence, message.epoch
        self._attempts.count = 1
        return convert.event(message)

    def delay_s(self, error: VoxswapClientError) -> float | None:
        """Seconds to wait before a stream that ended with ``error`` is begun anew; None: never."""
        if self._clock() - self._began_s >= _PROVEN_S:
            self._attempts.count = 1
        return self._attempts.delay_s(error)


def ended() -> UnavailableError:
    """What it means that a stream of events ended well."""
    return UnavailableError("the server ended the stream: it is stopping", code="UNAVAILABLE")
