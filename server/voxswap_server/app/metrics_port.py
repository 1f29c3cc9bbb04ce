"""The port where Prometheus finds the metrics: the library's app, on a server that has limits."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

_MOST_CONNECTIONS = 16
_SILENCE_S = 10.0


class _Handler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Scrapes are no news."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, of which the oldest goes where there are too many.

    A scrape takes some milliseconds, so what has been there for long says nothing, or says it byte
    by byte. ``_lock`` guards the connections: they come on one thread and go on their own.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        *,
        most_connections: int,
        silence_s: float,
        refused: Callable[[], object],
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._most = most_connections
        self._silence_s = silence_s
        self._refused = refused
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, None] = {}
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a connection; on the thread that accepts."""
        request.settimeout(self._silence_s)
        with self._lock:
            self._connections[request] = None
            too_many = len(self._connections) > self._most
            if too_many:
                oldest = next(iter(self._connections))
                del self._connections[oldest]
                _shut(oldest)
        if too_many:
            self._refused()
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or was silent for too long, is no news either."""

    def shutdown_request(self, request: Any) -> None:
        """End a connection; on its own thread."""
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # Its client was quicker.


class MetricsPort:
    """Serves ``registry`` until it is closed. `close` blocks for half a second at most."""

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        *,
        refused: Callable[[], object] = lambda: None,
        most_connections: int = _MOST_CONNECTIONS,
        silence_s: float = _SILENCE_S,
    ) -> None:
        """Raises OSError if the address cannot be had.

        ``refused`` hears, on another thread, of each connection that had to go for a newer one.
        """
        self._server = _Server(
            (host, port),
            most_connections=most_connections,
            silence_s=silence_s,
            refused=refused,
        )
        self._server.set_app(make_wsgi_app(registry))
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="voxswap-metrics", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """``host:port`` as bound."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def close(self) -> None:
        """Take no more connections; those that are open end by themselves."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
