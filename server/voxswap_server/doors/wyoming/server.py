"""Wyoming's port, in the server's own event loop."""

from __future__ import annotations

import asyncio
import socket

from voxswap_server.doors.errors import TooManyCallsError
from voxswap_server.doors.places import Row
from voxswap_server.doors.ports import bound
from voxswap_server.doors.shared import Shared
from voxswap_server.doors.wyoming.connection import Connection
from voxswap_server.doors.wyoming.services import Services

# Those that say nothing, who are told of voices, and who are neither and do not speak.
_MOST_WAITING, _MOST_TOLD, _MOST_OTHERS = 256, 64, 64
_BACKLOG = 1024
# JSON may spell a character with twelve bytes; the rest of an event is short.
_BYTES_PER_CHARACTER, _OTHER_BYTES = 12, 4096
# What may wait for a client in this process, and in the kernel, before the one who writes waits
# too: who takes nothing is to stop its own compute, and the kernel alone would keep megabytes.
_MOST_UNSENT_BYTES, _KERNEL_BYTES = 1 << 16, 1 << 17


class WyomingServer:
    """One port. Confined to one event loop.

    ::

        bound ── start ──> takes connections ── take_no_more ──> those that are there go on
              ── cancel ──> they end ── close ──> nothing is left
    """

    def __init__(self, services: Services, shared: Shared) -> None:
        self._services = services
        self._shared = shared
        limits = shared.limits
        self._most_event_bytes = min(
            limits.max_message_bytes,
            _BYTES_PER_CHARACTER * limits.max_text_characters + _OTHER_BYTES,
        )
        self._most = limits.most_streams + _MOST_WAITING + _MOST_TOLD + _MOST_OTHERS
        self._waiting: Row[Connection] = Row(_MOST_WAITING, self._push_out)
        self._told: Row[Connection] = Row(_MOST_TOLD, self._push_out)
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def bind(self, host: str, port: int) -> str:
        """Take the port; the address as it is. Raises OSError."""
        self._socket, address = bound(host, port)
        return address

    async def start(self) -> None:
        """Take connections. REQUIRES: `bind`."""
        self._server = await asyncio.start_server(
            self._connected, sock=self._socket, limit=self._most_event_bytes, backlog=_BACKLOG
        )

    def take_no_more(self) -> None:
        """New connections are refused."""
        if self._server is not None:
            self._server.close()

    def cancel(self) -> None:
        """End whatever is under way."""
        for connection in self._connections:
            connection.cancel()

    async def close(self) -> None:
        """End every connection, and wait for what was cancelled."""
        self.take_no_more()
        self.cancel()
        if self._connections:
            await asyncio.wait(list(self._connections))
        self.unbind()

    def unbind(self) -> None:
        """Let go of the port."""
        self._socket.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._most:
            self._shared.refusals.note(
                TooManyCallsError.reason, f"{self._most} clients of Wyoming are connected"
            )
            writer.transport.abort()
            return
        writer.transport.set_write_buffer_limits(high=_MOST_UNSENT_BYTES)
        connected: socket.socket = writer.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
        connection = Connection(
            *(reader, writer, self._services, self._shared, self._waiting, self._told),
            most_event_bytes=self._most_event_bytes,
        )
        task = asyncio.create_task(connection.run())
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    def _push_out(self, connection: Connection) -> None:
        self._shared.refusals.note(
            TooManyCallsError.reason,
            "too many clients of Wyoming say nothing, or take nothing; who has for longest had to "
            "go",
        )
        connection.push_out()
