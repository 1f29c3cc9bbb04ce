"""What a voice needs in memory, and who asks for it: values."""

from __future__ import annotations

import enum
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TypeAlias

# Whoever asks makes it up; it names one wait, and then one lease.
Token: TypeAlias = Hashable


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part. Plans that have a part with one key share it.

    ``size_bytes`` is an upper bound. ``is_local``: its bytes are on this machine, as far as is
    known when it is asked for; otherwise they are fetched first, and take no memory meanwhile.
    ``source`` is for whoever loads it, and never read here.
    """

    key: str
    size_bytes: int
    is_local: bool = True
    source: object = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Lane:
    """Something that computes, beside other lanes, and what all of its threads need to do so."""

    name: str
    workspace_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A voice: all of its parts, and the lanes that compute with them. One key, one voice."""

    key: str
    parts: tuple[PartPlan, ...]
    lanes: tuple[Lane, ...] = ()

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError(f"{self.key} has no parts; there is nothing to load")
        if len({part.key for part in self.parts}) != len(self.parts):
            raise ValueError(f"two parts of {self.key} have one key; name them by role")

    @property
    def keys(self) -> frozenset[str]:
        """Of its parts."""
        return frozenset(part.key for part in self.parts)

    @property
    def size_bytes(self) -> int:
        """What it takes at most if nothing of it is there."""
        return sum(part.size_bytes for part in self.parts)


class Rank(enum.IntEnum):
    """PLAYER: somebody listens. AHEAD: it may be needed later, so it holds up nobody."""

    PLAYER = 0
    AHEAD = 1


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: under which token, for which version of the voice.

    ``insists``: it is not told of a load that fails while it waits in line, but tries its own.
    """

    token: Token
    ref: str
    rank: Rank = Rank.PLAYER
    insists: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Slots, and times in seconds.

    ``load_slots`` parts are taken up and ``fetch_slots`` fetched at a time, each for
    ``load_timeout_s`` at the most. Nobody waits for memory longer than ``wait_s``. Who has waited
    for ``ageing_s`` may keep what comes free for itself, once, for ``exclusive_s``. Memory that is
    being given back is counted on for ``leaving_s``. A part is as if in use for ``settle_s`` after
    its load; what is loaded ahead pushes out only what was not used for ``long_idle_s``.
    """

    load_slots: int = 2
    fetch_slots: int = 2
    load_timeout_s: float = 60.0
    wait_s: float = 30.0
    ageing_s: float = 1.0
    exclusive_s: float = 10.0
    leaving_s: float = 2.0
    settle_s: float = 0.0
    long_idle_s: float = 60.0
