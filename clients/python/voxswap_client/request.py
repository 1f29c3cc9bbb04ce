"""Keyword arguments become a SynthesizeRequest here, for both clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, TypedDict, Unpack

from voxswap.v1 import speech_pb2
from voxswap_client.emotions import AUTO
from voxswap_client.errors import InvalidRequestError, Violation
from voxswap_client.fields import fitting
from voxswap_client.types import (
    CachePolicy,
    EmotionFallback,
    Encoding,
    LineClass,
    MarkKind,
    Pacing,
)


class SpeechOptions(TypedDict, total=False):
    """What a line may ask for besides voice and text. Whatever is left out is the voice's default.

    ``speaker`` is a name that the voice lists; ``rate`` is a factor, 2 is twice as fast; ``seed``
    makes a line repeatable; ``sample_rate_hertz`` resamples; ``encoding`` and ``marks`` take enum
    members or their values. The noise scales are standard deviations (VITS: noise_scale, noise_w).
    ``pacing`` "none" is for a line that nobody hears while it is made: it takes what is left of the
    server, and waits if that is full. ``line_class`` says how soon the first sound is due; a line
    that cannot start within ``start_by_ms`` is refused with `TooLateError`. ``cache`` "off" neither
    reads nor writes the server's audio cache. Ranges are the server's to check, see speech.proto.

    ``emotion`` is a name, several with their shares, or "auto" for what each sentence says;
    ``valence`` and ``arousal``, from -1 to 1, may stand in its place. ``intensity`` is 0 to 2.
    ``fallback`` "prosody" has rate, pitch and volume speak what the voice does not list.
    ``style_prompt`` is a style in words, ``style`` one that was read off a recording.
    ``pitch_range`` and ``pause_scale`` are factors.
    """

    speaker: str | None
    rate: float | None
    seed: int | None
    sample_rate_hertz: int | None
    encoding: Encoding | str | None
    marks: Iterable[MarkKind | str]
    pitch_semitones: float | None
    pitch_range: float | None
    volume_db: float | None
    pause_scale: float | None
    noise_scale: float | None
    duration_noise_scale: float | None
    emotion: str | Mapping[str, float] | None
    intensity: float | None
    valence: float | None
    arousal: float | None
    fallback: EmotionFallback | str | None
    style_prompt: str | None
    style: bytes | None
    pacing: Pacing | str | None
    line_class: LineClass | str | None
    start_by_ms: int | None
    cache: CachePolicy | str | None


# Where each argument goes. Those with a type take its members and their values.
_FIELDS: Mapping[str, tuple[str, type[StrEnum] | None]] = {
    "voice": ("voice", None),
    "text": ("text", None),
    "speaker": ("speaker", None),
    "seed": ("seed", None),
    "sample_rate_hertz": ("audio.sample_rate_hertz", None),
    "rate": ("controls.rate", None),
    "pitch_semitones": ("controls.pitch_semitones", None),
    "pitch_range": ("controls.pitch_range", None),
    "volume_db": ("controls.volume_db", None),
    "pause_scale": ("controls.pause_scale", None),
    "noise_scale": ("controls.noise_scale", None),
    "duration_noise_scale": ("controls.duration_noise_scale", None),
    "intensity": ("emotion.intensity", None),
    "valence": ("emotion.valence", None),
    "arousal": ("emotion.arousal", None),
    "fallback": ("emotion.fallback", EmotionFallback),
    "style_prompt": ("style_prompt", None),
    "style": ("style", None),
    "encoding": ("audio.encoding", Encoding),
    "marks": ("marks", MarkKind),
    "line_class": ("line_class", LineClass),
    "start_by_ms": ("start_by_ms", None),
    "cache": ("cache_policy", CachePolicy),
    "pacing": ("pacing", Pacing),
}
#: In texts: an emotion as `emotion_in` reads it, what speaks what is lacking, a style in words.
FEELINGS = ("emotion", "fallback", "style_prompt")
CONTROLS = tuple(option for option, (path, _) in _FIELDS.items() if path.startswith("controls."))


def build_request(
    voice: str, text: str, **options: Unpack[SpeechOptions]
) -> speech_pb2.SynthesizeRequest:
    """The request. Raises `InvalidRequestError`, which names every value that does not fit.

    Raises `TypeError` for an option that there is not.
    """
    given: dict[str, Any] = {"voice": voice, "text": text, **options}
    emotion = given.pop("emotion", None)
    if unknown := given.keys() - _FIELDS.keys():
        raise TypeError(f"a line has no option {', '.join(sorted(unknown))}")
    request = speech_pb2.SynthesizeRequest()
    faults: list[Violation] = []
    try:
        _put_emotion(request.emotion if emotion else None, emotion)
    except (AttributeError, TypeError, ValueError) as error:
        faults.append(Violation("emotion.mixture", f"does not take {emotion!r}: {error}"))
    for option, (path, kind) in _FIELDS.items():
        value = given.get(option)
        several = option == "marks" and not isinstance(value, str)
        for each in value or () if several else (value,):
            try:
                if each is not None:
                    _put(request, path, kind, each)
            except (TypeError, ValueError) as error:
                told = f"does not take {each!r}"
                hint = f"; use one of {', '.join(kind)}" if kind else f": {error}"
                faults.append(Violation(path, told + hint))
    if faults:
        raise InvalidRequestError(
            "the request cannot be sent: " + "; ".join(f"{f} {d}" for f, d in faults),
            violations=faults,
        )
    return request


def _put_emotion(message: speech_pb2.Emotion | None, emotion: str | Mapping[str, float]) -> None:
    if message is None:
        return
    if emotion == AUTO:
        message.from_text = True
        return
    shares = {emotion: 1.0} if isinstance(emotion, str) else emotion
    for name, share in shares.items():
        message.mixture.add(emotion=name, weight=share)


def _put(message: Any, path: str, kind: type[StrEnum] | None, value: Any) -> None:
    *outer, field = path.split(".")
    for name in outer:
        message = getattr(message, name)
    if kind is None:
        setattr(message, field, value)
        return
    wire = message.DESCRIPTOR.fields_by_name[field].enum_type
    # Every value of a protobuf enum begins with the enum's name.
    prefix = wire.values_by_number[0].name.removesuffix("UNSPECIFIED")
    number = wire.values_by_name[f"{prefix}{kind(value).name}"].number
    if field == "marks":
        message.marks.append(number)
    else:
        setattr(message, field, number)


def interrupt_request(stream_id: str) -> speech_pb2.InterruptRequest:
    """Asks to stop a stream."""
    with fitting("stream_id"):
        return speech_pb2.InterruptRequest(stream_id=stream_id)


FLUSH = speech_pb2.ConverseRequest(flush=speech_pb2.Flush())
INTERRUPT = speech_pb2.ConverseRequest(interrupt=speech_pb2.Interrupt())


def more_text(text: str) -> speech_pb2.ConverseRequest:
    """More text of a conversation."""
    request = speech_pb2.ConverseRequest()
    with fitting("text"):
        request.text = text
    return request


def may_wait(request: speech_pb2.SynthesizeRequest) -> bool:
    """Whether the line is as good later: nobody listens, and it need not start by any time."""
    return request.pacing == speech_pb2.PACING_NONE and not request.HasField("start_by_ms")
