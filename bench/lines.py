"""The sentences that benchmarks speak."""

from __future__ import annotations

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
