"""Connections as uvicorn has them, with limits of time and number for those who say nothing.

::

    waiting   for a request's head, or between two   a Row; who is late, or pushed out, goes
    busy      with a request, or a WebSocket         places, in `guard` and `sockets`
    stalled   what is sent is not taken              goes after ``stalled_write_s``

uvicorn itself waits for ever for the head of a request, and for what it sends to be taken.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

import h11
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from voxswap_server.doors.errors import WriteStalledError
from voxswap_server.doors.http.parting import GOODBYE_S, PartingTransport
from voxswap_server.doors.places import Row
from voxswap_server.doors.refusals import Refusals

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent

# What is on its way to a reader that has stopped: here, and in the system's own buffer. Together
# about two seconds of 16-bit audio at 24 kHz.
_WRITE_BUFFER_BYTES, _SEND_BUFFER_BYTES = 32 << 10, 64 << 10
#: The head of a request: its line and its headers.
MAX_HEAD_BYTES = 16 << 10
_MOST_WAITING = 512
_EMPTY_AND_CLOSED = ((b"content-length", b"0"), (b"connection", b"close"))


class StreamBrokenError(Exception):
    """What was begun cannot be sent to its end, and nobody must take it for whole."""


class Patience:
    """How long connections may say and take nothing, and those that wait. On one event loop."""

    def __init__(
        self,
        refusals: Refusals,
        *,
        first_message_s: float,
        stalled_write_s: float,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self.first_message_s = first_message_s
        self.stalled_write_s = stalled_write_s
        self._refusals = refusals
        self.waiting: Row[HttpProtocol] = Row(most_waiting, HttpProtocol.push_out)

    def note_stalled(self) -> None:
        """A client does not take what is sent to it, and its connection is ended."""
        self._refusals.note(WriteStalledError.reason, "a client does not take what is sent to it")


class _Stall:
    """Ends the connection of a client that does not take what is sent to it in time."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """Nothing more goes out until some of what is there was taken."""

        def end() -> None:
            self._patience.note_stalled()
            transport.abort()

        loop = asyncio.get_running_loop()
        self.over()
        self._timer = loop.call_later(self._patience.stalled_write_s, end)

    def over(self) -> None:
        """It is taken again, or nobody is there any more; again does nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Connection(h11.Connection):
    """One that can end a chunked answer with trailers."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.trailers: list[tuple[bytes, bytes]] = []

    @override
    def send(self, event: Any) -> Any:
        if isinstance(event, h11.EndOfMessage) and self.trailers:
            event = h11.EndOfMessage(headers=self.trailers)
            self.trailers = []
        return super().send(event)


class HttpProtocol(H11Protocol):
    """One connection, until it is a WebSocket."""

    def __init__(self, *, patience: Patience, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn: _Connection = _Connection()
        self._inner: Any = self.app
        self.app = self._serve
        self._patience = patience
        self._stall = _Stall(patience)
        self._late: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(PartingTransport(transport, self._has_begun))
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        found = transport.get_extra_info("socket")
        if found is not None and found.family in (socket.AF_INET, socket.AF_INET6):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._wait(limited=True)

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if self.conn.their_state is h11.IDLE:
            if self._late is None:
                self._wait(limited=True)  # the first bytes of a next request
        else:
            self._wait_no_longer()

    @override
    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._wait_no_longer()
        super().handle_websocket_upgrade(event)

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and self.conn.their_state is h11.IDLE:
            self._wait(limited=False)  # for as long as uvicorn keeps a connection alive

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_longer()
        self._stall.over()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    @override
    def pause_writing(self) -> None:
        self._stall.begin(self.transport)
        super().pause_writing()

    @override
    def resume_writing(self) -> None:
        self._stall.over()
        super().resume_writing()

    def _has_begun(self) -> bool:
        """Whether there is a request of which the rest may be on its way."""
        return self.conn.their_state in (h11.SEND_BODY, h11.ERROR)

    def push_out(self) -> None:
        """Others wait too, and this one has waited longest."""
        self.transport.abort()

    def _wait(self, *, limited: bool) -> None:
        self._wait_no_longer()
        self._patience.waiting.join(self)
        if limited:
            self._late = self.loop.call_later(self._patience.first_message_s, self.transport.abort)

    def _wait_no_longer(self) -> None:
        self._patience.waiting.leave(self)
        if self._late is not None:
            self._late.cancel()
            self._late = None

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        """The application, which may send trailers, and break off."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD_BYTES:
            # h11 looks at the size of a head that is not whole yet, and of no other.
            await send({"type": "http.response.start", "status": 431, "headers": _EMPTY_AND_CLOSED})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        scope["extensions"] = {**scope.get("extensions", {}), "http.response.trailers": {}}
        has_trailers = False

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal has_trailers
            kind = message["type"]
            if kind == "http.response.start":
                has_trailers = message.pop("trailers", False)
            elif kind == "http.response.body" and has_trailers:
                message["more_body"] = True  # until the trailers come
            elif kind == "http.response.trailers":
                headers: Iterable[tuple[bytes, bytes]] = message["headers"]
                self.conn.trailers = list(headers)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        try:
            await self._inner(scope, receive, sending)
        except StreamBrokenError:
            # Without the end of a chunked answer its reader knows that it is not whole.
            self.transport.abort()
            while (await receive())["type"] != "http.disconnect":
                pass


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket. What is not read is not answered: pings neither."""

    def __init__(self, *, patience: Patience, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.close_timeout = GOODBYE_S
        self._stall = _Stall(patience)
        self._is_broken = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if isinstance(transport, PartingTransport):
            transport.more_may_come = lambda: self._is_broken

    @override
    def handle_parser_exception(self) -> None:
        self._is_broken = True  # a frame that is too long was not read to its end
        super().handle_parser_exception()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stall.over()
        super().connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        self._stall.begin(self.transport)
        super().pause_writing()
        self.transport.pause_reading()

    @override
    def resume_writing(self) -> None:
        self._stall.over()
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    @override
    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        # uvicorn would log a socket that was refused as if that had been forgotten.
        self.handshake_complete |= self.initial_response is not None and self.close_sent

    @override
    async def receive(self) -> ASGIReceiveEvent:
        message = await super().receive()
        if not self.writable.is_set():
            self.transport.pause_reading()
        return message
