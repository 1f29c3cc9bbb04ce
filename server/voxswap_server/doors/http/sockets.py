"""WebSockets: frames of bounded size, one after the other, and places for those who say nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from voxswap_registry.errors import InvalidInputError, ManifestError
from voxswap_registry.json_reader import read_json
from voxswap_server.doors.errors import PeerGoneError
from voxswap_server.doors.http.exchange import json_text
from voxswap_server.doors.places import Row
from voxswap_server.doors.shared import Shared

NORMAL, GOING_AWAY, UNSUPPORTED, POLICY = 1000, 1001, 1003, 1008

_MOST_IDLE = 256
_MOST_ENTRIES = 1024
_REMEDY = "send one object of JSON in a text frame"


class SocketGoneError(PeerGoneError):
    """Nobody is there any more."""


class SocketFaultError(Exception):
    """A frame that no protocol of ours takes: the socket is closed with ``code``."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Socket:
    """One WebSocket: one task reads, any may write. Confined to one event loop.

    What is written is on its way when that returns: it waits as long as the client does not take
    what came before.
    """

    def __init__(
        self, connection: WebSocket, send: Send, idle: Row[Socket], shared: Shared
    ) -> None:
        self.connection = connection
        self._send = send
        self._idle = idle
        self._shared = shared
        self._writing = asyncio.Lock()
        self._end: asyncio.Timeout | None = None
        self.is_gone = False
        self._busy = 0

    async def accept(self, subprotocol: str | None) -> None:
        """Open it. Raises `SocketGoneError`."""
        await self._write({"type": "websocket.accept", "subprotocol": subprotocol})

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        """Objects that the client sends, until it goes, or has been idle for too long.

        Raises `SocketFaultError` for a frame that is none.
        """
        while (text := await self._text()) is not None:
            try:
                yield read_json(
                    text.encode(errors="surrogatepass"),
                    where="frame",
                    limit_bytes=self._shared.limits.max_message_bytes,
                    most_entries=_MOST_ENTRIES,
                    remedy=_REMEDY,
                )
            except ManifestError as error:
                raise SocketFaultError(POLICY, error.message) from None

    async def _text(self) -> str | None:
        if not self._busy:
            self._idle.join(self)
        try:
            async with asyncio.timeout(self._patience_s) as self._end:
                message = await self.connection.receive()
        except TimeoutError:
            raise SocketFaultError(NORMAL, "nothing was said for too long") from None
        finally:
            self._end = None
            self._idle.leave(self)
        if message["type"] == "websocket.disconnect":
            self.is_gone = True
            return None
        text: str | None = message.get("text")
        if text is None:
            raise SocketFaultError(UNSUPPORTED, "binary frames are not taken; send JSON as text")
        return text

    @property
    def _patience_s(self) -> float | None:
        return None if self._busy else self._shared.limits.idle_s

    def begin(self) -> None:
        """Something is under way: until its `end` the client need not say anything to be kept."""
        self._busy += 1
        self._idle.leave(self)
        self._move_end(None)

    def end(self) -> None:
        """Something has come to its end."""
        self._busy -= 1
        if not self._busy and self._end is not None:
            self._move_end(self._shared.limits.idle_s)
            self._idle.join(self)

    def push_out(self) -> None:
        """Others say nothing either, and this one has for longest."""
        self._move_end(0.0)

    def _move_end(self, after_s: float | None) -> None:
        """The wait for a frame ends then, if there is one."""
        if self._end is not None and not self._end.expired():
            now = asyncio.get_running_loop().time()
            self._end.reschedule(None if after_s is None else now + after_s)

    async def send(self, content: object, audio: bytes | None = None) -> None:
        """Send an object, and the audio that belongs to it. Raises `SocketGoneError`."""
        async with self._writing:
            await self._write({"type": "websocket.send", "text": json_text(content)})
            if audio is not None:
                await self._write({"type": "websocket.send", "bytes": audio})

    async def close(self, code: int, reason: str = "") -> None:
        """End it, unless it has ended."""
        with contextlib.suppress(SocketGoneError):
            # A reason has 123 bytes at most.
            short = reason.encode()[:120].decode(errors="ignore")
            await self._write({"type": "websocket.close", "code": code, "reason": short})
        self.is_gone = True

    async def _write(self, message: dict[str, Any]) -> None:
        if self.is_gone:
            raise SocketGoneError
        try:
            await self._send(message)
        except (OSError, RuntimeError) as error:
            self.is_gone = True
            raise SocketGoneError from error


class Sockets:
    """Makes handlers of WebSockets applications. Confined to one event loop."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self._idle: Row[Socket] = Row(_MOST_IDLE, Socket.push_out)

    def app(
        self,
        handler: Callable[[Socket], Awaitable[None]],
        *,
        tell: Callable[[str], object],
        subprotocols: frozenset[str] = frozenset(),
    ) -> ASGIApp:
        """``handler`` for each socket, from when it is open until it has ended.

        ``tell`` makes the last message of a socket that is closed for a fault of its client.
        """

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            connection = WebSocket(scope, receive, send)
            await connection.receive()  # that it was opened
            chosen = next((p for p in scope["subprotocols"] if p in subprotocols), None)
            socket = Socket(connection, send, self._idle, self.shared)
            try:
                await socket.accept(chosen)
                await handler(socket)
                await socket.close(NORMAL)
            except SocketGoneError:
                pass
            except SocketFaultError as fault:
                with contextlib.suppress(SocketGoneError):
                    await socket.send(tell(fault.message))
                await socket.close(fault.code, fault.message)
            except asyncio.CancelledError:
                # The server stops; uvicorn has told the client.
                socket.is_gone = True

        return serve


def text_of(frame: dict[str, Any], field: str) -> str:
    """A field that is a text; empty if it is not there. Raises `InvalidInputError`."""
    found = frame.get(field, "")
    if found is None:
        return ""
    if not isinstance(found, str):
        raise InvalidInputError.one(field, "is no text; send a string")
    return found
