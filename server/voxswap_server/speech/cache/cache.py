"""The audio cache: what was made before is sent at once, what is being made is shared."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from voxswap_registry.manifest import Manifest
from voxswap_server.speech.cache import recording
from voxswap_server.speech.cache.flight import Flight, Outcome, size_bytes
from voxswap_server.speech.cache.key import audio_key
from voxswap_server.speech.cache.store import AudioStore, StoreFault
from voxswap_server.speech.cache.subscriber import Make, Subscriber, Terms
from voxswap_server.speech.messages import Message, Messages
from voxswap_server.speech.request import CachePolicy, SpeechRequest

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AudioCacheStatistics:
    """What is under way: flights, the streams that listen to them, and bytes held for these."""

    flights: int
    subscribers: int
    held_bytes: int


class AudioCache:
    """Audio by request. Confined to one event loop; no method but `messages` and `close` awaits.

    A flight belongs to one key, class and pacing: nobody waits for audio that is made at the pace
    of somebody who is in less of a hurry.
    """

    def __init__(
        self,
        store: AudioStore | None,
        *,
        on_request: Callable[[Outcome], object],
        on_fault: Callable[[StoreFault], object],
        maker: str,
        most_entry_bytes: int,
        most_held_bytes: int,
        parts_at_clause: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``store`` is None: everything is made anew. ``maker`` names whatever audio depends on
        beside request and version, but for ``parts_at_clause`` (see `Stage`). ``on_request`` hears
        how each request met the cache, and ``on_fault`` when a store did not do what it was asked.

        A recording has at most ``most_entry_bytes``; what may be joined, made or kept before, has
        at most ``most_held_bytes`` in all, the latest message of each aside.
        """
        self._store = store
        self.told = on_request
        self._on_fault = on_fault
        self._key = partial(audio_key, maker=maker, parts_at_clause=parts_at_clause)
        self._most_entry_bytes = most_entry_bytes
        self._most_held_bytes = most_held_bytes
        self._clock = clock
        self._open: dict[object, Flight] = {}  # those that may be joined
        self._flights: dict[Flight, object] = {}  # all, with their place in `_open`

    def messages(
        self,
        request: SpeechRequest,
        manifest: Manifest,
        make: Make,
        *,
        arrived_s: float,
        until_s: float | None = None,
    ) -> Messages:
        """The stream of ``request``, which arrived at ``arrived_s`` on the cache's clock.

        ``make`` makes it where nobody has: it is called once, when the stream is read, or not at
        all, and may go on for others when this stream has ended. It is given whose terms count:
        this stream waits until ``until_s``, and others perhaps longer. What the making raises,
        whoever's it is, is raised here, as is `TooFarBehindError`. Closing the stream ends the
        making if nobody else listens to it.
        """
        if self._store is None or not wanted(request):
            self.told(Outcome.OFF)
            return make(request, lambda: Terms(until_s, request.start_by_s))
        return Subscriber(
            *(request, make, lambda: self._flight_of(request, manifest)),
            arrived_s=arrived_s,
            until_s=until_s,
            clock=self._clock,
        )

    def _flight_of(self, request: SpeechRequest, manifest: Manifest) -> Flight:
        key = self._key(request, manifest)
        place = (key, request.line_class, request.paced, request.eager)
        flight = self._open.get(place)
        if flight is None:
            flight = Flight(self, key, most_bytes=self._most_entry_bytes)
            self._open[place] = flight
            self._flights[flight] = place
        return flight

    async def close(self) -> None:
        """End what is under way; who still listens is told. Then close the store."""
        tasks = [flight.task for flight in self._flights]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._store is not None:
            await self._store.close()

    def statistics(self) -> AudioCacheStatistics:
        """As it is now. May be called from any thread."""
        flights = tuple(self._flights)
        subscribers = sum(len(flight.subscribers) for flight in flights)
        held_bytes = sum(flight.held_bytes for flight in flights)
        return AudioCacheStatistics(len(flights), subscribers, held_bytes)

    def check_integrity(self) -> None:
        """Raises AssertionError if a flight has nobody, or cannot be joined and may be."""
        for place, flight in self._open.items():
            assert self._flights[flight] == place  # noqa: S101
            assert flight.shares  # noqa: S101
        for flight in self._flights:
            assert flight.subscribers or not flight.ended  # noqa: S101

    # What flights need.

    async def look_up(self, flight: Flight) -> Sequence[Message] | None:
        """From the store. Whatever is wrong with it, or too much to hold, is not there."""
        assert self._store is not None  # noqa: S101 - else there are no flights
        data = await self._store.get(flight.key)
        if data is None or not self._may_hold(len(data)):
            return None
        try:
            messages = recording.decode(flight.key, data)
            return messages if self._may_hold(sum(map(size_bytes, messages))) else None
        except recording.RecordingError as error:
            self._on_fault(StoreFault.DAMAGED)
            _LOGGER.warning("a recording in the audio cache is made anew: %s", error)
            return None

    async def keep(self, flight: Flight, messages: Sequence[Message]) -> None:
        """Into the store."""
        data = recording.encode(flight.key, messages)
        if self._store is not None and len(data) <= self._most_entry_bytes:
            await self._store.put(flight.key, data)

    def may_grow(self, flight: Flight) -> bool:
        """Whether neither it nor all together hold too much."""
        return flight.held_bytes <= self._most_entry_bytes and self._may_hold(0)

    def _may_hold(self, more_bytes: int) -> bool:
        held_bytes = sum(flight.held_bytes for flight in self._flights)
        return held_bytes + more_bytes <= self._most_held_bytes

    def refuse_joiners(self, flight: Flight) -> None:
        """Take it out of those that may be joined."""
        place = self._flights[flight]
        if self._open.get(place) is flight:
            del self._open[place]

    def over(self, flight: Flight) -> None:
        """Forget it."""
        self.refuse_joiners(flight)
        del self._flights[flight]


def wanted(request: SpeechRequest) -> bool:
    """Whether the audio may be kept and come from what was kept.

    Who leaves that open gets what is the same either way: the audio of a seed. Without one, a
    line sounds a little different each time, and games repeat barks.
    """
    if request.cache_policy is CachePolicy.DEFAULT:
        return request.seed is not None
    return request.cache_policy is CachePolicy.USE
