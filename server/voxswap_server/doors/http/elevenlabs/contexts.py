"""``/v1/text-to-speech/{voice}/multi-stream-input`` and ``…/stream-input``: text over a WebSocket.

Each context is a conversation. In ``stream-input`` there is one, without a name, and the socket
ends with it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.websockets import WebSocket

from voxswap_registry.errors import InvalidInputError
from voxswap_registry.names import VoiceRef
from voxswap_registry.resolution import chosen_version
from voxswap_server.doors.http.contexts import begin
from voxswap_server.doors.http.elevenlabs.alignment import Alignment, Character, filled
from voxswap_server.doors.http.elevenlabs.asked import (
    FIELDS,
    VoiceSettings,
    asked,
    refuse_unbuilt,
)
from voxswap_server.doors.http.elevenlabs.formats import format_of
from voxswap_server.doors.http.elevenlabs.speech import telling
from voxswap_server.doors.http.exchange import checked
from voxswap_server.doors.http.fields import named
from voxswap_server.doors.http.guard import Guard, Problem
from voxswap_server.doors.http.routes import socket_route
from voxswap_server.doors.http.services import Services, tenant_of
from voxswap_server.doors.http.sockets import (
    POLICY,
    Socket,
    SocketFaultError,
    SocketGoneError,
    Sockets,
    text_of,
)
from voxswap_server.doors.talks import Talk
from voxswap_server.speech.asking import Faults, speech_request
from voxswap_server.speech.messages import Chunk, Header, Message, Receipt, Trailer

_MOST_CONTEXTS = 32
_MAX_NAME_CHARACTERS = 128
_INACTIVITY_S, _MAX_INACTIVITY_S = 20, 180


class ContextsHandler:
    """Translates, both ways. Confined to one event loop."""

    def __init__(self, services: Services, guard: Guard, *, has_one: bool) -> None:
        """``has_one``: there is one context, without a name."""
        self._services = services
        self._guard = guard
        self._has_one = has_one

    async def __call__(self, socket: Socket) -> None:
        """All contexts of a socket."""
        contexts = _Contexts(socket, self._services, self._guard, has_one=self._has_one)
        await contexts.run()

    def refusal(self, connection: WebSocket) -> Response | None:
        """The answer to who asks for a voice that there is not, if there are to be contexts.

        Published clients of that kind miss what is said of a context, and wait for its audio.
        """
        if self._has_one:
            return None
        try:
            ref = VoiceRef.parse(connection.path_params["voice"])
            chosen_version(self._services.catalog.record(ref.voice_id), ref)
        except Exception as error:  # noqa: BLE001 - told to whoever asks
            problem = self._guard.problem_of(error)
            return JSONResponse(telling(problem), status_code=problem.status)
        return None

    @staticmethod
    def fault(message: str) -> dict[str, Any]:
        """The last message of a socket that is closed for a fault of its client."""
        return {"error": message, "message": message, "code": POLICY}


class _Contexts:
    """Those of one socket, by name."""

    def __init__(self, socket: Socket, services: Services, guard: Guard, *, has_one: bool) -> None:
        self._socket = socket
        self._services = services
        self._guard = guard
        self._has_one = has_one
        self._voice = socket.connection.path_params["voice"]
        self._query = socket.connection.query_params
        self._contexts: dict[str, _Context] = {}

    async def run(self) -> None:
        """Until the client goes, or has nothing more to say and has heard all."""
        try:
            async for frame in self._socket.frames():
                if not await self._take(frame):
                    break
        finally:
            contexts = list(self._contexts.values())
            for context in contexts:
                if self._socket.is_gone:
                    context.talk.cancel()
                else:
                    context.talk.end()
            for context in contexts:
                await context.talk.ended()

    async def _take(self, frame: dict[str, Any]) -> bool:
        """Whether more is wanted."""
        name = ""
        try:
            name = text_of(frame, "context_id")[:_MAX_NAME_CHARACTERS]
            if frame.get("close_socket") is True:
                return False
            return await self._say(name, frame)
        except SocketGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - told to whoever sent the frame
            if (context := self._contexts.get(name)) is not None:
                context.talk.cancel()
                await context.talk.ended()
            problem = self._guard.problem_of(error)
            if self._has_one or name == "":
                raise SocketFaultError(POLICY, problem.failure.message) from None
            await self._socket.send(_error(name, problem))
            return True

    async def _say(self, name: str, frame: dict[str, Any]) -> bool:
        text = text_of(frame, "text")
        context = self._contexts.get(name)
        if context is None:
            # Keep-alives name no context, or one that has ended.
            if not text or frame.get("close_context") is True:
                return not self._has_one
            context = self._open(name, frame)
        if frame.get("close_context") is True:
            await self._close(name, context)
            return True
        context.say(text, flush=frame.get("flush") is True)
        if self._has_one and text == "":
            context.talk.end()
            return False
        await context.talk.room()
        return True

    async def _close(self, name: str, context: _Context) -> None:
        """What was flushed is spoken to its end; else, or at the second time, no more is.

        So clients both end a turn and interrupt it.
        """
        if context.was_flushed:
            context.was_flushed = False
            context.talk.end()
            return
        context.talk.cancel()
        await context.talk.ended()
        await self._socket.send({"isFinal": True, "audio": None, "contextId": name})

    def _open(self, name: str, frame: dict[str, Any]) -> _Context:
        if len(self._contexts) >= _MOST_CONTEXTS:
            raise InvalidInputError.one(
                "context_id", f"would be one of more than {_MOST_CONTEXTS}; close one"
            )
        context = _Context(name, self._socket, self._query, has_one=self._has_one)
        faults = Faults()
        refuse_unbuilt(
            faults,
            pronunciation_dictionary_locators=frame.get("pronunciation_dictionary_locators"),
            enable_ssml_parsing=self._query.get("enable_ssml_parsing", "").lower() == "true",
        )
        settings = frame.get("voice_settings") or {}
        if not isinstance(settings, dict):
            raise InvalidInputError.one("voice_settings", "is no object; send one, or leave it out")
        with named(FIELDS):
            request = speech_request(
                asked(
                    *(self._voice, "", format_of(self._query.get("output_format", ""))),
                    settings=checked(VoiceSettings, settings),
                    tenant=tenant_of(self._socket.connection),
                    with_words=True,
                ),
                max_characters=self._services.max_text_characters,
                faults=faults,
                text_may_follow=True,
            )
        begin(
            *(self._contexts, name, context, request),
            socket=self._socket,
            services=self._services,
            guard=self._guard,
            tell=lambda problem: _error(name, problem),
            fields=FIELDS,
            idle_s=_patience_s(self._query),
        )
        return context


class _Context:
    """One conversation, and its alignment."""

    talk: Talk
    free: Callable[[], None]

    def __init__(self, name: str, socket: Socket, query: QueryParams, *, has_one: bool) -> None:
        self._name = name
        self._socket = socket
        self._has_one = has_one
        self._alignment = Alignment()
        self._hertz = 1
        self._end = 0
        # Each text is to be spoken as it comes: their clients send sentences then.
        self._speaks_at_once = query.get("auto_mode", "").lower() == "true"
        # Published clients read the times of the one kind from the beginning of the context, and of
        # the other from that of the chunk.
        self._is_absolute = query.get("sync_alignment", "").lower() == "true"
        self._stands_apart = False
        #: Whether that was asked for since the last text.
        self.was_flushed = False

    def say(self, text: str, *, flush: bool) -> None:
        """More text. Raises `InvalidInputError`."""
        if self._stands_apart and text and not text[0].isspace():
            text = f" {text}"  # or else its first word would be one with the last of before
        self.talk.text(text)
        self._alignment.push(text)
        if text:
            self._stands_apart = False
        self.was_flushed = flush or (self.was_flushed and not text.strip())
        if flush or (self._speaks_at_once and text.strip()):
            self.talk.flush()
            self._stands_apart = not text[-1:].isspace()

    async def deliver(self, message: Message) -> None:
        """Send a message of the stream in their words."""
        match message:
            case Header():
                self._hertz = message.sample_rate_hertz
            case Chunk():
                found = self._alignment.chunk(message)
                self._end = message.start_sample + message.sample_count
                await self._send(message, found)
            case Receipt():
                self._alignment.cut()
            case Trailer():
                rest = self._alignment.rest(self._end)
                if not self._is_absolute:
                    # Who reads those takes a word for whole when something follows.
                    rest.append(Character(" ", self._end, self._end))
                if rest:
                    await self._send(Chunk(b"", self._end, 0, ()), rest)
                self.free()
                await self._socket.send(self._named({"isFinal": True, "audio": None}))

    async def _send(self, chunk: Chunk, found: Sequence[Character]) -> None:
        origin = 0
        if not self._is_absolute:
            origin = chunk.start_sample
            found = filled(found, chunk, amid_word=self._alignment.is_amid_word)
        times = self._times(found, origin) if found else None
        await self._socket.send(
            self._named(
                {
                    "audio": base64.b64encode(chunk.audio).decode(),
                    "isFinal": None if self._has_one else False,
                    "alignment": times,
                    "normalizedAlignment": times,
                }
            )
        )

    def _named(self, content: dict[str, Any]) -> dict[str, Any]:
        return content if self._has_one else {**content, "contextId": self._name}

    def _times(self, found: Sequence[Character], origin: int) -> dict[str, Any]:
        def milliseconds(sample: int) -> int:
            return round(1e3 * max(0, sample - origin) / self._hertz)

        starts = [milliseconds(character.start) for character in found]
        ends = [milliseconds(character.end) for character in found]
        return {
            "chars": [character.text for character in found],
            "charStartTimesMs": starts,
            "charDurationsMs": [end - start for start, end in zip(starts, ends, strict=True)],
        }


def _patience_s(query: QueryParams) -> float:
    """``inactivity_timeout``. Raises `InvalidInputError`."""
    text = query.get("inactivity_timeout", "")
    if not text:
        return _INACTIVITY_S
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:9]) <= _MAX_INACTIVITY_S):
        raise InvalidInputError.one(
            "inactivity_timeout", f"is {text[:20]!r}; use 1 to {_MAX_INACTIVITY_S} seconds"
        )
    return float(text)


def _error(name: str, problem: Problem) -> dict[str, Any]:
    failure = problem.failure
    told = {"error": failure.message, "message": failure.message, "code": problem.status}
    return {**told, "contextId": name} if name else told


def sockets(services: Services, guard: Guard, made: Sockets) -> Sequence[BaseRoute]:
    """The paths of both kinds."""
    path = "/v1/text-to-speech/{voice:path}"

    def route(end: str, *, has_one: bool) -> BaseRoute:
        handler = ContextsHandler(services, guard, has_one=has_one)
        app = made.app(handler, tell=handler.fault, refuse=handler.refusal)
        return socket_route(f"{path}/{end}", app)

    return (route("multi-stream-input", has_one=False), route("stream-input", has_one=True))
