"""What `Memory` has, as `snapshot` shows it."""

from __future__ import annotations

from voxswap_server.memory.claims import Claim, Voice
from voxswap_server.memory.memory import Memory
from voxswap_server.memory.part import Part
from voxswap_server.memory.part import State as PartState
from voxswap_server.residency.failures import Failures
from voxswap_server.residency.plans import source_of
from voxswap_server.residency.snapshot import Resident, ResidentPart, State

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
