"""What voxswap's own JSON tells: of streams, voices and memory, in the words of the protos."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from voxswap_registry.catalog.catalog import VoiceListing
from voxswap_registry.controls import CONTROLS
from voxswap_registry.delivery import PresetDelivery
from voxswap_registry.families import controls_of
from voxswap_registry.manifest import Manifest
from voxswap_registry.state import VoiceRecord
from voxswap_server.residency.events import Numbered
from voxswap_server.residency.outlook import Forecast
from voxswap_server.residency.snapshot import Explanation, Resident, ResidentPart
from voxswap_server.residency.steering import Books, Instant, Overview
from voxswap_server.speech.expression import best_of
from voxswap_server.speech.messages import Chunk, Header, Mark, Message, Receipt, Trailer
from voxswap_server.speech.offers import reads_style, takes_style_prompts
from voxswap_server.speech.prosody_table import PROSODY

Told = dict[str, Any]


def message(part: Message, *, with_audio: bool) -> Told:
    """One message of a stream, with its type; without its audio, how many bytes that has."""
    match part:
        case Header():
            return {"type": "header", **header(part)}
        case Chunk():
            told = {
                "type": "chunk",
                "start_sample": part.start_sample,
                "sample_count": part.sample_count,
                "marks": [mark(found) for found in part.marks],
            }
            if part.packet_sizes:
                told["packet_sizes"] = list(part.packet_sizes)
            if with_audio:
                return {**told, "audio": base64.b64encode(part.audio).decode()}
            return {**told, "size_bytes": len(part.audio)}
        case Receipt():
            return {"type": "interrupted", **receipt(part)}
        case Trailer():
            return {"type": "trailer", **trailer(part)}


def header(part: Header) -> Told:
    """What is known when the audio begins."""
    return {
        "voice": part.voice,
        "component_digests": list(part.component_digests),
        "sample_rate_hertz": part.sample_rate_hertz,
        "encoding": part.encoding.value,
        "estimated_samples": part.estimated_samples,
        "cold": part.cold,
        "queue_ms": round(part.queue_ms, 3),
        "swap_ms": round(part.swap_ms, 3),
        "cached": part.cached,
        "codec_delay_samples": part.codec_delay_samples,
        "expression": part.expression.value,
        "emotions": [
            {"emotion": name, "weight": round(amount, 6)} for name, amount in part.emotions.items()
        ],
        "stream_id": part.stream_id,
    }


def trailer(part: Trailer) -> Told:
    """What is known when the audio is complete; the seed as digits, which JavaScript keeps."""
    return {
        "total_samples": part.total_samples,
        "seed": str(part.seed),
        "compute_ms": round(part.compute_ms, 3),
        "first_chunk_ms": round(part.first_chunk_ms, 3),
        "underruns": part.underruns,
        "unknown_symbols": [
            {"symbol": symbol, "count": count}
            for symbol, count in sorted(part.unknown_symbols.items())
        ],
    }


def receipt(part: Receipt) -> Told:
    """What had been sent."""
    return {
        "end_sample": part.end_sample,
        "last_word": part.last_word,
        "text_end": part.text_end,
    }


def mark(found: Mark) -> Told:
    """A timing mark."""
    told: Told = {
        "kind": found.kind.value,
        "text": found.text,
        "start_sample": found.start_sample,
        "duration_samples": found.duration_samples,
    }
    if found.text_end:
        told |= {"text_start": found.text_start, "text_end": found.text_end}
    return told


def http_headers(facts: Mapping[str, Any]) -> dict[str, str]:
    """Facts of a stream as headers: ``voxswap-queue-ms``."""
    return {
        f"voxswap-{name.replace('_', '-')}": _header_value(value)
        for name, value in facts.items()
        if not isinstance(value, list)
    }


def _header_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def voice(manifest: Manifest, record: VoiceRecord) -> Told:
    """One version of a voice, as its state shows it."""
    state = record.state
    return {
        "id": manifest.voice_id,
        "version": manifest.version,
        "display_name": _latest(state.display_name, manifest.display_name),
        "language": manifest.language,
        "languages": list(manifest.spoken_languages),
        "engine": manifest.engine,
        "sample_rate_hertz": manifest.audio.sample_rate_hertz,
        "speakers": sorted(manifest.speakers, key=lambda name: manifest.speakers[name]),
        "controls": [_control(name) for name in controls_of(manifest)],
        "emotions": list(manifest.emotions or ()),
        "expression": best_of(manifest).value,
        "prosody": sorted(PROSODY),
        "style_prompts": takes_style_prompts(manifest),
        "reads_style": reads_style(manifest),
        "fabricated": bool(manifest.fabricated),
        "delivery": None if manifest.delivery is None else _delivery(manifest.delivery),
        "tags": list(_latest(state.tags, manifest.tags)),
        "gender": _latest(state.gender, manifest.gender),
        "licence": manifest.licence,
        "labels": list(record.labels_of(manifest.version)),
        "versions": list(reversed(record.versions)),
        "size_bytes": sum(component.size_bytes for component in manifest.components),
        "problem": "",
    }


def _delivery(delivery: PresetDelivery) -> Told:
    return {
        "emotions": dict(delivery.emotions),
        "intensity": delivery.intensity,
        "controls": dict(delivery.controls),
        "style_prompt": delivery.style_prompt,
        "fallback": delivery.fallback,
    }


def _latest(changed: Any, published: Any) -> Any:
    return published if changed is None else changed


def _control(name: str) -> Told:
    """A control with its bounds; its neutral value is what asks for nothing."""
    control = CONTROLS[name]
    return {
        "name": name,
        "least": control.least,
        "most": control.most,
        "neutral": control.neutral,
    }


def listing(found: VoiceListing) -> Told:
    """A voice at its newest version, or what is wrong with it."""
    if found.newest is not None:
        return voice(found.newest, found.record)
    problem = found.error.message[:1000] if found.error else "its newest version cannot be read"
    return {
        "id": found.voice_id,
        "version": found.versions[-1],
        "versions": list(reversed(found.versions)),
        "problem": problem.encode(errors="replace").decode(),
    }


def overview(found: Overview, instant: Instant) -> Told:
    """Everything that is in memory."""
    return {
        "residents": [resident(r, instant) for r in found.residents],
        "components": [component(p, instant) for p in found.parts],
        "ledgers": [ledger(books) for books in found.books],
        "beside": [{"what": what, "size_bytes": n} for what, n in found.beside.items()],
        "last_sequence": found.last_sequence,
        "epoch": str(found.epoch),
    }


def resident(found: Resident, instant: Instant) -> Told:
    """One voice in memory."""
    return {
        "voices": list(found.refs),
        "state": found.state.value,
        "size_bytes": found.size_bytes,
        "shared_bytes": found.shared_bytes,
        "leases": found.leases,
        "waiting": found.waiting,
        "uses": found.uses,
        "pinned": found.pinned,
        "load_time": _time(instant.unix_s(found.loaded_s)),
        "last_use_time": _time(instant.unix_s(found.last_use_s)),
        "load_ms": round(found.load_s * 1e3, 3),
        "error": found.error,
        "retry_ms": round(found.retry_s * 1e3),
    }


def component(found: ResidentPart, instant: Instant) -> Told:
    """One component in memory."""
    return {
        "role": found.role,
        "digest": found.digest,
        "state": found.state.value,
        "size_bytes": found.size_bytes,
        "voices": list(found.voices),
        "leases": found.leases,
        "load_time": _time(instant.unix_s(found.loaded_s)),
        "last_use_time": _time(instant.unix_s(found.last_use_s)),
    }


def ledger(found: Books) -> Told:
    """The books of one device and tier: free, reserved, resident and evicting make the budget."""
    books = found.ledger
    return {
        "device": found.device,
        "tier": found.tier.name.lower(),
        "budget_bytes": books.budget_bytes,
        "target_bytes": books.target_bytes,
        "free_bytes": books.free_bytes,
        "reserved_bytes": books.reserved_bytes + books.carved_bytes,
        "workspace_bytes": books.carved_bytes - books.for_streams_bytes,
        "for_streams_bytes": books.for_streams_bytes,
        "streams_bytes": books.streams_bytes,
        "resident_bytes": books.resident_bytes,
        "evicting_bytes": books.evicting_bytes,
        "held_bytes": found.held_bytes,
    }


def explanation(found: Explanation, instant: Instant) -> Told:
    """What loading a voice would do."""
    return {
        "voice": found.ref,
        "resident": found.resident,
        "fits": found.fits,
        "would_evict": [component(part, instant) for part in found.would_evict],
        "estimated_ms": round(found.estimated_s * 1e3, 3),
        "reason": found.reason,
        "components": [
            {
                "role": part.role,
                "digest": part.digest,
                "tier": part.tier.name.lower(),
                "size_bytes": part.size_bytes,
            }
            for part in found.parts
        ],
        "need_bytes": found.need_bytes,
        "speaking": list(found.speaking),
        "ahead": found.ahead,
    }


def event(numbered: Numbered, epoch: int) -> Told:
    """A load, a failure, an eviction."""
    told = numbered.event
    return {
        "sequence": numbered.sequence,
        "epoch": str(epoch),
        "event_time": _time(numbered.time_s),
        "kind": told.kind.value,
        "voices": list(told.voices),
        "reason": told.reason,
        "duration_ms": round(told.duration_s * 1e3, 3),
        "queue_ms": round(told.queue_s * 1e3, 3),
        "age_ms": round(told.age_s * 1e3),
        "size_bytes": told.size_bytes,
        "role": told.role,
        "digest": told.digest,
    }


def scene(found: Forecast) -> Told:
    """What becomes of a scene."""
    cast = [
        {
            "voice": member.ref,
            "estimated_ms": round(member.ready_s * 1e3, 3),
            "in_time": member.in_time,
            "fits": member.fits,
        }
        for member in found.cast
    ]
    return {
        "fits": found.fits,
        "estimated_ms": round(max((member.ready_s for member in found.cast), default=0.0) * 1e3, 3),
        "would_evict": list(found.would_evict),
        "cast": cast,
    }


def _time(unix_s: float | None) -> str | None:
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC).isoformat()
