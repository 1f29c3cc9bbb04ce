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
    nothing else can. ``inflation`` is the policy's at its last use. ``workspace_bytes`` is what
    computing with it takes beside all parts; the largest of those that are there is charged.
    """

    key: str
    size_bytes: int
    last_use_s: float
    load_s: float
    uses: int = 1
    inflation: float = 0.0
    protected: bool = False
    workspace_bytes: int = 0

    @property
    def priority(self) -> float:
        """What GDSF keeps it for."""
        return self.inflation + self.uses * self.load_s / max(1, self.size_bytes)


def plan_eviction(
    candidates: Sequence[Candidate],
    need_bytes: int,
    policy: Policy = Policy.LRU,
    *,
    workspace_bytes: int = 0,
) -> tuple[str, ...] | None:
    """Keys to evict, in the policy's order, so that ``need_bytes`` come free.

    ``workspace_bytes`` is what everything else needs of a workspace: the candidates that stay may
    need a larger one, and what it shrinks by when they go comes free as well.

    Of parts that are equal to the policy, the one that is quicker to load again goes first. Just
    enough goes: a victim that the later ones make needless is spared. None if all are too little.
    """
    if need_bytes <= 0:
        return ()
    order = sorted(candidates, key=lambda c: _rank(c, policy))
    # What the workspace is once the first i of them have gone.
    workspaces = [workspace_bytes]
    for candidate in reversed(order):
        workspaces.append(max(workspaces[-1], candidate.workspace_bytes))
    workspaces.reverse()
    gained, last = 0, None
    for i, candidate in enumerate(order, 1):
        gained += candidate.size_bytes
        if gained + workspaces[0] - workspaces[i] >= need_bytes:
            last = i
            break
    if last is None:
        return None
    victims, workspace = order[:last], workspaces[last]
    # The one that is worth most is spared first.
    for victim in reversed(victims[:-1]):
        left, grown = gained - victim.size_bytes, max(workspace, victim.workspace_bytes)
        if left + workspaces[0] - grown >= need_bytes:
            victims.remove(victim)
            gained, workspace = left, grown
    return tuple(victim.key for victim in victims)


def _rank(c: Candidate, policy: Policy) -> tuple[bool, float, float, str]:
    value = c.last_use_s if policy is Policy.LRU else c.priority
    return c.protected, value, c.load_s, c.key
