"""Keyword arguments become a SynthesizeRequest here, for both clients."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypedDict, TypeVar, Unpack

from voxswap.v1 import speech_pb2
from voxswap_client.errors import InvalidRequestError, Violation
from voxswap_client.fields import fitting
from voxswap_client.types import CachePolicy, Encoding, LineClass, MarkKind, Pacing

_E = TypeVar("_E", bound=StrEnum)


class SpeechOptions(TypedDict, total=False):
    """What a line may ask for besides voice and text. Whatever is left out is the voice's default.

    ``speaker`` is a name that the voice lists; ``rate`` is a factor, 2 is twice as fast; ``seed``
    makes a line repeatable; ``sample_rate_hertz`` resamples; ``encoding`` and ``marks`` take enum
    members or their values. The noise scales are standard deviations (VITS: noise_scale, noise_w).
    ``pacing`` "none" is for a line that nobody hears while it is made: it takes what is left of the
    server, and waits if that is full. ``line_class`` says how soon the first sound is due; a line
    that cannot start within ``start_by_ms`` is refused with `TooLateError`. ``cache`` "off" neither
    reads nor writes the server's audio cache. Ranges are the server's to check, see speech.proto.
    """

    speaker: str | None
    rate: float | None
    seed: int | None
    sample_rate_hertz: int | None
    encoding: Encoding | str | None
    marks: Iterable[MarkKind | str]
    noise_scale: float | None
    duration_noise_scale: float | None
    pacing: Pacing | str | None
    line_class: LineClass | str | None
    start_by_ms: int | None
    cache: CachePolicy | str | None


def build_request(
    voice: str, text: str, **options: Unpack[SpeechOptions]
) -> speech_pb2.SynthesizeRequest:
    """The request; `InvalidRequestError` names every value that does not fit its field.

    Raises `TypeError` for an option that there is not.
    """
    if unknown := options.keys() - SpeechOptions.__annotations__.keys():
        raise TypeError(f"a line has no option {', '.join(sorted(unknown))}")
    request = speech_pb2.SynthesizeRequest()
    faults: list[Violation] = []

    def put(message: Any, field: str, value: object, path: str = "") -> None:
        if value is None:
            return
        try:
            setattr(message, field, value)
        except (TypeError, ValueError) as error:
            faults.append(Violation(f"{path}{field}", f"does not take {value!r}: {error}"))

    def choose(message: Any, field: str, kind: type[_E], value: str | None, path: str = "") -> None:
        found = None if value is None else _member(kind, value, f"{path}{field}", faults)
        if found is not None:
            wire = message.DESCRIPTOR.fields_by_name[field].enum_type
            # Every value of a protobuf enum begins with the enum's name.
            prefix = wire.values_by_number[0].name.removesuffix("UNSPECIFIED")
            setattr(message, field, wire.values_by_name[f"{prefix}{found.name}"].number)

    put(request, "voice", voice)
    put(request, "text", text)
    put(request, "speaker", options.get("speaker"))
    put(request, "seed", options.get("seed"))
    put(request.audio, "sample_rate_hertz", options.get("sample_rate_hertz"), "audio.")
    put(request.controls, "rate", options.get("rate"), "controls.")
    put(request.controls, "noise_scale", options.get("noise_scale"), "controls.")
    scale = options.get("duration_noise_scale")
    put(request.controls, "duration_noise_scale", scale, "controls.")
    choose(request.audio, "encoding", Encoding, options.get("encoding"), "audio.")
    marks = options.get("marks", ())
    for mark in [marks] if isinstance(marks, str) else marks:
        kind = _member(MarkKind, mark, "marks", faults)
        if kind is not None:
            request.marks.append(speech_pb2.MarkKind.Value(f"MARK_KIND_{kind.name}"))
    choose(request, "line_class", LineClass, options.get("line_class"))
    put(request, "start_by_ms", options.get("start_by_ms"))
    choose(request, "cache_policy", CachePolicy, options.get("cache"))
    choose(request, "pacing", Pacing, options.get("pacing"))
    if faults:
        raise InvalidRequestError(
            "the request cannot be sent: " + "; ".join(f"{f} {d}" for f, d in faults),
            violations=faults,
        )
    return request


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


def _member(kind: type[_E], value: str, path: str, faults: list[Violation]) -> _E | None:
    try:
        return kind(value)
    except ValueError:
        faults.append(Violation(path, f"does not take {value!r}; use one of {', '.join(kind)}"))
        return None
