"""Single flight: what several streams want is made once, and sent to each of them as it grows."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from voxswap_server.residency.errors import ClosedError
from voxswap_server.speech.cache.listener import Listener
from voxswap_server.speech.parts import Chunk, Part, Trailer

_LOGGER = logging.getLogger(__name__)

_PART_BYTES, _MARK_BYTES = 512, 256


class Outcome(enum.Enum):
    """How a request met the cache."""

    HIT = "hit"
    JOINED = "joined"
    MISS = "miss"
    OFF = "off"


class Home(Protocol):
    """What a flight needs of its cache. Called on the event loop; awaits where it says so."""

    async def look_up(self, flight: Flight) -> Sequence[Part] | None:
        """The whole stream, if it was kept before."""
        ...

    async def keep(self, flight: Flight, parts: Sequence[Part]) -> None:
        """The whole stream, to be kept."""
        ...

    def may_grow(self, flight: Flight) -> bool:
        """Whether so much may be held for those who come later."""
        ...

    def refuse_joiners(self, flight: Flight) -> None:
        """Who comes from now on needs a flight of its own."""
        ...

    def part_ways(self, flight: Flight, listener: Listener) -> None:
        """``listener`` is too far behind; it goes on with a flight of its own."""
        ...

    def told(self, outcome: Outcome) -> None:
        """It is known how a request met the cache."""
        ...

    def over(self, flight: Flight) -> None:
        """Nothing runs and nobody listens."""
        ...


class Flight:
    """Audio that grows, and the streams that it is sent to. Confined to one event loop.

    A task of the flight's own makes it, so a stream that leaves ends nobody else's; when the last
    one leaves, the task is cancelled, and whatever it held (a lease, a step) goes with it::

        looking up -> found ------------------------> complete
                   -> making, for one listener -----> complete -> kept in the store
                      |    ^ its error is its own: made anew for the next listener
                      v    |
                      failed, and nobody is left -----> over

    The next part is made when the stream that is furthest asks for it, as without a cache. So a
    slow reader holds up nobody, and readers that stop, all of them, stop the making. What was made
    is held for those who come later. If that is too much to hold, then only for those who are
    here, and who is far behind them goes on alone.
    """

    def __init__(self, home: Home, key: str, seed: int, *, most_bytes: int, alone: bool = False):
        """``alone``: it is neither looked up nor kept, and no one may join."""
        self.key = key
        self.seed = seed
        self.held_bytes = 0
        self.listeners: list[Listener] = []
        self._home = home
        self._most_bytes = most_bytes
        self._alone = alone
        self._shares = not alone
        self._outcome: Outcome | None = None  # of who comes now
        self._leader: Listener | None = None  # whom the take is made for
        self._parts: deque[Part] = deque()
        self._dropped = 0  # parts of this take that are no longer held
        self._asked = 0  # parts of this take that somebody wants to be there
        self._complete = False
        self._ended = False  # the task has, and was seen to
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._fly(), name="audio for several")
        self.task.add_done_callback(self._landed)

    @property
    def ended(self) -> bool:
        """Whether nothing runs any more."""
        return self._ended

    @property
    def shares(self) -> bool:
        """Whether all of the take is held, so that others may join."""
        return self._shares

    def join(self, listener: Listener) -> None:
        """Listen from the beginning. Whoever joins leaves, by `leave`."""
        self.listeners.append(listener)
        if self._outcome is not None:
            self._home.told(self._outcome)

    def leave(self, listener: Listener) -> None:
        """Listen no more. Returns at once; what is cancelled with the last one ends in its time."""
        self.listeners.remove(listener)
        if self.listeners:
            self._drop_needless()
        elif self._ended:
            self._home.over(self)
        elif not self._complete:
            self._home.refuse_joiners(self)
            self.task.cancel()

    async def next_part(self, listener: Listener) -> Part | None:
        """What comes next for ``listener``; None if it is to be asked again, perhaps elsewhere.

        Raises what the making for this very listener raised. Cancelling it changes nothing.
        """
        if listener.error is not None:
            error, listener.error = listener.error, None
            try:
                raise error
            finally:
                del error  # it has this frame, and must not keep itself
        if listener.place < self._dropped + len(self._parts):
            part = self._parts[listener.place - self._dropped]
            listener.place += 1
            self._drop_needless()
            return listener.hears(part, own=listener is self._leader)
        self._asked = max(self._asked, listener.place + 1)
        self._wanted.set()
        await self._changed.wait()
        return None

    async def _fly(self) -> None:
        found = None if self._alone else await self._home.look_up(self)
        if found is not None:
            self._decide(Outcome.HIT, Outcome.HIT)
            for part in found:
                self._hold(part)
            self._complete = True
            self._tell()
            return
        if not self._alone:
            self._decide(Outcome.MISS, Outcome.JOINED)
        while (leader := self._next_take()) is not None:
            try:
                await self._make(leader)
            except Exception as error:  # noqa: BLE001 - raised where the leader listens
                if leader in self.listeners:
                    leader.error = error
                continue
            if self._shares:
                await self._home.keep(self, tuple(self._parts))
            return
        self._home.refuse_joiners(self)

    def _decide(self, first: Outcome, others: Outcome) -> None:
        self._outcome = others
        for i, _ in enumerate(self.listeners):
            self._home.told(others if i else first)

    def _next_take(self) -> Listener | None:
        """Forget the take that failed, if there was one; whom the next is for, if anybody."""
        self._release(len(self._parts))
        self._dropped = self._asked = 0
        for listener in self.listeners:
            listener.start_over()
        self._leader = next((x for x in self.listeners if x.error is None), None)
        self._tell()
        return self._leader

    async def _make(self, leader: Listener) -> None:
        """A take for ``leader``, which may have left before it ends."""
        async with contextlib.aclosing(leader.make()) as parts:
            while True:
                await self._demand()
                part = await anext(parts)
                if isinstance(part, Trailer):
                    break
                self._add(part)
        # After it was closed: who has the trailer may rely on the lease having been given back.
        self._complete = True
        self._outcome = Outcome.HIT
        self._add(part)

    async def _demand(self) -> None:
        while self._asked <= self._dropped + len(self._parts):
            self._wanted.clear()
            await self._wanted.wait()

    def _add(self, part: Part) -> None:
        self._hold(part)
        if self._shares and not self._home.may_grow(self):
            self._shares = False
            self._home.refuse_joiners(self)
        self._drop_needless()
        while self.held_bytes > self._most_bytes and not self._shares and len(self.listeners) > 1:
            slowest = min(self.listeners, key=lambda listener: listener.place)
            self.listeners.remove(slowest)
            self._home.part_ways(self, slowest)
            self._drop_needless()
        self._tell()

    def _hold(self, part: Part) -> None:
        self._parts.append(part)
        self.held_bytes += _size_bytes(part)

    def _drop_needless(self) -> None:
        """Where nobody may join, what all have read."""
        if not self._shares and self.listeners:
            self._release(min(x.place for x in self.listeners) - self._dropped)

    def _release(self, n: int) -> None:
        for _ in range(n):
            self.held_bytes -= _size_bytes(self._parts.popleft())
        self._dropped += n

    def _tell(self) -> None:
        """Let those who wait look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _landed(self, task: asyncio.Task[None]) -> None:
        """The task has ended: by itself, or cancelled, perhaps before it had begun."""
        self._ended = True
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _LOGGER.error("sharing audio failed", exc_info=error)
        if not self._complete:
            self._home.refuse_joiners(self)
            for listener in self.listeners:
                if listener.error is None:
                    listener.error = error or ClosedError("the server is being stopped")
            self._tell()
        if not self.listeners:
            self._home.over(self)


def _size_bytes(part: Part) -> int:
    if isinstance(part, Chunk):
        return _PART_BYTES + len(part.audio) + _MARK_BYTES * len(part.marks)
    return _PART_BYTES
