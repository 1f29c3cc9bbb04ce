"""What a Riva client asks for, in our words; and its own words for what is wrong with that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar

from voxswap.riva.v1 import riva_tts_pb2 as riva
from voxswap_registry.controls import CONTROLS
from voxswap_registry.errors import FieldViolation, InvalidInputError, NotBuiltError
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.doors.emotions import AUTO, mixture_in
from voxswap_server.speech.asking import Asked, AskedEmotion, Faults, speech_request
from voxswap_server.speech.request import (
    CachePolicy,
    EmotionFallback,
    LineClass,
    MarkKind,
    SpeechRequest,
)

_T = TypeVar("_T")

_ENCODINGS: Mapping[int, AudioEncoding] = {
    riva.ENCODING_UNSPECIFIED: AudioEncoding.PCM_S16LE,
    riva.LINEAR_PCM: AudioEncoding.PCM_S16LE,
    riva.FLAC: AudioEncoding.FLAC,
    riva.MULAW: AudioEncoding.MULAW,
    riva.ALAW: AudioEncoding.ALAW,
    riva.OGGOPUS: AudioEncoding.OGG_OPUS,
}
_LINE_CLASSES = {c.value: c for c in LineClass}
_CACHE_POLICIES = {p.value: p for p in CachePolicy if p is not CachePolicy.DEFAULT}
_FALLBACKS = {fallback.value: fallback for fallback in EmotionFallback}
_KEYS = (
    *("seed", "line_class", "start_by_ms", "session_id", "cache_policy", *CONTROLS),
    *("emotion", "intensity", "valence", "arousal", "emotion_fallback", "style_prompt"),
)
_MOST_DIGITS, _MOST_TOLD, MAX_ID_CHARACTERS = 20, 8, 128


def _key(name: str) -> str:
    return f"custom_configuration[{name[:64]}]"


#: Our names of fields, and where a Riva client has them.
FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "voice": "voice_name",
        "speaker": "voice_name",
        "audio.sample_rate_hertz": "sample_rate_hz",
        **{name: _key(name) for name in _KEYS},
        **{f"controls.{name}": _key(name) for name in CONTROLS},
        **{f"emotion.{name}": _key(name) for name in ("intensity", "valence", "arousal")},
        "emotion.mixture": _key("emotion"),
        "emotion.from_text": _key("emotion"),
        "emotion.fallback": _key("emotion_fallback"),
    }
)


def request_of(
    message: riva.SynthesizeSpeechRequest,
    voice: str,
    speaker: str,
    *,
    max_characters: int,
    tenant: str,
    is_whole: bool,
) -> SpeechRequest:
    """A validated request; ``voice`` and ``speaker`` are those that are meant.

    ``is_whole`` says that all of its text is here. Raises `InvalidInputError` with every fault, or
    `NotBuiltError`, by our names of fields.
    """
    check_built(message)
    faults = Faults()
    check_id(faults, message)
    encoding = _ENCODINGS.get(message.encoding)
    if encoding is None:
        faults.add(
            "encoding",
            f"has the unknown value {message.encoding}; use LINEAR_PCM, FLAC, MULAW, ALAW or "
            "OGGOPUS",
        )
    said = message.custom_configuration
    for name in _unknown(said):
        faults.add(_key(name), f"is no key of this server; there are {', '.join(_KEYS)}")
    asked = Asked(
        voice=voice,
        speaker=speaker,
        text=message.text,
        encoding=encoding or AudioEncoding.PCM_S16LE,
        sample_rate_hertz=message.sample_rate_hz,
        controls={
            name: number
            for name in CONTROLS
            if (number := _number(faults, f"controls.{name}", said.get(name))) is not None
        },
        seed=_whole_number(faults, "seed", said),
        marks=[MarkKind.WORD] if message.enable_word_time_offsets else [],
        line_class=_one_of(faults, "line_class", said, _LINE_CLASSES) or LineClass.DIALOGUE,
        start_by_ms=_whole_number(faults, "start_by_ms", said),
        session_id=said.get("session_id", ""),
        tenant=tenant,
        cache_policy=_one_of(faults, "cache_policy", said, _CACHE_POLICIES) or CachePolicy.DEFAULT,
        emotion=_emotion(faults, said),
        style_prompt=said.get("style_prompt", ""),
        eager=True,  # nobody says whether it is played as it comes, or kept
    )
    return speech_request(
        asked, max_characters=max_characters, faults=faults, text_may_follow=not is_whole
    )


def check_built(message: riva.SynthesizeSpeechRequest) -> None:
    """Raise `NotBuiltError` for what this server does not do, whatever the voice."""
    unbuilt = {}
    if message.text.lstrip()[:6].lower() == "<speak":
        unbuilt["text"] = "is SSML, whose tags would be read aloud; send plain text"
    if message.HasField("zero_shot_data"):
        unbuilt["zero_shot_data"] = "leave it unset, and name a voice that is registered"
    if message.custom_dictionary:
        unbuilt["custom_dictionary"] = "leave it unset, and spell words as they are said"
    if unbuilt:
        raise NotBuiltError(
            f"this server does not carry out {', '.join(unbuilt)} as asked yet",
            [FieldViolation(name, remedy) for name, remedy in unbuilt.items()],
        )


def check_id(faults: Faults, message: riva.SynthesizeSpeechRequest) -> None:
    """Look whether its id is short: it goes back with every answer."""
    if len(message.id.value) > MAX_ID_CHARACTERS:
        faults.add("id.value", f"is longer than {MAX_ID_CHARACTERS} characters; send a shorter one")


def check_repeated(
    first: riva.SynthesizeSpeechRequest, message: riva.SynthesizeSpeechRequest
) -> None:
    """Raise `InvalidInputError` unless ``message`` goes on with the settings of ``first``.

    What it does not set, it leaves as it was.
    """
    violations = [
        FieldViolation(
            field.name,
            "differs from the first request's; settings hold for the whole call, so repeat them, "
            "or begin another call",
        )
        for field, value in message.ListFields()
        if field.name not in ("text", "id") and value != getattr(first, field.name)
    ]
    if violations:
        raise InvalidInputError(violations)


def _unknown(said: Mapping[str, str]) -> Iterator[str]:
    unknown = (name for name in said if name not in _KEYS)
    for name, _ in zip(unknown, range(_MOST_TOLD), strict=False):
        yield name


def _emotion(faults: Faults, said: Mapping[str, str]) -> AskedEmotion:
    text = said.get("emotion", "").strip()
    from_text = text.lower() == AUTO
    mixture = mixture_in(text) if text and not from_text else []
    if mixture is None:
        told = f"is {text[:32]!r}; write angry=0.7,sad=0.2, or auto"
        faults.add("emotion.mixture", told)
    intensity, valence, arousal = (
        _number(faults, f"emotion.{name}", said.get(name))
        for name in ("intensity", "valence", "arousal")
    )
    return AskedEmotion(
        mixture or [],
        intensity,
        valence,
        arousal,
        from_text=from_text,
        fallback=_one_of(faults, "emotion_fallback", said, _FALLBACKS),
    )


def _number(faults: Faults, field: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text[: 2 * _MOST_DIGITS])
    except ValueError:
        faults.add(field, f"is {text[:32]!r}; use a number")
        return None


def _whole_number(faults: Faults, name: str, said: Mapping[str, str]) -> int | None:
    if name not in said:
        return None
    text = said[name]
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        faults.add(name, f"is {text[:32]!r}; use a whole number")
        return None
    return int(text)


def _one_of(
    faults: Faults, name: str, said: Mapping[str, str], table: Mapping[str, _T]
) -> _T | None:
    if name not in said:
        return None
    found = table.get(said[name].lower())
    if found is None:
        faults.add(name, f"is {said[name][:32]!r}; use {' or '.join(table)}")
    return found
