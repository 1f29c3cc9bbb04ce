"""Residency as others may see it: frozen values of one instant."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from voxswap_server.residency.estimates import Tier


class State(enum.Enum):
    """Where a voice or a part stands, in fewer words than `memory.part.State` has."""

    LOADING = "loading"
    ABANDONED = "abandoned"
    RESIDENT = "resident"
    EVICTING = "evicting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ResidentPart:
    """One part that is charged. Times are on the manager's clock, in seconds."""

    role: str
    digest: str
    state: State
    size_bytes: int
    voices: tuple[str, ...]  # versions that speak with it now
    leases: int
    loaded_s: float
    last_use_s: float


@dataclass(frozen=True, slots=True)
class Resident:
    """One voice that is resident, is being loaded, or failed to.

    ``size_bytes`` are those of all its parts, ``shared_bytes`` of those that other resident voices
    use as well. ``error`` and ``retry_s`` (from now) are of the last load, if it failed.
    """

    refs: tuple[str, ...]
    state: State
    size_bytes: int = 0
    shared_bytes: int = 0
    leases: int = 0
    waiting: int = 0
    uses: int = 0
    pinned: bool = False
    load_s: float = 0.0
    loaded_s: float = 0.0
    last_use_s: float = 0.0
    error: str = ""
    retry_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PartOutlook:
    """What loading one part of a voice means."""

    role: str
    digest: str
    tier: Tier
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What loading a voice would do, at one instant; nothing was done.

    ``fits`` is whether it could be loaded now, evictions included. ``would_evict`` names the
    victims as they stand, ``speaking`` what would have to end first if it does not fit.
    ``reason`` says it all in a sentence.
    """

    ref: str
    resident: bool
    fits: bool
    parts: tuple[PartOutlook, ...]
    need_bytes: int
    would_evict: tuple[ResidentPart, ...]
    speaking: tuple[str, ...]
    ahead: int
    estimated_s: float
    reason: str
