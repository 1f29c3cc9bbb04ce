"""A server of the real voice with its HTTP door, and plain clients of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.servers import ServerThread, serving
from tests.http.web import Web, nothing_is_left, web_of
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
