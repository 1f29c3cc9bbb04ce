"""What a load consists of: who asks for which line when. The same seed offers the same load."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.lines import shouts, speeches

ZIPF = 1.0
BARK_SHARE = 0.6
# Of the barks, those that are useless unless they start in time, and that time.
_IMPATIENT_SHARE, _START_BY_MS = 0.5, 300


@dataclass(frozen=True, slots=True)
class OfferedLine:
    """One line, ``at_s`` seconds after the load began, whether or not others have ended."""

    at_s: float
    voice: str
    text: str
    line_class: Literal["bark", "dialogue"]
    start_by_ms: int | None = None


def arrivals_s(per_s: float, duration_s: float, chance: random.Random) -> list[float]:
    """A Poisson process: nobody waits for anybody.

    Of as many arrivals as there are on average, which are then uniform: in seconds their number
    would vary by a tenth, and twice the rate might be less than twice the load.
    """
    return sorted(chance.uniform(0, duration_s) for _ in range(round(per_s * duration_s)))


def zipf_shares(n: int, exponent: float = ZIPF) -> list[float]:
    """How often each of ``n`` voices is asked for, the most popular first; they sum to 1."""
    weights = [1 / rank**exponent for rank in range(1, n + 1)]
    return [weight / sum(weights) for weight in weights]


def game_mix(
    per_s: float, duration_s: float, voices: Sequence[str], seed: int
) -> list[OfferedLine]:
    """A game's lines: barks, some of them impatient, and dialogue, over voices as Zipf says."""
    chance = random.Random(seed)
    shares = zipf_shares(len(voices))
    short, long = itertools.cycle(shouts(seed)), itertools.cycle(speeches(seed))
    lines = []
    for at_s in arrivals_s(per_s, duration_s, chance):
        (voice,) = chance.choices(voices, shares)
        if chance.random() < BARK_SHARE:
            start_by_ms = _START_BY_MS if chance.random() < _IMPATIENT_SHARE else None
            lines.append(OfferedLine(at_s, voice, next(short), "bark", start_by_ms))
        else:
            lines.append(OfferedLine(at_s, voice, next(long), "dialogue"))
    return lines


def quantile(values: Sequence[float], share: float) -> float:
    """Between the two nearest values, as numpy does; NaN of none: a load may refuse everything."""
    return float(np.quantile(values, share)) if values else float("nan")
