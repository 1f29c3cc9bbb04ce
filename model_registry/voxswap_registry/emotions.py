"""Emotions: names that mean one thing on every family, and where they lie in valence and arousal.

A voice lists the names that its own model was trained with. Those of them that are in the
vocabulary, or are other words for one that is, can be asked for by either name. Whatever else it
lists is asked for as it is written there.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

NEUTRAL: Final = "neutral"
#: The vocabulary, beside `NEUTRAL`, which is what a mixture leaves of 1.
EMOTIONS: Final = ("happy", "sad", "angry", "fearful", "surprised", "disgusted")

#: Other words for them, as tables of families and other protocols have them.
ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "normal": NEUTRAL,
        "none": NEUTRAL,
        "happiness": "happy",
        "joy": "happy",
        "joyful": "happy",
        "sadness": "sad",
        "anger": "angry",
        "fear": "fearful",
        "afraid": "fearful",
        "scared": "fearful",
        "surprise": "surprised",
        "disgust": "disgusted",
    }
)

#: Valence and arousal of each, from -1 to 1: J. A. Russell and A. Mehrabian, "Evidence for a
#: three-factor theory of emotions", Journal of Research in Personality 11 (1977), 273-294.
AFFECT: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "happy": (0.81, 0.51),
        "surprised": (0.40, 0.67),
        "angry": (-0.51, 0.59),
        "fearful": (-0.64, 0.60),
        "disgusted": (-0.60, 0.35),
        "sad": (-0.63, -0.27),
    }
)
# Where nobody is next to it on a side, an emotion fades over so wide an angle.
_FADES: Final = math.pi / 2


def meaning(name: str) -> str:
    """The word of the vocabulary that ``name`` stands for; itself where that is none."""
    folded = name.strip().casefold()
    word = ALIASES.get(folded, folded)
    return word if word == NEUTRAL or word in EMOTIONS else name


def offered_as(name: str, offered: Iterable[str]) -> str | None:
    """What a voice that has ``offered`` calls it: that very name, or one that means the same."""
    listed = tuple(offered)
    if name in listed:
        return name
    word = meaning(name)
    return next((other for other in listed if meaning(other) == word), None)


def mixture_of(valence: float, arousal: float, among: Collection[str]) -> dict[str, float]:
    """Shares of those of `AFFECT` that are in ``among``; empty if none is near enough.

    The point lies between two emotions by its angle, and has a share of each, the nearer the more;
    one that is alone on its side fades out over a right angle. How far out the point lies, against
    those two, is how much of them there is in all; 1 at the most.
    """
    radius = math.hypot(valence, arousal)
    if not radius:
        return {}
    angle = math.atan2(arousal, valence)
    # How far it is from the point to each, going round against the clock, and its distance from 0.
    ways = sorted(
        ((math.atan2(a, v) - angle) % math.tau, math.hypot(v, a), name)
        for name, (v, a) in AFFECT.items()
        if name in among
    )
    if not ways:
        return {}
    after, before = ways[0], ways[-1]
    gaps = {after[2]: after[0], before[2]: math.tau - before[0]}
    if after is before:
        gaps = {after[2]: min(after[0], math.tau - after[0])}
    across = sum(gaps.values()) if len(gaps) > 1 else math.inf
    near = {name: max(0.0, 1 - gap / min(across, _FADES)) for name, gap in gaps.items()}
    total = sum(near.values())
    if not total:
        return {}
    reach = sum(near[name] * distance for _, distance, name in ways if name in near) / total
    strength = min(1.0, radius / reach)
    # Next to nothing of it may be nothing.
    return {name: amount for name, share in near.items() if (amount := share * strength)}
