"""As much HTTP/2 as a client needs that does not do what a client should."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from typing import Self

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
_ACK = 1
_INITIAL_WINDOW_SIZE = 4


class RawClient:
    """A connection whose frames the test sends itself.

    Answers pings, as a client does whose reader hangs, unless ``answers`` is false.
    """

    def __init__(
        self, address: str, *, window_bytes: int | None = None, answers: bool = True
    ) -> None:
        """Streams begin with ``window_bytes``, which is never more; the connection has enough."""
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=30)
        settings = b""
        if window_bytes is not None:
            settings = struct.pack("!HI", _INITIAL_WINDOW_SIZE, window_bytes)
        self.socket.sendall(_PREFACE)
        self._send(SETTINGS, 0, 0, settings)
        self._send(WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4))
        self._next_stream = 1
        self._answers = answers
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def name(self) -> str:
        """As the server calls this client."""
        host, port = self.socket.getsockname()[:2]
        return f"ipv4:{host}:{port}"

    def begin(self, path: str) -> int:
        """A call without a message; its stream."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "test",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        self._send(HEADERS, 4, stream, b"".join(_literal(*item) for item in headers.items()))
        return stream

    def call(self, path: str, message: bytes) -> int:
        """A call with one message; its stream."""
        stream = self.begin(path)
        self.message(stream, message, last=True)
        return stream

    def message(self, stream: int, message: bytes, *, last: bool = False) -> None:
        """One more message."""
        framed = struct.pack("!BI", 0, len(message)) + message
        self._send(DATA, 1 if last else 0, stream, framed)

    def is_open(self) -> bool:
        """Read what is there; whether the server has not closed the connection by now."""
        try:
            while select.select([self.socket], [], [], 0)[0]:
                if not (data := self.socket.recv(1 << 16)):
                    return False
                self._unread += data
                for kind, flags, payload in self._frames():
                    if self._answers and kind in (PING, SETTINGS) and not flags & _ACK:
                        self._send(kind, _ACK, 0, payload if kind == PING else b"")
        except ConnectionError:
            return False
        return True

    def _frames(self) -> Iterator[tuple[int, int, bytes]]:
        """Kind, flags and payload of each frame that is there as a whole."""
        while len(self._unread) >= 9:
            end = 9 + int.from_bytes(self._unread[:3])
            if len(self._unread) < end:
                return
            frame, self._unread = self._unread[:end], self._unread[end:]
            yield frame[3], frame[4], frame[9:]

    def _send(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        head = len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4)
        self.socket.sendall(head + payload)


def _literal(name: str, value: str) -> bytes:
    """A header field that no table knows (RFC 7541, 6.2.2), strings without Huffman's code."""
    return b"\0" + b"".join(bytes([len(part)]) + part.encode() for part in (name, value))
