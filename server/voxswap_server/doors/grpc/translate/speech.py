"""Speech: where protobuf becomes domain and domain becomes protobuf.

The same for voices is `voxswap_server.doors.grpc.translate.voices`, for residency
`voxswap_server.doors.grpc.translate.residency`; there is no fourth place.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection, Iterator

from voxswap.v1 import speech_pb2
from voxswap_registry.controls import CONTROLS, RATE
from voxswap_registry.errors import FieldViolation, InvalidInputError, NotBuiltError
from voxswap_registry.families import installed
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding, rates_of
from voxswap_server.audio.resampling import MAX_SAMPLE_RATE_HERTZ, MIN_SAMPLE_RATE_HERTZ
from voxswap_server.speech.messages import Chunk, Header, Mark, Message, Receipt, Trailer
from voxswap_server.speech.request import (
    CachePolicy,
    LineClass,
    MarkKind,
    SpeechRequest,
)

# Metadata that names on whose behalf a call is made.
TENANT_KEY = "voxswap-tenant"

MAX_SESSION_CHARACTERS = 128
MAX_MARKS = 32
MAX_CAST = 256
MAX_DUE_MS = 3_600_000
MAX_START_BY_MS = 600_000
MAX_TENANT_CHARACTERS = 64

# The same names on both sides.
_ENCODINGS_OUT = {
    e: speech_pb2.AudioEncoding.Value(f"AUDIO_ENCODING_{e.name}") for e in AudioEncoding
}
_ENCODINGS = {
    speech_pb2.AUDIO_ENCODING_UNSPECIFIED: AudioEncoding.PCM_S16LE,
    **{number: encoding for encoding, number in _ENCODINGS_OUT.items()},
}
_MARKS = {speech_pb2.MarkKind.Value(f"MARK_KIND_{kind.name}"): kind for kind in MarkKind}
_CLASSES = {
    speech_pb2.LINE_CLASS_UNSPECIFIED: LineClass.DIALOGUE,
    **{speech_pb2.LineClass.Value(f"LINE_CLASS_{c.name}"): c for c in LineClass},
}
_CACHE_POLICIES = {
    speech_pb2.CACHE_POLICY_UNSPECIFIED: CachePolicy.DEFAULT,
    speech_pb2.CACHE_POLICY_OFF: CachePolicy.OFF,
    speech_pb2.CACHE_POLICY_USE: CachePolicy.USE,
}
_MARKS_OUT = {kind: number for number, kind in _MARKS.items()}


class _Faults:
    """Collects violations, so that a client learns of all of them at once."""

    def __init__(self) -> None:
        self.found: list[FieldViolation] = []

    def add(self, field: str, description: str) -> None:
        self.found.append(FieldViolation(field, description))

    def number(self, field: str, value: float, low: float, high: float) -> float:
        if not (math.isfinite(value) and low <= value <= high):
            self.add(field, f"is {value}; use a number from {low:g} to {high:g}, or leave it unset")
        return value

    def voice(self, text: str, *, field: str = "") -> VoiceRef:
        try:
            return VoiceRef.parse(text)
        except InvalidInputError as error:
            for violation in error.violations:
                self.add(field or violation.field, violation.description)
            return VoiceRef("invalid")

    def session(self, session_id: str) -> None:
        if len(session_id) > MAX_SESSION_CHARACTERS:
            self.add(
                "session_id",
                f"is longer than {MAX_SESSION_CHARACTERS} characters; send a shorter one, or its "
                "hash",
            )

    def raise_if_any(self) -> None:
        if self.found:
            raise InvalidInputError(self.found)


def speech_request(
    message: speech_pb2.SynthesizeRequest,
    *,
    max_characters: int,
    tenant: str = "",
    text_may_follow: bool = False,
) -> SpeechRequest:
    """A validated request. Raises `InvalidInputError` with every fault, or `NotBuiltError`."""
    faults = _Faults()
    voice = faults.voice(message.voice)
    find = fragment_faults if text_may_follow else text_faults
    for description in find(message.text, max_characters):
        faults.add("text", description)
    if len(tenant) > MAX_TENANT_CHARACTERS:
        faults.add(TENANT_KEY, f"is longer than {MAX_TENANT_CHARACTERS} characters; shorten it")
    controls = _controls(faults, message.controls)
    encoding = _encoding(faults, message.audio.encoding)
    sample_rate = message.audio.sample_rate_hertz
    if sample_rate:
        _check_sample_rate(faults, encoding, sample_rate)
    if len(message.marks) > MAX_MARKS:
        faults.add("marks", f"are {len(message.marks)}; name each kind once, {MAX_MARKS} at most")
    for kind in message.marks[:MAX_MARKS]:
        if kind not in _MARKS:
            faults.add("marks", f"has the unknown kind {kind}; use WORD, PHONEME or VISEME")
    if message.line_class not in _CLASSES:
        faults.add(
            "line_class",
            f"has the unknown value {message.line_class}; use BARK, DIALOGUE or CINEMATIC",
        )
    if message.pacing not in speech_pb2.Pacing.values():
        faults.add("pacing", f"has the unknown value {message.pacing}; use REALTIME or NONE")
    start_by_ms = message.start_by_ms if message.HasField("start_by_ms") else None
    if start_by_ms is not None:
        faults.number("start_by_ms", start_by_ms, 1, MAX_START_BY_MS)
    faults.session(message.session_id)
    if len(message.speaker) > 128:
        faults.add("speaker", "is longer than 128 characters; GetVoice lists a voice's speakers")
    if message.cache_policy not in _CACHE_POLICIES:
        faults.add("cache_policy", f"is {message.cache_policy}; use USE or OFF, or leave it unset")
    faults.raise_if_any()
    _refuse_unbuilt(message, controls)
    return SpeechRequest(
        voice=voice,
        text=message.text,
        session_id=message.session_id,
        speaker=message.speaker or None,
        encoding=encoding,
        sample_rate_hertz=sample_rate or None,
        rate=controls.pop(RATE.name, 1.0),
        controls=controls,
        seed=message.seed if message.HasField("seed") else None,
        marks=frozenset(_MARKS[kind] for kind in message.marks),
        line_class=_CLASSES[message.line_class],
        start_by_s=None if start_by_ms is None else start_by_ms / 1e3,
        paced=message.pacing != speech_pb2.PACING_NONE,
        tenant=tenant,
        cache_policy=_CACHE_POLICIES[message.cache_policy],
    )


def cast_of(message: speech_pb2.PrepareRequest) -> Iterator[tuple[VoiceRef, float | None]]:
    """Each voice of a scene, with the seconds from now until its first line, if that is known.

    Raises `InvalidInputError` with every fault.
    """
    faults = _Faults()
    by_ms = message.by_ms if message.HasField("by_ms") else None
    if by_ms is not None:
        faults.number("by_ms", by_ms, 0, MAX_DUE_MS)
    if not 0 < len(message.cast) <= MAX_CAST:
        faults.add("cast", f"has {len(message.cast)} voices; name 1 to {MAX_CAST}")
    faults.session(message.session_id)
    cast: dict[VoiceRef, int | None] = {}
    for i, member in enumerate(message.cast[:MAX_CAST]):
        due_ms = member.first_line_ms if member.HasField("first_line_ms") else by_ms
        if due_ms is not None and member.HasField("first_line_ms"):
            faults.number(f"cast[{i}].first_line_ms", due_ms, 0, MAX_DUE_MS)
        voice = faults.voice(member.voice, field=f"cast[{i}].voice")
        known = cast.setdefault(voice, due_ms)
        if (known or 0) > (due_ms or 0):
            cast[voice] = due_ms
    faults.raise_if_any()
    return ((voice, None if ms is None else ms / 1e3) for voice, ms in cast.items())


def text_faults(text: str, max_characters: int) -> Iterator[str]:
    """What is wrong with a text that is to be spoken."""
    if len(text) > max_characters:
        yield f"has {len(text)} characters; {max_characters} at most: split it up"
    elif not text.strip():
        yield "is empty or blank; send the words to speak"
    else:
        yield from _control_characters(text)
        if not any(unicodedata.category(character)[0] in "LN" for character in text):
            yield "has no letter and no digit, so nothing to speak; send words"


def fragment_faults(text: str, max_characters: int) -> Iterator[str]:
    """What is wrong with a piece of a text; it may be blank."""
    if len(text) > max_characters:
        yield f"has {len(text)} characters; {max_characters} at most: send it in smaller pieces"
    else:
        yield from _control_characters(text)


def _control_characters(text: str) -> Iterator[str]:
    for position, character in enumerate(text):
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n\r":
            yield (
                f"has the control character U+{ord(character):04X} at position {position}; "
                "remove it"
            )
            break


def _encoding(faults: _Faults, number: int) -> AudioEncoding:
    if number not in speech_pb2.AudioEncoding.values():
        known = ", ".join(encoding.name for encoding in AudioEncoding)
        faults.add("audio.encoding", f"has the unknown value {number}; use one of {known}")
    return _ENCODINGS.get(number, AudioEncoding.PCM_S16LE)  # type: ignore[call-overload,no-any-return]


def _check_sample_rate(faults: _Faults, encoding: AudioEncoding, hertz: int) -> None:
    rates = rates_of(encoding)
    if rates and hertz not in rates:
        allowed = f"{', '.join(map(str, rates[:-1]))} or {rates[-1]} for {encoding.name}"
    elif not MIN_SAMPLE_RATE_HERTZ <= hertz <= MAX_SAMPLE_RATE_HERTZ:
        allowed = f"{MIN_SAMPLE_RATE_HERTZ} to {MAX_SAMPLE_RATE_HERTZ}"
    else:
        return
    faults.add("audio.sample_rate_hertz", f"is {hertz}; use {allowed}, or leave it unset")


def _controls(faults: _Faults, message: speech_pb2.Controls) -> dict[str, float]:
    """Those that ask for something."""
    asked = {name: control for name, control in CONTROLS.items() if message.HasField(name)}  # type: ignore[arg-type]
    values = {
        name: faults.number(f"controls.{name}", getattr(message, name), control.least, control.most)
        for name, control in asked.items()
    }
    return {name: value for name, value in values.items() if value != asked[name].neutral}


def _refuse_unbuilt(message: speech_pb2.SynthesizeRequest, controls: Collection[str]) -> None:
    """What no voice of any family could carry out. Raises `NotBuiltError`."""
    built = {name for family in installed().values() for name in family.controls}
    unbuilt = {
        "emotion": message.HasField("emotion"),
        "style_prompt": bool(message.style_prompt),
        **{f"controls.{name}": True for name in controls if name not in built},
    }
    fields = [name for name, asked in unbuilt.items() if asked]
    if fields:
        raise NotBuiltError(
            f"this server does not carry out {', '.join(fields)} as asked yet",
            [FieldViolation(name, "leave it unset") for name in fields],
        )


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
