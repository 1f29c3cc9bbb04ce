"""A plain client of HTTP and WebSocket, which shows everything that comes."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from websockets.sync.client import ClientConnection, connect

from tests.e2e.servers import ServerThread, active_leases

LINE = "Halt! Who goes there? The bridge is closed after dark."


@dataclass
class Answer:
    """``trailers`` are those after a chunked body; ``whole`` says whether it came to its end."""

    status: int
    headers: dict[str, str]
    body: bytes
    trailers: dict[str, str] = field(default_factory=dict)
    whole: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        return found

    @property
    def events(self) -> list[dict[str, Any]]:
        """The data of server-sent events."""
        lines = self.body.decode().splitlines()
        found = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        return [json.loads(data) for data in found if data != "[DONE]"]


class Web:
    """Requests to one server, each over a connection of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        host, _, port = address.rpartition(":")
        self.host, self.port = host, int(port)

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=30)

    def head(self, method: str, path: str, headers: dict[str, str], length: int | None) -> bytes:
        told = {"Host": self.address, **headers}
        if length is not None:
            told["Content-Length"] = str(length)
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in told.items())]
        return "\r\n".join([*lines, "", ""]).encode()

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """The answer to a request; ``body`` goes as JSON, ``raw`` as it is."""
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        told = dict(headers or {})
        if body is not None:
            told.setdefault("Content-Type", "application/json")
        with self.connect() as sock:
            sock.sendall(self.head(method, path, told, len(data) or None) + data)
            return read_answer(sock)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        return self.ask("POST", path, body, headers=headers)

    def socket(self, path: str, **more: Any) -> ClientConnection:
        opened: ClientConnection = connect(f"ws://{self.address}{path}", max_size=None, **more)
        return opened


def read_answer(sock: socket.socket) -> Answer:
    with sock.makefile("rb") as stream:
        return _read_answer(stream)


def _read_answer(stream: IO[bytes]) -> Answer:
    status = int(stream.readline().split()[1])
    headers = read_headers(stream)
    if status == 204:
        return Answer(status, headers, b"")
    if headers.get("transfer-encoding") != "chunked":
        length = headers.get("content-length")
        body = stream.read(int(length)) if length is not None else stream.read()
        return Answer(status, headers, body, whole=length is None or len(body) == int(length))
    body = b""
    try:
        while line := stream.readline().strip():
            size = int(line, 16)
            if size == 0:
                return Answer(status, headers, body, read_headers(stream))
            body += stream.read(size)
            stream.readline()
    except OSError:
        pass
    return Answer(status, headers, body, whole=False)


def read_headers(stream: IO[bytes]) -> dict[str, str]:
    found = {}
    while line := stream.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        found[name.lower()] = value.strip()
    return found


@dataclass
class Heard:
    """What came of one conversation."""

    audio: bytes = b""
    told: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.told if frame["type"] == kind]

    @property
    def marks(self) -> list[dict[str, Any]]:
        return [mark for chunk in self.of("chunk") for mark in chunk["marks"]]


def frames(ws: ClientConnection) -> Iterator[tuple[dict[str, Any], bytes]]:
    """What the server says, each object with the audio that belongs to it."""
    while True:
        told = json.loads(ws.recv(timeout=30))
        audio = ws.recv(timeout=30) if told["type"] == "chunk" else b""
        assert isinstance(audio, bytes)
        assert len(audio) == told.get("size_bytes", 0)
        yield told, audio


def say(ws: ClientConnection, kind: str, conversation: str = "a", **fields: Any) -> None:
    ws.send(json.dumps({"type": kind, "conversation": conversation, **fields}))


def hear(ws: ClientConnection, *ends: str, conversation: str = "a") -> Heard:
    """All of one conversation until its trailer or its error, or another end."""
    heard = Heard()
    for told, audio in frames(ws):
        if told.get("conversation") != conversation:
            continue
        heard.told.append(told)
        heard.audio += audio
        if told["type"] in (*(ends or ("trailer",)), "error"):
            break
    return heard


def pcm(data: bytes) -> npt.NDArray[np.float32]:
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)


def is_sound(data: bytes, *, seconds: float, hertz: int) -> bool:
    """Whether 16-bit samples are about so long, and neither silent nor clipped."""
    samples = pcm(data)
    loud = float(np.sqrt(np.square(samples).mean()))
    is_long = 0.5 * seconds < len(samples) / hertz < 2 * seconds
    return is_long and 0.01 < loud < 0.5 and float(np.abs(samples).max()) < 1.0


def unpacked(text: str) -> bytes:
    return base64.b64decode(text)


def web_of(server: ServerThread) -> Web:
    assert server.server.http_address is not None
    return Web(server.server.http_address)


def nothing_is_left(server: ServerThread) -> None:
    server.wait_until(lambda: active_leases(server) == 0)
    server.on_loop(server.house.manager.check_integrity)
