"""Steps of compute, one at a time, off the event loop.

First come, first served: every stream has at most one step in line, so streams take turns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Step(Generic[_T]):
    """What a step gave, how long it waited for its turn and how long it took."""

    result: _T
    queue_s: float
    compute_s: float


class ComputeThread:
    """The one thread that runs engine steps for a device. Call `run` on an event loop.

    Cancelling `run` drops a step that has not begun. One that has begun cannot be stopped: `run`
    then ends when the step does, so that whoever awaits it may give back what the step was using.
    """

    def __init__(
        self,
        name: str = "voxswap-compute",
        *,
        observer: Callable[[float], None] = lambda compute_s: None,
    ) -> None:
        """``observer`` hears, on the thread, how many seconds each step took."""
        self._observer = observer
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[], _T]) -> Step[_T]:
        """Run ``work`` on the thread. Raises whatever it raises."""
        asked = time.perf_counter()

        def step() -> Step[_T]:
            began = time.perf_counter()
            result = work()
            compute_s = time.perf_counter() - began
            self._observer(compute_s)
            return Step(result, began - asked, compute_s)

        running = self._executor.submit(step)
        wrapped = asyncio.wrap_future(running)
        try:
            return await asyncio.shield(wrapped)
        except asyncio.CancelledError:
            if not running.cancel():
                await _settled(wrapped)
            raise

    def close(self) -> None:
        """Let the step under way end, drop the others. Blocks until the thread is gone."""
        self._executor.shutdown(cancel_futures=True)


async def _settled(future: asyncio.Future[Step[_T]]) -> None:
    """Wait until ``future`` is done, whatever it comes to and however often we are cancelled."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()
