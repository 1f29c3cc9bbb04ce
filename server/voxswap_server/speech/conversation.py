"""A text that is still being written, as the script of a stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from voxswap_server.text.segmentation.fragments import Fragments
from voxswap_server.text.types import Segment


class Conversation:
    """A `Script` that grows. Confined to one event loop; one task writes, another one asks.

    Whoever writes should `make_room` first: what waits to be spoken is bounded by that alone.
    Cancelling `next` or `make_room` changes nothing.
    """

    def __init__(self, *, most_waiting: int) -> None:
        """``most_waiting`` characters may be certain and not asked for before `make_room` waits."""
        self._most_waiting = most_waiting
        self._fragments = Fragments()
        self._certain: deque[Segment] = deque()
        self._error: BaseException | None = None
        self._has_ended = False
        self._ready, self._room = asyncio.Event(), asyncio.Event()
        self._note()

    def push(self, text: str) -> None:
        """More text."""
        self._certain.extend(self._fragments.push(text))
        self._note()

    def flush(self) -> None:
        """What has come so far is a sentence, or several."""
        self._certain.extend(self._fragments.flush())
        self._note()

    def end(self) -> None:
        """No more text will come."""
        if not self._has_ended:
            self._has_ended = True
            self._certain.extend(self._fragments.end())
            self._note()

    def fail(self, error: BaseException) -> None:
        """Whoever asks gets this ``error``."""
        self._error = error
        self._note()

    async def make_room(self) -> None:
        """Wait until little enough is waiting to be spoken."""
        await self._room.wait()

    async def next(self) -> Segment | None:
        """See `Script`. Raises what it was made to `fail` with."""
        await self._ready.wait()
        if self._error is not None:
            raise self._error
        found = self._certain.popleft() if self._certain else None
        self._note()
        return found

    def put_back(self, segments: Iterable[Segment]) -> None:
        """See `Script`."""
        self._certain.extendleft(reversed(list(segments)))
        self._note()

    def cut(self) -> None:
        """See `Script`. Text that comes from now on is new."""
        self._fragments.flush()
        self._certain.clear()
        self._note()

    @property
    def characters_left(self) -> int:
        """See `Script`."""
        return sum(len(segment.text) for segment in self._certain)

    @property
    def is_ready(self) -> bool:
        """See `Script`."""
        return bool(self._certain) or self._has_ended or self._error is not None

    def _note(self) -> None:
        """Let those go on who wait for what there is now."""
        has_room = self.characters_left < self._most_waiting
        for event, holds in ((self._ready, self.is_ready), (self._room, has_room)):
            if holds:
                event.set()
            else:
                event.clear()
