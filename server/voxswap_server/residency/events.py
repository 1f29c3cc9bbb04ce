"""What residency tells to whoever watches: metrics now, `ResidencyService.Watch` later."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass


class EventKind(enum.Enum):
    """What happened to a voice."""

    LOAD_STARTED = "load_started"
    LOADED = "loaded"
    LOAD_FAILED = "load_failed"
    EVICTED = "evicted"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class ResidencyEvent:
    """One event. ``duration_s`` is the load's or the eviction's; ``age_s`` an evicted voice's.

    A component in quarantine belongs to many voices: then ``voice`` is its digest.
    """

    kind: EventKind
    voice: str
    size_bytes: int
    reason: str = ""
    duration_s: float = 0.0
    age_s: float = 0.0


Observer = Callable[[ResidencyEvent], None]


def ignore(event: ResidencyEvent) -> None:
    """The observer of those who do not watch."""
