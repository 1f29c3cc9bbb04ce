"""Speech: where protobuf becomes domain and domain becomes protobuf.

The same for voices is `voxswap_server.doors.grpc.translate.voices`, for residency
`voxswap_server.doors.grpc.translate.residency`; there is no fourth place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from voxswap.v1 import speech_pb2
from voxswap_registry.controls import CONTROLS
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech import asking
from voxswap_server.speech.asking import Asked, AskedEmotion, Faults
from voxswap_server.speech.messages import Chunk, Header, Mark, Message, Receipt, Trailer
from voxswap_server.speech.request import (
    CachePolicy,
    EmotionFallback,
    Expression,
    LineClass,
    MarkKind,
    SpeechRequest,
)

_T = TypeVar("_T")

# The same names on both sides.
_ENCODINGS_OUT = {
    e: speech_pb2.AudioEncoding.Value(f"AUDIO_ENCODING_{e.name}") for e in AudioEncoding
}
_ENCODINGS: Mapping[int, AudioEncoding] = {
    speech_pb2.AUDIO_ENCODING_UNSPECIFIED: AudioEncoding.PCM_S16LE,
    **{number: encoding for encoding, number in _ENCODINGS_OUT.items()},
}
_MARKS_OUT = {kind: speech_pb2.MarkKind.Value(f"MARK_KIND_{kind.name}") for kind in MarkKind}
_MARKS: Mapping[int, MarkKind] = {number: kind for kind, number in _MARKS_OUT.items()}
_CLASSES: Mapping[int, LineClass] = {
    speech_pb2.LINE_CLASS_UNSPECIFIED: LineClass.DIALOGUE,
    **{speech_pb2.LineClass.Value(f"LINE_CLASS_{c.name}"): c for c in LineClass},
}
_PACINGS: Mapping[int, bool] = {
    speech_pb2.PACING_UNSPECIFIED: True,
    speech_pb2.PACING_REALTIME: True,
    speech_pb2.PACING_NONE: False,
}
_CACHE_POLICIES: Mapping[int, CachePolicy] = {
    speech_pb2.CACHE_POLICY_UNSPECIFIED: CachePolicy.DEFAULT,
    speech_pb2.CACHE_POLICY_OFF: CachePolicy.OFF,
    speech_pb2.CACHE_POLICY_USE: CachePolicy.USE,
}
_FALLBACKS: Mapping[int, EmotionFallback | None] = {
    speech_pb2.EMOTION_FALLBACK_UNSPECIFIED: None,
    speech_pb2.EMOTION_FALLBACK_NONE: EmotionFallback.NONE,
    speech_pb2.EMOTION_FALLBACK_PROSODY: EmotionFallback.PROSODY,
}
EXPRESSIONS_OUT = {how: speech_pb2.Expression.Value(f"EXPRESSION_{how.name}") for how in Expression}


def speech_request(
    message: speech_pb2.SynthesizeRequest,
    *,
    max_characters: int,
    tenant: str = "",
    text_may_follow: bool = False,
) -> SpeechRequest:
    """A validated request. Raises `InvalidInputError` with every fault, or `NotBuiltError`."""
    faults = Faults()
    known = ", ".join(encoding.name for encoding in AudioEncoding)
    asked = Asked(
        voice=message.voice,
        text=message.text,
        speaker=message.speaker,
        encoding=_known(
            faults, "audio.encoding", message.audio.encoding, _ENCODINGS, f"one of {known}"
        ),
        sample_rate_hertz=message.audio.sample_rate_hertz,
        controls={
            name: getattr(message.controls, name)
            for name in CONTROLS
            if message.controls.HasField(name)  # type: ignore[arg-type]
        },
        seed=message.seed if message.HasField("seed") else None,
        marks=_marks(faults, message.marks),
        line_class=_known(
            *(faults, "line_class", message.line_class, _CLASSES),
            "BARK, DIALOGUE or CINEMATIC",
        ),
        start_by_ms=message.start_by_ms if message.HasField("start_by_ms") else None,
        session_id=message.session_id,
        tenant=tenant,
        cache_policy=_known(
            *(faults, "cache_policy", message.cache_policy, _CACHE_POLICIES),
            "USE or OFF",
        ),
        paced=_known(faults, "pacing", message.pacing, _PACINGS, "REALTIME or NONE"),
        emotion=_emotion(faults, message.emotion) if message.HasField("emotion") else None,
        style_prompt=message.style_prompt,
        style=message.style,
    )
    return asking.speech_request(
        asked, max_characters=max_characters, faults=faults, text_may_follow=text_may_follow
    )


def _emotion(faults: Faults, message: speech_pb2.Emotion) -> AskedEmotion:
    # One more than are mixed, so that a longer list is told.
    shares = message.mixture[: asking.MAX_EMOTIONS + 1]
    return AskedEmotion(
        [(share.emotion, share.weight) for share in shares],
        intensity=message.intensity if message.HasField("intensity") else None,
        valence=message.valence if message.HasField("valence") else None,
        arousal=message.arousal if message.HasField("arousal") else None,
        from_text=message.from_text,
        fallback=_known(
            *(faults, "emotion.fallback", message.fallback, _FALLBACKS),
            "NONE or PROSODY",
        ),
    )


def _known(faults: Faults, field: str, number: int, table: Mapping[int, _T], names: str) -> _T:
    """What ``number`` stands for; for an unknown one what 0 does, and a fault."""
    if number not in table:
        faults.add(field, f"has the unknown value {number}; use {names}, or leave it unset")
    return table.get(number, table[0])


def _marks(faults: Faults, numbers: Sequence[int]) -> frozenset[MarkKind]:
    if len(numbers) > asking.MAX_MARKS:
        faults.add("marks", f"are {len(numbers)}; name each kind once, {asking.MAX_MARKS} at most")
    for kind in numbers[: asking.MAX_MARKS]:
        if kind not in _MARKS:
            faults.add("marks", f"has the unknown kind {kind}; use WORD, PHONEME or VISEME")
    return frozenset(_MARKS[kind] for kind in numbers[: asking.MAX_MARKS] if kind in _MARKS)


def cast_of(message: speech_pb2.PrepareRequest) -> Iterator[tuple[VoiceRef, float | None]]:
    """Each voice of a scene, with the seconds from now until its first line, if that is known.

    Raises `InvalidInputError` with every fault.
    """
    members = [
        asking.AskedMember(
            member.voice, member.first_line_ms if member.HasField("first_line_ms") else None
        )
        for member in message.cast
    ]
    by_ms = message.by_ms if message.HasField("by_ms") else None
    return asking.cast_of(members, by_ms=by_ms, session_id=message.session_id)


def speech_part(part: Message) -> speech_pb2.SynthesizeResponse:
    """One message of the response stream."""
    match part:
        case Chunk():
            return speech_pb2.SynthesizeResponse(
                chunk=speech_pb2.AudioChunk(
                    audio=part.audio,
                    start_sample=part.start_sample,
                    sample_count=part.sample_count,
                    marks=[_mark(mark) for mark in part.marks],
                    packet_sizes=part.packet_sizes,
                )
            )
        case Header():
            return speech_pb2.SynthesizeResponse(
                header=speech_pb2.Header(
                    voice=part.voice,
                    component_digests=part.component_digests,
                    sample_rate_hertz=part.sample_rate_hertz,
                    encoding=_ENCODINGS_OUT[part.encoding],
                    estimated_samples=part.estimated_samples,
                    cold=part.cold,
                    queue_ms=part.queue_ms,
                    swap_ms=part.swap_ms,
                    stream_id=part.stream_id,
                    codec_delay_samples=part.codec_delay_samples,
                    cached=part.cached,
                    expression=EXPRESSIONS_OUT[part.expression],
                    emotions=[
                        speech_pb2.EmotionWeight(emotion=name, weight=amount)
                        for name, amount in part.emotions.items()
                    ],
                )
            )
        case Receipt():
            return speech_pb2.SynthesizeResponse(interrupted=receipt(part))
        case Trailer():
            return speech_pb2.SynthesizeResponse(
                trailer=speech_pb2.Trailer(
                    total_samples=part.total_samples,
                    seed=part.seed,
                    compute_ms=part.compute_ms,
                    first_chunk_ms=part.first_chunk_ms,
                    underruns=part.underruns,
                    unknown_symbols=[
                        speech_pb2.UnknownSymbol(symbol=symbol, count=count)
                        for symbol, count in sorted(part.unknown_symbols.items())
                    ],
                )
            )


def receipt(found: Receipt) -> speech_pb2.InterruptReceipt:
    """What had been sent."""
    return speech_pb2.InterruptReceipt(
        end_sample=found.end_sample, last_word=found.last_word, text_end=found.text_end
    )


def conversation_part(part: Message) -> speech_pb2.ConverseResponse:
    """One message of a conversation: the same parts as a stream's."""
    said = speech_part(part)
    name = said.WhichOneof("part")
    assert name is not None  # noqa: S101 - each part is one of them
    return speech_pb2.ConverseResponse(**{name: getattr(said, name)})


def _mark(mark: Mark) -> speech_pb2.Mark:
    return speech_pb2.Mark(
        kind=_MARKS_OUT[mark.kind],
        text=mark.text,
        start_sample=mark.start_sample,
        duration_samples=mark.duration_samples,
        text_start=mark.text_start,
        text_end=mark.text_end,
    )
