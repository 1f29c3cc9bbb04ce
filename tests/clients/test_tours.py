"""Published clients, unchanged, each on a tour through the server: see ``tour.py``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.environments import PublishedClient, python_of
from tests.e2e.servers import ServerThread, active_leases, serving
from tests.registry.drafts import root_of
from voxswap_client import Client
from voxswap_registry.store import Registry

#: A row for each client; its tour is a script beside this file.
CLIENTS = (
    PublishedClient("nvidia-riva-client", ("nvidia-riva-client==2.28.0",), "tour_riva.py", "grpc"),
    PublishedClient(
        "wyoming",
        ("wyoming==1.10.2", "wyoming-bench==2026.10.0"),
        "tour_wyoming.py",
        "wyoming",
    ),
)
TEXT, SEED = "The quick brown fox jumps over the lazy dog.", 7

_HERE = Path(__file__).parent
_TOUR_S = 150


@pytest.fixture(scope="module")
def server(joe_registry: Registry) -> Iterator[ServerThread]:
    with serving(root_of(joe_registry), wyoming_listen="127.0.0.1:0") as thread:
        yield thread


@pytest.fixture(scope="module")
def facts(server: ServerThread) -> dict[str, object]:
    """What our own client is told of the line that tours have spoken."""
    with Client(server.server.address, timeout_s=60) as client:
        said = client.say("joe", TEXT, seed=SEED, marks=["word"])
    rate = said.header.sample_rate_hertz
    return {
        "voice": "joe",
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
    python = python_of(client)
    running = server.server
    address = {
        "grpc": running.address,
        "http": running.http_address,
        "wyoming": running.wyoming_address,
    }[client.speaks_to]
    told = json.dumps(facts | {"address": address})
    tried: dict[str, bool] = {}
    failed = []
    with subprocess.Popen(  # noqa: S603
        [str(python), "-W", "ignore", str(_HERE / client.script), told],
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
                continue
            tried[found["check"]] = found["ok"]
            if not found["ok"]:
                failed.append(f"{found['check']}: {found['detail']}")
        assert process.wait(_TOUR_S) == 0
    assert failed == []
    assert "cancels" in tried
    assert len(tried) > 5
