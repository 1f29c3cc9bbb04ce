"""The gRPC server: grpc.aio's, with the limits of connections, and guarded handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from voxswap_server.doors.grpc.connections import hang_up_all
from voxswap_server.doors.grpc.grpc_server import new_server
from voxswap_server.doors.grpc.guard import Guard

# A client may ping as often as this; three that come sooner, and gRPC ends its connection.
_PINGS_APART_S = 10.0
# An answer to the server's own ping takes no longer where anybody is left to answer.
_PING_ANSWER_S = 20.0
# More than all places and rows of the guard together: it refuses long before the core does, which
# does it for every method alike, without a word.
_MOST_CALLS_BESIDE_STREAMS = 8192
# Calls that the core let in before it was stopped have begun after this.
_SETTLE_S = 0.05


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """``hello_s`` for HTTP/2's beginning, ``idle_s`` without a call, pings after ``keepalive_s``.

    A client that does not answer the pings is gone: at most ``keepalive_s`` and 20 s later all of
    its calls end.
    """

    hello_s: float = 10.0
    idle_s: float = 300.0
    keepalive_s: float = 30.0
    max_message_bytes: int = 2 << 20

    def options(self) -> list[tuple[str, Any]]:
        """The core's options. It says nothing of those that it does not know."""
        answer_ms = _ms(min(_PING_ANSWER_S, self.keepalive_s))
        return [
            ("grpc.so_reuseport", 0),  # a second server on one port is a mistake
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.server_handshake_timeout_ms", _ms(self.hello_s)),
            ("grpc.max_connection_idle_ms", _ms(self.idle_s)),
            ("grpc.keepalive_time_ms", _ms(self.keepalive_s)),
            ("grpc.keepalive_timeout_ms", answer_ms),
            # Of a ping that is under way the longer of the two counts; a minute unless set.
            ("grpc.http2.ping_timeout_ms", answer_ms),
            # A stream may be silent for minutes while its client's pings go on, and so may a
            # connection without calls, as those of .NET.
            (
                "grpc.http2.min_ping_interval_without_data_ms",
                _ms(min(_PINGS_APART_S, self.keepalive_s / 2)),
            ),
            ("grpc.keepalive_permit_without_calls", 1),
        ]


def _ms(seconds: float) -> int:
    return round(seconds * 1e3)


class Server(grpc.aio.Server):
    """A server whose handlers are guarded. Used as grpc.aio's; confined to one event loop."""

    def __init__(self, guard: Guard, limits: ConnectionLimits) -> None:
        self._guard = guard
        self._ports: list[int] = []
        self._server = new_server(
            options=limits.options(),
            maximum_concurrent_rpcs=guard.limits.most_streams + _MOST_CALLS_BESIDE_STREAMS,
        )

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[object]) -> None:
        """Does nothing: generated code registers all of its methods by name as well."""

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        """Take a service."""
        guarded = {
            name: self._guard.handler(f"/{service_name}/{name}", handler)
            for name, handler in method_handlers.items()
        }
        self._server.add_registered_method_handlers(service_name, guarded)

    def add_insecure_port(self, address: str) -> int:
        """Bind ``address``. Raises RuntimeError if it cannot be."""
        self._ports.append(self._server.add_insecure_port(address))
        return self._ports[-1]

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """As `add_insecure_port`, encrypted."""
        self._ports.append(self._server.add_secure_port(address, server_credentials))
        return self._ports[-1]

    async def start(self) -> None:
        """Let calls in."""
        await self._server.start()

    async def stop(self, grace: float | None) -> None:
        """Let no more calls in, and end when those under way have; after ``grace``, cancel them.

        Connections without calls hold up nothing: gRPC alone would wait for their clients to go.
        """
        if grace is None:
            await self._server.stop(None)
            return
        stopping = asyncio.ensure_future(self._server.stop(grace))
        nobody_left = asyncio.ensure_future(self._guard.nobody_left())
        try:
            await asyncio.wait([stopping], timeout=min(grace, _SETTLE_S))
            await asyncio.wait([stopping, nobody_left], return_when=asyncio.FIRST_COMPLETED)
        finally:
            nobody_left.cancel()
        if not stopping.done():
            # Not with another `stop`: two at a time may use what the other has destroyed.
            self.hang_up()
        await stopping

    def hang_up(self) -> None:
        """End every connection that there is now, with its calls."""
        for port in self._ports:
            hang_up_all(port)

    async def wait_for_termination(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - theirs
        """Wait until it has stopped."""
        return await self._server.wait_for_termination(timeout)
