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

# Over 120 symbols each, and no more than Kokoro says in one go. Each has a clause that ends in
# about its middle; marks, and what follows them, differ.
CLAUSES = (
    (
        "When the sun came up over the eastern hills at last, we saw that the old bridge which my "
        "grandfather had built with his brothers was gone."
    ),
    (
        "The bridge is closed after dark and nobody at all may pass, so turn back now or pay the "
        "whole toll to the guards who are standing at the gate."
    ),
    (
        "I told the captain to wait for us behind the chapel with the horses; he took every one of "
        "them and rode away long before the morning came."
    ),
    (
        "There is one thing that you really should know about this old town: nobody will ever open "
        "a door for a stranger after the evening bell."
    ),
    (
        "You may sleep in the barn tonight with all the other travellers, but you will have to "
        "leave your swords here with the keeper of the house."
    ),
    (
        "The wolves came down from the mountains again last winter, and almost half of the sheep "
        "in the valley were lost within a single week."
    ),
    (
        "If you follow the river down to the second water mill — the one without a roof — you will "
        "find the man that you have been looking for."
    ),
    (
        "My grandmother always kept the letter in a box under the floor, because she was so afraid "
        "that somebody would find it there and burn it."
    ),
    (
        "We carried all of the wounded across the field in the rain, while the drums of the "
        "northern army were coming closer and closer behind us."
    ),
    (
        "Bring the lantern with you and stay very close behind me, since the steps are wet and the "
        "wall on the left is not to be trusted any more."
    ),
    (
        "The king has promised a hundred pieces of silver for it, which is a good deal more than I "
        "have earned in all the long years of my life."
    ),
    (
        "Nobody has seen the miller since the harvest ended in the autumn, yet the wheel turns "
        "every night and there is a light in his window."
    ),
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
