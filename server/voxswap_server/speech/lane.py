"""The threads that take the steps of one line, as many at a time as there are cores for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a lane needs of the process it is in.

    ``prepare`` is called on each thread once, before it computes. ``observe`` hears how many
    seconds each step took, on the thread that took it.
    """

    prepare: Callable[[], None] = lambda: None
    observe: Callable[[float], None] = lambda compute_s: None
    clock: Callable[[], float] = time.perf_counter


class _Worker:
    """A thread and the step it takes."""

    def __init__(self, name: str, lock: threading.Lock) -> None:
        self.name = name
        self.called = threading.Condition(lock)
        self.turn: Sequence[Entry] = ()
        self.since: float | None = None
        self.is_stuck = False
        self.thread: threading.Thread


class Lane:
    """A line and its threads. One lock guards everything that changes.

    Who takes the next step is decided anew whenever a step ends or a work comes.
    """

    def __init__(
        self, name: str, threads: int, most_together: int, surroundings: Surroundings
    ) -> None:
        """Blocks until the threads are prepared; raises what that raises."""
        self._name = name
        self._around = surroundings
        self._clock = surroundings.clock
        self._line = Line(most_together)
        self._lock = threading.Lock()
        self._is_closed = False
        self._workers = [_Worker(f"{name}-{n}", self._lock) for n in range(threads)]
        ready: list[Future[None]] = [Future() for _ in self._workers]
        for worker, is_ready in zip(self._workers, ready, strict=True):
            worker.thread = threading.Thread(
                target=self._take_turns, args=(worker, is_ready), name=worker.name, daemon=True
            )
            worker.thread.start()
        for is_ready in ready:
            is_ready.result()

    def add(self, work: Work[_T], due_s: float) -> tuple[Entry, Future[Ran[_T]]]:
        """A new work. Raises `DeviceStuckError` while a step does not come back."""
        future: Future[Ran[_T]] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the scheduler is closed")
            if any(worker.is_stuck for worker in self._workers):
                raise self._stuck(None)
            entry = self._line.add(work, future, due_s=due_s, asked_s=self._clock())
            self._call()
        return entry, future

    def give_up(self, entry: Entry) -> bool:
        """Nobody waits for ``entry``. Whether it is out; otherwise it is when its step ends."""
        with self._lock:
            is_out = self._line.give_up(entry)
            if is_out:
                entry.future.cancel()  # changes nothing if a thread was faster
            return is_out

    @property
    def waiting(self) -> int:
        """Works in line."""
        with self._lock:
            return len(self._line)

    def is_stuck(self, after_s: float) -> bool:
        """See `Scheduler.is_stuck`."""
        with self._lock:
            now = self._clock()
            for worker in self._workers:
                if worker.since is not None and now - worker.since > after_s:
                    worker.is_stuck = True
            if not any(worker.is_stuck for worker in self._workers):
                return False
            for entry in self._line.drop():
                entry.future.set_exception(self._stuck(entry.returned))
        return True

    def abandon(self) -> None:
        """Nobody waits any more for stuck steps to come back: the process ends."""
        with self._lock:
            for worker in self._workers:
                _tell_returned(worker.turn)

    def close(self) -> None:
        """Let steps under way end, drop the others. One that is stuck is left behind."""
        with self._lock:
            self._is_closed = True
            for worker in self._workers:
                worker.called.notify()
        for worker in self._workers:
            worker.thread.join(timeout=0.0 if worker.is_stuck else None)
        with self._lock:
            for entry in self._line.drop():
                entry.future.cancel()

    def _take_turns(self, worker: _Worker, is_ready: Future[None]) -> None:
        try:
            self._around.prepare()
        except BaseException as error:  # noqa: BLE001 - raised where the lane is made
            is_ready.set_exception(error)
            return
        is_ready.set_result(None)
        while (works := self._next(worker)) is not None:
            began = self._clock()
            if len(works) == 1:
                works[0].step()
            elif works:
                Work.step_together(works)
            took_s = self._clock() - began
            self._around.observe(took_s)
            # What a step used is not kept until the next one comes.
            del works
            self._put_back(worker, took_s)

    def _next(self, worker: _Worker) -> list[Work[Any]] | None:
        """What ``worker`` is to step; None once the lane is closed."""
        with self._lock:
            while not (self._is_closed or worker.turn):
                worker.called.wait()
            if self._is_closed:
                return None
            worker.since = self._clock()
            return [entry.work for entry in worker.turn if entry.work is not None]

    def _put_back(self, worker: _Worker, took_s: float) -> None:
        with self._lock:
            turn, worker.turn = worker.turn, ()
            worker.since, worker.is_stuck = None, False
            for entry in self._line.put_back(turn, took_s):
                self._settle(entry)
            _tell_returned(turn)
            self._call(worker)

    def _call(self, mine: _Worker | None = None) -> None:
        """Give steps to threads that have none, as long as there are works.

        ``mine`` is the thread that asks: under way anyway, and with the work's data at hand.
        """
        while len(self._line):
            free = [worker for worker in self._workers if not worker.turn]
            if not free:
                return
            worker = mine if mine in free else free[0]
            worker.turn = self._line.next()
            if worker is not mine:
                worker.called.notify()

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

    def _stuck(self, returned: Future[None] | None) -> DeviceStuckError:
        error = DeviceStuckError(
            f"a step of speech on a thread of {self._name} does not come back, and what needs "
            "those threads fails meanwhile; restart the server if it stays so"
        )
        error.returned = returned
        return error


def _tell_returned(turn: Sequence[Entry]) -> None:
    for entry in turn:
        if entry.returned is not None and not entry.returned.done():
            entry.returned.set_result(None)
