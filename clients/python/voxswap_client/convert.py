"""Protobuf answers become the client's own values here, for both clients."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from voxswap.v1 import speech_pb2, voices_pb2
from voxswap_client.errors import VoxswapClientError
from voxswap_client.types import (
    Change,
    Chunk,
    Component,
    Encoding,
    Header,
    InterruptReceipt,
    LabelMove,
    Mark,
    MarkKind,
    Provenance,
    Registration,
    TrafficShare,
    Trailer,
    UnknownSymbol,
    Voice,
    VoiceDetails,
)

_E = TypeVar("_E", bound=StrEnum)


def member(kind: type[_E], wire_enum: Any, value: int, prefix: str) -> _E:
    """The member that ``value`` is on the wire, where its name begins with ``prefix``."""
    name = wire_enum.Name(value) if value in wire_enum.values() else str(value)
    try:
        return kind[name.removeprefix(prefix)]
    except KeyError as error:
        raise VoxswapClientError(
            f"the server answered with {prefix}{name.removeprefix(prefix)}, which this client does "
            "not know; install the voxswap client of the server's version"
        ) from error


def header(wire: speech_pb2.Header) -> Header:
    """The first message of a stream."""
    return Header(
        voice=wire.voice,
        component_digests=tuple(wire.component_digests),
        sample_rate_hertz=wire.sample_rate_hertz,
        encoding=member(Encoding, speech_pb2.AudioEncoding, wire.encoding, "AUDIO_ENCODING_"),
        estimated_samples=wire.estimated_samples,
        cold=wire.cold,
        queue_ms=wire.queue_ms,
        swap_ms=wire.swap_ms,
        cached=wire.cached,
        codec_delay_samples=wire.codec_delay_samples,
        stream_id=wire.stream_id,
    )


def chunk(wire: speech_pb2.AudioChunk) -> Chunk:
    """A piece of audio with the marks that begin in it."""
    return Chunk(
        audio=wire.audio,
        start_sample=wire.start_sample,
        sample_count=wire.sample_count,
        marks=tuple(
            Mark(
                kind=member(MarkKind, speech_pb2.MarkKind, mark.kind, "MARK_KIND_"),
                text=mark.text,
                start_sample=mark.start_sample,
                duration_samples=mark.duration_samples,
                text_start=mark.text_start,
                text_end=mark.text_end,
            )
            for mark in wire.marks
        ),
        packet_sizes=tuple(wire.packet_sizes),
    )


def trailer(wire: speech_pb2.Trailer) -> Trailer:
    """The last message of a complete stream."""
    return Trailer(
        total_samples=wire.total_samples,
        seed=wire.seed,
        compute_ms=wire.compute_ms,
        first_chunk_ms=wire.first_chunk_ms,
        unknown_symbols=tuple(UnknownSymbol(u.symbol, u.count) for u in wire.unknown_symbols),
        underruns=wire.underruns,
    )


def receipt(wire: speech_pb2.InterruptReceipt) -> InterruptReceipt:
    """What had been sent of an interrupted stream."""
    return InterruptReceipt(wire.end_sample, wire.last_word, wire.text_end)


def voice(wire: voices_pb2.Voice) -> Voice:
    """One version of a voice."""
    return Voice(
        id=wire.id,
        version=wire.version,
        display_name=wire.display_name,
        language=wire.language,
        engine=wire.engine,
        sample_rate_hertz=wire.sample_rate_hertz,
        speakers=tuple(s.name for s in sorted(wire.speakers, key=lambda speaker: speaker.index)),
        components=tuple(
            Component(c.role, c.digest, c.size_bytes, c.media_type) for c in wire.components
        ),
        licence=wire.licence,
        provenance=Provenance(
            source=wire.provenance.source,
            tool=wire.provenance.tool,
            created=timestamp(wire.provenance, "create_time"),
            note=wire.provenance.note,
            code_licence=wire.provenance.code_licence,
        ),
        emotions=tuple(wire.emotions),
        tags=tuple(wire.tags),
        gender=wire.gender,
        labels=tuple(wire.labels),
        traffic=_traffic(wire.traffic),
        problem=wire.problem,
    )


def voice_details(wire: voices_pb2.GetVoiceResponse) -> VoiceDetails:
    """A voice with its versions and labels."""
    return VoiceDetails(
        voice=voice(wire.voice),
        versions=tuple(wire.versions),
        labels=_labels(wire.labels),
        revision=wire.revision,
    )


def change(wire: voices_pb2.Change) -> Change:
    """One entry of a history."""
    return Change(
        revision=wire.revision,
        action=wire.action,
        actor=wire.actor,
        time=timestamp(wire, "time"),
        note=wire.note,
        labels=_labels(wire.labels),
        traffic=_traffic(wire.traffic),
    )


def registration(wire: voices_pb2.RegisterVoiceResponse) -> Registration:
    """What came of an upload."""
    return Registration(voice(wire.voice), wire.created)


def roll_back(wire: voices_pb2.RollBackLabelResponse) -> LabelMove:
    """Where a label went back to."""
    return LabelMove(voice(wire.voice), wire.previous_version)


def _labels(wire: Iterable[voices_pb2.Label]) -> dict[str, int]:
    return {label.name: label.version for label in wire}


def _traffic(wire: Iterable[voices_pb2.TrafficShare]) -> tuple[TrafficShare, ...]:
    return tuple(TrafficShare(share.version, share.weight) for share in wire)


def timestamp(message: Any, field: str) -> datetime | None:
    """A timestamp of ``message``; None if it is not set."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return stamp.ToDatetime(tzinfo=UTC)
