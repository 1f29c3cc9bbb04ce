"""Whether what was promised can be computed in time: the processor demand criterion. Pure.

Work is done earliest deadline first. All of it ends in time if, for each moment t from now, what
must be done by t is at most what can be: Baruah, Mok and Rosier, "Preemptively Scheduling
Hard-Real-Time Sporadic Tasks on One Processor" (1990). Where steps are long and not interrupted,
one that is due later may have begun already: Jeffay, Stanat and Martel, "On Non-Preemptive
Scheduling of Periodic and Sporadic Tasks" (1991). A stream's deadlines lie as far ahead as it has
audio that was delivered and not played.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """What one stream will take of one resource, in seconds of it.

    ``quantum_s`` is due ``slack_s`` from now, and then ``rate`` for each second, until ``left_s``
    have been taken. If it ``is_heard`` already, a gap is heard; otherwise it may begin later.
    """

    slack_s: float
    quantum_s: float
    rate: float
    left_s: float
    is_heard: bool

    @property
    def first_s(self) -> float:
        """What is due first."""
        return min(self.quantum_s, self.left_s)

    @property
    def end_s(self) -> float:
        """When the last of it is due."""
        if self.rate <= 0:
            return self.slack_s
        return self.slack_s + max(0.0, self.left_s - self.quantum_s) / self.rate

    def by(self, t_s: float) -> float:
        """How much must be done ``t_s`` from now."""
        if t_s < self.slack_s:
            return 0.0
        return min(self.left_s, self.quantum_s + self.rate * (t_s - self.slack_s))


def first_late_s(
    claims: Sequence[Claim],
    capacity: float,
    *,
    patience_s: float,
    blocks: bool = False,
    blocking_s: float = 0.0,
) -> float | None:
    """When the first of ``claims`` is late at a resource that does ``capacity`` a second.

    None: never. Who is not heard yet may begin ``patience_s`` late. If a step ``blocks``, one of a
    claim that is due later delays what is due before, and so does one of ``blocking_s``.
    """
    # When; whether somebody is late if all is not done then; what falls due; what the slope gains.
    points: list[tuple[float, bool, float, float]] = []
    for claim in claims:
        slack_s, end_s = claim.slack_s, claim.end_s
        rate = claim.rate if end_s > slack_s else 0.0
        points.append((slack_s, False, claim.first_s, rate))
        begun_s = slack_s if claim.is_heard else slack_s + patience_s + claim.first_s / capacity
        points.append((begun_s, True, 0.0, 0.0))
        if rate:
            points.append((end_s, False, 0.0, -rate))
            points.append((end_s, True, 0.0, 0.0))
    points.sort()
    later = sorted((claim.slack_s, claim.first_s) for claim in claims) if blocks else []
    due_s = slope = at_s = 0.0
    for t_s, must_be_done, jump_s, gain in points:
        due_s += slope * (t_s - at_s) + jump_s
        slope += gain
        at_s = t_s
        if must_be_done:
            longest_s = max([blocking_s, *(c for s, c in later if s > t_s)]) if blocks else 0.0
            if due_s + longest_s > capacity * t_s + 1e-9:
                return t_s
    return None


def wait_s(
    claims: Sequence[Claim], capacity: float, *, budget_s: float, blocking_s: float
) -> float:
    """How long a newcomer waits whose first step is due ``budget_s`` from now.

    For what is due before it, and for a step of ``blocking_s`` that is under way.
    """
    return (sum(claim.by(budget_s) for claim in claims) + blocking_s) / capacity
