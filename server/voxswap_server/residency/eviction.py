"""Which voices make room: a pure function over a frozen picture of what is idle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A resident voice that nobody uses. ``last_use_s`` is on the manager's clock."""

    key: str
    size_bytes: int
    last_use_s: float
    load_ms: float


def plan_eviction(candidates: Sequence[Candidate], need_bytes: int) -> tuple[str, ...] | None:
    """Keys to evict, least recently used first, so that ``need_bytes`` come free.

    Of voices used at the same time, the one that is quicker to load again goes first. Just enough
    goes: a victim that the later ones make needless is spared. None if all of them are too little.
    """
    if need_bytes <= 0:
        return ()
    victims: list[Candidate] = []
    gained = 0
    for candidate in sorted(candidates, key=lambda c: (c.last_use_s, c.load_ms, c.key)):
        victims.append(candidate)
        gained += candidate.size_bytes
        if gained >= need_bytes:
            break
    else:
        return None
    # Spare the most recently used first.
    for victim in reversed(victims[:-1]):
        if gained - victim.size_bytes >= need_bytes:
            victims.remove(victim)
            gained -= victim.size_bytes
    return tuple(victim.key for victim in victims)
