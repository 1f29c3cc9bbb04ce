"""xtts-api-server's and Piper's HTTP servers, as the mods of games call them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from voxswap_registry.catalog.index import VoiceFilter
from voxswap_registry.errors import FieldViolation, InvalidInputError
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.doors.http.audio import send_audio
from voxswap_server.doors.http.exchange import Exchange
from voxswap_server.doors.http.fields import named
from voxswap_server.doors.http.guard import Problem
from voxswap_server.doors.http.native.asked import Body
from voxswap_server.doors.http.routes import Path
from voxswap_server.doors.http.services import Services, tenant_of
from voxswap_server.doors.http.whole import Whole
from voxswap_server.speech.asking import Asked, speech_request
from voxswap_server.voices import browsing

_MOST_VOICES = 10_000


class XttsSpeech(Body):
    """What xtts-api-server takes."""

    text: str
    speaker_wav: str = Field(description="a voice's id; an ending of .wav is left out")
    language: str = Field(default="", description="the voice's own counts")


class PiperSpeech(Body):
    """What Piper's HTTP server takes."""

    text: str
    voice: str | None = Field(default=None, description="the first one of all unless set")
    speaker: str | None = None
    speaker_id: int | None = None
    length_scale: Annotated[float, Field(ge=0.25, le=4.0)] | None = None
    noise_scale: float | None = None
    noise_w_scale: float | None = None
    sentence_silence: float | None = Field(default=None, description="the voice's own counts")


_XTTS = {"voice": "speaker_wav"}
_PIPER = {
    "controls.rate": "length_scale",
    "controls.noise_scale": "noise_scale",
    "controls.duration_noise_scale": "noise_w_scale",
}


class ModHandlers:
    """Translates, both ways. Confined to one event loop."""

    def __init__(self, services: Services, whole: Whole) -> None:
        self._services = services
        self._whole = whole

    async def tts_to_audio(self, exchange: Exchange) -> None:
        """A whole WAV file."""
        body = exchange.json(XttsSpeech)
        asked = _xtts(body.text, body.speaker_wav)
        await self._answer_whole(exchange, asked, _XTTS)

    async def tts_stream(self, exchange: Exchange) -> None:
        """A WAV file as it is made."""
        query = exchange.request.query_params
        asked = _xtts(query.get("text", ""), query.get("speaker_wav", ""))
        with named(_XTTS):
            request = speech_request(asked, max_characters=self._services.max_text_characters)
            async with self._services.speaker.open(request, self._services.call()) as stream:
                await send_audio(exchange, stream)

    async def speakers_list(self, exchange: Exchange) -> None:
        """The ids of all voices."""
        found = await asyncio.to_thread(self._ids)
        await exchange.answer_json(found)

    async def speakers(self, exchange: Exchange) -> None:
        """All voices."""
        found = await asyncio.to_thread(self._ids)
        shown = [{"name": name, "voice_id": name, "preview_url": ""} for name in found]
        await exchange.answer_json(shown)

    async def languages(self, exchange: Exchange) -> None:
        """What the first voices speak."""

        def spoken() -> dict[str, str]:
            listed = browsing.listings(self._services.catalog, VoiceFilter(), after="", limit=1000)
            tags = {t for v in listed if v.newest is not None for t in v.newest.spoken_languages}
            return {tag: tag.partition("-")[0] for tag in sorted(tags)}

        await exchange.answer_json({"languages": await asyncio.to_thread(spoken)})

    async def synthesize(self, exchange: Exchange) -> None:
        """A whole WAV file."""
        body = exchange.json(PiperSpeech)
        voice = body.voice
        if not voice:
            voice = await asyncio.to_thread(self._first)
        scale = body.length_scale
        controls = {
            "rate": None if scale is None else 1.0 / scale,
            "noise_scale": body.noise_scale,
            "duration_noise_scale": body.noise_w_scale,
        }
        asked = Asked(
            voice=voice,
            text=body.text,
            speaker=self._speaker(voice, body),
            encoding=AudioEncoding.WAV,
            controls={name: value for name, value in controls.items() if value is not None},
            tenant=tenant_of(exchange.request),
            paced=False,
        )
        await self._answer_whole(exchange, asked, _PIPER)

    async def voices(self, exchange: Exchange) -> None:
        """All voices by id, each with what Piper's configuration says of it."""

        def listed() -> dict[str, Any]:
            catalog = self._services.catalog
            found = browsing.listings(catalog, VoiceFilter(), after="", limit=_MOST_VOICES)
            return {
                voice.voice_id: {
                    "audio": {"sample_rate": voice.newest.audio.sample_rate_hertz},
                    "language": {"code": voice.newest.language},
                    "num_speakers": max(1, len(voice.newest.speakers)),
                    "speaker_id_map": dict(voice.newest.speakers),
                }
                for voice in found
                if voice.newest is not None
            }

        await exchange.answer_json(await asyncio.to_thread(listed))

    async def info(self, exchange: Exchange) -> None:
        """What answers here."""
        await exchange.answer_json({"name": "voxswap", "voices": self._services.catalog.count()})

    async def _answer_whole(self, exchange: Exchange, asked: Asked, fields: dict[str, str]) -> None:
        with named(fields):
            request = speech_request(asked, max_characters=self._services.max_text_characters)
            async with self._services.speaker.open(request, self._services.call()) as stream:
                await self._whole.answer(exchange, stream)

    def _speaker(self, voice: str, body: PiperSpeech) -> str:
        """By name, or by number. Raises `InvalidInputError`, and `VoiceNotFoundError`."""
        if body.speaker or body.speaker_id is None:
            return body.speaker or ""
        manifest = self._services.catalog.resolve(VoiceRef.parse(voice))
        for name, index in manifest.speakers.items():
            if index == body.speaker_id:
                return name
        if body.speaker_id == 0:
            return ""
        there = f"0 to {len(manifest.speakers) - 1}" if manifest.speakers else "0 alone"
        raise InvalidInputError(
            [FieldViolation("speaker_id", f"is {body.speaker_id}; {manifest.ref} has {there}")]
        )

    def _first(self) -> str:
        """The first voice that can speak. Raises `InvalidInputError` if there is none."""
        for voice in browsing.listings(self._services.catalog, VoiceFilter(), after="", limit=100):
            if voice.error is None:
                return voice.voice_id
        raise InvalidInputError.one("voice", "is missing, and no voice is registered; add one")

    def _ids(self) -> list[str]:
        listed = browsing.listings(
            self._services.catalog, VoiceFilter(), after="", limit=_MOST_VOICES
        )
        return [voice.voice_id for voice in listed if voice.error is None]


