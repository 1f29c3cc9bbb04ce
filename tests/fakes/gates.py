"""Places where threads and tasks wait until a test lets them through."""

from __future__ import annotations

import asyncio
import threading


class Gate:
    """Where a thread waits: in a step of a work, in a call of an object store."""

    def __init__(self) -> None:
        self._reached, self._opened = threading.Event(), threading.Event()
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        self._reached.set()
        assert self._opened.wait(30)

    @property
    def is_reached(self) -> bool:
        return self._reached.is_set()

    def wait_reached(self) -> None:
        assert self._reached.wait(30)

    def open(self) -> None:
        self._opened.set()


class AsyncGate:
    """Where a task waits."""

    def __init__(self) -> None:
        self.reached, self._opened = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()
