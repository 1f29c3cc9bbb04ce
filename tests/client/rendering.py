"""What tests of `voxswap render` write, run and read, in the folder that they are in."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.client.fake_server import FakeServer
from tests.client.terminal import Capsys
from voxswap.v1 import speech_pb2
from voxswap_client.cli import main

Row = dict[str, Any]


def script(*rows: str, header: str = "voice,text,id") -> str:
    Path("s.csv").write_text("\n".join([header, *rows]) + "\n")
    return "s.csv"


def render(*flags: str) -> int:
    """One line after the other, so that the n-th call is the n-th line's."""
    return main(["render", "s.csv", "-o", "out", "--jobs", "1", *flags])


def then(server: FakeServer, *behaviours: Any) -> None:
    """What the next run meets: first it is told what is in memory, then come its lines."""
    server.script.extend([server.play(), *behaviours])


def asked(server: FakeServer) -> list[str]:
    """The texts of all lines that the server was asked for, since this was last called."""
    kind = speech_pb2.SynthesizeRequest
    texts = [request.text for request in server.requests if isinstance(request, kind)]
    server.requests.clear()
    return texts


def rows(folder: str = "out") -> list[Row]:
    return [json.loads(row) for row in Path(folder, "results.jsonl").read_text().splitlines()]


def files(folder: str = "out") -> set[str]:
    found = (path for path in Path(folder).rglob("*") if not path.is_dir())
    return {str(path.relative_to(folder)) for path in found} - {"results.jsonl"}


def last_line(capsys: Capsys) -> str:
    return capsys.readouterr().out.splitlines()[-1]


@contextlib.contextmanager
def running() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "voxswap_client.cli", "render", "s.csv", "-o", "out"]
    process = subprocess.Popen(  # noqa: S603
        [*command, "--jobs", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
