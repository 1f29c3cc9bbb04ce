"""Some workers of one program, kept warm: whoever ends is replaced, whoever asks gets another."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from voxswap_server.compute.workers.errors import (
    NoWorkerError,
    RequestKillsError,
    WorkerEnd,
    WorkerStartError,
)
from voxswap_server.compute.workers.worker import LostError, Program, Worker

_LOGGER = logging.getLogger(__name__)

_T = TypeVar("_T")

_START_S: Final = 20.0  # a start takes less than 0.1 s; on a machine that swaps, who knows
_BACK_OFF_S: Final = (0.1, 30.0)  # after a start that failed: first, and at the most
_JOIN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A pool at one moment. ``restarts`` counts workers that were replaced, by why they ended."""

    size: int
    ready: int
    calls: int
    restarts: Mapping[WorkerEnd, int]
    resident_bytes: int


class WorkerPool:
    """``size`` processes of a program. Thread-safe.

    ``_changed`` guards everything; nothing blocks with it held but its own waiting. Each worker has
    a thread that starts it, waits for its end, and starts the next: at once, but later and later
    if one does not come up. Those threads live from `start` to `close`; they are daemons, and a
    worker ends when the server does, however that ends.

    `call` and `greeting` block.
    """

    def __init__(self, program: Program, *, size: int = 2) -> None:
        """Nothing is started yet."""
        self._program = program
        self._size = size
        self._changed = threading.Condition()
        self._keepers: list[threading.Thread] = []
        self._workers: set[Worker] = set()  # all that live, those that start among them
        self._idle: list[Worker] = []
        self._line: deque[object] = deque()  # who waits for one; the first goes next
        self._ready = 0
        self._greeting: bytes | None = None
        self._start_error: WorkerStartError | None = None  # of the last start, if it failed
        self._calls = 0
        self._restarts = dict.fromkeys(WorkerEnd, 0)
        self._closed = False

    def __repr__(self) -> str:
        return f"WorkerPool({self._program.name!r}, {self._ready} of {self._size} ready)"

    def start(self) -> None:
        """Begin to start the workers, if that was not done yet. `call` does it as well."""
        with self._changed:
            if self._keepers or self._closed:
                return
            for number in range(self._size):
                name = f"voxswap-{self._program.name}-{number}"
                keeper = threading.Thread(target=self._keep, name=name, daemon=True)
                self._keepers.append(keeper)
                keeper.start()

    def greeting(self, *, within_s: float = _START_S) -> bytes:
        """What the first worker said when it was ready. Raises `NoWorkerError`."""
        self.start()
        until = time.monotonic() + within_s
        with self._changed:
            while self._greeting is None:
                self._wait(until)
            return self._greeting

    def call(
        self,
        request: bytes,
        parse: Callable[[bytes], _T],
        *,
        key: object = None,
        compute_s: float = 0.25,
        wait_s: float = 2.0,
    ) -> _T:
        """What ``parse`` makes of a worker's answer; one that had ``key`` last is asked first.

        A request may take ``compute_s`` of a worker's processor time, and ``wait_s`` altogether. If
        a worker ends under it and that was not its doing, the next one is asked. ``parse`` raises
        ValueError for an answer that no sound worker gives. Raises `RequestKillsError`, or
        `NoWorkerError` (`WorkerStartError` if the program cannot start).
        """
        self.start()
        until = time.monotonic() + wait_s
        for left in range(self._size, -1, -1):
            worker = self._borrow(key, until)
            # One that only stands still must leave time to ask another.
            share_s = (until - time.monotonic()) / (2 if left else 1)
            try:
                until_then = time.monotonic() + share_s
                answer = parse(worker.ask(request, compute_s=compute_s, until=until_then))
            except LostError as lost:
                if lost.by_request:
                    raise RequestKillsError(lost.end) from None
                continue  # its keeper sees to it
            except BaseException as error:
                worker.kill(WorkerEnd.DIED)  # what it says, or says next, is not to be trusted
                if isinstance(error, ValueError | RecursionError):
                    raise RequestKillsError(WorkerEnd.DIED) from error
                raise
            with self._changed:
                if worker in self._workers:
                    self._idle.append(worker)
                    self._changed.notify_all()
            return answer
        raise self._nobody()

    def _borrow(self, key: object, until: float) -> Worker:
        """A worker that is idle, first come, first served."""
        ticket = object()
        with self._changed:
            self._line.append(ticket)
            try:
                while not self._idle or self._line[0] is not ticket or self._closed:
                    self._wait(until)
                self._calls += 1
                place = next(
                    (i for i, worker in enumerate(self._idle) if worker.key == key),
                    len(self._idle) - 1,
                )
                worker = self._idle.pop(place)
            finally:
                self._line.remove(ticket)
                self._changed.notify_all()
            worker.key = key
            return worker

    def _wait(self, until: float) -> None:
        """Until something has changed. Raises `NoWorkerError` if there is nothing to wait for."""
        if self._closed:
            raise NoWorkerError(f"the workers for {self._program.name} have been ended")
        if self._start_error is not None and not self._ready:
            raise self._start_error.copy()
        if (left_s := until - time.monotonic()) <= 0:
            raise self._nobody()
        self._changed.wait(left_s)

    def _nobody(self) -> NoWorkerError:
        return NoWorkerError(
            f"none of the {self._size} processes for {self._program.name} answered in time: they "
            "are busy or being started; try again"
        )

    def _keep(self) -> None:
        """One worker after another, until the pool is closed."""
        pause_s = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed, pause_s)
                if self._closed:
                    return
            try:
                came_up = self._one_life()
            except Exception:
                # Of memory, perhaps. Without this thread there would be one worker less for good.
                _LOGGER.exception("a process for %s could not be kept", self._program.name)
                came_up = False
            if came_up:
                pause_s = 0.0
            else:
                first_s, most_s = _BACK_OFF_S
                pause_s = min(most_s, max(first_s, 2 * pause_s))

    def _one_life(self) -> bool:
        """A worker from its start to its end; whether it came up."""
        try:
            worker = Worker(self._program)
        except WorkerStartError as error:
            self._did_not_come_up(error)
            return False
        came_up, end = False, None
        try:
            with self._changed:
                self._workers.add(worker)
                if self._closed:
                    worker.kill(WorkerEnd.DIED)
            came_up = self._welcome(worker)
            end = worker.wait()
        finally:
            self._forget(worker, end, came_up=came_up)
            worker.kill(WorkerEnd.DIED)  # if it is not dead already
            worker.reap()
        return came_up

    def _welcome(self, worker: Worker) -> bool:
        """Whether it came up; then it is idle."""
        try:
            greeting = worker.greet(_START_S)
        except WorkerStartError as error:
            worker.kill(WorkerEnd.DIED)
            self._did_not_come_up(error)
            return False
        with self._changed:
            self._greeting, self._start_error = greeting, None
            self._ready += 1
            self._idle.append(worker)
            self._changed.notify_all()
        return True

    def _forget(self, worker: Worker, end: WorkerEnd | None, *, came_up: bool) -> None:
        with self._changed:
            self._workers.discard(worker)
            if worker in self._idle:
                self._idle.remove(worker)
            self._ready -= came_up
            closed = self._closed
            if end is not None and not closed:
                self._restarts[end] += 1
            self._changed.notify_all()
        if end is not None and came_up and not closed:
            _LOGGER.warning("a process for %s %s; starting another", self._program.name, end.value)

    def _did_not_come_up(self, error: WorkerStartError) -> None:
        with self._changed:
            if self._closed:
                return
            again = self._start_error is not None
            self._start_error = error
            self._changed.notify_all()
        if not again:
            _LOGGER.error("a process for %s cannot start: %s", self._program.name, error)

    def statistics(self) -> PoolStatistics:
        """What there is now. Reads /proc; never waits."""
        with self._changed:
            return PoolStatistics(
                size=self._size,
                ready=self._ready,
                calls=self._calls,
                restarts=dict(self._restarts),
                resident_bytes=sum(worker.resident_bytes() for worker in self._workers),
            )

    def pids(self) -> tuple[int, ...]:
        """The processes that live, for whoever looks from outside."""
        with self._changed:
            return tuple(sorted(worker.pid for worker in self._workers))

    def close(self) -> None:
        """End every worker; calls under way and later ones raise `NoWorkerError`."""
        with self._changed:
            self._closed = True
            for worker in self._workers:
                worker.kill(WorkerEnd.DIED)
            keepers = tuple(self._keepers)
            self._changed.notify_all()
        for keeper in keepers:
            keeper.join(_JOIN_S)
