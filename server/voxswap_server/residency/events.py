"""What residency tells to whoever watches: metrics, the log, and `ResidencyService.Watch`."""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from voxswap_server.residency.errors import (
    EventsLostError,
    SlowWatcherError,
    TooManyWatchersError,
)
from voxswap_server.residency.units import human_bytes

_LOGGER = logging.getLogger(__name__)


class EventKind(enum.Enum):
    """What happened."""

    LOAD_STARTED = "load_started"
    LOADED = "loaded"
    LOAD_FAILED = "load_failed"
    EVICTED = "evicted"
    QUARANTINED = "quarantined"
    BUDGET_CHANGED = "budget_changed"
    BARRED = "barred"


@dataclass(frozen=True, slots=True)
class ResidencyEvent:
    """One event. Loads are told of voices, evictions and quarantines of parts.

    ``voices`` are those that it concerns, as ``voice@version``: the one that is loaded; those that
    can no longer speak without what was evicted; the one that is barred, for ``duration_s``.
    ``digest`` and ``role`` name the part.
    ``size_bytes`` are those that a load added or will add at most, or an eviction gave back, or the
    new budget. ``duration_s`` is the load's or the eviction's, ``queue_s`` the part of it that a
    load waited for memory, ``age_s`` the time since an evicted part was last used.
    """

    kind: EventKind
    voices: tuple[str, ...] = ()
    role: str = ""
    digest: str = ""
    size_bytes: int = 0
    reason: str = ""
    duration_s: float = 0.0
    queue_s: float = 0.0
    age_s: float = 0.0

    def __str__(self) -> str:
        what = " ".join(filter(None, (", ".join(self.voices[:4]), self.role))) or self.digest
        head = f"{what} {self.kind.value}" if what else self.kind.value
        text = f"{head}: {human_bytes(self.size_bytes)}"
        return f"{text}, {self.reason}" if self.reason else text


Observer = Callable[[ResidencyEvent], None]


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event in the log: its number, counted from 1, and when it was told (Unix time)."""

    sequence: int
    time_s: float
    event: ResidencyEvent


class EventLog:
    """The latest events, and everybody who reads them. Confined to one event loop.

    Watchers have no queues: each has its place in the one log that is kept anyway. Who falls so far
    behind that its next event is dropped from the log is told so and ends; telling costs the same
    whoever watches, and nobody is waited for.

    ``epoch`` names this log: numbers mean nothing in another one, as after a restart.
    """

    def __init__(
        self,
        *,
        kept: int = 4096,
        most_watchers: int = 64,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._wall_clock = wall_clock
        self._log: deque[Numbered] = deque(maxlen=kept)
        self.last_sequence = 0  # the number of the latest event
        self._most_watchers = most_watchers
        self.watchers = 0  # now
        self._changed = asyncio.Event()
        self._closed = False
        self.epoch = int(wall_clock() * 1e6)

    def tell(self, event: ResidencyEvent) -> None:
        """Append an event and wake the watchers. Never blocks."""
        self.last_sequence += 1
        self._log.append(Numbered(self.last_sequence, self._wall_clock(), event))
        _LOGGER.info("%s", event)
        self._wake()

    async def watch(
        self, after: int | None = None, epoch: int = 0
    ) -> AsyncGenerator[Numbered, None]:
        """Every event after number ``after`` of the log ``epoch``.

        None stands for every event from now on, 0 without an epoch for every one that is kept.

        Ends when the log is closed. Raises `EventsLostError` if the next event is no longer kept,
        `SlowWatcherError` if that happens later, and `TooManyWatchersError`.
        """
        if self.watchers >= self._most_watchers:
            raise TooManyWatchersError(
                f"{self.watchers} watch already, the most that this server lets watch; end one"
            )
        position = self.last_sequence if after is None else after
        if after == 0 and not epoch and self._log:
            position = self._log[0].sequence - 1
        elif after is not None:
            self._check_resumable(after, epoch)
        self.watchers += 1
        try:
            while True:
                if position < self.last_sequence:
                    event = self._at(position + 1)
                    position += 1
                    yield event
                elif self._closed:
                    return
                else:
                    await self._changed.wait()
        finally:
            self.watchers -= 1

    def close(self) -> None:
        """Nothing more will be told: watchers end when they have read everything."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _check_resumable(self, after: int, epoch: int) -> None:
        if epoch and epoch != self.epoch:
            raise EventsLostError(
                f"event {after} is of another run of this server; begin anew: list the residents, "
                "then watch from the event that the list names"
            )
        if after > self.last_sequence:
            raise EventsLostError(
                f"event {after} has not happened: the latest is {self.last_sequence}. If it is of "
                "an earlier run of this server, begin anew without a number"
            )
        if self._log and after + 1 < self._log[0].sequence:
            raise EventsLostError(
                f"events after {after} are no longer kept, the oldest is {self._log[0].sequence}; "
                "begin anew: list the residents, then watch from the event that the list names"
            )

    def _at(self, sequence: int) -> Numbered:
        oldest = self._log[0].sequence
        if sequence < oldest:
            raise SlowWatcherError(
                f"this watcher was too slow: event {sequence} was dropped, the oldest kept is "
                f"{oldest}; list the residents, then watch again, and read faster"
            )
        return self._log[sequence - oldest]
