"""Counts the calls that a stop waits for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterator


class CallsUnderWay:
    """Calls from their handler's begin to its end, but for those of the methods that are exempt.

    grpc.aio's own `stop` waits for connections too, silent ones among them, and for watchers that
    never end. Confined to one event loop.
    """

    def __init__(self, exempt: Collection[str]) -> None:
        """``exempt`` are prefixes of methods, such as ``/grpc.health.v1.Health/``."""
        self._exempt = tuple(exempt)
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    @property
    def count(self) -> int:
        """How many there are."""
        return self._count

    async def ended(self) -> None:
        """Wait until there is none."""
        await self._none.wait()

    @contextlib.contextmanager
    def one(self, method: str) -> Iterator[None]:
        """A call of ``method``, for as long as the block lasts."""
        if method.startswith(self._exempt):
            yield
            return
        self._count += 1
        self._none.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()
