"""Published clients, unchanged, each on a tour through the server: see ``tour.py``.

What they find is what docs/clients.md says; ``scripts/tour-clients`` writes it there.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import table
from tests.clients.environments import is_there, python_of
from tests.clients.published import CLIENTS, PublishedClient
from tests.clients.registry import OPENAIS, OPENAIS_SLOW, SLOW, STILL, without_chance
from tests.e2e.servers import ServerThread, active_leases, serving
from tests.registry.drafts import root_of
from voxswap_client import Client
from voxswap_registry.manifest import Manifest
from voxswap_registry.store import Registry

TEXT, SEED = "The quick brown fox jumps over the lazy dog. Then it sleeps until noon.", 7

_HERE = Path(__file__).parent
_TOUR_S = 150


@pytest.fixture(scope="module")
def server(
    joe: Manifest, joe_registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerThread]:
    registry = without_chance(joe, joe_registry, tmp_path_factory.mktemp("tours"))
    with serving(root_of(registry), wyoming_listen="127.0.0.1:0") as thread:
        yield thread


@pytest.fixture(scope="module")
def facts(server: ServerThread) -> dict[str, object]:
    """What our own client is told of the line that tours have spoken."""
    with Client(server.server.address, timeout_s=60) as client:
        said = client.say(STILL, TEXT, seed=SEED, marks=["word"])
    rate = said.header.sample_rate_hertz
    return {
        "voice": STILL,
        "slow_voice": SLOW,
        "openai_voice": OPENAIS,
        "openai_slow_voice": OPENAIS_SLOW,
        "text": TEXT,
        "seed": SEED,
        "sample_rate_hertz": rate,
        "samples": said.trailer.total_samples,
        "words": [
            [
                mark.text,
                round(mark.start_sample * 1e3 / rate),
                round((mark.start_sample + mark.duration_samples) * 1e3 / rate),
            ]
            for mark in said.marks
        ],
    }


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_tour(client: PublishedClient, server: ServerThread, facts: dict[str, object]) -> None:
    if not is_there(client.environment):
        assert not os.environ.get("VOXSWAP_CI"), f"{client.environment} is not installed"
        pytest.skip("its environment is made by: scripts/tour-clients --install")
    tried = take(client, server, facts)
    assert {"speaks", "refuses an unknown voice"} <= tried.keys()
    found = table.row(client.name, client.version, tried)
    if os.environ.get("VOXSWAP_TOUR") == "writes":
        table.write([client.name for client in CLIENTS], found)
    assert found in table.rows()


def take(client: PublishedClient, server: ServerThread, facts: dict[str, object]) -> dict[str, str]:
    """The tour: what was found for each check. Fails if any of them has."""
    running = server.server
    ports = {
        "grpc": running.address,
        "http": running.http_address,
        "wyoming": running.wyoming_address,
    }
    told = json.dumps({**facts, "address": ports[client.speaks_to], "ports": ports})
    tried: dict[str, str] = {}
    failed = []
    with subprocess.Popen(  # noqa: S603
        [str(python_of(client.environment)), "-W", "ignore", str(_HERE / client.script), told],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            found = json.loads(line)
            if found["check"] == "look":
                # What was cancelled computes no more, though its client is still there.
                server.wait_until(lambda: active_leases(server) == 0)
                print("", file=process.stdin, flush=True)
            elif found["ok"]:
                tried[found["check"]] = found["detail"]
            else:
                failed.append(f"{found['check']}: {found['detail']}")
        assert process.wait(_TOUR_S) == 0
    assert not failed, "\n".join(failed)
    return tried


def test_the_table_has_a_row_for_each_client_and_no_other() -> None:
    assert [table.name_of(line) for line in table.rows()] == [client.name for client in CLIENTS]
