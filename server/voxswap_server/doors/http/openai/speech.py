"""``POST /v1/audio/speech``."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from voxswap_registry.catalog.index import VoiceFilter
from voxswap_registry.errors import InvalidInputError, VoiceNotFoundError
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.doors.emotions import AUTO, is_vocabulary, mixture_in
from voxswap_server.doors.http.audio import begun, send_audio
from voxswap_server.doors.http.exchange import Exchange
from voxswap_server.doors.http.fields import named
from voxswap_server.doors.http.guard import Guard, Problem
from voxswap_server.doors.http.native.asked import Body, Seed
from voxswap_server.doors.http.routes import Path
from voxswap_server.doors.http.services import Services, tenant_of
from voxswap_server.doors.http.whole import Spoken, Whole
from voxswap_server.speech.asking import Asked, AskedEmotion, speech_request
from voxswap_server.speech.listening import Stream
from voxswap_server.speech.messages import Chunk, Mark
from voxswap_server.speech.request import MarkKind, SpeechRequest
from voxswap_server.voices.browsing import listings

_FORMATS = {
    "mp3": AudioEncoding.MP3,
    "opus": AudioEncoding.OGG_OPUS,
    "flac": AudioEncoding.FLAC,
    "wav": AudioEncoding.WAV,
    "pcm": AudioEncoding.PCM_S16LE,
}
# What has no header is at this rate, as its readers know.
_PCM_HERTZ = 24_000
_FIELDS = {
    "text": "input",
    "controls.rate": "speed",
    "audio.encoding": "response_format",
    "audio.sample_rate_hertz": "sample_rate",
    "style_prompt": "instructions",
    "emotion.mixture": "instructions",
    "emotion.from_text": "instructions",
    "emotion.fallback": "instructions",
}
# Names that clients know from elsewhere; each means: the voice decides.
_MODELS = ("voxswap", "tts-1", "tts-1-hd", "gpt-4o-mini-tts")
_MOST_VOICES = 10_000
_MOST_TIMES_BYTES = 4096


class VoiceName(Body):
    """A voice by its id, as an object."""

    id: str


class OpenaiSpeech(Body):
    """What OpenAI's clients send, and what self-hosted servers take besides."""

    model: str = Field(description="any: the voice decides")
    input: str = Field(description="what to say")
    voice: str | VoiceName | None = Field(default=None, description="a voice's id")
    speaker: str | None = Field(default=None, description="voice, by another name")
    instructions: str = Field(
        default="",
        description="an emotion ('sad'), several ('angry=0.7, sad=0.2'), 'auto' for what the text "
        "says, or a style in words, of voices that take one",
    )
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: Annotated[float, Field(ge=0.25, le=4.0)] = 1.0
    stream_format: Literal["audio", "sse"] = "audio"
    stream: bool = Field(default=True, description="false: sent once all of it is there")
    sample_rate: int = Field(default=0, description="8000 to 48000")
    seed: Seed | None = None
    language: str | None = Field(default=None, description="one that the voice speaks")
    word_timestamps: bool = Field(default=False, description="in the header X-Word-Timestamps")


