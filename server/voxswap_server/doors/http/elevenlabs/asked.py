"""What ElevenLabs' clients send. What has no meaning for voices of ours is taken, and does nothing.

That is said in docs/clients.md; what would change the speech and cannot be done is refused.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from voxswap_server.doors.http.elevenlabs.formats import Format
from voxswap_server.doors.http.native.asked import Body, Seed
from voxswap_server.speech.asking import Asked, AskedEmotion, Faults
from voxswap_server.speech.request import MarkKind

FIELDS = {
    "controls.rate": "voice_settings.speed",
    "audio.encoding": "output_format",
    "audio.sample_rate_hertz": "output_format",
}


class VoiceSettings(BaseModel):
    """Of these speed and style are heard; the others are of their models."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

    speed: Annotated[float, Field(ge=0.25, le=4.0)] | None = Field(
        default=None, description="a factor: 2 is twice as fast"
    )
    style: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(
        default=None,
        description="above 0: emotion as the text says it, of an intensity twice as high, where "
        "the voice has any",
    )


class ElevenLabsSpeech(Body):
    """The body of ``/v1/text-to-speech/{voice}``."""

    text: str = Field(description="what to say")
    model_id: str | None = Field(default=None, description="any: the voice decides")
    voice_settings: VoiceSettings | None = None
    seed: Seed | None = None
    language_code: str | None = Field(default=None, description="the voice's own counts")
    pronunciation_dictionary_locators: list[Any] | None = Field(
        default=None, description="not carried out yet"
    )
    previous_text: str | None = None
    next_text: str | None = None
    previous_request_ids: list[str] | None = None
    next_request_ids: list[str] | None = None
    use_pvc_as_ivc: bool | None = None
    apply_text_normalization: str | None = None
    apply_language_text_normalization: bool | None = None
    audio_effects: dict[str, Any] | None = Field(default=None, description="not carried out yet")


def asked(
    voice: str,
    text: str,
    sound: Format,
    *,
    settings: VoiceSettings | None,
    seed: int | None = None,
    tenant: str = "",
    with_words: bool = False,
    eager: bool = False,
) -> Asked:
    """The same as every door says it."""
    speed = None if settings is None else settings.speed
    return Asked(
        voice=voice,
        text=text,
        encoding=sound.encoding,
        sample_rate_hertz=sound.sample_rate_hertz,
        controls={} if speed is None else {"rate": speed},
        seed=seed,
        emotion=_felt(settings),
        marks=[MarkKind.WORD] if with_words else [],
        tenant=tenant,
        eager=eager,
    )


def _felt(settings: VoiceSettings | None) -> AskedEmotion | None:
    """What a style asks for. Their clients send one to whatever voice, so it is no fault of theirs
    if that has no emotion."""
    if settings is None or not settings.style:
        return None
    return AskedEmotion(from_text=True, intensity=2.0 * settings.style, if_it_can=True)


def refuse_unbuilt(faults: Faults, **fields: object) -> None:
    """What would change the speech, and is not carried out."""
    for name, value in fields.items():
        if value:
            faults.add(name, "is not carried out here; leave it out")
