"""What would come of asking, when nobody has asked: values."""

from __future__ import annotations

from dataclasses import dataclass

from voxswap_server.memory.actions import Why
from voxswap_server.memory.part import Part


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would leave for a row of plans: the numbers of parts, in order.

    ``leave`` says for each plan how many of them, counted from the first, have left by then; None
    if it does not fit. The later ones are needed later, so then they do not either.
    """

    victims: tuple[int, ...]
    leave: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Prospect:
    """What somebody would find who asked for one plan; nothing was done.

    ``why``: it would be refused at once. ``victims`` would leave for its ``need_bytes``; None if it
    had to wait.
    """

    why: Why | None
    need_bytes: int
    victims: tuple[Part, ...] | None
