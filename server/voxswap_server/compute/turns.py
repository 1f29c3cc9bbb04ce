"""A thread of a lane and the turn that it has; and those without one, who help the others."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from voxswap_families.work import Work
from voxswap_server.compute.hooks import Lending
from voxswap_server.compute.step_queue import Entry


class Worker:
    """A thread and the step it takes.

    ::

        idle -> lent -> idle                         while others step, and nobody is in line
    idle -> stepping -> idle
                    |-> interrupted -> idle         it was asked to end, and did
                    |        |-> lost               it was not, or did not
                    |-> lost -> idle                it came back, and its place is free
                          |---> gone                it came back, and another thread has its place
    """

    def __init__(self, name: str, lock: threading.Lock) -> None:
        self.name = name
        self.called = threading.Condition(lock)
        self.turn: Sequence[Entry] = ()
        self.works: Sequence[Work[Any]] = ()  # of the turn, those that are stepped now
        self.since: float | None = None
        self.is_interrupted = False
        self.is_lost = False
        self.is_lent = False
        self.thread: threading.Thread


class Lenders:
    """Idle threads that help those who step: never more than these, so never a thread too many.

    Everything under the lane's lock, which is let go of only while somebody helps. Who is recalled
    comes back soon, and meanwhile may be given a turn.
    """

    def __init__(self, lending: Lending | None, lock: threading.Lock) -> None:
        self._lending = lending
        self._lock = lock
        self.are_closed = False

    def may_lend(self, workers: Sequence[Worker]) -> bool:
        """Whether one more may help."""
        if self._lending is None or not self._lending.is_open or self.are_closed:
            return False
        stepping = sum(bool(worker.turn) for worker in workers)
        return sum(worker.is_lent for worker in workers) < stepping

    def lend(self, worker: Worker) -> None:
        """Let ``worker``, whose thread this is, help until it is recalled."""
        assert self._lending is not None  # noqa: S101 - see `may_lend`
        worker.is_lent, ticket = True, self._lending.ticket()
        self._lock.release()
        try:
            self._lending.lend(ticket)
        finally:
            self._lock.acquire()
            worker.is_lent = False

    def settle(self, workers: Sequence[Worker]) -> None:
        """Turns were given or are over: wake somebody who may help, or recall whom nobody needs."""
        if self.may_lend(workers):
            idle = (worker for worker in workers if not worker.turn and not worker.is_lent)
            if (worker := next(idle, None)) is not None:
                worker.called.notify()
            return
        stepping = sum(bool(worker.turn) for worker in workers)
        if sum(worker.is_lent for worker in workers) > stepping:
            self.recall()

    def recall(self) -> None:
        """Everybody who helps comes back. Does not wait for it."""
        if self._lending is not None:
            self._lending.recall()
