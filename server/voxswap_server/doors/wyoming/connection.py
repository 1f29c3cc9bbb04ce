"""One client of Wyoming: its events, one after the other, and what is spoken for it.

::

    describe                                     -> info
    ping                                         -> pong
    synthesize                                   -> audio-start  audio-chunk …  audio-stop
    synthesize-start  -chunk …  synthesize-stop  -> the same, then synthesize-stopped
    whatever goes wrong                          -> error
    anything else                                   is passed over

One text at a time: a client that asks for another waits until the one before has ended. Between
``synthesize-start`` and ``synthesize-stop`` a ``synthesize`` says the same once more, for servers
that know no better, and is passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.ping import Pong
from wyoming.tts import SynthesizeStopped

from voxswap_registry.errors import InvalidInputError
from voxswap_server.doors.errors import FirstMessageError, PeerGoneError, WriteStalledError
from voxswap_server.doors.failures import Failure
from voxswap_server.doors.places import Row
from voxswap_server.doors.shared import Shared
from voxswap_server.doors.talks import Talk
from voxswap_server.doors.wyoming.asked import request_of, text_of
from voxswap_server.doors.wyoming.events import EventReader, FramingError, encoded
from voxswap_server.doors.wyoming.services import Services
from voxswap_server.speech.messages import Chunk, Header, Message, Trailer
from voxswap_server.speech.request import SpeechRequest

#: Under which a stop waits for what is spoken.
NAME = "/wyoming/synthesize"

_WIDTH_BYTES, _CHANNELS = 2, 1
_LINGER_S, _PIECE_BYTES = 1.0, 1 << 16
_KNOWN = frozenset(
    {
        *("describe", "ping", "synthesize", "synthesize-start", "synthesize-chunk"),
        "synthesize-stop",
    }
)


class Connection:
    """Confined to one event loop."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        services: Services,
        shared: Shared,
        waiting: Row[Connection],
        told: Row[Connection],
        *,
        most_event_bytes: int,
    ) -> None:
        """``waiting`` is the row of those that say nothing, ``told`` of those to whom much is sent
        that is no audio.
        """
        self._reader = reader
        self._events = EventReader(reader, most_event_bytes)
        self._writer = writer
        self._services = services
        self.shared = shared
        self._waiting = waiting
        self._told = told
        self._writing = asyncio.Lock()
        self._is_gone = False
        self._has_spoken = False  # the client has, so it is not a new one any more
        self._patience: asyncio.Timeout | None = None
        self._busy = 0
        self._whole: asyncio.Task[None] | None = None
        self._talk: Talk | None = None
        self._is_streaming = False  # between synthesize-start and synthesize-stop
        self._rate_hertz = 0

    async def run(self) -> None:
        """Until the client goes, or has to. Whatever is spoken for it ends then."""
        try:
            while (event := await self._next()) is not None:
                await self._take(event)
        except PeerGoneError:
            pass
        except Exception as error:  # noqa: BLE001 - framing, silence, or what nobody foresaw
            await self._dismiss(self.shared.failure_of(error))
        finally:
            await self._end()

    def push_out(self) -> None:
        """Others say nothing either, and this one has for longest."""
        self._writer.transport.abort()

    # What the client says

    async def _next(self) -> Event | None:
        first = await self._first_byte()
        if not first:
            return None
        self._has_spoken = True
        limit_s = self.shared.limits.first_message_s
        try:
            async with asyncio.timeout(limit_s):
                return await self._events.rest(first, without_payload=_KNOWN)
        except TimeoutError:
            raise FirstMessageError(
                f"an event was begun and did not come within {limit_s:g} s; send it at once"
            ) from None

    async def _first_byte(self) -> bytes:
        """Nothing if the client has gone, or says nothing for too long."""
        if not self._busy:
            self._waiting.join(self)
        try:
            async with asyncio.timeout(self._patience_s) as self._patience:
                return await self._events.begins()
        except (TimeoutError, ConnectionError):
            return b""
        finally:
            self._patience = None
            self._waiting.leave(self)

    @property
    def _patience_s(self) -> float | None:
        limits = self.shared.limits
        if self._busy:
            return None
        return limits.idle_s if self._has_spoken else limits.first_message_s

    def _begin(self) -> None:
        """Something is under way: the client need not say anything to be kept."""
        self._busy += 1
        self._waiting.leave(self)
        self._move_patience()

    def _ended(self, _: object = None) -> None:
        self._busy -= 1
        if not self._busy and self._patience is not None:
            self._waiting.join(self)
            self._move_patience()

    def _move_patience(self) -> None:
        if self._patience is not None and not self._patience.expired():
            after_s, now_s = self._patience_s, asyncio.get_running_loop().time()
            self._patience.reschedule(None if after_s is None else now_s + after_s)

    async def _take(self, event: Event) -> None:
        try:
            match event.type:
                case "describe":
                    await self._describe()
                case "ping":
                    await self._send(encoded(Pong(text_of(event.data)[:1000] or None).event()))
                case "synthesize":
                    if not self._is_streaming:
                        await self._speak_whole(event.data)
                case "synthesize-start":
                    await self._start(event.data)
                case "synthesize-chunk":
                    await self._say(text_of(event.data))
                case "synthesize-stop":
                    self._stop()
        except (FramingError, PeerGoneError):
            raise
        except Exception as error:  # noqa: BLE001 - told to whoever sent the event
            if self._talk is not None and event.type.startswith("synthesize-"):
                self._talk.cancel()
            await self._fail(self.shared.failure_of(error))

    async def _describe(self) -> None:
        info = await self._services.described.event()
        self._told.join(self)
        try:
            await self._send(info)
        finally:
            self._told.leave(self)

    async def _speak_whole(self, data: dict[str, Any]) -> None:
        await self._spoken()
        request = await self._request(data, is_whole=True)
        self._begin()
        self._whole = asyncio.create_task(self._speak(request))
        self._whole.add_done_callback(self._ended)

    async def _start(self, data: dict[str, Any]) -> None:
        if self._is_streaming and self._talk is not None and not self._talk.has_ended:
            raise InvalidInputError.one(
                "type", "is synthesize-start, and the one before has not ended; stop it first"
            )
        await self._spoken()
        # Also if it fails: what follows is of it.
        self._is_streaming, self._talk = True, None
        request = await self._request(data, is_whole=False)
        self._begin()
        self._talk = Talk(
            *(self._services, self, request),
            deliver=self._deliver,
            fail=self._fail,
            on_end=self._ended,
        )

    async def _say(self, text: str) -> None:
        if not self._is_streaming:
            raise InvalidInputError.one(
                "type", "is synthesize-chunk, and nothing is begun; send synthesize-start first"
            )
        if self._talk is not None and not self._talk.has_ended:
            self._talk.text(text)
            await self._talk.room()

    def _stop(self) -> None:
        if not self._is_streaming:
            raise InvalidInputError.one(
                "type", "is synthesize-stop, and nothing is begun; send synthesize-start first"
            )
        self._is_streaming = False
        if self._talk is not None:
            self._talk.end()

    async def _spoken(self) -> None:
        """Wait until what was asked for before has been spoken."""
        if self._whole is not None:
            await asyncio.wait([self._whole])
        if self._talk is not None:
            await self._talk.ended()
        if self._is_gone:
            raise PeerGoneError

    async def _request(self, data: dict[str, Any], *, is_whole: bool) -> SpeechRequest:
        return await request_of(
            *(data, self._services.catalog),
            max_characters=self._services.max_text_characters,
            is_whole=is_whole,
        )

    # What is spoken

    async def _speak(self, request: SpeechRequest) -> None:
        try:
            with self.shared.streams.one(), self.shared.calls.one(NAME):
                opened = self._services.speaker.open(request, self._services.call())
                async with opened as stream:
                    async for message in stream:
                        await self._deliver(message, is_whole=True)
        except PeerGoneError:
            pass
        except Exception as error:  # noqa: BLE001 - the one boundary where all of them end
            with contextlib.suppress(PeerGoneError):
                await self._fail(self.shared.failure_of(error))

    async def _deliver(self, message: Message, *, is_whole: bool = False) -> None:
        form = (self._rate_hertz, _WIDTH_BYTES, _CHANNELS)
        match message:
            case Header():
                self._rate_hertz = message.sample_rate_hertz
                start = AudioStart(self._rate_hertz, _WIDTH_BYTES, _CHANNELS, timestamp=0)
                await self._send(encoded(start.event()))
            case Chunk():
                at_ms = message.start_sample * 1000 // self._rate_hertz
                await self._send(encoded(AudioChunk(*form, message.audio, at_ms).event()))
            case Trailer():
                last = encoded(AudioStop().event())
                if not is_whole:
                    last += encoded(SynthesizeStopped().event())
                await self._send(last)

    async def _fail(self, failure: Failure) -> None:
        await self._send(encoded(Error(failure.message, failure.reason).event()))

    async def _send(self, data: bytes) -> None:
        """Send ``data``; it is on its way then. Raises `PeerGoneError`."""
        limit_s = self.shared.limits.stalled_write_s
        try:
            async with asyncio.timeout(limit_s), self._writing:
                if self._is_gone:
                    raise PeerGoneError
                self._writer.write(data)
                await self._writer.drain()
        except TimeoutError:
            self.shared.refusals.note(
                WriteStalledError.reason, "a client of Wyoming does not take what is sent"
            )
            self._leave()
            raise PeerGoneError from None
        except ConnectionError:
            self._leave()
            raise PeerGoneError from None

    def _leave(self) -> None:
        """Nothing more can be said to this client."""
        self._is_gone = True
        self._writer.transport.abort()

    async def _dismiss(self, failure: Failure) -> None:
        """Say why it has to go, and hear it out for a moment.

        The kernel drops what was said last where something was sent that nobody has read.
        """
        with contextlib.suppress(PeerGoneError, OSError, TimeoutError):
            await self._fail(failure)
            self._writer.write_eof()
            async with asyncio.timeout(_LINGER_S):
                while await self._reader.read(_PIECE_BYTES):
                    pass

    async def _end(self) -> None:
        if self._talk is not None:
            self._talk.cancel()
        if self._whole is not None:
            self._whole.cancel()
        try:
            with contextlib.suppress(PeerGoneError):
                await self._spoken()
        finally:
            self._is_gone = True
            self._writer.close()
