"""Keyword arguments become a SynthesizeRequest here, for both clients."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypedDict, TypeVar

from voxswap.v1 import speech_pb2
from voxswap_client.errors import InvalidRequestError, Violation
from voxswap_client.types import Encoding, MarkKind

_E = TypeVar("_E", bound=StrEnum)


class SpeechOptions(TypedDict, total=False):
    """What a line may ask for besides voice and text. Whatever is left out is the voice's default.

    ``speaker`` is a name that the voice lists; ``rate`` is a factor, 2 is twice as fast; ``seed``
    makes a line repeatable; ``sample_rate_hertz`` resamples; ``encoding`` and ``marks`` take enum
    members or their values. The noise scales are standard deviations (VITS: noise_scale, noise_w).
    Ranges are the server's to check, see speech.proto.
    """

    speaker: str | None
    rate: float | None
    seed: int | None
    sample_rate_hertz: int | None
    encoding: Encoding | str | None
    marks: Iterable[MarkKind | str]
    noise_scale: float | None
    duration_noise_scale: float | None


def build_request(
    voice: str,
    text: str,
    *,
    speaker: str | None = None,
    rate: float | None = None,
    seed: int | None = None,
    sample_rate_hertz: int | None = None,
    encoding: Encoding | str | None = None,
    marks: Iterable[MarkKind | str] = (),
    noise_scale: float | None = None,
    duration_noise_scale: float | None = None,
) -> speech_pb2.SynthesizeRequest:
    """The request; `InvalidRequestError` names every value that does not fit its field."""
    request = speech_pb2.SynthesizeRequest()
    faults: list[Violation] = []

    def put(message: Any, field: str, value: object, path: str = "") -> None:
        if value is None:
            return
        try:
            setattr(message, field, value)
        except (TypeError, ValueError) as error:
            faults.append(Violation(f"{path}{field}", f"does not take {value!r}: {error}"))

    put(request, "voice", voice)
    put(request, "text", text)
    put(request, "speaker", speaker)
    put(request, "seed", seed)
    put(request.audio, "sample_rate_hertz", sample_rate_hertz, "audio.")
    put(request.controls, "rate", rate, "controls.")
    put(request.controls, "noise_scale", noise_scale, "controls.")
    put(request.controls, "duration_noise_scale", duration_noise_scale, "controls.")
    if encoding is not None:
        wanted = _member(Encoding, encoding, "audio.encoding", faults)
        if wanted is not None:
            name = f"AUDIO_ENCODING_{wanted.name}"
            request.audio.encoding = speech_pb2.AudioEncoding.Value(name)
    for mark in [marks] if isinstance(marks, str) else marks:
        kind = _member(MarkKind, mark, "marks", faults)
        if kind is not None:
            request.marks.append(speech_pb2.MarkKind.Value(f"MARK_KIND_{kind.name}"))
    if faults:
        raise InvalidRequestError(
            "the request cannot be sent: " + "; ".join(f"{f} {d}" for f, d in faults),
            violations=faults,
        )
    return request


def _member(kind: type[_E], value: str, path: str, faults: list[Violation]) -> _E | None:
    try:
        return kind(value)
    except ValueError:
        faults.append(Violation(path, f"does not take {value!r}; use one of {', '.join(kind)}"))
        return None
