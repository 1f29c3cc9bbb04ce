"""``/tts/bytes``, ``/tts/sse`` and the voices."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from voxswap_registry.errors import InvalidInputError
from voxswap_registry.names import VoiceRef, check_voice_id
from voxswap_registry.resolution import chosen_version
from voxswap_server.doors.http.audio import begun, send_audio
from voxswap_server.doors.http.cartesia import told
from voxswap_server.doors.http.cartesia.asked import FIELDS, CartesiaSpeech
from voxswap_server.doors.http.cartesia.written import Written
from voxswap_server.doors.http.exchange import Exchange
from voxswap_server.doors.http.fields import named
from voxswap_server.doors.http.guard import Guard
from voxswap_server.doors.http.native import told as native
from voxswap_server.doors.http.routes import Path
from voxswap_server.doors.http.services import Services, tenant_of
from voxswap_server.speech.asking import speech_request
from voxswap_server.speech.messages import Chunk
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.voices import browsing

_CREATED = "1970-01-01T00:00:00Z"


class CartesiaHandlers:
    """Translates, both ways. Confined to one event loop."""

    def __init__(self, services: Services, guard: Guard) -> None:
        self._services = services
        self._guard = guard

    async def bytes(self, exchange: Exchange) -> None:
        """Audio as it is made."""
        with named(FIELDS):
            request, _ = await self._request(exchange)
            async with self._services.speaker.open(request, self._services.call()) as stream:
                await send_audio(exchange, stream)

    async def sse(self, exchange: Exchange) -> None:
        """Audio and times as server-sent events."""
        with named(FIELDS):
            await self._send_events(exchange, *await self._request(exchange))

    async def _send_events(
        self, exchange: Exchange, request: SpeechRequest, context_id: str
    ) -> None:
        clock = self._services.speaker.clock
        call = self._services.call()
        async with (
            self._services.speaker.open(request, call) as stream,
            begun(stream) as (header, messages),
        ):
            await exchange.start("text/event-stream")
            since_s, written = call.arrived_s, Written(request.text)
            try:
                async for message in messages:
                    if not isinstance(message, Chunk):
                        continue
                    step_ms, since_s = (clock() - since_s) * 1e3, clock()
                    for content in (
                        told.chunk(message, context_id, step_ms=step_ms),
                        *told.timestamps(
                            *(message, context_id, header.sample_rate_hertz),
                            *(request.marks, written),
                        ),
                    ):
                        await exchange.event(content["type"], content)
                last = told.done(context_id)
            except Exception as error:  # noqa: BLE001 - told in the stream
                last = told.error(self._guard.problem_of(error), context_id)
            await exchange.event(last["type"], last)
        await exchange.end()

    async def _request(self, exchange: Exchange) -> tuple[SpeechRequest, str]:
        body = exchange.json(CartesiaSpeech)
        request = speech_request(
            body.asked(tenant=tenant_of(exchange.request), eager=True),
            max_characters=self._services.max_text_characters,
        )
        return request, body.context_id or ""

    async def voices(self, exchange: Exchange) -> None:
        """A page of voices. Raises `InvalidInputError`."""
        query = exchange.request.query_params
        limit = query.get("limit", "")
        size = int(limit) if limit.isascii() and limit.isdecimal() and len(limit) < 5 else 10
        if not 1 <= size <= 100:
            raise InvalidInputError.one("limit", f"is {size}; use 1 to 100")
        after = query.get("starting_after", "")
        if after:
            check_voice_id(after, field="starting_after")
        wanted = browsing.voice_filter(search=query.get("q", ""), gender=query.get("gender", ""))

        def page() -> dict[str, Any]:
            catalog = self._services.catalog
            found = list(browsing.listings(catalog, wanted, after=after, limit=size + 1))
            more = len(found) > size
            return {
                "data": [_voice(native.listing(voice)) for voice in found[:size]],
                "has_more": more,
                "next_page": found[size - 1].voice_id if more else None,
            }

        await exchange.answer_json(await asyncio.to_thread(page))

    async def voice(self, exchange: Exchange) -> None:
        """One voice."""
        ref = VoiceRef.parse(exchange.request.path_params["voice"])
        record = self._services.catalog.record(ref.voice_id)
        manifest = self._services.catalog.manifest(record, chosen_version(record, ref))
        await exchange.answer_json(_voice(native.voice(manifest, record)))


def _voice(shown: native.Told) -> dict[str, Any]:
    language = str(shown.get("language", "")).partition("-")[0]
    return {
        "id": shown["id"],
        "name": shown.get("display_name") or shown["id"],
        "description": shown.get("problem") or f"{shown.get('engine', '')}",
        "language": language,
        "gender": shown.get("gender") or None,
        "access": "public",
        "is_owner": True,
        "is_public": True,
        "visibility": "all",
        "created_at": _CREATED,
        "locales": [],
        "tagline": "",
    }


def paths(services: Services, guard: Guard) -> Sequence[Path]:
    """What Cartesia's clients ask, but for what others ask as well."""
    handlers = CartesiaHandlers(services, guard)
    return (
        Path(
            *("POST", "/tts/bytes", handlers.bytes),
            "Speak a text: audio as it is made.",
            body=CartesiaSpeech,
            answers=("audio/pcm", "audio/wav", "audio/mpeg"),
            speaks=True,
            telling=told.telling,
            group="Cartesia",
        ),
        Path(
            *("POST", "/tts/sse", handlers.sse),
            "Speak a text: audio and times as server-sent events.",
            body=CartesiaSpeech,
            answers=("text/event-stream",),
            speaks=True,
            telling=told.telling,
            group="Cartesia",
        ),
        Path(
            *("GET", "/voices/{voice:path}", handlers.voice),
            "One voice, as Cartesia's clients ask for it.",
            telling=told.telling,
            group="Cartesia",
        ),
    )
