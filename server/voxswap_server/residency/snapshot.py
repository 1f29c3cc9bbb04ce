"""Residency as others may see it: frozen values of one instant."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from voxswap_server.memory.claims import Claim, Voice
from voxswap_server.memory.memory import Memory
from voxswap_server.memory.part import Part
from voxswap_server.memory.part import State as PartState
from voxswap_server.residency.estimates import Tier
from voxswap_server.residency.failures import Failures
from voxswap_server.residency.plans import source_of


class State(enum.Enum):
    """Where a voice or a part stands, in fewer words than `memory.part.State` has."""

    LOADING = "loading"
    ABANDONED = "abandoned"
    RESIDENT = "resident"
    EVICTING = "evicting"
    FAILED = "failed"


_STATES = {
    PartState.PROMISED: State.LOADING,
    PartState.WAITING: State.LOADING,
    PartState.RUNNING: State.LOADING,
    PartState.REFUSED: State.LOADING,
    PartState.ABANDONED: State.ABANDONED,
    PartState.STUCK: State.ABANDONED,
    PartState.RESIDENT: State.RESIDENT,
    PartState.WITHDRAWN: State.EVICTING,
    PartState.EVICTING: State.EVICTING,
}


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


def residents(memory: Memory, failures: Failures, now_s: float) -> tuple[Resident, ...]:
    """Voices, the most recently used first; then loads, then failures."""
    voices = sorted(memory.voices.values(), key=lambda voice: voice.last_use_s, reverse=True)
    return (
        *map(resident, voices),
        *map(_wanted, memory.claims.values()),
        *(
            Resident(
                refs=(failure.ref,),
                state=State.FAILED,
                last_use_s=failure.failed_s,
                error=str(failure.error) or type(failure.error).__name__,
                retry_s=max(0.0, failure.retry_s - now_s),
            )
            for failure in failures
        ),
    )


def resident(voice: Voice) -> Resident:
    """A voice that can speak."""
    return Resident(
        refs=tuple(sorted(voice.refs)),
        state=State.RESIDENT,
        size_bytes=sum(part.size_bytes for part in voice.parts),
        shared_bytes=sum(part.size_bytes for part in voice.parts if len(part.voices) > 1),
        leases=voice.leases,
        uses=voice.uses,
        pinned=voice.pinned,
        load_s=voice.load_s,
        loaded_s=voice.loaded_s,
        last_use_s=voice.last_use_s,
    )


def _wanted(claim: Claim) -> Resident:
    return Resident(
        refs=claim.refs,
        state=State.LOADING,
        size_bytes=sum(part.size_bytes for part in claim.parts),
        waiting=len(claim.waiters),
        last_use_s=claim.asked_s,
    )


def parts(memory: Memory) -> tuple[ResidentPart, ...]:
    """Every part that is charged, the most recently used first."""
    charged = (part for part in memory.holdings if part.state is not PartState.PROMISED)
    return tuple(map(describe, sorted(charged, key=lambda part: part.last_use_s, reverse=True)))


def describe(part: Part) -> ResidentPart:
    """One part."""
    plan = source_of(part.plan).part
    return ResidentPart(
        role=plan.role,
        digest=plan.component.digest,
        state=_STATES[part.state],
        size_bytes=part.size_bytes,
        voices=tuple(sorted(ref for voice in part.voices for ref in voice.refs)),
        leases=sum(voice.leases for voice in part.voices),
        loaded_s=part.loaded_s,
        last_use_s=part.last_use_s,
    )


def speaking(memory: Memory) -> tuple[str, ...]:
    """Voices with leases, as ``voice@version``."""
    return tuple(min(voice.refs) for voice in memory.voices.values() if voice.leases)
