"""What can go wrong between the server and its worker processes.

::

    WorkerError                 base
    ├── NoWorkerError           none is up, or none could answer; nobody's input is at fault
    │   └── WorkerStartError    the program says why it cannot start
    └── RequestKillsError       the request ended or held up the worker that had it
"""

from __future__ import annotations

import enum

from voxswap_registry.errors import VoxswapError


class WorkerEnd(enum.Enum):
    """Why a worker process is no more."""

    DIED = "died"
    HUNG = "hung"
    MEMORY = "memory"


class WorkerError(VoxswapError):
    """A worker process did not do what it was asked. Whoever asks says what that means."""

    reason = "WORKER"


class NoWorkerError(WorkerError):
    """No worker could be had, or none that lived to answer, through no fault of the request."""

    reason = "NO_WORKER"


class WorkerStartError(NoWorkerError):
    """The program cannot start here; the message is its own."""

    reason = "WORKER_START"


class RequestKillsError(WorkerError):
    """A worker died of this request, or computed without an end."""

    reason = "REQUEST_KILLS"

    def __init__(self, end: WorkerEnd) -> None:
        super().__init__(f"a worker process {end.value} over a request; do not send it again")
        self.end = end
