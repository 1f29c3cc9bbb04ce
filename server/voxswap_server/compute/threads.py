"""The threads that take the steps of one line, as many at a time as there are cores for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from voxswap_families.errors import DeviceStuckError
from voxswap_families.work import Work
from voxswap_registry.errors import ClosedError
from voxswap_server.compute.hooks import Ran, ThreadHooks, Verdict
from voxswap_server.compute.meter import Meter
from voxswap_server.compute.step_queue import Entry, StepQueue
from voxswap_server.compute.turns import Lenders, Worker

_LOGGER = logging.getLogger(__name__)
_CLOSED = "the server is shutting down; ask another one"

_T = TypeVar("_T")


class ComputeThreads:
    """A line and its threads. One lock guards everything that changes.

    Who takes the next step is decided anew whenever a step ends or a work comes. A thread whose
    step does not come back is written off and replaced, as long as no more than ``spare`` are; with
    no thread left, whatever needs the lane fails until one comes back.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        most_together: int,
        hooks: ThreadHooks,
        *,
        spare: int = 0,
    ) -> None:
        """Blocks until the threads are prepared; raises what that raises."""
        self._name = name
        self._threads = threads
        self._spare = spare
        self._around = hooks
        self._clock = hooks.clock
        self._line = StepQueue(most_together)
        self._meter = Meter()
        self._lock = threading.Lock()
        self._lenders = Lenders(hooks.lending, self._lock)
        self._is_closed = False
        self._workers: list[Worker] = []
        self._lost: list[Worker] = []
        self._starting = 0
        self._started = 0  # ever
        with self._lock:
            ready = [self._start() for _ in range(threads)]
        for is_ready in ready:
            is_ready.result()

    def _start(self) -> Future[None]:
        """Start a thread; under the lock. It is a worker once it is prepared."""
        worker = Worker(f"{self._name}-{self._started}", self._lock)
        self._started += 1
        self._starting += 1
        is_ready: Future[None] = Future()
        worker.thread = threading.Thread(
            target=self._work, args=(worker, is_ready), name=worker.name, daemon=True
        )
        try:
            worker.thread.start()
        except RuntimeError as error:  # the system has no thread left
            self._starting -= 1
            is_ready.set_exception(error)
        return is_ready

    def add(
        self, work: Work[_T], due_s: float, owner: Hashable = None
    ) -> tuple[Entry, Future[Any]]:
        """A new work; its future gets a `Ran`.

        Raises `DeviceStuckError` if no thread is left, and `ClosedError`.
        """
        future: Future[Ran[_T]] = Future()
        with self._lock:
            if self._is_closed:
                raise ClosedError(_CLOSED)
            if not self._is_alive():
                raise self._dead()
            entry = self._line.add(work, future, due_s=due_s, asked_s=self._clock(), owner=owner)
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

    @property
    def busy(self) -> float:
        """For how many seconds in each second steps were taken of late, by all threads together."""
        with self._lock:
            return self._meter.busy(self._clock())

    @property
    def speed(self) -> float:
        """See `Meter.speed`."""
        with self._lock:
            return self._meter.speed(self._clock())

    @property
    def lost(self) -> int:
        """Threads whose steps were written off and have not come back."""
        with self._lock:
            return len(self._lost)

    @property
    def is_alive(self) -> bool:
        """Whether there is a thread that could take a step."""
        with self._lock:
            return self._is_alive()

    def _is_alive(self) -> bool:
        return bool(self._workers) or self._starting > 0

    def end_steps_longer_than(self, limit_s: float) -> None:
        """See `Scheduler.end_steps_longer_than`."""
        with self._lock:
            before = self._clock() - limit_s
            late = [w for w in self._workers if w.since is not None and w.since < before]
            asked = [w for w in late if not w.is_interrupted]
            for worker in asked:
                worker.is_interrupted = True
            works = [work for worker in asked for work in worker.works]
            steps = [(worker, worker.since) for worker in late]
        # Outside of the lock: foreign code.
        can_end = {id(work) for work in works if work.interrupt()}
        with self._lock:
            for worker, since in steps:
                if worker.since != since or worker.is_lost:
                    continue  # It came back meanwhile.
                if worker in asked and any(id(work) in can_end for work in worker.works):
                    continue  # It has until the next look.
                self._write_off(worker)
            self._fail_if_dead()

    def abandon(self) -> None:
        """The process ends: steps under way are written off, and nobody waits for them to come
        back. What they hold is let go of, and no work is taken any more.
        """
        with self._lock:
            self._is_closed, self._spare = True, 0
            self._lenders.are_closed = True
            for worker in [worker for worker in self._workers if worker.turn]:
                self._write_off(worker)
            for entry in self._line.drop():
                entry.future.set_exception(ClosedError(_CLOSED))
            for worker in self._lost:
                _tell_returned(worker.turn)
            self._lenders.recall()
            for worker in self._workers:
                worker.called.notify()

    def close(self, patience_s: float = 0.0) -> int:
        """Let steps under way end, drop the others. Blocks until the threads are gone.

        Those that are lost have ``patience_s`` to come back. How many did not.
        """
        with self._lock:
            self._is_closed = self._lenders.are_closed = True
            workers, lost = list(self._workers), list(self._lost)
            self._lenders.recall()
            for worker in workers:
                worker.called.notify()
        for worker in workers:
            worker.thread.join()
        until = time.monotonic() + patience_s
        for worker in lost:
            worker.thread.join(max(0.0, until - time.monotonic()))
        with self._lock:
            for entry in self._line.drop():
                entry.future.cancel()
        return sum(worker.thread.is_alive() for worker in lost)

    # On the threads

    def _work(self, worker: Worker, is_ready: Future[None]) -> None:
        try:
            self._around.prepare()
        except BaseException as error:  # noqa: BLE001 - raised where the thread is asked for
            with self._lock:
                self._starting -= 1
                self._fail_if_dead()
            is_ready.set_exception(error)
            return
        with self._lock:
            self._starting -= 1
            self._workers.append(worker)
            self._call()
        is_ready.set_result(None)
        self._take_turns(worker)

    def _take_turns(self, worker: Worker) -> None:
        while (works := self._next(worker)) is not None:
            began, cpu_began = self._clock(), self._around.cpu_clock()
            if len(works) == 1:
                works[0].step()
            elif works:
                Work.step_together(works)
            took_s, cpu_s = self._clock() - began, self._around.cpu_clock() - cpu_began
            self._around.observe(took_s)
            # What a step used is not kept until the next one comes.
            del works
            if not self._put_back(worker, took_s, cpu_s):
                return

    def _next(self, worker: Worker) -> Sequence[Work[Any]] | None:
        """What ``worker`` is to step; None once the lane is closed."""
        with self._lock:
            while not (self._is_closed or worker.turn):
                if self._lenders.may_lend(self._workers):
                    self._lenders.lend(worker)
                else:
                    worker.called.wait()
            if self._is_closed:
                return None
            worker.since, worker.is_interrupted = self._clock(), False
            worker.works = [entry.work for entry in worker.turn if entry.work is not None]
            return worker.works

    def _put_back(self, worker: Worker, took_s: float, cpu_s: float) -> bool:
        """The step of ``worker`` is over. Whether it takes another one."""
        with self._lock:
            turn, worker.turn, worker.works = worker.turn, (), ()
            worker.since = None
            self._meter.add(took_s, cpu_s, self._clock())
            out = self._line.put_back(turn, took_s, cpu_s)
            if worker.is_lost:
                self._lost.remove(worker)
                self._around.observe_stuck(Verdict.RETURNED)
                _tell_returned(turn)
                if self._is_closed or len(self._workers) + self._starting >= self._threads:
                    return False
                worker.is_lost = False
                self._workers.append(worker)
            for entry in out:
                self._settle(entry, is_interrupted=worker.is_interrupted)
            self._call(worker)
            return True

    def _call(self, mine: Worker | None = None) -> None:
        """Give steps to threads that have none, as long as there are works.

        ``mine`` is the thread that asks: under way anyway, and with the work's data at hand.
        """
        while len(self._line):
            # Those that help are free as well, but it takes a moment until they are back.
            free = sorted(
                (worker for worker in self._workers if not worker.turn),
                key=lambda worker: worker.is_lent,
            )
            if not free:
                break
            worker = mine if mine in free else free[0]
            worker.turn = self._line.next()
            if worker.is_lent:
                self._lenders.recall()
            elif worker is not mine:
                worker.called.notify()
        self._lenders.settle(self._workers)

    # Ends, all under the lock: nobody may give an entry up meanwhile

    def _settle(self, entry: Entry, *, is_interrupted: bool) -> None:
        """Tell what it came to."""
        work, entry.work = entry.work, None
        if work is None and not is_interrupted:
            entry.future.cancel()
            return
        queue_s = max(0.0, self._clock() - entry.asked_s - entry.compute_s)
        try:
            if work is None:
                raise self._too_long()
            ran = Ran(work.result(), queue_s, entry.compute_s, entry.cpu_s)
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            if not is_interrupted:
                entry.future.set_exception(error)
                return
            self._around.observe_stuck(Verdict.INTERRUPTED)
            entry.returned = Future()
            entry.returned.set_result(None)
            self._expel([entry])
            entry.future.set_exception(self._too_long())
        else:
            entry.future.set_result(ran)

    def _write_off(self, worker: Worker) -> None:
        """Nobody waits for the step of ``worker`` any more; another thread takes its place."""
        worker.is_lost = True
        self._workers.remove(worker)
        self._lost.append(worker)
        self._around.observe_stuck(Verdict.WRITTEN_OFF)
        for entry in self._line.write_off(worker.turn):
            entry.future.set_exception(self._too_long())
        self._expel(worker.turn)
        self._lenders.settle(self._workers)
        if len(self._lost) <= self._spare:
            self._start().add_done_callback(_tell_if_failed)

    def _expel(self, stuck: Sequence[Entry]) -> None:
        """Whose step was too long does not take another: the next would be so, too."""
        owners = {entry.owner for entry in stuck} - {None}
        for entry in self._line.expel(owners):
            entry.future.set_exception(self._too_long())

    def _fail_if_dead(self) -> None:
        if not self._is_alive():
            for entry in self._line.drop():
                entry.future.set_exception(self._dead())

    def _too_long(self) -> DeviceStuckError:
        return DeviceStuckError(
            "a step of speech with this voice took longer than any may, and was given up; the "
            "voice is barred for a while, and others go on: use another voice, or another version"
        )

    def _dead(self) -> DeviceStuckError:
        return DeviceStuckError(
            f"no thread of {self._name} is left: their steps do not come back, and what needs "
            "them fails meanwhile; restart the server if it stays so"
        )


def _tell_if_failed(ready: Future[None]) -> None:
    if (error := ready.exception()) is not None:
        _LOGGER.error("a stuck compute thread has no successor: %s", error)


def _tell_returned(turn: Iterable[Entry]) -> None:
    for entry in turn:
        if entry.returned is not None and not entry.returned.done():
            entry.returned.set_result(None)
