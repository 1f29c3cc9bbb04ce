"""Residency: where domain becomes protobuf."""

from __future__ import annotations

from google.protobuf import timestamp_pb2

from voxswap.v1 import residency_pb2, speech_pb2
from voxswap_server.residency.estimates import Tier
from voxswap_server.residency.events import EventKind, Numbered
from voxswap_server.residency.outlook import Forecast
from voxswap_server.residency.snapshot import Explanation, Resident, ResidentPart, State
from voxswap_server.residency.steering import Books, Instant, Overview

_STATES = {
    State.LOADING: residency_pb2.RESIDENT_STATE_LOADING,
    State.ABANDONED: residency_pb2.RESIDENT_STATE_ABANDONED,
    State.RESIDENT: residency_pb2.RESIDENT_STATE_RESIDENT,
    State.EVICTING: residency_pb2.RESIDENT_STATE_EVICTING,
    State.FAILED: residency_pb2.RESIDENT_STATE_FAILED,
}
# The same names on both sides.
_TIERS = {tier: residency_pb2.Tier.Value(f"TIER_{tier.name}") for tier in Tier}
_KINDS = {
    kind: residency_pb2.ResidencyEventKind.Value(f"RESIDENCY_EVENT_KIND_{kind.name}")
    for kind in EventKind
}


def wall_time(unix_s: float | None) -> timestamp_pb2.Timestamp | None:
    """Seconds since the epoch; None for what never was."""
    if unix_s is None:
        return None
    stamp = timestamp_pb2.Timestamp()
    stamp.FromNanoseconds(int(unix_s * 1e9))
    return stamp


def overview(found: Overview, instant: Instant) -> residency_pb2.ListResidentsResponse:
    """Everything that is in memory."""
    return residency_pb2.ListResidentsResponse(
        residents=[resident(r, instant) for r in found.residents],
        components=[component(p, instant) for p in found.parts],
        ledgers=[ledger(books) for books in found.books],
        last_sequence=found.last_sequence,
        epoch=found.epoch,
        beside=[
            residency_pb2.Beside(what=what, size_bytes=size_bytes)
            for what, size_bytes in found.beside.items()
        ],
    )


def resident(found: Resident, instant: Instant) -> residency_pb2.Resident:
    """One voice."""
    return residency_pb2.Resident(
        voices=found.refs,
        state=_STATES[found.state],
        size_bytes=found.size_bytes,
        shared_bytes=found.shared_bytes,
        leases=found.leases,
        waiting=found.waiting,
        uses=found.uses,
        pinned=found.pinned,
        load_time=wall_time(instant.unix_s(found.loaded_s)),
        last_use_time=wall_time(instant.unix_s(found.last_use_s)),
        load_ms=found.load_s * 1e3,
        error=found.error,
        retry_ms=found.retry_s * 1e3,
    )


def component(found: ResidentPart, instant: Instant) -> residency_pb2.ResidentComponent:
    """One component."""
    return residency_pb2.ResidentComponent(
        role=found.role,
        digest=found.digest,
        state=_STATES[found.state],
        size_bytes=found.size_bytes,
        voices=found.voices,
        leases=found.leases,
        load_time=wall_time(instant.unix_s(found.loaded_s)),
        last_use_time=wall_time(instant.unix_s(found.last_use_s)),
    )


def ledger(found: Books) -> residency_pb2.Ledger:
    """The books of one device and tier."""
    books = found.ledger
    return residency_pb2.Ledger(
        device=found.device,
        tier=_TIERS[found.tier],
        budget_bytes=books.budget_bytes,
        target_bytes=books.target_bytes,
        free_bytes=books.free_bytes,
        reserved_bytes=books.reserved_bytes + books.carved_bytes,
        workspace_bytes=books.carved_bytes - books.for_streams_bytes,
        for_streams_bytes=books.for_streams_bytes,
        streams_bytes=books.streams_bytes,
        resident_bytes=books.resident_bytes,
        evicting_bytes=books.evicting_bytes,
        held_bytes=found.held_bytes,
    )


def explanation(found: Explanation, instant: Instant) -> residency_pb2.ExplainResponse:
    """What loading a voice would do."""
    return residency_pb2.ExplainResponse(
        voice=found.ref,
        resident=found.resident,
        fits=found.fits,
        would_evict=[component(part, instant) for part in found.would_evict],
        estimated_ms=found.estimated_s * 1e3,
        reason=found.reason,
        components=[
            residency_pb2.ComponentOutlook(
                role=part.role,
                digest=part.digest,
                tier=_TIERS[part.tier],
                size_bytes=part.size_bytes,
            )
            for part in found.parts
        ],
        need_bytes=found.need_bytes,
        speaking=found.speaking,
        ahead=found.ahead,
    )


def event(numbered: Numbered, epoch: int) -> residency_pb2.WatchResponse:
    """One event."""
    told = numbered.event
    return residency_pb2.WatchResponse(
        sequence=numbered.sequence,
        epoch=epoch,
        event_time=wall_time(numbered.time_s),
        kind=_KINDS[told.kind],
        voices=told.voices,
        reason=told.reason,
        duration_ms=told.duration_s * 1e3,
        size_bytes=told.size_bytes,
        role=told.role,
        digest=told.digest,
        age_ms=told.age_s * 1e3,
        queue_ms=told.queue_s * 1e3,
    )


def scene(found: Forecast) -> speech_pb2.PrepareResponse:
    """What becomes of a scene."""
    cast = [
        speech_pb2.CastOutlook(
            voice=member.ref,
            estimated_ms=member.ready_s * 1e3,
            in_time=member.in_time,
            fits=member.fits,
        )
        for member in found.cast
    ]
    return speech_pb2.PrepareResponse(
        fits=found.fits,
        estimated_ms=max((c.estimated_ms for c in cast), default=0.0),
        would_evict=found.would_evict,
        cast=cast,
    )
