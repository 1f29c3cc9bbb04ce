"""What voxswap's own JSON may ask for: the requests of ``speech.proto``, field by field."""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from voxswap_registry.controls import CONTROLS
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech import asking
from voxswap_server.speech.asking import Asked, AskedEmotion
from voxswap_server.speech.request import CachePolicy, EmotionFallback, LineClass, MarkKind

#: A word of a list, in place of an enumeration's name in the proto.
Encoding = Annotated[AudioEncoding, Field(strict=False)]
_Marks = Annotated[
    list[Annotated[MarkKind, Field(strict=False)]], Field(max_length=asking.MAX_MARKS)
]


def _digits(value: object) -> object:
    """JSON's numbers lose what 64 bits say, in JavaScript at least; their digits do not."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
        return int(value)
    return value


Seed = Annotated[
    int,
    BeforeValidator(_digits),
    WithJsonSchema({"type": ["integer", "string"], "description": "below 2^64, or its digits"}),
]


def _bytes(value: object) -> object:
    """Bytes are in base64 where JSON has them."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise ValueError("must be in base64") from None


Sealed = Annotated[
    bytes,
    BeforeValidator(_bytes),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]


class Body(BaseModel):
    """What strangers send: nothing is converted, and what is not known is refused."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        defer_build=True,  # the first request pays for it, and no start
    )


class Audio(Body):
    """The form of the audio."""

    encoding: Encoding | None = Field(default=None, description="what the bytes are")
    sample_rate_hertz: int = Field(
        default=0, description="8000 to 48000, of those that the encoding has; 0: the voice's own"
    )


class Controls(Body):
    """Controls of the delivery; ``GET /v1/voices`` says which a voice has."""

    rate: float | None = Field(default=None, description="0.25 to 4; 2 is twice as fast")
    pitch_semitones: float | None = Field(default=None, description="-12 to 12")
    volume_db: float | None = Field(default=None, description="-40 to 12")
    pitch_range: float | None = Field(default=None, description="0 (monotonous) to 2")
    pause_scale: float | None = Field(default=None, description="0 to 4; 2: pauses twice as long")
    noise_scale: float | None = Field(default=None, description="0 (the same every time) to 2")
    duration_noise_scale: float | None = Field(default=None, description="0 to 2")


# A control that is new has its row in the registry's table, and its field here.
assert set(Controls.model_fields) == set(CONTROLS)  # noqa: S101 - both are constants


class Share(Body):
    """One share of a mixture of emotions."""

    emotion: str = Field(description="one that the voice lists")
    weight: float = Field(default=1.0, description="0 to 1; all of them sum to at most 1")


class Emotion(Body):
    """How a line is felt."""

    mixture: list[Share] = Field(
        default_factory=list,
        max_length=asking.MAX_EMOTIONS,
        description="what is left of 1 is neutral; empty: all of it",
    )
    intensity: float | None = Field(default=None, description="0 (neutral) to 2; unset: 1")
    valence: float | None = Field(
        default=None, description="-1 to 1, with arousal, in place of a mixture"
    )
    arousal: float | None = Field(
        default=None, description="-1 to 1, with valence, in place of a mixture"
    )
    from_text: bool = Field(default=False, description="read off the text, in place of a mixture")
    fallback: Annotated[EmotionFallback, Field(strict=False)] | None = Field(
        default=None, description="what speaks what the voice does not list; unset: as the server"
    )

    def asked(self) -> AskedEmotion:
        """The same as every door says it."""
        return AskedEmotion(
            [(share.emotion, share.weight) for share in self.mixture],
            intensity=self.intensity,
            valence=self.valence,
            arousal=self.arousal,
            from_text=self.from_text,
            fallback=self.fallback,
        )


class Speech(Body):
    """One text to speak."""

    voice: str = Field(description="npc/guard, npc/guard@3 or npc/guard@stable")
    text: str = Field(default="", description="what to say, in the voice's language")
    speaker: str = Field(default="", description="a speaker's name, for voices that have several")
    audio: Audio = Field(default_factory=Audio)
    format: Encoding | None = Field(default=None, description="audio.encoding, in short")
    controls: Controls = Field(default_factory=Controls)
    seed: Seed | None = Field(default=None, description="makes the line repeatable")
    marks: _Marks = Field(default_factory=list, description="kinds of timing marks wanted")
    emotion: Emotion | None = Field(default=None, description="for voices that list emotions")
    style_prompt: str = Field(
        default="", description="a style in words, for voices that take one; 500 characters"
    )
    style: Sealed = Field(default=b"", description="as it was read off a recording, in base64")
    line_class: Annotated[LineClass, Field(strict=False)] = LineClass.DIALOGUE
    start_by_ms: int | None = Field(
        default=None, description="latest useful start, in milliseconds after arrival"
    )
    session_id: str = Field(
        default="", description="a conversation: it keeps its version of a voice"
    )
    cache_policy: Annotated[CachePolicy, Field(strict=False)] = CachePolicy.DEFAULT
    pacing: Literal["realtime", "none"] | None = Field(
        default=None, description="none: nobody listens while it is made"
    )

    def asked(self, *, tenant: str, encoding: AudioEncoding, paced: bool = True) -> Asked:
        """The same as every door says it; ``encoding`` and ``paced`` where nothing was said."""
        found = self.audio.encoding or self.format or encoding
        return Asked(
            voice=self.voice,
            text=self.text,
            speaker=self.speaker,
            encoding=found,
            sample_rate_hertz=self.audio.sample_rate_hertz,
            controls=self.controls.model_dump(exclude_none=True),
            seed=self.seed,
            marks=frozenset(self.marks),
            line_class=self.line_class,
            start_by_ms=self.start_by_ms,
            session_id=self.session_id,
            tenant=tenant,
            cache_policy=self.cache_policy,
            paced=paced if self.pacing is None else self.pacing == "realtime",
            emotion=None if self.emotion is None else self.emotion.asked(),
            style_prompt=self.style_prompt,
            style=self.style,
        )


class LongSpeech(Speech):
    """One text to speak, by ``POST /v1/speech``."""

    stream: Literal["audio", "events"] = Field(
        default="audio", description="events: audio, marks and receipt as server-sent events"
    )


class Start(Speech):
    """The first frame of a conversation."""

    type: Literal["start"]
    conversation: str
    resumable: bool = Field(
        default=False, description="when the socket breaks, wait some seconds for another one"
    )


class Resume(Body):
    """A conversation goes on over another socket."""

    type: Literal["resume"]
    conversation: str
    stream_id: str = Field(min_length=1)
    sample: int = Field(ge=0, description="one past the last sample that was received")


class Interrupt(Body):
    """A stream to stop."""

    stream_id: str = Field(min_length=1, description="voxswap-stream-id of its answer")


class CastMember(Body):
    """A voice of a scene."""

    voice: str
    first_line_ms: int | None = Field(
        default=None, description="from now; by_ms of the request if unset"
    )


class Prepare(Body):
    """A scene that is about to begin."""

    cast: list[CastMember] = Field(min_length=1, max_length=asking.MAX_CAST)
    by_ms: int | None = Field(default=None, description="when it begins, in milliseconds from now")
    dry_run: bool = Field(default=False, description="answer only; load nothing")
    session_id: str = ""


class Named(Body):
    """A voice that something is to be done with."""

    voice: str


class Budget(Body):
    """A memory budget."""

    budget_bytes: int
