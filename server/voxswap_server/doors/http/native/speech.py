"""``POST /v1/speech``: a text in, audio as it is made."""

from __future__ import annotations

from voxswap_registry.errors import InvalidInputError
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.doors.http import media
from voxswap_server.doors.http.audio import begun, send_audio
from voxswap_server.doors.http.exchange import Exchange
from voxswap_server.doors.http.guard import Guard, tell
from voxswap_server.doors.http.native import told
from voxswap_server.doors.http.native.asked import Interrupt, LongSpeech, Speech
from voxswap_server.doors.http.services import Services, tenant_of
from voxswap_server.doors.http.whole import Whole
from voxswap_server.speech.asking import Faults, speech_request
from voxswap_server.speech.listening import Stream
from voxswap_server.speech.messages import Message, Receipt, Trailer
from voxswap_server.speech.request import SpeechRequest

# Of a line that was spoken to its end, and of one that was interrupted.
_TRAILERS = tuple(
    told.http_headers(
        dict.fromkeys(
            (
                *("total_samples", "seed", "compute_ms", "first_chunk_ms", "underruns"),
                *("end_sample", "last_word", "text_end"),
            )
        )
    )
)
_EVENTS = "text/event-stream"


class SpeechHandlers:
    """Translates, both ways. Confined to one event loop."""

    def __init__(self, services: Services, guard: Guard, whole: Whole) -> None:
        self._services = services
        self._guard = guard
        self._whole = whole

    async def speech(self, exchange: Exchange) -> None:
        """Audio as it is made, or events with audio, marks and receipt.

        Raises `InvalidInputError`.
        """
        body = exchange.json(LongSpeech)
        wanted = exchange.request.headers.get("accept", "")
        with_events = body.stream == "events"
        encoding = media.accepted(wanted)
        if encoding is None:
            encoding = AudioEncoding.PCM_S16LE if with_events else AudioEncoding.WAV
        request = self._request(body, exchange, encoding)
        if request.encoding is AudioEncoding.OPUS_PACKETS and not with_events:
            raise InvalidInputError.one(
                "audio.encoding",
                "is opus_packets, which nothing parts here; set stream to events, or use ogg_opus",
            )
        if request.marks and not with_events:
            raise InvalidInputError.one("marks", "come with events alone; set stream to 'events'")
        async with self._services.speaker.open(request, self._services.call()) as stream:
            if with_events:
                await self._send_events(exchange, stream)
            else:
                await send_audio(
                    *(exchange, stream),
                    headers=lambda header: told.http_headers(told.header(header)),
                    trailers=_TRAILERS,
                    facts=_facts,
                )

    async def tts(self, exchange: Exchange) -> None:
        """JSON in, a whole WAV file out. Raises `InvalidInputError`."""
        body = exchange.json(Speech)
        encoding = body.audio.encoding or body.format or AudioEncoding.WAV
        if encoding is not AudioEncoding.WAV:
            raise InvalidInputError.one(
                "format", "is always wav here; POST /v1/speech has the others"
            )
        request = self._request(body, exchange, AudioEncoding.WAV, paced=False)
        async with self._services.speaker.open(request, self._services.call()) as stream:
            await self._whole.answer(exchange, stream)

    async def interrupt(self, exchange: Exchange) -> None:
        """Stop a stream by its id."""
        body = exchange.json(Interrupt)
        receipt = await self._services.speaker.interrupt(body.stream_id)
        await exchange.answer_json(told.receipt(receipt))

    def _request(
        self, body: Speech, exchange: Exchange, encoding: AudioEncoding, *, paced: bool = True
    ) -> SpeechRequest:
        faults = Faults()
        if body.format and body.audio.encoding and body.format is not body.audio.encoding:
            faults.add("format", "is not audio.encoding; send one of them")
        return speech_request(
            body.asked(tenant=tenant_of(exchange.request), encoding=encoding, paced=paced),
            max_characters=self._services.max_text_characters,
            faults=faults,
        )

    async def _send_events(self, exchange: Exchange, stream: Stream) -> None:
        async with begun(stream) as (header, messages):
            await exchange.start(_EVENTS)
            await exchange.event("header", told.message(header, with_audio=True))
            try:
                async for message in messages:
                    shown = told.message(message, with_audio=True)
                    await exchange.event(shown["type"], shown)
            except Exception as error:  # noqa: BLE001 - told in the stream, which goes on to its end
                problem = self._guard.problem_of(error)
                await exchange.event("error", {"type": "error", **tell(problem)})
        await exchange.end()


def _facts(last: Message) -> dict[str, str]:
    """What is known at the end, as trailers."""
    match last:
        case Trailer():
            return told.http_headers(told.trailer(last))
        case Receipt():
            return told.http_headers(told.receipt(last))
        case _:
            return {}
