"""What a stream is to say, a segment at a time: a text that is there, or one that still grows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from voxswap_server.text.segmentation.segments import segments
from voxswap_server.text.types import Segment


class Script(Protocol):
    """Segments in order. Confined to one event loop, and asked by one task at a time."""

    async def next(self) -> Segment | None:
        """The next one, as soon as it is certain; None after the last."""
        ...

    def put_back(self, segments: Iterable[Segment]) -> None:
        """These come next, in this order."""
        ...

    def cut(self) -> None:
        """Forget what has not been asked for."""
        ...

    @property
    def characters_left(self) -> int:
        """Of the text that is there, how many are still to be asked for."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether `next` would answer at once, if only with None."""
        ...


class WholeText:
    """A text that is there from the beginning. It is cut only as far as it is asked for."""

    def __init__(self, text: str) -> None:
        self._length = len(text)
        self._rest = segments(text)
        self._first: deque[Segment] = deque()
        self._end = 0

    async def next(self) -> Segment | None:
        """See `Script`."""
        found = self._first.popleft() if self._first else next(self._rest, None)
        self._end = self._length if found is None else found.start + len(found.text)
        return found

    def put_back(self, segments: Iterable[Segment]) -> None:
        """See `Script`."""
        self._first.extendleft(reversed(list(segments)))
        if self._first:
            self._end = self._first[0].start

    def cut(self) -> None:
        """See `Script`."""
        self._first.clear()
        self._rest = iter(())
        self._end = self._length

    @property
    def characters_left(self) -> int:
        """See `Script`."""
        return self._length - self._end

    @property
    def is_ready(self) -> bool:
        """It is all there."""
        return True
