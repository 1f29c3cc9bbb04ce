"""Piper's own HTTP server, started with the peer's Python and asked from ours."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.peers import peer_environment, peer_python

_WAV_HEADER_BYTES = 44


@dataclass(frozen=True, slots=True)
class PiperServer:
    """One that serves. ``address`` is ``host:port``."""

    address: str
    pid: int


@contextlib.contextmanager
def piper_serving(weights: Path) -> Iterator[PiperServer]:
    """It serves one voice, the checkpoint of that file, warm."""
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-piper-") as name:
        shutil.copyfile(weights, Path(name) / "voice.onnx")
        shutil.copyfile(f"{weights}.json", Path(name) / "voice.onnx.json")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [str(peer_python("piper")), "-m", "piper.http_server", "-m", "voice"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--data-dir", name]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(
            command, stdout=quiet, stderr=quiet, cwd=name, env=peer_environment()
        ) as process:
            try:
                server = PiperServer(f"127.0.0.1:{port}", process.pid)
                _wait(server)
                yield server
            finally:
                process.terminate()


def post(connection: http.client.HTTPConnection, text: str) -> None:
    """Ask for a line; the reply is still to be read."""
    body = json.dumps({"text": text}).encode()
    connection.request("POST", "/synthesize", body, {"Content-Type": "application/json"})


def say(address: str, text: str) -> float:
    """Speak a line; the seconds of audio that came, which are a WAV file with 16-bit samples."""
    connection = http.client.HTTPConnection(address, timeout=120)
    try:
        post(connection, text)
        reply = connection.getresponse()
        audio = reply.read()
    finally:
        connection.close()
    if reply.status != http.client.OK:
        raise http.client.HTTPException(f"piper answered {reply.status}: {audio[:200]!r}")
    rate_hertz = int.from_bytes(audio[24:28], "little")
    return (len(audio) - _WAV_HEADER_BYTES) / 2 / rate_hertz


def _wait(server: PiperServer) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            say(server.address, "Ready?")
            return
        except OSError:
            assert time.monotonic() < deadline, "piper's server did not start"
            time.sleep(0.1)