def _xtts(text: str, speaker_wav: str) -> Asked:
    voice = speaker_wav.removesuffix(".wav")
    return Asked(voice=voice, text=text, encoding=AudioEncoding.WAV, eager=True)


def telling(problem: Problem) -> dict[str, Any]:
    """Errors as those servers tell them."""
    return {"detail": problem.failure.message}


def paths(services: Services, whole: Whole) -> Sequence[Path]:
    """What mods ask, but for what others ask as well."""
    handlers = ModHandlers(services, whole)
    wav = ("audio/wav",)
    common: dict[str, Any] = {"telling": telling, "group": "game mods"}
    return (
        Path(
            *("POST", "/tts_to_audio/", handlers.tts_to_audio),
            "Speak a text, as xtts-api-server does: a whole WAV file.",
            body=XttsSpeech,
            answers=wav,
            speaks=True,
            **common,
        ),
        Path(
            *("GET", "/tts_stream", handlers.tts_stream),
            "Speak a text, as xtts-api-server does: a WAV file as it is made.",
            query={"text": "what to say", "speaker_wav": "a voice's id", "language": "not used"},
            answers=wav,
            speaks=True,
            **common,
        ),
        Path("GET", "/speakers_list", handlers.speakers_list, "The ids of all voices.", **common),
        Path("GET", "/speakers", handlers.speakers, "All voices.", **common),
        Path("GET", "/languages", handlers.languages, "What the voices speak.", **common),
        Path(
            *("POST", "/synthesize", handlers.synthesize),
            "Speak a text, as Piper's HTTP server does: a whole WAV file.",
            body=PiperSpeech,
            answers=wav,
            speaks=True,
            **common,
        ),
        Path("GET", "/info", handlers.info, "What answers here.", **common),
    )


def voice_list(services: Services, whole: Whole) -> Path:
    """`GET /voices`, a path that others have too."""
    return Path("GET", "/voices", ModHandlers(services, whole).voices, "All voices, by id.")
