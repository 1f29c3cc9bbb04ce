"""Steps of compute, one at a time, off the event loop: the most urgent first.

Which work goes on is decided anew after each step, so what is urgent waits for one step at most.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from voxswap_server.engines.errors import DeviceStuckError
from voxswap_server.engines.work import Work
from voxswap_server.speech.line import Entry, Line

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


class Scheduler:
    """Owns a device's compute thread, and one for works whose steps may be long.

    Who asks with deadlines that move on with the clock is served in the end, whatever else is asked
    for: see `Line`. `run` belongs on an event loop; everything else may be called from any thread.
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

    def is_stuck(self, after_s: float) -> bool:
        """Whether a step has been under way for longer than ``after_s``.

        If so, whoever waits for that thread gets `DeviceStuckError`, and so does whoever comes,
        until the step ends after all.
        """
        found = [lane.is_stuck(after_s) for lane in self._lanes]  # each of them is to look
        return any(found)

    def close(self) -> None:
        """Let steps under way end, drop the others. Blocks until the threads are gone.

        One that is stuck is left behind.
        """
        for lane in self._lanes:
            lane.close()


class _Lane:
    """One thread and those who wait for it. The condition guards everything that changes."""

    def __init__(
        self,
        name: str,
        most_together: int,
        observer: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._observer = observer
        self._clock = clock
        self._line = Line(most_together)
        self._stepping_since: float | None = None
        self._refuses = False
        self._is_closed = False
        self._changed = threading.Condition()
        self._name = name
        self._thread = threading.Thread(target=self._go_on, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Work[_T], due_s: float) -> Ran[_T]:
        future: Future[Ran[_T]] = Future()
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the scheduler is closed")
            if self._refuses:
                raise self._stuck()
            entry = self._line.add(work, future, due_s=due_s, asked_s=self._clock())
            del work  # the line lets go of it when nobody waits for it any more
            self._changed.notify()
        wrapped = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(wrapped)
        except asyncio.CancelledError:
            with self._changed:
                if self._line.give_up(entry):
                    future.cancel()  # changes nothing if the thread was faster
            await _settled(wrapped)
            raise

    @property
    def waiting(self) -> int:
        with self._changed:
            return len(self._line)

    def is_stuck(self, after_s: float) -> bool:
        with self._changed:
            since = self._stepping_since
            if since is None or self._clock() - since <= after_s:
                return False
            self._refuses = True
            for entry in self._line.drop():
                entry.future.set_exception(self._stuck())
        return True

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        # One that is stuck is not waited for; it ends with the process.
        self._thread.join(timeout=0.0 if self._refuses else None)
        with self._changed:
            for entry in self._line.drop():
                entry.future.cancel()

    def _go_on(self) -> None:
        while (works := self._next()) is not None:
            began = self._clock()
            if len(works) == 1:
                works[0].step()
            elif works:
                Work.step_together(works)
            took_s = self._clock() - began
            self._observer(took_s)
            # What a step used is not kept until the next one comes.
            del works
            self._put_back(took_s)

    def _next(self) -> list[Work[Any]] | None:
        """Those who take the next step; None once the lane is closed."""
        with self._changed:
            while not self._is_closed:
                if entries := self._line.next():
                    self._stepping_since = self._clock()
                    return [entry.work for entry in entries if entry.work is not None]
                self._changed.wait()
            return None

    def _put_back(self, took_s: float) -> None:
        with self._changed:
            self._stepping_since, self._refuses = None, False
            for entry in self._line.put_back(took_s):
                self._settle(entry)

    def _settle(self, entry: Entry) -> None:
        """Tell what it came to. Under the lock: nobody may give it up meanwhile."""
        work, entry.work = entry.work, None
        if work is None:
            entry.future.cancel()
            return
        queue_s = max(0.0, self._clock() - entry.asked_s - entry.compute_s)
        try:
            ran = Ran(work.result(), queue_s, entry.compute_s, entry.longest_step_s)
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            entry.future.set_exception(error)
        else:
            entry.future.set_result(ran)

    def _stuck(self) -> DeviceStuckError:
        return DeviceStuckError(
            f"a step of speech on the thread {self._name} does not come back, and what needs that "
            "thread fails meanwhile; restart the server if it stays so"
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
