"""Steps of compute, one at a time, off the event loop: the most urgent first.

Which work goes on is decided anew after each step, so what is urgent waits for one step at most.
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

from voxswap_server.engines.errors import DeviceStuckError
from voxswap_server.engines.work import Work

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Ran(Generic[_T]):
    """What a work gave; how long it was in line, computed, and its longest step did, in seconds.

    A step that several works took together counts with its share for each, but whole as a step.
    """

    result: _T
    queue_s: float
    compute_s: float
    longest_step_s: float


@dataclass(order=True, slots=True)
class _Entry:
    """In line: by due time, and among equals as they came."""

    due_s: float
    number: int
    asked_s: float = field(compare=False)
    work: Work[Any] | None = field(compare=False)  # None: nobody waits for it any more
    future: Future[Ran[Any]] = field(compare=False, default_factory=Future)
    compute_s: float = field(compare=False, default=0.0)
    longest_step_s: float = field(compare=False, default=0.0)


class Scheduler:
    """Owns a device's compute thread, and one for works whose steps may be long.

    Earliest deadline first (Liu and Layland, "Scheduling Algorithms for Multiprogramming in a
    Hard-Real-Time Environment", 1973), without interrupting a step. Who asks with deadlines that
    move on with the clock is served in the end, whatever else is asked for.

    `run` belongs on an event loop; everything else may be called from any thread.
    """

    def __init__(
        self,
        name: str = "voxswap-compute",
        *,
        most_together: int = 4,
        observer: Callable[[float], None] = lambda compute_s: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``observer`` hears, on the thread, how many seconds each step took.

        At most ``most_together`` works take a step together.
        """
        self._lanes = tuple(
            _Lane(each, most_together, observer, clock) for each in (name, f"{name}-long")
        )

    async def run(self, work: Work[_T], *, due_s: float = 0.0) -> Ran[_T]:
        """Take all steps of ``work``, which is due at ``due_s`` on the clock.

        Raises whatever it raises, and `DeviceStuckError` if a step does not come back.

        Cancelling drops the steps that are left. One that has begun cannot be stopped: `run` then
        ends when the step does, so that whoever awaits it may give back what the step was using.
        """
        return await self._lanes[work.may_be_long].run(work, due_s)

    @property
    def waiting(self) -> int:
        """Works in line."""
        return sum(lane.waiting for lane in self._lanes)

    def stuck(self, after_s: float) -> bool:
        """Whether a step has been under way for longer than ``after_s``.

        If so, whoever waits for that thread gets `DeviceStuckError`, and so does whoever comes,
        until the step ends after all.
        """
        found = [lane.stuck(after_s) for lane in self._lanes]  # each of them is to look
        return any(found)

    def close(self) -> None:
        """Let steps under way end, drop the others. Blocks until the threads are gone."""
        for lane in self._lanes:
            lane.close()


class _Lane:
    """One thread and those who wait for it.

    The condition guards the line, what is being stepped, and which works were given up.
    """

    def __init__(
        self,
        name: str,
        most_together: int,
        observer: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._most_together = most_together
        self._observer = observer
        self._clock = clock
        self._line: list[_Entry] = []
        self._stepping: list[_Entry] = []
        self._stepping_since: float | None = None
        self._is_stuck = False
        self._is_closed = False
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._name = name
        self._thread = threading.Thread(target=self._go_on, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Work[_T], due_s: float) -> Ran[_T]:
        entry = _Entry(due_s, next(self._numbers), self._clock(), work)
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the scheduler is closed")
            if self._is_stuck:
                raise _stuck_error(self._name)
            heapq.heappush(self._line, entry)
            self._changed.notify()
        wrapped = asyncio.wrap_future(entry.future)
        try:
            return await asyncio.shield(wrapped)
        except asyncio.CancelledError:
            with self._changed:
                entry.work = None
                if entry not in self._stepping:
                    entry.future.cancel()
            await _settled(wrapped)
            raise

    @property
    def waiting(self) -> int:
        with self._changed:
            return sum(entry.work is not None for entry in self._line)

    def stuck(self, after_s: float) -> bool:
        with self._changed:
            since = self._stepping_since
            if since is None or self._clock() - since <= after_s:
                return False
            self._is_stuck = True
            failed, self._line = [*self._stepping, *self._line], []
            self._stepping = []
            for entry in failed:
                entry.work = None
        for entry in failed:
            if not entry.future.done():
                entry.future.set_exception(_stuck_error(self._name))
        return True

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            dropped, self._line = self._line, []
            self._changed.notify()
        for entry in dropped:
            entry.work = None
            entry.future.cancel()
        self._thread.join()

    def _go_on(self) -> None:
        while entries := self._next():
            # Read once each: whoever waited may go away at any time.
            works = [work for entry in entries if (work := entry.work) is not None]
            began = self._clock()
            if len(works) == 1:
                works[0].step()
            elif works:
                Work.step_together(works)
            took_s = self._clock() - began
            self._observer(took_s)
            self._put_back(entries, took_s)
            # What a step used is not kept until the next one comes.
            del entries, works

    def _next(self) -> list[_Entry]:
        """Those who take the next step; nobody once the lane is closed."""
        with self._changed:
            while True:
                while not self._line:
                    if self._is_closed:
                        return []
                    self._changed.wait()
                first = heapq.heappop(self._line)
                if first.work is not None:
                    break
            self._stepping = [first]
            if (key := first.work.key) is not None and self._most_together > 1:
                self._stepping += self._joining(key)
            self._stepping_since = self._clock()
            return list(self._stepping)

    def _joining(self, key: object) -> list[_Entry]:
        """The most urgent of those whose next step goes along with one of ``key``."""
        alike = [entry for entry in self._line if entry.work is not None and entry.work.key == key]
        joining = heapq.nsmallest(self._most_together - 1, alike)
        if joining:
            taken = {entry.number for entry in joining}
            self._line = [entry for entry in self._line if entry.number not in taken]
            heapq.heapify(self._line)
        return joining

    def _put_back(self, entries: list[_Entry], took_s: float) -> None:
        """Into the line, or out of it with what they came to."""
        ended: list[tuple[_Entry, Work[Any] | None]] = []
        with self._changed:
            self._stepping, self._stepping_since, self._is_stuck = [], None, False
            for entry in entries:
                entry.compute_s += took_s / len(entries)
                entry.longest_step_s = max(entry.longest_step_s, took_s)
                if entry.work is not None and not entry.work.is_done and not self._is_closed:
                    heapq.heappush(self._line, entry)
                else:
                    ended.append((entry, entry.work))
                    entry.work = None
        for entry, work in ended:
            if work is None or not work.is_done:
                entry.future.cancel()
                continue
            queue_s = max(0.0, self._clock() - entry.asked_s - entry.compute_s)
            try:
                ran = Ran(work.result(), queue_s, entry.compute_s, entry.longest_step_s)
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                entry.future.set_exception(error)
            else:
                entry.future.set_result(ran)


def _stuck_error(name: str) -> DeviceStuckError:
    return DeviceStuckError(
        f"a step on the thread {name} does not come back, so nothing can be spoken; restart the "
        "server if it stays so"
    )


async def _settled(future: asyncio.Future[Any]) -> None:
    """Wait until ``future`` is done, whatever it comes to and however often we are cancelled."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()
