"""A server with scripted services, clients of either kind, and a registry of files."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.fake_server import FakeServer
from tests.client.sync_face import SyncClient
from tests.client.terminal import Voxswap, unwrapped
from tests.fakes.clocks import FakeClock
from voxswap_client import AsyncClient, Client
from voxswap_client.cli import main

PYTHONPATH = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)


@pytest.fixture(autouse=True)
def _absolute_pythonpath(monkeypatch: pytest.MonkeyPatch) -> None:
    """Subprocesses import what this process imports, from whichever folder they start in."""
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of one's own, and an environment that names its registry and no server."""
    monkeypatch.chdir(tmp_path)
    for name in ("VOXSWAP_ADDRESS", "VOXSWAP_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VOXSWAP_REGISTRY", "var/registry")


@pytest.fixture
def registry(tmp_path: Path) -> Any:
    """The registry that the environment names: npc/baker@1, npc/smith@1 and the same as @2."""
    from tests.client.local_voices import draft
    from voxswap_registry.store import Registry

    found = Registry(tmp_path / "var" / "registry")
    baker = draft(tmp_path, "npc/baker", weights=b"other", language="de", tags=("old", "kind"))
    found.publish(baker)
    found.publish(draft(tmp_path))
    found.publish(draft(tmp_path))
    return found


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def make_server() -> Iterator[Callable[..., FakeServer]]:
    """Makes servers that have not been started."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> FakeServer:
            fake = FakeServer(**options)
            stack.callback(fake.stop)
            return fake

        yield make


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["sync", "async"])
async def connect(request: Any, server: FakeServer) -> AsyncIterator[Callable[..., Any]]:
    """Makes clients of one kind, all with the asynchronous face. ``time`` takes a `FakeClock`."""
    async with contextlib.AsyncExitStack() as stack:

        def make(address: str = "", *, time: FakeClock | None = None, **options: Any) -> Any:
            target = address or server.address
            if request.param == "sync":
                if time:
                    options |= {"clock": time, "sleep": time.sleep}
                return SyncClient(stack.enter_context(Client(target, **options)))
            if time:
                options |= {"clock": time, "sleep": time.sleep_async}
            client = AsyncClient(target, **options)
            stack.push_async_callback(client.close)
            return client

        yield make


@pytest.fixture
def voxswap(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> Voxswap:
    """Runs a command against the server: its exit code, and lines of stdout and stderr."""

    def run(*arguments: str) -> tuple[int, list[str], list[str]]:
        code = main([*arguments, "--address", server.address])
        out, err = capsys.readouterr()
        return code, out.splitlines(), unwrapped(err)

    return run


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
