"""What compute threads tell, and what they need of the process that they are in."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Ran(Generic[_T]):
    """What a work gave; how long it was in line, and computed, in seconds.

    ``cpu_s`` is what the thread that computed had of a processor: less than ``compute_s`` if others
    had it meanwhile. A step that several works took together counts with its share for each.
    """

    result: _T
    queue_s: float
    compute_s: float
    cpu_s: float = 0.0


class Verdict(enum.Enum):
    """What became of a step that took longer than any may."""

    INTERRUPTED = "interrupted"  # it ended when it was asked to
    WRITTEN_OFF = "written_off"  # nobody waits for it any more
    RETURNED = "returned"  # it was written off, and came back after all


class Lending(Protocol):
    """How a thread without work helps those that step. From any thread; raises nothing."""

    @property
    def is_open(self) -> bool:
        """Whether there is anything to help with."""
        ...

    def ticket(self) -> int:
        """What `lend` is called with: a recall from now on is for it."""
        ...

    def lend(self, ticket: int) -> None:
        """Help whoever computes; return soon after there was a recall since ``ticket``."""
        ...

    def recall(self) -> None:
        """Whoever lends himself comes back. Does not wait for it."""
        ...


@dataclass(frozen=True, slots=True)
class ThreadHooks:
    """What a lane needs of the process it is in.

    ``prepare`` is called on each thread once, before it computes. ``observe`` hears how many
    seconds each step took, on the thread that took it; ``observe_stuck`` of each verdict, on any
    thread and under the lane's lock. With ``lending`` idle threads help others; what they compute
    for a thread must be in its ``cpu_clock``.
    """

    prepare: Callable[[], None] = lambda: None
    observe: Callable[[float], None] = lambda compute_s: None
    observe_stuck: Callable[[Verdict], None] = lambda verdict: None
    clock: Callable[[], float] = time.perf_counter
    cpu_clock: Callable[[], float] = time.thread_time
    lending: Lending | None = None
