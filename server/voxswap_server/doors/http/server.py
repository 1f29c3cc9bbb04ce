"""uvicorn in the server's own process and event loop: it has no say in signals, logs or the end."""

from __future__ import annotations

import asyncio
import functools
import socket
from typing import Any

import uvicorn

from voxswap_server.doors.http.connections import (
    MAX_HEAD_BYTES,
    HttpProtocol,
    Patience,
    WebSocketProtocol,
)
from voxswap_server.doors.ports import bound

_PING_ANSWER_S = 20.0
_CLOSE_S = 0.5
_BACKLOG = 1024


class HttpServer:
    """One port. Confined to one event loop.

    ::

        bound ── start ──> takes requests ── take_no_more ──> those that are there go on
              ── cancel ──> they end ── close ──> nothing is left
    """

    def __init__(
        self,
        app: Any,
        patience: Patience,
        *,
        idle_s: float,
        keepalive_s: float,
        max_message_bytes: int,
    ) -> None:
        self._config = uvicorn.Config(
            app,
            http=functools.partial(HttpProtocol, patience=patience),  # type: ignore[arg-type]
            ws=functools.partial(WebSocketProtocol, patience=patience),  # type: ignore[arg-type]
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # what strangers send is no news
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=max(1, round(idle_s)),
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            ws_max_size=max_message_bytes,
            ws_ping_interval=keepalive_s,
            ws_ping_timeout=min(_PING_ANSWER_S, keepalive_s),
            ws_per_message_deflate=False,  # audio does not shrink, and a bomb does not grow
        )
        self._server = uvicorn.Server(self._config)
        self._socket: socket.socket | None = None
        self._ticking: asyncio.Task[None] | None = None

    def bind(self, host: str, port: int) -> str:
        """Take the port; the address as it is. Raises OSError."""
        self._socket, address = bound(host, port)
        return address

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._server.server_state.connections)

    async def start(self) -> None:
        """Take requests. REQUIRES: `bind`."""
        assert self._socket is not None  # noqa: S101 - the caller's part
        self._config.load()
        self._server.lifespan = self._config.lifespan_class(self._config)
        await self._server.startup(sockets=[self._socket])
        self._ticking = asyncio.create_task(self._server.main_loop())

    def take_no_more(self) -> None:
        """New connections are refused."""
        for listener in getattr(self._server, "servers", ()):
            listener.close()

    def cancel(self) -> None:
        """End whatever is under way."""
        for task in list(self._server.server_state.tasks):
            task.cancel()

    async def close(self) -> None:
        """End every connection, and wait for what was cancelled."""
        self.take_no_more()
        if self._ticking is not None:
            self._ticking.cancel()
        state = self._server.server_state
        for connection in list(state.connections):
            connection.shutdown()
        self.cancel()
        if state.tasks:
            await asyncio.wait(list(state.tasks), timeout=_CLOSE_S)
        for connection in list(state.connections):
            connection.transport.abort()
        if state.tasks:
            await asyncio.wait(list(state.tasks))
        self.unbind()

    def unbind(self) -> None:
        """Let go of the port, if it was bound."""
        if self._socket is not None:
            self._socket.close()
