"""``/v1/text-to-speech/{voice}`` over HTTP, and the voices."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Any

from voxswap_registry.catalog.catalog import VoiceListing
from voxswap_registry.names import VoiceRef
from voxswap_registry.resolution import chosen_version
from voxswap_server.doors.http.audio import begun, send_audio
from voxswap_server.doors.http.elevenlabs.alignment import Alignment, Character
from voxswap_server.doors.http.elevenlabs.asked import (
    FIELDS,
    ElevenLabsSpeech,
    asked,
    refuse_unbuilt,
)
from voxswap_server.doors.http.elevenlabs.formats import format_of
from voxswap_server.doors.http.exchange import Exchange, json_text
from voxswap_server.doors.http.fields import named
from voxswap_server.doors.http.guard import Guard, Problem
from voxswap_server.doors.http.native import told
from voxswap_server.doors.http.routes import Path
from voxswap_server.doors.http.services import Services, tenant_of
from voxswap_server.doors.http.whole import Whole
from voxswap_server.speech.asking import Faults, speech_request
from voxswap_server.speech.messages import Chunk
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.voices import browsing

_MODELS = ("voxswap", "eleven_turbo_v2_5", "eleven_flash_v2_5", "eleven_multilingual_v2")
_SPEECH = "/v1/text-to-speech/{voice:path}"


class ElevenLabsHandlers:
    """Translates, both ways. Confined to one event loop."""

    def __init__(self, services: Services, guard: Guard, whole: Whole) -> None:
        self._services = services
        self._guard = guard
        self._whole = whole

    async def stream(self, exchange: Exchange) -> None:
        """Audio as it is made."""
        request, _ = await self._request(exchange)
        async with self._services.speaker.open(request, self._services.call()) as stream:
            await send_audio(exchange, stream)

    async def with_timestamps(self, exchange: Exchange) -> None:
        """All of the audio, with when each character sounds."""
        request, text = await self._request(exchange, with_words=True)
        async with self._services.speaker.open(request, self._services.call()) as stream:
            with self._whole.holding() as held:
                spoken = await self._whole.spoken(stream, held)
                alignment = Alignment()
                alignment.push(text)
                every = Chunk(b"", 0, spoken.samples, tuple(spoken.marks))
                found = alignment.chunk(every) + alignment.rest(spoken.samples)
                times = _seconds(found, spoken.header.sample_rate_hertz)
                audio = base64.b64encode(spoken.audio).decode()
                await exchange.answer_json(
                    {"audio_base64": audio, "alignment": times, "normalized_alignment": times}
                )

    async def stream_with_timestamps(self, exchange: Exchange) -> None:
        """Audio as it is made, an object in a line each, with when its characters sound."""
        request, text = await self._request(exchange, with_words=True)
        alignment = Alignment()
        alignment.push(text)
        async with (
            self._services.speaker.open(request, self._services.call()) as stream,
            begun(stream) as (header, messages),
        ):
            await exchange.start("application/json")
            async for message in messages:
                if isinstance(message, Chunk):
                    found = alignment.chunk(message)
                    times = _seconds(found, header.sample_rate_hertz) if found else None
                    audio = base64.b64encode(message.audio).decode()
                    line = {"audio_base64": audio, "alignment": times}
                    line["normalized_alignment"] = times
                    await exchange.write(f"{json_text(line)}\n".encode())
        await exchange.end()

    async def _request(
        self, exchange: Exchange, *, with_words: bool = False
    ) -> tuple[SpeechRequest, str]:
        body = exchange.json(ElevenLabsSpeech)
        sound = format_of(exchange.request.query_params.get("output_format", ""))
        faults = Faults()
        refuse_unbuilt(
            faults,
            pronunciation_dictionary_locators=body.pronunciation_dictionary_locators,
            audio_effects=body.audio_effects,
        )
        with named(FIELDS):
            request = speech_request(
                asked(
                    *(exchange.request.path_params["voice"], body.text, sound),
                    settings=body.voice_settings,
                    seed=body.seed,
                    tenant=tenant_of(exchange.request),
                    with_words=with_words,
                    eager=True,
                ),
                max_characters=self._services.max_text_characters,
                faults=faults,
            )
        return request, body.text

    async def voices(self, exchange: Exchange) -> None:
        """A page of voices."""
        query = exchange.request.query_params
        size = browsing.page_size(_number(query.get("page_size", "")))
        after = browsing.page_start(query.get("next_page_token", ""))
        wanted = browsing.voice_filter(search=query.get("search", ""))

        def page() -> dict[str, Any]:
            catalog = self._services.catalog
            found = list(browsing.listings(catalog, wanted, after=after, limit=size + 1))
            more = len(found) > size
            return {
                "voices": [_listed(voice) for voice in found[:size] if voice.error is None],
                "has_more": more,
                "total_count": catalog.count(),
                "next_page_token": browsing.page_token(found[size - 1].voice_id) if more else None,
            }

        await exchange.answer_json(await asyncio.to_thread(page))

    async def voice(self, exchange: Exchange) -> None:
        """One voice."""
        ref = VoiceRef.parse(exchange.request.path_params["voice"])
        record = self._services.catalog.record(ref.voice_id)
        manifest = self._services.catalog.manifest(record, chosen_version(record, ref))
        await exchange.answer_json(_voice(told.voice(manifest, record)))

    async def models(self, exchange: Exchange) -> None:
        """Names that are taken as a model."""
        await exchange.answer_json(
            [
                {
                    "model_id": name,
                    "name": name,
                    "can_do_text_to_speech": True,
                    "can_do_voice_conversion": False,
                    "maximum_text_length_per_request": self._services.max_text_characters,
                    "languages": [],
                }
                for name in _MODELS
            ]
        )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0


def _listed(found: VoiceListing) -> dict[str, Any]:
    return _voice(told.listing(found))


def _voice(found: told.Told) -> dict[str, Any]:
    labels = {"language": found.get("language", ""), "gender": found.get("gender", "")}
    return {
        "voice_id": found["id"],
        "name": found.get("display_name") or found["id"],
        "category": "premade",
        "description": f"{found.get('engine', '')}, {found.get('licence', '')}",
        "labels": {name: value for name, value in labels.items() if value},
    }


def _seconds(found: Sequence[Character], hertz: int) -> dict[str, Any]:
    return {
        "characters": [character.text for character in found],
        "character_start_times_seconds": [round(c.start / hertz, 4) for c in found],
        "character_end_times_seconds": [round(c.end / hertz, 4) for c in found],
    }


def telling(problem: Problem) -> dict[str, Any]:
    """Errors as ElevenLabs' clients read them."""
    failure = problem.failure
    param = failure.violations[0].field if failure.violations else None
    detail = {"status": failure.reason.lower(), "message": failure.message, "param": param}
    return {"detail": detail}


