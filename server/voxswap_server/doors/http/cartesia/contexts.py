"""``/tts/websocket``: each context is a conversation."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from starlette.routing import BaseRoute

from voxswap_registry.errors import InvalidInputError
from voxswap_server.doors.http.cartesia import told
from voxswap_server.doors.http.cartesia.asked import FIELDS, Generation
from voxswap_server.doors.http.cartesia.written import Written
from voxswap_server.doors.http.contexts import begin
from voxswap_server.doors.http.exchange import checked
from voxswap_server.doors.http.fields import named
from voxswap_server.doors.http.guard import Guard, problem_of
from voxswap_server.doors.http.routes import socket_route
from voxswap_server.doors.http.services import Services, tenant_of
from voxswap_server.doors.http.sockets import Socket, SocketGoneError, Sockets, text_of
from voxswap_server.doors.talks import Talk
from voxswap_server.speech.asking import speech_request
from voxswap_server.speech.messages import Chunk, Header, Message, Trailer
from voxswap_server.speech.request import MarkKind, SpeechRequest

_MOST_CONTEXTS = 64
_BUFFER_DELAY_MS = 3000


class ContextsHandler:
    """Translates, both ways. Confined to one event loop."""

    def __init__(self, services: Services, guard: Guard) -> None:
        self._services = services
        self._guard = guard

    async def __call__(self, socket: Socket) -> None:
        """All contexts of a socket."""
        await _Contexts(socket, self._services, self._guard).run()

    @staticmethod
    def fault(message: str) -> dict[str, Any]:
        """The last message of a socket that is closed for a fault of its client."""
        return told.error(problem_of(InvalidInputError.one("frame", message)), None)


class _Contexts:
    """Those of one socket, by id."""

    def __init__(self, socket: Socket, services: Services, guard: Guard) -> None:
        self._socket = socket
        self._services = services
        self._guard = guard
        self._contexts: dict[str, _Context] = {}

    async def run(self) -> None:
        """Until the client goes."""
        try:
            async for frame in self._socket.frames():
                await self._take(frame)
        finally:
            contexts = list(self._contexts.values())
            for context in contexts:
                context.talk.cancel()
            for context in contexts:
                await context.talk.ended()

    async def _take(self, frame: dict[str, Any]) -> None:
        name: str | None = None
        try:
            name = text_of(frame, "context_id") or None
            await self._say(name or "", frame)
        except SocketGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - told to whoever sent the frame
            if name is not None and (context := self._contexts.get(name)) is not None:
                context.talk.cancel()
                await context.talk.ended()
            await self._socket.send(told.error(self._guard.problem_of(error), name))

    async def _say(self, name: str, frame: dict[str, Any]) -> None:
        context = self._contexts.get(name)
        if frame.get("cancel") is True:
            # Nothing more is said of it: a client that lets go of its name takes any last word
            # for that of its next context.
            if context is not None:
                context.talk.cancel()
                await context.talk.ended()
            return
        with named(FIELDS):
            said = checked(Generation, frame)
            if context is None:
                if not said.transcript and not said.continue_:
                    await self._socket.send(told.done(name))
                    return
                context = self._open(name, said)
            context.say(said)
        await context.talk.room()

    def _open(self, name: str, said: Generation) -> _Context:
        if len(self._contexts) >= _MOST_CONTEXTS:
            raise InvalidInputError.one(
                "context_id", f"would be one of more than {_MOST_CONTEXTS}; end one"
            )
        request = speech_request(
            said.asked(tenant=tenant_of(self._socket.connection), text_follows=True),
            max_characters=self._services.max_text_characters,
            text_may_follow=True,
        )
        context = _Context(name, self._socket, self._services, said, request)
        begin(
            *(self._contexts, name, context, request),
            socket=self._socket,
            services=self._services,
            guard=self._guard,
            tell=lambda problem: told.error(problem, name),
            fields=FIELDS,
            on_end=context.ended,
        )
        return context


class _Context:
    """One conversation: what was flushed, and until when text may wait for more."""

    talk: Talk
    free: Callable[[], None]

    def __init__(
        self,
        name: str,
        socket: Socket,
        services: Services,
        first: Generation,
        request: SpeechRequest,
    ) -> None:
        self._name = name
        self._socket = socket
        self._clock = services.speaker.clock
        self._since_s = self._clock()
        self._kinds = request.marks - (set() if first.add_timestamps else {MarkKind.WORD})
        delay_ms = first.max_buffer_delay_ms
        self._delay_s = (_BUFFER_DELAY_MS if delay_ms is None else delay_ms) / 1e3
        self._timer: asyncio.TimerHandle | None = None
        self._hertz = 1
        self._written = Written()
        self._characters = 0
        self._flushed: deque[tuple[int, int]] = deque()  # where in the text, and its number
        self._flushes = 0

    def say(self, said: Generation) -> None:
        """More text. Raises `InvalidInputError`."""
        self.talk.text(said.transcript)
        if MarkKind.WORD in self._kinds:
            self._written.push(said.transcript)
        self._characters += len(said.transcript)
        if said.flush:
            self._flushes += 1
            self._flushed.append((self._characters, self._flushes))
            self.talk.flush()
        if not said.continue_:
            self.ended()
            self.talk.end()
        elif said.transcript:
            self._wait_for_more()

    def ended(self) -> None:
        """Nothing waits any more; again does nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait_for_more(self) -> None:
        """What is no whole sentence is spoken all the same once nothing more has come for long."""
        self.ended()
        if not self._delay_s:
            self.talk.flush()
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._delay_s, self.talk.flush)

    async def deliver(self, message: Message) -> None:
        """Send a message of the stream in their words."""
        match message:
            case Header():
                self._hertz = message.sample_rate_hertz
            case Chunk():
                starts = [m.text_start for m in message.marks if m.kind is MarkKind.WORD]
                await self._tell_flushed(max(starts, default=-1))
                step_ms = (self._clock() - self._since_s) * 1e3
                self._since_s = self._clock()
                await self._socket.send(told.chunk(message, self._name, step_ms=step_ms))
                for content in told.timestamps(
                    *(message, self._name, self._hertz, self._kinds, self._written)
                ):
                    await self._socket.send(content)
            case Trailer():
                await self._tell_flushed(self._characters)
                self.free()
                await self._socket.send(told.done(self._name))

    async def _tell_flushed(self, place: int) -> None:
        """What was flushed before ``place`` has been sent: a word that came later begins."""
        while self._flushed and self._flushed[0][0] <= place:
            _, number = self._flushed.popleft()
            await self._socket.send(told.flush_done(self._name, number))


def sockets(services: Services, guard: Guard, made: Sockets) -> Sequence[BaseRoute]:
    """The path."""
    handler = ContextsHandler(services, guard)
    return (socket_route("/tts/websocket", made.app(handler, tell=handler.fault)),)
