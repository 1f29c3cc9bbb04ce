"""`voxswap top` as a command: one frame, a picture, a live terminal, and what can be wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.client.fake_server import FakeServer
from tests.client.terminal import Capsys, unwrapped
from voxswap.v1 import residency_pb2
from voxswap_client.cli import main
from voxswap_client.cli.top.scrape import ScrapeError, fetch
from voxswap_client.cli.top.screen import _pressed

METRICS = """# HELP voxswap_active_streams Streams now.
voxswap_active_streams 3
voxswap_cache_requests_total{outcome="hit"} 9
voxswap_cache_requests_total{outcome="miss"} 1
voxswap_ttfa_seconds_bucket{swap="warm",le="0.1"} 8
voxswap_ttfa_seconds_bucket{swap="warm",le="+Inf"} 8
"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = (200, METRICS) if self.path == "/metrics" else (404, "")
        if self.path == "/garbage":
            status, body = 200, "<html>"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: str) -> None:
        pass


@pytest.fixture
def metrics() -> Iterator[str]:
    """The address of a page of metrics."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as pages:
        thread = threading.Thread(target=pages.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{pages.server_port}/metrics"
        pages.shutdown()
        thread.join()


@pytest.fixture
def busy(server: FakeServer) -> FakeServer:
    """The server, with a voice in memory and an event."""
    server.loadable["npc/smith@3"] = 60 << 20
    server.residents.append(
        residency_pb2.Resident(
            voices=["npc/baker@1"],
            state=residency_pb2.RESIDENT_STATE_RESIDENT,
            size_bytes=60 << 20,
            leases=1,
        )
    )
    server.ledgers.append(
        residency_pb2.Ledger(
            device="cpu", budget_bytes=120 << 20, free_bytes=60 << 20, resident_bytes=60 << 20
        )
    )
    server.events.append(server.event(1, "LOADED", voices=["npc/baker@1"], size_bytes=60 << 20))
    return server


ONCE = ("--once", "--interval", "0.2")


def test_one_frame(capsys: Capsys, busy: FakeServer, metrics: str) -> None:
    assert main(["top", "--address", busy.address, "--metrics", metrics, *ONCE]) == 0
    out, err = capsys.readouterr()
    found = out.splitlines()
    assert err == ""
    assert "\x1b" not in out
    assert found[0].startswith(f"voxswap top  {busy.address} ")
    assert found[1:9] == [
        "cpu  " + "█" * 24 + "░" * 24 + "  60.0 MiB of 120.0 MiB   50 %",
        "     █ 60.0 MiB resident   ░ 60.0 MiB free",
        "",
        "swaps         0.0/s   streams     3 now, 0.0/s   TTFA      p50      p95  streams",
        "loads         0/min   hit rate          90.0 %   warm    50 ms    95 ms        8",
        "evictions     0/min   failures           0/min   cold        -        -        0",
        " " * 65 + "since the start",
        "",
    ]
    assert found[9:] == [
        "VOICE        STATE         SIZE  LEASES  USES  LAST USE  LOAD",
        "npc/baker@1  resident  60.0 MiB       1     0     never  0 ms",
        "1 voice: 1 resident",
        "",
        "EVENTS",
        "     1  --:--:--.---  loaded       npc/baker@1                      60.0 MiB, 0 ms",
    ]


def test_it_goes_without_metrics(capsys: Capsys, busy: FakeServer, metrics: str) -> None:
    url = metrics.replace("/metrics", "/nothing")
    assert main(["top", "--address", busy.address, "--metrics", url, *ONCE]) == 0
    assert re.search(
        r"! no metrics: http://127.0.0.1:\d+/nothing: HTTP 404 Not Found\n", capsys.readouterr().out
    )
    assert main(["top", "--address", busy.address, "--metrics", "off", *ONCE]) == 0
    assert "!" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:1/metrics", "Connection refused"),
        ("http://127.0.0.1:1x/metrics", "nonnumeric port"),
    ],
)
def test_metrics_that_cannot_be_fetched(url: str, told: str) -> None:
    with pytest.raises(ScrapeError, match=told):
        fetch(url)


def test_a_page_that_is_none(metrics: str) -> None:
    with pytest.raises(ScrapeError, match=r"no page of metrics: .*<html>"):
        fetch(metrics.replace("/metrics", "/garbage"))


def test_a_picture(capsys: Capsys, busy: FakeServer, tmp_path: Path) -> None:
    path = tmp_path / "top.svg"
    arguments = ["--address", busy.address, "--metrics", "off", "--interval", "0.2"]
    assert main(["top", *arguments, "--svg", str(path)]) == 0
    assert f"wrote {path}" in capsys.readouterr().err
    text = path.read_text()
    root = ET.fromstring(text)  # noqa: S314
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = "".join(root.itertext()).replace("\xa0", " ")
    assert "npc/baker@1  resident" in words
    # Nothing is fetched by who looks at it.
    assert "url(http" not in text.replace('url("http', "url(http")


def test_a_picture_in_a_folder_that_is_not_there(
    capsys: Capsys, busy: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "nowhere" / "top.svg"
    assert main(["top", "--address", busy.address, "--svg", str(path)]) == 2
    told, remedy = unwrapped(capsys.readouterr().err)
    assert told == f"voxswap: error: there is no folder {path.parent}"
    assert remedy.split() == ["mkdir", "-p", str(path.parent)]


def test_a_server_that_is_not_there(capsys: Capsys, server: FakeServer) -> None:
    server.stop()
    assert main(["top", "--address", server.address, "--metrics", "off", *ONCE]) == 1
    first, remedy = unwrapped(capsys.readouterr().err)
    assert first.startswith("voxswap: error: the server cannot be reached")
    assert remedy.startswith("  start a server")


@pytest.mark.parametrize("package", ["rich", "prometheus-client"])
def test_without_its_extra(capsys: Capsys, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    module = package.replace("-", "_")
    ours = "voxswap_client.cli.top."
    for name in list(sys.modules):
        if name.partition(".")[0] == module or name.startswith(ours):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["top"]) == 1
    assert capsys.readouterr().err == (
        f"voxswap: error: voxswap top needs {package}\n  pip install 'voxswap[cli]'\n"
    )


async def test_a_key_does_not_hide_ctrl_c() -> None:
    keys: asyncio.Queue[str] = asyncio.Queue()
    pressed = asyncio.create_task(_pressed(keys))
    await asyncio.sleep(0)
    keys.put_nowait("b")
    pressed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pressed


@contextlib.contextmanager
def terminal(
    *arguments: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[Any], Callable[..., Any], Callable[..., Any]]]:
    """The command in a terminal of its own: the process, and what reads from and writes to it."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "90", "LINES": "24"}
    variables.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "voxswap_client.cli", "top", *arguments]
    process = subprocess.Popen(  # noqa: S603
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=variables | environment
    )
    os.close(theirs)
    shown = bytearray()

    def until(text: str) -> str:
        """Read until ``text`` was shown, or the terminal is left."""
        while text.encode() not in shown:
            readable, _, _ = select.select([ours], [], [], 10)
            assert readable, bytes(shown)
            try:
                shown.extend(os.read(ours, 1 << 16))
            except OSError:  # nobody has the other end any more
                assert text == "", bytes(shown)
                break
        return shown.decode(errors="replace")

    try:
        yield process, until, lambda keys: os.write(ours, keys)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize("leave", ["q", "Ctrl-C"])
def test_a_terminal(busy: FakeServer, leave: str) -> None:
    with terminal("--address", busy.address, "--metrics", "off") as (process, until, press):
        assert "\x1b[?1049h" in until("npc/baker@1")
        until("age")  # the keys' line is the last
        press(b"b")
        if leave == "q":
            press(b"q")
        else:
            process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        # The screen that was there before is back, and so is the cursor.
        text = until("\x1b[?1049l")
        assert "\x1b[?25h" in text
        assert re.search(r"\x1b\[\d*;?\d*m", text)


def test_a_terminal_without_colour(busy: FakeServer) -> None:
    arguments = ("--address", busy.address, "--metrics", "off", *ONCE)
    with terminal(*arguments, NO_COLOR="1") as (process, until, _):
        text = until("EVENTS")
        assert process.wait(10) == 0
        assert not re.search(r"\x1b\[(3|4|9)\d", text)
