"""Run by a Python that has piper-tts: Piper's own HTTP server, asked for voices it has not loaded.

Reads ``{"line", "voices", "runs"}``, writes ``{"first_ms", "warm_ms", "bytes_per_voice"}``: times
of a whole reply of a voice's first use and of its later ones, and what each voice adds to the
server's resident memory, which Piper never gives back.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from piper_times import weights


def main() -> None:
    """Answer one question."""
    question = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as name:
        folder, source = Path(name), weights()
        names = [f"voice{i}" for i in range(question["voices"] + 1)]
        for voice in names:
            shutil.copyfile(source, folder / f"{voice}.onnx")
            shutil.copyfile(f"{source}.json", folder / f"{voice}.onnx.json")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "piper.http_server", "-m", names[0], "--port", str(port)]
        command += ["--host", "127.0.0.1", "--data-dir", name]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, stdout=quiet, stderr=quiet, cwd=name) as server:
            try:
                json.dump(_ask(question, names, port, server.pid), sys.stdout)
            finally:
                server.terminate()


def _ask(question: dict, names: list[str], port: int, pid: int) -> dict:
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        try:
            _say(url, names[0], "Ready?")
            break
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline, "piper's server did not start"
            time.sleep(0.1)
    before = _resident_bytes(pid)
    first_ms = [_say(url, voice, question["line"]) for voice in names[1:]]
    grown = _resident_bytes(pid) - before
    warm_ms = [_say(url, names[1], question["line"]) for _ in range(question["runs"])]
    return {"first_ms": first_ms, "warm_ms": warm_ms, "bytes_per_voice": grown / (len(names) - 1)}


def _say(url: str, voice: str, text: str) -> float:
    body = json.dumps({"text": text, "voice": voice}).encode()
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{url}/synthesize", body, {"Content-Type": "application/json"}
    )
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
        assert len(reply.read()) > 1000
    return (time.perf_counter() - began) * 1e3


def _resident_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
