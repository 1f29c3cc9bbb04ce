"""A real server on a real socket, in a thread of this process, and the real client."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.registry.drafts import root_of
from voxswap_client import Client
from voxswap_registry.store import Registry
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


@pytest.fixture(scope="session")
def server(joe_registry: Registry) -> Iterator[ServerThread]:
    with serving(root_of(joe_registry)) as thread:
        yield thread


@pytest.fixture
def client(server: ServerThread) -> Iterator[Client]:
    with Client(server.server.address, timeout_s=60) as client:
        yield client
