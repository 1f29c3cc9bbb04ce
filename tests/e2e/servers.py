"""A real server on a real socket, in a thread or process of its own, and a look at its insides."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from voxswap_server.app.config import Settings
from voxswap_server.app.house import House
from voxswap_server.app.serve import RunningServer, running


class ServerThread:
    """Runs a server's event loop beside the test. `on_loop` looks at its insides."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._failure: BaseException | None = None
        self.server: RunningServer
        self.loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    async def _run(self) -> None:
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with running(self._settings) as self.server:
                self._ready.set()
                await self._stop.wait()
        except BaseException as error:  # noqa: BLE001 - shown to the test
            self._failure = error
            self._ready.set()

    def start(self) -> ServerThread:
        self._thread.start()
        assert self._ready.wait(60)
        if self._failure is not None:
            raise self._failure
        return self

    @property
    def house(self) -> House:
        return self.server.house

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def begin_stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)

    def join(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def on_loop(self, look: Callable[[], Any]) -> Any:
        async def call() -> Any:
            return look()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(60)

    def wait_until(self, look: Callable[[], bool]) -> None:
        """Look again and again, on the server's loop, until ``look()``.

        With a breath between two looks: a loop that spins takes the interpreter from the compute
        thread, and a step then lasts for seconds.
        """

        async def turn() -> None:
            async with asyncio.timeout(60):
                while not look():  # noqa: ASYNC110 - any change, from anywhere
                    await asyncio.sleep(0.001)

        asyncio.run_coroutine_threadsafe(turn(), self.loop).result(61)


@contextlib.contextmanager
def serving(registry: Path | str, **settings: Any) -> Iterator[ServerThread]:
    with tempfile.TemporaryDirectory() as cache_dir:
        chosen = {
            "listen": "127.0.0.1:0",
            "http_listen": "127.0.0.1:0",
            "metrics_listen": "127.0.0.1:0",
            "registry": str(registry),
            "cache_dir": cache_dir,
            "audio_cache_bytes": 0,  # what repeats a line with its seed wants it made again
        }
        thread = ServerThread(Settings.model_validate(chosen | settings)).start()
        try:
            yield thread
            if thread.running:
                thread.on_loop(thread.house.manager.check_integrity)
                thread.on_loop(thread.house.audio_cache.check_integrity)
        finally:
            if thread.running:
                thread.begin_stop()
            thread.join()


def active_leases(thread: ServerThread) -> int:
    return sum(r.leases for r in thread.house.manager.residents())


def health(thread: ServerThread, service: str) -> int:
    with grpc.insecure_channel(thread.server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=service)
        return int(stub.Check(request, timeout=10).status)


def scrape(thread: ServerThread) -> dict[str, float]:
    url = f"http://{thread.server.metrics_address}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    rows = re.findall(r"^(voxswap_\S+?(?:\{.*?\})?) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in rows}


def start(root: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "voxswap_server", "--registry", str(root), *flags]
    command += ["--cache-dir", str(root.parent / "cache")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VOXSWAP_")}
    return subprocess.Popen(  # noqa: S603
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
