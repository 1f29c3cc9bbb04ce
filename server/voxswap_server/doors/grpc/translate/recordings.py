"""Recordings: where protobuf becomes domain and domain becomes protobuf."""

from __future__ import annotations

from voxswap.v1 import recordings_pb2
from voxswap_families.prosody_measures import Prosody
from voxswap_server.speech.recordings import AskedStyle, ReadStyle, asked_style


def style_asked(message: recordings_pb2.ReadStyleRequest) -> AskedStyle:
    """What is asked for. Raises `InvalidInputError` with every fault."""
    raw = message.HasField("raw_sample_rate_hertz")
    return asked_style(
        message.voice,
        message.audio,
        raw_hertz=message.raw_sample_rate_hertz if raw else None,
        session_id=message.session_id,
    )


def style_read(read: ReadStyle) -> recordings_pb2.ReadStyleResponse:
    """What was heard."""
    heard, found = read.heard, read.found
    return recordings_pb2.ReadStyleResponse(
        voice=read.ref,
        style=read.data,
        similarity=found.similarity,
        similarity_without=found.similarity_without,
        heard=_prosody(heard.prosody),
        expected=_prosody(found.expected),
        mixture=[
            recordings_pb2.StyleShare(voice=share.ref, weight=share.weight)
            for share in found.mixture
        ],
        seconds=heard.seconds,
        level_dbfs=heard.level_dbfs,
        noise_db=heard.noise_db,
        clipped=heard.clipped,
    )


def _prosody(found: Prosody) -> recordings_pb2.Prosody:
    return recordings_pb2.Prosody(
        pitch_hertz=found.pitch_hertz,
        pitch_range_semitones=found.range_semitones,
        syllables_per_s=found.syllables_per_s,
        stress_db=found.stress_db,
        pauses=found.pauses,
    )
