"""A server of the real voice, and the real client of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from tests.e2e.servers import ServerThread, serving
from tests.registry.drafts import blob_path, root_of
from voxswap_client import Client
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.manifest import Manifest
from voxswap_registry.store import Registry


@pytest.fixture(scope="session")
def server(joe_registry: Registry) -> Iterator[ServerThread]:
    with serving(root_of(joe_registry)) as thread:
        yield thread


@pytest.fixture
def client(server: ServerThread) -> Iterator[Client]:
    with Client(server.server.address, timeout_s=60) as client:
        yield client


@pytest.fixture(scope="module")
def twins(
    joe: Manifest, joe_registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Registry:
    """joe as ``a``, ``b`` and ``c``, each with a last weight of its own."""
    folder = tmp_path_factory.mktemp("twins")
    registry = Registry(folder / "registry")
    model, table = joe.component("model"), joe.component("symbols")
    data = bytearray(blob_path(joe_registry, model).read_bytes())
    for i, name in enumerate("abc"):
        data[-4:] = bytes([i, 0, 0, 0x38])  # 3e-5: nobody hears it
        path = folder / name
        path.write_bytes(data)
        components = (
            DraftComponent("model", path, model.media_type),
            DraftComponent("symbols", blob_path(joe_registry, table), table.media_type),
        )
        registry.publish(dataclasses.replace(VoiceDraft.of(joe, components), voice_id=name))
    return registry
