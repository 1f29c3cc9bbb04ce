"""Whether another process computes, seen from outside: the states of its threads in ``/proc``.

The process is not asked, so it is not disturbed, and it cannot call something stopped that runs.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_POLL_S = 0.0003


def _cpu_ns(pid: int) -> dict[int, int]:
    """Time on a processor of each thread."""
    taken = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            taken[int(task.name)] = int((task / "schedstat").read_text().split()[0])
    return taken


def busy_threads(pid: int, seconds: float) -> tuple[int, ...]:
    """The threads that compute: those with at least half of what the busiest takes. Blocks."""
    before = _cpu_ns(pid)
    time.sleep(seconds)
    taken = {tid: ns - before.get(tid, 0) for tid, ns in _cpu_ns(pid).items()}
    return tuple(tid for tid, ns in taken.items() if ns >= max(taken.values()) / 2)


class Runs:
    """Says whether any of the threads is running or waits for a processor at this moment."""

    def __init__(self, files: Sequence[int]) -> None:
        self._files = files

    def __call__(self) -> bool:
        """A thread that is gone does not run."""
        for file in self._files:
            with contextlib.suppress(ProcessLookupError):
                line = os.pread(file, 512, 0)
                if line[line.rindex(b")") + 2 :].startswith(b"R"):
                    return True
        return False


@contextlib.contextmanager
def watched(pid: int, threads: Sequence[int]) -> Iterator[Runs]:
    """Watch these threads."""
    with contextlib.ExitStack() as stack:
        files = []
        for tid in threads:
            file = os.open(f"/proc/{pid}/task/{tid}/stat", os.O_RDONLY)
            stack.callback(os.close, file)
            files.append(file)
        yield Runs(files)


def share_running(runs: Callable[[], bool], *, looks: int = 20) -> float:
    """How often something runs. Blocks for a millisecond a look."""
    seen = 0
    for _ in range(looks):
        time.sleep(0.001)
        seen += runs()
    return seen / looks


def stopped_after_ms(
    runs: Callable[[], bool], began: float, *, quiet_s: float, most_s: float
) -> float:
    """Time from ``began`` until nothing ran any more, and stayed so for ``quiet_s``.

    Up to the first look that saw nothing: late by a poll at most, never early. Blocks.
    """
    last_seen = still = began
    was_running = True
    while (now := time.perf_counter()) - last_seen < quiet_s:
        assert now - began < most_s, f"it still computes after {most_s} s"
        if runs():
            last_seen, was_running = now, True
        elif was_running:
            still, was_running = time.perf_counter(), False
        time.sleep(_POLL_S)
    return (still - began) * 1e3
