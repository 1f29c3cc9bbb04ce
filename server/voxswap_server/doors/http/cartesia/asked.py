"""What Cartesia's clients send."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from voxswap_registry.errors import InvalidInputError
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.doors.http.native.asked import Body
from voxswap_server.speech.asking import MAX_EMOTIONS, Asked, AskedEmotion, Faults
from voxswap_server.speech.request import MarkKind

FIELDS = {
    "text": "transcript",
    "voice": "voice.id",
    "controls.rate": "generation_config.speed",
    "controls.volume_db": "generation_config.volume",
    "audio.encoding": "output_format.encoding",
    "audio.sample_rate_hertz": "output_format.sample_rate",
    "emotion.mixture": "generation_config.emotion",
    "emotion.fallback": "generation_config.emotion",
}

_RAW = {
    "pcm_s16le": AudioEncoding.PCM_S16LE,
    "pcm_f32le": AudioEncoding.PCM_F32LE,
    "pcm_mulaw": AudioEncoding.MULAW,
    "pcm_alaw": AudioEncoding.ALAW,
}
_SPEEDS = {"slow": 0.8, "normal": 1.0, "fast": 1.25}


# Of the older way to say an emotion, ``anger:high``.
_LEVELS = {"lowest": 0.25, "low": 0.5, "": 1.0, "high": 1.5, "highest": 2.0}
_OLDER_NAMES = {"positivity": "happy", "curiosity": "curious"}


class ExperimentalControls(Body):
    """The older way to say speed and emotion."""

    speed: str | float | None = Field(default=None, description="slow, normal, fast, or a factor")
    emotion: Annotated[list[str], Field(max_length=MAX_EMOTIONS)] | None = Field(
        default=None, description="names, each with a level: anger:high"
    )


class VoiceId(Body):
    """A voice by its id."""

    mode: Literal["id"] = "id"
    id: str
    experimental_controls: ExperimentalControls | None = Field(
        default=None, alias="__experimental_controls"
    )


class OutputFormat(Body):
    """The form of the audio; bit rates are the encoder's own."""

    container: Literal["raw", "wav", "mp3"] = "raw"
    encoding: Literal["pcm_s16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"] | None = None
    sample_rate: int = 0
    bit_rate: int | None = None

    @property
    def audio(self) -> AudioEncoding:
        """As we name it. Raises `InvalidInputError`."""
        if self.container == "mp3":
            return AudioEncoding.MP3
        found = _RAW[self.encoding or "pcm_s16le"]
        if self.container == "wav":
            if found is not AudioEncoding.PCM_S16LE:
                raise InvalidInputError.one(
                    "output_format.encoding", "is pcm_s16le where the container is wav"
                )
            return AudioEncoding.WAV
        return found


class GenerationConfig(BaseModel):
    """How it is spoken."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

    speed: Annotated[float, Field(ge=0.25, le=4.0)] | None = None
    volume: Annotated[float, Field(ge=0.01, le=4.0)] | None = None
    emotion: str | None = None


class CartesiaSpeech(Body):
    """The body of ``/tts/bytes`` and ``/tts/sse``."""

    model_id: str = Field(description="any: the voice decides")
    transcript: str = Field(description="what to say")
    voice: VoiceId | str
    output_format: OutputFormat
    language: str | None = None
    locale: str | None = None
    normalization: str | None = None
    generation_config: GenerationConfig | None = None
    speed: str | float | None = Field(default=None, description="slow, normal, fast, or a factor")
    pronunciation_dict_id: str | None = Field(default=None, description="not carried out yet")
    save: bool | None = None
    add_timestamps: bool | None = None
    add_phoneme_timestamps: bool | None = None
    use_normalized_timestamps: bool | None = None
    context_id: str | None = None

    def asked(self, *, tenant: str, eager: bool = False, text_follows: bool = False) -> Asked:
        """The same as every door says it. Raises `InvalidInputError`."""
        faults = Faults()
        if self.pronunciation_dict_id:
            faults.add("pronunciation_dict_id", "is not carried out here; leave it out")
        config = self.generation_config or GenerationConfig()
        controls: dict[str, float] = {}
        older = None if isinstance(self.voice, str) else self.voice.experimental_controls
        older = older or ExperimentalControls()
        speed = next(
            (said for said in (config.speed, self.speed, older.speed) if said is not None), None
        )
        if isinstance(speed, str):
            if speed not in _SPEEDS:
                faults.add("speed", f"is {speed[:20]!r}; use slow, normal or fast")
            speed = _SPEEDS.get(speed, 1.0)
        if speed is not None:
            controls["rate"] = speed
        if config.volume is not None:
            controls["volume_db"] = round(20.0 * math.log10(config.volume), 3)
        emotion = _emotion(faults, config.emotion, older.emotion or ())
        faults.raise_if_any()
        kinds = {
            MarkKind.WORD: self.add_timestamps or text_follows,
            MarkKind.PHONEME: self.add_phoneme_timestamps,
        }
        return Asked(
            voice=self.voice.id if isinstance(self.voice, VoiceId) else self.voice,
            text="" if text_follows else self.transcript,
            encoding=self.output_format.audio,
            sample_rate_hertz=self.output_format.sample_rate,
            controls=controls,
            marks=[kind for kind, wanted in kinds.items() if wanted],
            emotion=emotion,
            tenant=tenant,
            eager=eager,
        )


def _emotion(faults: Faults, name: str | None, older: Sequence[str]) -> AskedEmotion | None:
    """A name, or the older list of names with levels: shares alike, as strong as the strongest."""
    if name:
        return AskedEmotion([(name, 1.0)])
    levels: dict[str, float] = {}
    for said in older:
        word, _, level = said.lower().partition(":")
        if level not in _LEVELS:
            told = f"has the level {level[:20]!r}; use lowest, low, high or highest, or none"
            faults.add("voice.__experimental_controls.emotion", told)
        levels[_OLDER_NAMES.get(word, word)] = _LEVELS.get(level, 1.0)
    if not levels:
        return None
    strongest = max(levels.values())
    mixture = [(word, level / strongest / len(levels)) for word, level in levels.items()]
    return AskedEmotion(mixture, intensity=strongest)


class Generation(CartesiaSpeech):
    """A frame of ``/tts/websocket``; its first one begins a context."""

    context_id: str = Field(min_length=1, max_length=128)
    continue_: bool | None = Field(default=None, alias="continue")
    flush: bool | None = None
    duration: Any = None
    max_buffer_delay_ms: Annotated[int, Field(ge=0, le=5000)] | None = None
