"""Single flight: what several streams want is made once, and sent to each of them as it grows."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
from collections import deque
from typing import TYPE_CHECKING

from voxswap_registry.errors import ClosedError, VoxswapError
from voxswap_server.speech.cache.subscriber import Subscriber, Terms, loosest
from voxswap_server.speech.errors import TooFarBehindError
from voxswap_server.speech.messages import Chunk, Message, Trailer

if TYPE_CHECKING:
    from voxswap_server.speech.cache.cache import AudioCache

_LOGGER = logging.getLogger(__name__)

_MESSAGE_BYTES, _MARK_BYTES, _PACKET_BYTES = 512, 256, 32


class Outcome(enum.Enum):
    """How a request met the cache."""

    HIT = "hit"
    JOINED = "joined"
    MISS = "miss"
    OFF = "off"


class Flight:
    """Audio that grows, and the streams that it is sent to. Confined to one event loop.

    A task of the flight's own makes it, so a stream that leaves ends nobody else's; when the last
    one leaves, the task is cancelled, and whatever it held (a lease, a step) goes with it::

        looking up -> found -> complete
                   -> making -> complete -> kept in the store
                             -> failed: all are told

    It is made once, by the means of whoever listens first, and on the terms of whoever waits
    longest: see `terms`. If that fails, everybody who listens is told, and who comes then begins a
    flight of its own; nobody is sent the rest of a line from another making.

    The next message is made when the stream that is furthest asks for it, as without a cache. So a
    slow reader holds up nobody, and readers that stop, all of them, stop the making. What was made
    is held for those who come later. If that is too much to hold, then only for those who are
    here, and who is too far behind them is told so.
    """

    def __init__(self, home: AudioCache, key: str, *, most_bytes: int):
        self.key = key
        self.held_bytes = 0
        self.subscribers: list[Subscriber] = []
        self._home = home
        self._most_bytes = most_bytes
        self.shares = True  # all of it is held, so that others may join
        self._outcome: Outcome | None = None  # of who comes now
        self._leader: Subscriber | None = None  # by whose means it is made
        self._messages: deque[Message] = deque()
        self._dropped = 0  # messages that are no longer held
        self._asked = 0  # messages that somebody wants to be there
        self._complete = False
        self.ended = False  # nothing runs any more
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._fly(), name="audio for several")
        self.task.add_done_callback(self._landed)

    def terms(self) -> Terms:
        """How long the making may take to begin, as of now: others may join while it waits."""
        return loosest(self.subscribers)

    def join(self, subscriber: Subscriber) -> None:
        """Listen from the beginning. Whoever joins leaves, by `leave`."""
        self.subscribers.append(subscriber)
        if self._outcome is not None:
            self._home.told(self._outcome)

    def leave(self, subscriber: Subscriber) -> None:
        """Listen no more. Returns at once; what is cancelled with the last one ends in its time."""
        if subscriber not in self.subscribers:
            return  # It was told that it is too far behind.
        self.subscribers.remove(subscriber)
        if self.subscribers:
            self._drop_needless()
        elif self.ended:
            self._home.over(self)
        elif not self._complete:
            self._home.refuse_joiners(self)
            self.task.cancel()

    async def next_message(self, subscriber: Subscriber) -> Message:
        """What comes next for ``subscriber``.

        Raises what the making raised, or `TooFarBehindError`. Cancelling it changes nothing.
        """
        while subscriber.error is None and subscriber.place >= self._dropped + len(self._messages):
            self._asked = max(self._asked, subscriber.place + 1)
            self._wanted.set()
            await self._changed.wait()
        if subscriber.error is not None:
            error, subscriber.error = subscriber.error, None
            try:
                raise error
            finally:
                del error  # it has this frame, and must not keep itself
        message = self._messages[subscriber.place - self._dropped]
        subscriber.place += 1
        self._drop_needless()
        return subscriber.hears(message, own=subscriber is self._leader)

    async def _fly(self) -> None:
        found = await self._home.look_up(self)
        if found is not None:
            self._decide(Outcome.HIT, Outcome.HIT)
            for message in found:
                self._hold(message)
            self._complete = True
            self._tell()
            return
        self._decide(Outcome.MISS, Outcome.JOINED)
        try:
            await self._make(self.subscribers[0])
        except Exception as error:  # noqa: BLE001 - raised where they listen
            self._fail(error)
            return
        if self.shares:
            await self._home.keep(self, tuple(self._messages))

    def _decide(self, first: Outcome, others: Outcome) -> None:
        self._outcome = others
        for i, _ in enumerate(self.subscribers):
            self._home.told(others if i else first)

    async def _make(self, leader: Subscriber) -> None:
        """Make it by the means of ``leader``, which may have left before it ends."""
        self._leader = leader
        async with contextlib.aclosing(leader.make(leader.request, self.terms)) as messages:
            while True:
                await self._demand()
                message = await anext(messages)
                if isinstance(message, Trailer):
                    break
                self._add(message)
        # After it was closed: who has the trailer may rely on the lease having been given back.
        self._complete = True
        self._outcome = Outcome.HIT
        self._add(message)

    async def _demand(self) -> None:
        while self._asked <= self._dropped + len(self._messages):
            self._wanted.clear()
            await self._wanted.wait()

    def _add(self, message: Message) -> None:
        self._hold(message)
        if self.shares and not self._home.may_grow(self):
            self.shares = False
            self._home.refuse_joiners(self)
        self._drop_needless()
        while self.held_bytes > self._most_bytes and not self.shares and len(self.subscribers) > 1:
            slowest = min(self.subscribers, key=lambda subscriber: subscriber.place)
            if slowest.place >= self._dropped + len(self._messages) - 1:
                break  # This message alone is too much, and all of them want it.
            self._leave_behind(slowest)
        self._tell()

    def _leave_behind(self, subscriber: Subscriber) -> None:
        subscriber.error = TooFarBehindError(
            "the stream shares its audio with others that read faster, and is too far behind them "
            "for what lies between to be held; ask again, or with CACHE_POLICY_OFF"
        )
        self.subscribers.remove(subscriber)
        self._drop_needless()

    def _hold(self, message: Message) -> None:
        self._messages.append(message)
        self.held_bytes += size_bytes(message)

    def _drop_needless(self) -> None:
        """Where nobody may join, what all have read."""
        if not self.shares and self.subscribers:
            self._release(min(x.place for x in self.subscribers) - self._dropped)

    def _release(self, n: int) -> None:
        for _ in range(n):
            self.held_bytes -= size_bytes(self._messages.popleft())
        self._dropped += n

    def _tell(self) -> None:
        """Let those who wait look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _fail(self, error: BaseException) -> None:
        """End everybody's stream. Each has an error of its own, without the frames of this one."""
        self._home.refuse_joiners(self)
        self._release(len(self._messages))
        if not isinstance(error, VoxswapError):
            _LOGGER.error("making audio for several failed", exc_info=error)
        for subscriber in self.subscribers:
            if subscriber.error is None:
                subscriber.error = _copied(error)
        self._tell()

    def _landed(self, task: asyncio.Task[None]) -> None:
        """The task has ended: by itself, or cancelled, perhaps before it had begun."""
        self.ended = True
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            if not self._complete:
                self._fail(error or ClosedError("the server is being stopped"))
            elif error is not None:
                _LOGGER.error("keeping shared audio failed", exc_info=error)
        if not self.subscribers:
            self._home.over(self)


def _copied(error: BaseException) -> BaseException:
    if isinstance(error, VoxswapError):
        return error.copy()
    return RuntimeError(f"audio that was made for several failed: {error!r}")


def size_bytes(message: Message) -> int:
    """What holding ``message`` takes, Python's own share included."""
    if isinstance(message, Chunk):
        marks = len(message.marks) + len(message.words)
        packets = _PACKET_BYTES * len(message.packet_sizes)
        return _MESSAGE_BYTES + len(message.audio) + _MARK_BYTES * marks + packets
    return _MESSAGE_BYTES
