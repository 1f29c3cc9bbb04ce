"""A server of the real voice, and the real client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.servers import ServerThread, serving
from tests.registry.drafts import root_of
from voxswap_client import Client
from voxswap_registry.store import Registry


@pytest.fixture(scope="session")
def server(joe_registry: Registry) -> Iterator[ServerThread]:
    with serving(root_of(joe_registry)) as thread:
        yield thread


@pytest.fixture
def client(server: ServerThread) -> Iterator[Client]:
    with Client(server.server.address, timeout_s=60) as client:
        yield client
