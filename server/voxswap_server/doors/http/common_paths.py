"""Paths that several protocols have: a header that each one's clients send says which is meant."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from voxswap_server.doors.http.cartesia.speech import CartesiaHandlers
from voxswap_server.doors.http.elevenlabs.speech import ElevenLabsHandlers
from voxswap_server.doors.http.exchange import Exchange
from voxswap_server.doors.http.guard import Guard, Handler
from voxswap_server.doors.http.mods import paths as mods
from voxswap_server.doors.http.native import paths as native
from voxswap_server.doors.http.openai import speech as openai
from voxswap_server.doors.http.routes import Path
from voxswap_server.doors.http.services import Services
from voxswap_server.doors.http.whole import Whole

_ELEVENLABS, _CARTESIA = "xi-api-key", "cartesia-version"


def common_paths(services: Services, guard: Guard, whole: Whole) -> Sequence[Path]:
    """`/v1/voices` and `/v1/models`, ElevenLabs' with its key; `/voices`, Cartesia's with its
    version.
    """
    eleven = ElevenLabsHandlers(services, guard, whole)
    models, model = openai.model_paths(services, guard, whole)
    return (
        _or(native.voice_list(services), _ELEVENLABS, eleven.voices),
        _or(native.one_voice(services), _ELEVENLABS, eleven.voice),
        _or(models, _ELEVENLABS, eleven.models),
        model,
        _or(mods.voice_list(services, whole), _CARTESIA, CartesiaHandlers(services, guard).voices),
    )


def _or(path: Path, header: str, theirs: Handler) -> Path:
    """``path``, and ``theirs`` for requests that have ``header``."""
    ours = path.handler

    async def either(exchange: Exchange) -> None:
        await (theirs if header in exchange.request.headers else ours)(exchange)

    return dataclasses.replace(path, handler=either)
