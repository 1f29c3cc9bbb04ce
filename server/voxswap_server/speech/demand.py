"""Whether what streams need can be done in time, and when one would begin. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from voxswap_server.speech.costs import Resource
from voxswap_server.speech.need import Need

THREADS = (Resource.STEPS, Resource.LONG_STEPS)
# What those that are let in together may wait for each other.
QUEUE_S = 1.0
# Between a window that is there and a listener who has it.
_DELIVERY_S = 0.02
# Of a thread. Who needs more would be late if it were alone, and is nobody's measure.
_MOST_DENSE = 0.5


def width_of(long: Sequence[Need]) -> float:
    """How many cores long steps take."""
    return max(n.segment[Resource.CORES] / n.segment[Resource.LONG_STEPS] for n in long)


def makes_late(
    own: Need, others: Sequence[Need], r: Resource, threads: float, speed: float, sure: float
) -> bool:
    """Whether somebody would hear a gap: who begins, before what is due later.

    The processor demand criterion: all that is due by some moment must be what can be done by then
    (Baruah, Mok and Rosier, "Preemptively Scheduling Hard-Real-Time Sporadic Tasks on One
    Processor", 1990). Of several threads all but one may be idle while the densest stream goes on,
    which takes one at a time (Goossens, Funk and Baruah, "Priority-Driven Scheduling of Periodic
    Task Systems on Multiprocessors", 2003).
    """
    streams, begins_s, densest = list[list[tuple[float, float]]](), 0.0, 0.0
    for n in (*others, own):
        due = [(slack_s, usage[r]) for slack_s, usage in n.due]
        if due and not n.is_heard:
            if begins_s > QUEUE_S:
                return True
            first_s = due[0][1]
            begins_s += first_s / (threads * speed)
            due = [(0.0, first_s), *((begins_s + slack_s, used_s) for slack_s, used_s in due[1:])]
        streams.append(due)
        density = _density(due)
        if not n.is_heard and density <= 1.0 < density / (sure * speed):
            return True  # one thread can do it, and not beside all the others
        densest = max(densest, density / speed)
    capacity = sure * speed * (threads - max(0.0, threads - 1) * min(densest, _MOST_DENSE))
    done_s = 0.0
    for slack_s, used_s in sorted(itertools.chain.from_iterable(streams)):
        done_s += used_s
        if used_s and slack_s and done_s > capacity * (slack_s - _DELIVERY_S):
            return True
    return False


def _density(due: Sequence[tuple[float, float]]) -> float:
    """The largest share of a thread that one stream needs up to some moment, once it is heard."""
    done_s = densest = 0.0
    for slack_s, used_s in due:
        if slack_s:
            done_s += used_s
            densest = max(densest, done_s / slack_s)
    return densest


def starts_in_s(
    own: Need,
    others: Sequence[Need],
    capacity: Mapping[Resource, float],
    speeds: Mapping[Resource, float],
    budget_s: float,
    swap_s: float,
) -> float:
    """When it would begin to sound. While its voice is loaded, others are computed for."""
    waits_s = first_s = 0.0
    for r in THREADS:
        if own.first[r]:
            first_s += own.first[r] / speeds[r]
            due = [
                usage[r]
                for n in others
                if n.stream.paced and (n.is_heard or n.stream.begin_by_s <= own.stream.begin_by_s)
                for slack_s, usage in n.due
                if slack_s <= budget_s
            ]
            waits_s += sum(due) / capacity[r]
            if r is Resource.LONG_STEPS:  # One that is due later may be under way.
                waits_s += max((n.first[r] for n in others), default=0.0) if not due else 0.0
    return max(waits_s, swap_s) + first_s
