"""What streams keep of the segments that they speak: bounded together, and in the books."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable


class StreamMemory:
    """First come, first served. Confined to one event loop; never blocks.

    Who holds some waits for nothing but its own listener, so whoever waits has its turn. What is
    more than there is altogether counts as all of it.
    """

    def __init__(
        self,
        most_bytes: int,
        take: Callable[[int], bool],
        give: Callable[[int], None],
    ) -> None:
        """``take`` says whether so many bytes are there, and books them; ``give`` gives back."""
        self._most_bytes = most_bytes
        self._take = take
        self._give = give
        self._waiting: OrderedDict[asyncio.Future[None], int] = OrderedDict()

    @contextlib.asynccontextmanager
    async def held(self, size_bytes: int) -> AsyncIterator[None]:
        """Hold so many bytes inside the block, once they are there."""
        size_bytes = min(size_bytes, self._most_bytes)
        if self._waiting or not self._take(size_bytes):
            await self._wait(size_bytes)
        try:
            yield
        finally:
            self._give(size_bytes)
            self._serve()

    async def _wait(self, size_bytes: int) -> None:
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[taken] = size_bytes
        try:
            await taken
        except asyncio.CancelledError:
            if taken.done() and not taken.cancelled():
                self._give(size_bytes)  # It was given in the instant of the cancellation.
            self._waiting.pop(taken, None)
            self._serve()  # The first in line may have been too large for what is there.
            raise

    def _serve(self) -> None:
        while self._waiting:
            first, size_bytes = next(iter(self._waiting.items()))
            if not first.done():
                if not self._take(size_bytes):
                    return
                first.set_result(None)
            del self._waiting[first]
