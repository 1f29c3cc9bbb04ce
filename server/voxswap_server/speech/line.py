"""Works in line for a device: which one takes the next step, and what becomes of each. No threads.

A work is in one of three places: in line, stepping, or out. It goes out once: done, given up by
whoever waited for it, or dropped with all others.
"""

from __future__ import annotations

import heapq
import itertools
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from voxswap_server.engines.work import Work


@dataclass(order=True, slots=True)
class Entry:
    """A work in line: by due time, and among equals as they came."""

    due_s: float
    number: int
    asked_s: float = field(compare=False)
    work: Work[Any] | None = field(compare=False)  # None: nobody waits for it any more
    future: Future[Any] = field(compare=False)
    compute_s: float = field(compare=False, default=0.0)
    longest_step_s: float = field(compare=False, default=0.0)


class Line:
    """Earliest deadline first (Liu and Layland, "Scheduling Algorithms for Multiprogramming in a
    Hard-Real-Time Environment", 1973), without interrupting a step.

    Not thread-safe. `put_back`, `give_up` and `drop` say which entries are out; their futures are
    the caller's to settle.
    """

    def __init__(self, most_together: int) -> None:
        """At most ``most_together`` works take a step together."""
        self._most_together = most_together
        self._waiting: list[Entry] = []
        self._stepping: list[Entry] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return sum(entry.work is not None for entry in self._waiting)

    def add(self, work: Work[Any], future: Future[Any], *, due_s: float, asked_s: float) -> Entry:
        """A new work; ``future`` will hear what becomes of it."""
        entry = Entry(due_s, next(self._numbers), asked_s, work, future)
        heapq.heappush(self._waiting, entry)
        return entry

    def next(self) -> list[Entry]:
        """Who takes the next step: the most urgent, and those who can take it along. Or nobody."""
        assert not self._stepping  # noqa: S101 - one step at a time
        while self._waiting:
            first = heapq.heappop(self._waiting)
            if first.work is not None:
                self._stepping = [first, *self._joining(first.work.key)]
                break
        return list(self._stepping)

    def _joining(self, key: object) -> list[Entry]:
        """The most urgent of those whose next step goes along with one of ``key``."""
        if key is None or self._most_together < 2:
            return []
        alike = [e for e in self._waiting if e.work is not None and e.work.key == key]
        joining = heapq.nsmallest(self._most_together - 1, alike)
        if joining:
            taken = {entry.number for entry in joining}
            self._waiting = [entry for entry in self._waiting if entry.number not in taken]
            heapq.heapify(self._waiting)
        return joining

    def put_back(self, took_s: float) -> list[Entry]:
        """The step is over. Who is not done goes back in line; the others are out."""
        out, stepped, self._stepping = [], self._stepping, []
        for entry in stepped:
            entry.compute_s += took_s / len(stepped)
            entry.longest_step_s = max(entry.longest_step_s, took_s)
            if entry.work is not None and not entry.work.is_done:
                heapq.heappush(self._waiting, entry)
            else:
                out.append(entry)
        return out

    def give_up(self, entry: Entry) -> bool:
        """Nobody waits for ``entry`` any more. Whether it is out: a step that has begun ends first.

        What it holds is let go of at once, or by the thread that steps it.
        """
        entry.work = None
        return entry not in self._stepping

    def drop(self) -> list[Entry]:
        """All that wait or step are out. A step under way ends, and nobody hears of it."""
        out = [entry for entry in (*self._stepping, *self._waiting) if entry.work is not None]
        for entry in out:
            entry.work = None
        self._stepping, self._waiting = [], []
        return out