def paths(services: Services, guard: Guard, whole: Whole) -> Sequence[Path]:
    """What ElevenLabs' clients ask, but for what others ask as well."""
    handlers = ElevenLabsHandlers(services, guard, whole)

    def speaks(end: str, handler: Any, summary: str, *answers: str) -> Path:
        return Path(
            *("POST", f"{_SPEECH}{end}", handler, summary),
            body=ElevenLabsSpeech,
            query={"output_format": "mp3_44100_128 unless set; pcm_24000, opus_48000_64, …"},
            answers=answers,
            speaks=True,
            telling=telling,
            group="ElevenLabs",
        )

    audio = ("audio/mpeg", "audio/pcm", "audio/ogg")
    lines = "application/json"
    return (
        speaks(
            *("/stream/with-timestamps", handlers.stream_with_timestamps),
            *("Speak a text: objects with audio and times, one in a line.", lines),
        ),
        speaks(
            *("/with-timestamps", handlers.with_timestamps),
            *("Speak a text: all of the audio, with times.", lines),
        ),
        speaks("/stream", handlers.stream, "Speak a text: audio as it is made.", *audio),
        speaks("", handlers.stream, "Speak a text: audio as it is made.", *audio),
        Path(
            *("GET", "/v2/voices", handlers.voices),
            "A page of voices, as ElevenLabs' clients ask for it.",
            query={"search": "words", "page_size": "100", "next_page_token": "of the page before"},
            telling=telling,
            group="ElevenLabs",
        ),
    )
