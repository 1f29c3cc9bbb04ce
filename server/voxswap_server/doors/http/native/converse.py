"""``/v1/converse``: text that is still being written goes in, audio and marks come out.

Objects in text frames; each piece of audio is a binary frame, right behind its ``chunk``. Several
conversations go over one socket, each under the name that its client gave it.

::

    client   start    text  flush  interrupt  end  cancel        resume (after a break)
    server   header   chunk + audio  interrupted  trailer | error    resumed
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from voxswap_registry.errors import InvalidInputError
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.doors.failures import Failure
from voxswap_server.doors.http.exchange import checked
from voxswap_server.doors.http.guard import Guard, Problem, problem_of, problem_with, tell
from voxswap_server.doors.http.native.asked import Resume, Start
from voxswap_server.doors.http.native.outlets import Outlet, Parked
from voxswap_server.doors.http.services import Services, tenant_of
from voxswap_server.doors.http.sockets import (
    POLICY,
    Socket,
    SocketFaultError,
    SocketGoneError,
    text_of,
)
from voxswap_server.doors.talks import Talk
from voxswap_server.speech.asking import speech_request

#: Of one socket.
MOST_CONVERSATIONS = 32
_MAX_NAME_CHARACTERS = 128


class ConverseHandler:
    """Translates, both ways. Confined to one event loop."""

    def __init__(self, services: Services, guard: Guard) -> None:
        self._services = services
        self._guard = guard
        self._parked = Parked()

    async def __call__(self, socket: Socket) -> None:
        """All conversations of a socket."""
        await _Conversations(socket, self._services, self._guard, self._parked).run()

    def fault(self, message: str) -> dict[str, Any]:
        """The last message of a socket that is closed for a fault of its client."""
        return {"type": "error", **tell(problem_of(InvalidInputError.one("frame", message)))}


class _Conversations:
    """Those of one socket, by name."""

    def __init__(self, socket: Socket, services: Services, guard: Guard, parked: Parked) -> None:
        self._socket = socket
        self._services = services
        self._guard = guard
        self._parked = parked
        self._outlets: dict[str, Outlet] = {}

    async def run(self) -> None:
        """Until the client goes. What may be resumed waits for it then; the rest ends."""
        try:
            async for frame in self._socket.frames():
                await self._take(frame)
        finally:
            outlets = list(self._outlets.values())
            for outlet in outlets:
                outlet.leave(self._socket)
            ending = [outlet.talk.ended() for outlet in outlets if not outlet.is_resumable]
            await asyncio.gather(*ending)

    async def _take(self, frame: dict[str, Any]) -> None:
        name = frame.get("conversation")
        if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME_CHARACTERS:
            raise SocketFaultError(
                POLICY,
                f"conversation: must be a text of 1 to {_MAX_NAME_CHARACTERS} characters; each "
                "frame names the conversation that it belongs to",
            )
        try:
            await self._say(name, frame)
        except SocketGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - told to whoever sent the frame
            if (outlet := self._outlets.get(name)) is not None:
                outlet.talk.cancel()
                await outlet.talk.ended()
            await self._fail(name, self._guard.problem_of(error))

    async def _say(self, name: str, frame: dict[str, Any]) -> None:
        kind = frame.get("type")
        if kind == "start":
            self._start(name, frame)
            return
        if kind == "resume":
            await self._resume(name, checked(Resume, frame))
            return
        say = _SAYINGS.get(kind if isinstance(kind, str) else "")
        if say is None:
            there = ", ".join(("start", *_SAYINGS, "resume"))
            raise InvalidInputError.one("type", f"is {kind!r:.60}; there are {there}")
        known = {"type", "conversation", "text" if kind == "text" else "type"}
        for field in frame.keys() - known:
            raise InvalidInputError.one(f"{field:.32}", f"is no field of {kind}; leave it out")
        outlet = self._outlets.get(name)
        if outlet is None:
            raise InvalidInputError.one(
                "conversation", "is not under way, or has ended; begin it with start"
            )
        outlet.frames_taken += 1
        await say(outlet.talk, frame)
        await outlet.talk.room()

    def _start(self, name: str, frame: dict[str, Any]) -> None:
        if name in self._outlets:
            raise InvalidInputError.one("conversation", "is under way; end it, or use another name")
        if len(self._outlets) >= MOST_CONVERSATIONS:
            raise InvalidInputError.one(
                "conversation",
                f"would be one of more than {MOST_CONVERSATIONS} on this socket; end one, or open "
                "another socket",
            )
        start = checked(Start, frame)
        tenant = tenant_of(self._socket.connection)
        request = speech_request(
            start.asked(tenant=tenant, encoding=AudioEncoding.PCM_S16LE),
            max_characters=self._services.max_text_characters,
            text_may_follow=True,
        )
        outlet = Outlet(self._parked, is_resumable=start.resumable)

        async def fail(failure: Failure) -> None:
            await outlet.send({"type": "error", **tell(problem_with(failure))})

        outlet.talk = Talk(
            *(self._services, self._guard, request),
            deliver=outlet.deliver,
            fail=fail,
            on_end=outlet.ended,
        )
        self._attach(name, outlet)

    async def _resume(self, name: str, asked: Resume) -> None:
        if name in self._outlets:
            raise InvalidInputError.one("conversation", "is under way; use another name")
        outlet = self._parked.taken(asked.stream_id)
        outlet.rewind(asked.sample)
        self._attach(name, outlet)
        await outlet.catch_up()

    def _attach(self, name: str, outlet: Outlet) -> None:
        self._socket.begin()

        def gone() -> None:
            self._socket.end()
            if self._outlets.get(name) is outlet:
                del self._outlets[name]

        self._outlets[name] = outlet
        outlet.attach(self._socket, name, gone)

    async def _fail(self, name: str, problem: Problem) -> None:
        await self._socket.send({"type": "error", "conversation": name, **tell(problem)})


async def _text(talk: Talk, frame: dict[str, Any]) -> None:
    talk.text(text_of(frame, "text"))


async def _flush(talk: Talk, _: dict[str, Any]) -> None:
    talk.flush()


async def _interrupt(talk: Talk, _: dict[str, Any]) -> None:
    await talk.interrupt()


async def _end(talk: Talk, _: dict[str, Any]) -> None:
    talk.end()


async def _cancel(talk: Talk, _: dict[str, Any]) -> None:
    talk.cancel()
    await talk.ended()


_SAYINGS: dict[str, Callable[[Talk, dict[str, Any]], Any]] = {
    "text": _text,
    "flush": _flush,
    "interrupt": _interrupt,
    "end": _end,
    "cancel": _cancel,
}
