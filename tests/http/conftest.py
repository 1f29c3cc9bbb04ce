"""A server of the real voice with its HTTP door, and plain clients of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.servers import ServerThread, active_leases, serving
from tests.http.web import Web
from tests.registry.drafts import root_of
from voxswap_client import Client
from voxswap_registry.store import Registry


@pytest.fixture(scope="session")
def server(joe_registry: Registry) -> Iterator[ServerThread]:
    with serving(root_of(joe_registry), max_text_characters=100_000) as thread:
        yield thread


@pytest.fixture
def web(server: ServerThread) -> Iterator[Web]:
    """After each test nothing is left of what it asked for."""
    yield web_of(server)
    nothing_is_left(server)


@pytest.fixture
def client(server: ServerThread) -> Iterator[Client]:
    with Client(server.server.address, timeout_s=60) as client:
        yield client


def web_of(server: ServerThread) -> Web:
    assert server.server.http_address is not None
    return Web(server.server.http_address)


def nothing_is_left(server: ServerThread) -> None:
    server.wait_until(lambda: active_leases(server) == 0)
    server.on_loop(server.house.manager.check_integrity)
