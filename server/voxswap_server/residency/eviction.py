"""Which parts make room: a pure function over a frozen picture of what is idle."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass


class Policy(enum.Enum):
    """In which order idle parts go.

    LRU: the one whose last use is longest ago first. GDSF (GreedyDual-Size-Frequency; Cherkasova,
    "Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy", HP Labs
    1998): the one with the least ``inflation + uses * cost / size`` first, where the cost is the
    time to load it again. It keeps small, often used and slowly loaded parts, and suits casts of
    very unlike sizes; ``inflation`` lets what was popular once grow old.
    """

    LRU = "lru"
    GDSF = "gdsf"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A resident part that nobody uses. ``last_use_s`` is on the manager's clock.

    ``protected``: it was loaded just now, or for a scene that is about to begin; it goes only if
    nothing else can. ``inflation_s`` is the policy's at its last use.
    """

    key: str
    size_bytes: int
    last_use_s: float
    load_s: float
    uses: int = 1
    inflation: float = 0.0
    protected: bool = False

    @property
    def priority(self) -> float:
        """What GDSF keeps it for."""
        return self.inflation + self.uses * self.load_s / max(1, self.size_bytes)


def plan_eviction(
    candidates: Sequence[Candidate], need_bytes: int, policy: Policy = Policy.LRU
) -> tuple[str, ...] | None:
    """Keys to evict, in the policy's order, so that ``need_bytes`` come free.

    Of parts that are equal to the policy, the one that is quicker to load again goes first. Just
    enough goes: a victim that the later ones make needless is spared. None if all are too little.
    """
    if need_bytes <= 0:
        return ()
    victims: list[Candidate] = []
    gained = 0
    for candidate in sorted(candidates, key=lambda c: _rank(c, policy)):
        victims.append(candidate)
        gained += candidate.size_bytes
        if gained >= need_bytes:
            break
    else:
        return None
    # The one that is worth most is spared first.
    for victim in reversed(victims[:-1]):
        if gained - victim.size_bytes >= need_bytes:
            victims.remove(victim)
            gained -= victim.size_bytes
    return tuple(victim.key for victim in victims)


def _rank(c: Candidate, policy: Policy) -> tuple[bool, float, float, str]:
    value = c.last_use_s if policy is Policy.LRU else c.priority
    return c.protected, value, c.load_s, c.key
