"""Answers about residency become the client's own values here, for both clients."""

from __future__ import annotations

from voxswap.v1 import residency_pb2, speech_pb2
from voxswap_client.convert import member, timestamp
from voxswap_client.residency_types import (
    CastOutlook,
    ComponentOutlook,
    Explanation,
    Ledger,
    ResidencyEvent,
    ResidencyEventKind,
    ResidencySnapshot,
    Resident,
    ResidentComponent,
    ResidentState,
    SceneOutlook,
    Tier,
)

_KIND = "RESIDENCY_EVENT_KIND_"


def snapshot(wire: residency_pb2.ListResidentsResponse) -> ResidencySnapshot:
    """What is in memory."""
    return ResidencySnapshot(
        residents=tuple(map(resident, wire.residents)),
        components=tuple(map(_component, wire.components)),
        ledgers=tuple(map(ledger, wire.ledgers)),
        last_sequence=wire.last_sequence,
        epoch=wire.epoch,
    )


def resident(wire: residency_pb2.Resident) -> Resident:
    """One voice."""
    return Resident(
        voices=tuple(wire.voices),
        state=_state(wire.state),
        size_bytes=wire.size_bytes,
        leases=wire.leases,
        uses=wire.uses,
        load_time=timestamp(wire, "load_time"),
        last_use_time=timestamp(wire, "last_use_time"),
        load_ms=wire.load_ms,
        pinned=wire.pinned,
        shared_bytes=wire.shared_bytes,
        waiting=wire.waiting,
        error=wire.error,
        retry_ms=wire.retry_ms,
    )


def ledger(wire: residency_pb2.Ledger) -> Ledger:
    """The books of one device and tier. Older servers know one tier and no target."""
    return Ledger(
        device=wire.device,
        budget_bytes=wire.budget_bytes,
        free_bytes=wire.free_bytes,
        reserved_bytes=wire.reserved_bytes,
        resident_bytes=wire.resident_bytes,
        evicting_bytes=wire.evicting_bytes,
        workspace_bytes=wire.workspace_bytes,
        target_bytes=wire.target_bytes or wire.budget_bytes,
        held_bytes=wire.held_bytes,
        tier=_tier(wire.tier) if wire.tier else Tier.DEVICE,
    )


def explanation(wire: residency_pb2.ExplainResponse) -> Explanation:
    """What loading a voice would do."""
    return Explanation(
        voice=wire.voice,
        resident=wire.resident,
        fits=wire.fits,
        estimated_ms=wire.estimated_ms,
        reason=wire.reason,
        need_bytes=wire.need_bytes,
        components=tuple(
            ComponentOutlook(c.role, c.digest, _tier(c.tier), c.size_bytes) for c in wire.components
        ),
        would_evict=tuple(map(_component, wire.would_evict)),
        speaking=tuple(wire.speaking),
        ahead=wire.ahead,
    )


def scene(wire: speech_pb2.PrepareResponse) -> SceneOutlook:
    """What becomes of a scene."""
    return SceneOutlook(
        fits=wire.fits,
        estimated_ms=wire.estimated_ms,
        would_evict=tuple(wire.would_evict),
        cast=tuple(CastOutlook(c.voice, c.estimated_ms, c.in_time, c.fits) for c in wire.cast),
    )


def event(wire: residency_pb2.WatchResponse) -> ResidencyEvent | None:
    """One event; None for one of a kind that this client does not know."""
    if wire.kind not in _KNOWN_KINDS:
        return None
    return ResidencyEvent(
        sequence=wire.sequence,
        epoch=wire.epoch,
        time=timestamp(wire, "event_time"),
        kind=member(ResidencyEventKind, residency_pb2.ResidencyEventKind, wire.kind, _KIND),
        voices=tuple(wire.voices),
        reason=wire.reason,
        duration_ms=wire.duration_ms,
        queue_ms=wire.queue_ms,
        size_bytes=wire.size_bytes,
        role=wire.role,
        digest=wire.digest,
        age_ms=wire.age_ms,
    )


_KNOWN_KINDS = frozenset(
    residency_pb2.ResidencyEventKind.Value(f"{_KIND}{kind.name}") for kind in ResidencyEventKind
)


def _component(wire: residency_pb2.ResidentComponent) -> ResidentComponent:
    return ResidentComponent(
        role=wire.role,
        digest=wire.digest,
        state=_state(wire.state),
        size_bytes=wire.size_bytes,
        voices=tuple(wire.voices),
        leases=wire.leases,
        load_time=timestamp(wire, "load_time"),
        last_use_time=timestamp(wire, "last_use_time"),
    )


def _state(value: int) -> ResidentState:
    return member(ResidentState, residency_pb2.ResidentState, value, "RESIDENT_STATE_")


def _tier(value: int) -> Tier:
    return member(Tier, residency_pb2.Tier, value, "TIER_")
