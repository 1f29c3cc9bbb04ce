"""Works in line for a device: which one takes the next step, and what becomes of each. No threads.

A work is in one of three places: in line, in a step, or out. It goes out once: done, given up by
whoever waited for it, written off with its step, or dropped with all others. Any number of steps
may be under way.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from voxswap_families.work import Work


@dataclass(order=True, slots=True)
class Entry:
    """A work in line: by due time, and among equals as they came.

    ``owner`` is whose work it is, if that is known.
    """

    due_s: float
    number: int
    asked_s: float = field(compare=False)
    work: Work[Any] | None = field(compare=False)  # None: nobody waits for it any more
    future: Future[Any] = field(compare=False)
    owner: Hashable = field(compare=False, default=None)
    is_stepping: bool = field(compare=False, default=False)
    is_dropped: bool = field(compare=False, default=False)
    # Of one whose step was not waited for to its end: done when that comes.
    returned: Future[None] | None = field(compare=False, default=None)
    compute_s: float = field(compare=False, default=0.0)
    cpu_s: float = field(compare=False, default=0.0)


class StepQueue:
    """Earliest deadline first (Liu and Layland, "Scheduling Algorithms for Multiprogramming in a
    Hard-Real-Time Environment", 1973), without interrupting a step.

    Not thread-safe. `put_back`, `give_up`, `write_off`, `expel` and `drop` say which entries are
    out; their futures are the caller's to settle.
    """

    def __init__(self, most_together: int) -> None:
        """At most ``most_together`` works take a step together."""
        self._most_together = most_together
        self._waiting: list[Entry] = []
        self._stepping: dict[int, Entry] = {}  # by number
        self._numbers = itertools.count()
        self._n_waiting = 0  # without those that were given up

    def __len__(self) -> int:
        return self._n_waiting

    def add(
        self,
        work: Work[Any],
        future: Future[Any],
        *,
        due_s: float,
        asked_s: float,
        owner: Hashable = None,
    ) -> Entry:
        """A new work; ``future`` will hear what becomes of it."""
        entry = Entry(due_s, next(self._numbers), asked_s, work, future, owner)
        self._push(entry)
        return entry

    def _push(self, entry: Entry) -> None:
        heapq.heappush(self._waiting, entry)
        self._n_waiting += 1

    def next(self) -> list[Entry]:
        """Who takes the next step: the most urgent, and those who can take it along. Or nobody."""
        while self._waiting:
            first = heapq.heappop(self._waiting)
            if first.work is not None:
                chosen = [first, *self._joining(first.work.key)]
                for entry in chosen:
                    entry.is_stepping = True
                    self._stepping[entry.number] = entry
                self._n_waiting -= len(chosen)
                return chosen
        return []

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

    def put_back(self, stepped: Sequence[Entry], took_s: float, cpu_s: float = 0.0) -> list[Entry]:
        """A step is over. Who is not done goes back in line; the others are out.

        ``stepped`` are whom `next` gave for it, which took so long by the clock, and so much of
        a processor. Of those that are out nothing more is said.
        """
        out = []
        for entry in stepped:
            entry.is_stepping = False
            if entry.is_dropped:
                continue
            del self._stepping[entry.number]
            entry.compute_s += took_s / len(stepped)
            entry.cpu_s += cpu_s / len(stepped)
            if entry.work is not None and not entry.work.is_done:
                self._push(entry)
            else:
                out.append(entry)
        return out

    def give_up(self, entry: Entry) -> bool:
        """Nobody waits for ``entry`` any more. Whether it is out: a step that has begun ends first.

        What it holds is let go of at once, or by the thread that steps it.
        """
        if not entry.is_stepping and entry.work is not None:
            self._n_waiting -= 1
        entry.work = None
        return not entry.is_stepping

    def write_off(self, stepping: Sequence[Entry]) -> list[Entry]:
        """A step is not waited for any more: who is in it is out, given up before or not.

        ``stepping`` are whom `next` gave for it.
        """
        return self._put_out([entry for entry in stepping if not entry.is_dropped])

    def expel(self, owners: Collection[Hashable]) -> list[Entry]:
        """Who is in line for one of ``owners`` is out. Steps of theirs go on."""
        return self._put_out([e for e in self._in_line() if e.owner in owners])

    def drop(self) -> list[Entry]:
        """All are out. Steps under way end, and nobody hears of it."""
        return self._put_out([*self._stepping.values(), *self._in_line()])

    def _in_line(self) -> list[Entry]:
        """Without those that were given up: they are out, and go when their turn comes."""
        return [entry for entry in self._waiting if entry.work is not None]

    def _put_out(self, out: list[Entry]) -> list[Entry]:
        for entry in out:
            entry.work, entry.is_dropped = None, True
            entry.returned = Future() if entry.is_stepping else None
            self._n_waiting -= not entry.is_stepping
            self._stepping.pop(entry.number, None)
        return out
