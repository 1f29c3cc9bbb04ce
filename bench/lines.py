"""The sentences that benchmarks speak."""

from __future__ import annotations

import itertools
import random

# 90 characters.
LINE = "The bridge is closed after dark, stranger, so turn back now or pay the toll to the guards."

# One take of ten lines varies by several per cent with its noise; five takes do not.
TAKES = 5
TEN = (
    "Halt! Who goes there?",
    "The bridge is closed after dark.",
    "I have not seen him since the day before yesterday.",
    "Bring me some water from the river, and a loaf of bread.",
    "You should not have come back to this town.",
    "There are seven men on the road, and all of them carry swords.",
    "Do you know what happened to the king?",
    "My father was a farmer, and his father was a farmer before him.",
    "Take the left door, then go down the stairs.",
    "We leave in the morning, with you or without you.",
)

# What a game's characters say: short and droppable, and longer and meant. With a name each, so that
# no two requests of a run need be alike.
_NAMES = (
    *("Mirela", "Tobias", "Captain", "Old friend", "Johanna", "Stranger", "Edmund", "My lady"),
    *("Sister", "Corporal", "Agnes", "Traveller"),
)
_SHOUTS = (
    *("behind you!", "over there!", "stay close.", "did you hear that?", "hold the gate!"),
    *("they are coming!", "I see someone.", "not so loud!", "watch the roof!", "to me!"),
)
_NEWS = (
    *("the bridge is closed after dark", "the wolves came down from the hills again"),
    *("nobody has seen the miller since Sunday", "there is smoke above the northern farms"),
    *("the river took the lower road last night", "they doubled the watch at the harbour"),
    *("your brother was asking for you at the inn", "the old well has been dry for a week"),
    *("a rider came through before the sun was up", "the council will not meet until spring"),
)
_ADVICE = (
    *("turn back now or pay the toll to the guards", "keep your hand on your sword tonight"),
    *("take the path along the eastern wall", "do not speak to anyone about the letter"),
    *("wait for us at the chapel with the horses", "bring as much bread as you can carry"),
    *("light no fire until the morning comes", "tell the others to leave without me"),
    *("stay on the road and do not look around", "ask the smith for what is left of the iron"),
)


def shouts(seed: int) -> list[str]:
    """Every short line, each a second or so, in an order that the seed decides."""
    return _shuffled([f"{a}, {b}" for a, b in itertools.product(_NAMES, _SHOUTS)], seed)


def speeches(seed: int) -> list[str]:
    """Every long line, about as long as `LINE` and one sentence each; no two are alike."""
    every = itertools.product(_NAMES, _NEWS, _ADVICE)
    return _shuffled([f"{name}, {news}, so {advice}." for name, news, advice in every], seed)


def _shuffled(lines: list[str], seed: int) -> list[str]:
    random.Random(seed).shuffle(lines)
    return lines