class OpenaiHandlers:
    """Translates, both ways. Confined to one event loop."""

    def __init__(self, services: Services, guard: Guard, whole: Whole) -> None:
        self._services = services
        self._guard = guard
        self._whole = whole

    async def speech(self, exchange: Exchange) -> None:
        """Audio as it is made, as events, or whole."""
        body = exchange.json(OpenaiSpeech)
        with named(_FIELDS):
            request = self._request(body, tenant_of(exchange.request))
            async with self._services.speaker.open(request, self._services.call()) as stream:
                if body.word_timestamps or not body.stream:
                    await self._send_whole(exchange, stream, with_times=body.word_timestamps)
                elif body.stream_format == "sse":
                    await self._send_events(exchange, stream, len(body.input))
                else:
                    await send_audio(exchange, stream)

    def _request(self, body: OpenaiSpeech, tenant: str) -> SpeechRequest:
        voice = body.voice.id if isinstance(body.voice, VoiceName) else body.voice
        if body.response_format == "aac":
            raise InvalidInputError.one(
                "response_format", f"aac is not made here; use one of {', '.join(_FORMATS)}"
            )
        encoding = _FORMATS[body.response_format]
        rate = body.sample_rate or (_PCM_HERTZ if encoding is AudioEncoding.PCM_S16LE else 0)
        return speech_request(
            Asked(
                voice=voice or body.speaker or "",
                text=body.input,
                encoding=encoding,
                sample_rate_hertz=rate,
                controls={"rate": body.speed},
                seed=body.seed,
                marks=[MarkKind.WORD] if body.word_timestamps else [],
                **_instructed(body.instructions),
                tenant=tenant,
                paced=body.stream,
                eager=True,  # nobody says whether it is played or kept
            ),
            max_characters=self._services.max_text_characters,
        )

    async def _send_whole(self, exchange: Exchange, stream: Stream, *, with_times: bool) -> None:
        def headers(spoken: Spoken) -> dict[str, str]:
            return {"x-word-timestamps": _word_times(spoken)} if with_times else {}

        await self._whole.answer(exchange, stream, headers=headers)

    async def _send_events(self, exchange: Exchange, stream: Stream, characters: int) -> None:
        samples, hertz = 0, 1
        async with begun(stream) as (header, messages):
            hertz = header.sample_rate_hertz
            await exchange.start("text/event-stream")
            try:
                async for message in messages:
                    if isinstance(message, Chunk):
                        samples = message.start_sample + message.sample_count
                        audio = base64.b64encode(message.audio).decode()
                        await exchange.event("", {"type": "speech.audio.delta", "audio": audio})
            except Exception as error:  # noqa: BLE001 - told in the stream
                problem = self._guard.problem_of(error)
                await exchange.event("", {"type": "error", **telling(problem)})
                await exchange.end()
                return
        usage = _usage(characters, samples, hertz)
        await exchange.event("", {"type": "speech.audio.done", "usage": usage})
        await exchange.write(b"data: [DONE]\n\n")
        await exchange.end()

    async def models(self, exchange: Exchange) -> None:
        """Names that are taken as a model."""
        await exchange.answer_json({"object": "list", "data": [_model(name) for name in _MODELS]})

    async def model(self, exchange: Exchange) -> None:
        """One of them. Raises `VoiceNotFoundError`."""
        name = exchange.request.path_params["model"]
        if name not in _MODELS:
            raise VoiceNotFoundError(f"there is no model {name!r:.80}; there are {_MODELS}")
        await exchange.answer_json(_model(name))

    async def voices(self, exchange: Exchange) -> None:
        """The ids of all voices."""

        def ids() -> list[str]:
            found = listings(self._services.catalog, VoiceFilter(), after="", limit=_MOST_VOICES)
            return [voice.voice_id for voice in found if voice.error is None]

        names = await asyncio.to_thread(ids)
        await exchange.answer_json({"voices": names, "uploaded_voices": []})


def _instructed(text: str) -> dict[str, Any]:
    """Instructions as fields of `Asked`: emotions of the vocabulary, or a style in words."""
    if text.strip().lower() == AUTO:
        return {"emotion": AskedEmotion(from_text=True)}
    mixture = mixture_in(text)
    if mixture is not None and is_vocabulary(mixture):
        return {"emotion": AskedEmotion(mixture)}
    return {"style_prompt": text}


def _usage(characters: int, samples: int, hertz: int) -> dict[str, int]:
    """There are no tokens here: characters went in, and hundredths of a second came out."""
    out = round(100 * samples / hertz)
    return {"input_tokens": characters, "output_tokens": out, "total_tokens": characters + out}


def _word_times(spoken: Spoken) -> str:
    """As many words as fit into a header."""
    hertz = spoken.header.sample_rate_hertz
    words = [_word(mark, hertz) for mark in spoken.marks if mark.kind is MarkKind.WORD]
    while len(told := json.dumps(words, separators=(",", ":"))) > _MOST_TIMES_BYTES:
        del words[len(words) * _MOST_TIMES_BYTES // len(told) :]
    return told


def _word(mark: Mark, hertz: int) -> dict[str, Any]:
    end = mark.start_sample + mark.duration_samples
    return {
        "word": mark.text,
        "start_ms": round(1e3 * mark.start_sample / hertz),
        "end_ms": round(1e3 * end / hertz),
    }


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "voxswap"}


def telling(problem: Problem) -> dict[str, Any]:
    """Errors as OpenAI's clients read them."""
    failure = problem.failure
    if problem.status == 429:
        kind = "rate_limit_error"
    elif problem.status < 500:
        kind = "invalid_request_error"
    else:
        kind = "server_error"
    param = failure.violations[0].field if failure.violations else None
    code = failure.reason.lower()
    return {"error": {"message": failure.message, "type": kind, "param": param, "code": code}}


def paths(services: Services, guard: Guard, whole: Whole) -> Sequence[Path]:
    """What OpenAI's clients ask."""
    handlers = OpenaiHandlers(services, guard, whole)
    group = "OpenAI"
    return (
        Path(
            *("POST", "/v1/audio/speech", handlers.speech),
            "Speak a text, as OpenAI's clients ask for it.",
            body=OpenaiSpeech,
            answers=("audio/mpeg", "audio/ogg", "audio/flac", "audio/wav", "audio/pcm"),
            speaks=True,
            telling=telling,
            group=group,
        ),
        Path(
            *("GET", "/v1/audio/voices", handlers.voices),
            "The ids of all voices.",
            telling=telling,
            group=group,
        ),
    )


def model_paths(services: Services, guard: Guard, whole: Whole) -> Sequence[Path]:
    """`GET /v1/models`, a path that others have too."""
    handlers = OpenaiHandlers(services, guard, whole)
    return (
        Path("GET", "/v1/models", handlers.models, "Names that are taken as a model."),
        Path("GET", "/v1/models/{model}", handlers.model, "One of them.", telling=telling),
    )
