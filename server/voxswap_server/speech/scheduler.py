"""Steps of compute, one at a time, off the event loop: the most urgent first.

Every stream has at most one step in line. Which one runs next is decided anew after each step, so
what is urgent waits for one step at most.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Step(Generic[_T]):
    """What a step gave, how long it waited for its turn and how long it took."""

    result: _T
    queue_s: float
    compute_s: float


@dataclass(order=True, slots=True)
class _Entry:
    """In line: by due time, and among equals as they came."""

    due_s: float
    number: int
    work: Callable[[], Any] = field(compare=False)
    future: Future[Any] = field(compare=False)


class ComputeThread:
    """The one thread that runs engine steps for a device. Call `run` on an event loop.

    Earliest deadline first (Liu and Layland, "Scheduling Algorithms for Multiprogramming in a
    Hard-Real-Time Environment", 1973), without interrupting a step. Who asks with deadlines that
    move on with the clock is served in the end, whatever else is asked for.

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
        self._line: list[_Entry] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], _T], *, due_s: float = 0.0) -> Step[_T]:
        """Run ``work`` on the thread; it is due at ``due_s`` of `time.perf_counter`.

        Raises whatever it raises.
        """
        asked = time.perf_counter()

        def step() -> Step[_T]:
            began = time.perf_counter()
            result = work()
            compute_s = time.perf_counter() - began
            self._observer(compute_s)
            return Step(result, began - asked, compute_s)

        running: Future[Step[_T]] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the compute thread is closed")
            heapq.heappush(self._line, _Entry(due_s, next(self._numbers), step, running))
            self._changed.notify()
        wrapped = asyncio.wrap_future(running)
        try:
            return await asyncio.shield(wrapped)
        except asyncio.CancelledError:
            if not running.cancel():
                await _settled(wrapped)
            raise

    @property
    def waiting(self) -> int:
        """Steps in line. May be called from any thread."""
        return sum(not entry.future.cancelled() for entry in tuple(self._line))

    def close(self) -> None:
        """Let the step under way end, drop the others. Blocks until the thread is gone."""
        with self._changed:
            self._closed = True
            dropped, self._line = self._line, []
            self._changed.notify()
        for entry in dropped:
            entry.future.cancel()
        self._thread.join()

    def _work(self) -> None:
        while (entry := self._next()) is not None:
            if not entry.future.set_running_or_notify_cancel():
                continue
            try:
                result = entry.work()
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                entry.future.set_exception(error)
            else:
                entry.future.set_result(result)
                del result
            del entry  # what a step used is not kept until the next one comes

    def _next(self) -> _Entry | None:
        with self._changed:
            while not self._line:
                if self._closed:
                    return None
                self._changed.wait()
            return heapq.heappop(self._line)


async def _settled(future: asyncio.Future[Step[_T]]) -> None:
    """Wait until ``future`` is done, whatever it comes to and however often we are cancelled."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()
