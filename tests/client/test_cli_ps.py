"""`voxswap ps`: voices, components and books, against a real server and in narrow terminals."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.client.fake_server import FakeServer
from tests.client.terminal import Capsys
from voxswap.v1 import residency_pb2
from voxswap_client.cli import main
from voxswap_client.cli.ps import page
from voxswap_client.residency_types import (
    Ledger,
    ResidencySnapshot,
    Resident,
    ResidentComponent,
    ResidentState,
    Tier,
)

NOW = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
MIB = 1 << 20


def resident(
    *voices: str,
    state: ResidentState = ResidentState.RESIDENT,
    ago_s: float = 0.0,
    used: bool = True,
    **changes: Any,
) -> Resident:
    last = NOW - timedelta(seconds=ago_s) if used else None
    fields = {"size_bytes": 60 * MIB, "leases": 1, "uses": 12, "load_ms": 412.4, "pinned": False}
    return Resident(voices, state, load_time=NOW, last_use_time=last, **(fields | changes))


def snapshot(
    *residents: Resident,
    components: list[ResidentComponent] | tuple[Any, ...] = (),
    ledgers: list[Ledger] | tuple[Any, ...] = (),
) -> ResidencySnapshot:
    return ResidencySnapshot(residents, tuple(components), tuple(ledgers))


def test_residents_and_budgets() -> None:
    found = snapshot(
        resident("npc/smith@3", "npc/smith@4"),
        resident("npc/baker@1", ago_s=3.9, pinned=True, load_ms=1250),
        resident("npc/clerk@1", ago_s=125, leases=0),
        resident("npc/guard@1", ago_s=7300),
        resident("npc/witch@1", ago_s=200_000, size_bytes=999),
        resident("npc/child@1", ago_s=-5),
        resident("joe@1", state=ResidentState.LOADING, used=False, uses=0, load_ms=0),
        ledgers=[
            Ledger("cuda:0", 1024 * MIB, 600 * MIB, 64 * MIB, 300 * MIB, 60 * MIB),
            Ledger("cpu", MIB, MIB, 0, 0, 0),
        ],
    )
    assert page(found, now=NOW) == (
        "VOICE           STATE         SIZE  LEASES  USES  LAST USE    LOAD\n"
        "npc/smith@3 +1  resident  60.0 MiB       1    12       now  412 ms\n"
        "npc/baker@1     pinned    60.0 MiB       1    12    3s ago  1.25 s\n"
        "npc/clerk@1     resident  60.0 MiB       0    12    2m ago  412 ms\n"
        "npc/guard@1     resident  60.0 MiB       1    12    2h ago  412 ms\n"
        "npc/witch@1     resident     999 B       1    12    2d ago  412 ms\n"
        "npc/child@1     resident  60.0 MiB       1    12       now  412 ms\n"
        "joe@1           loading   60.0 MiB       1     0     never    0 ms\n"
        "cuda:0: 300.0 MiB resident, 64.0 MiB loading, 60.0 MiB evicting, 600.0 MiB free of "
        "1.0 GiB\n"
        "cpu: 0 B resident, 1.0 MiB free of 1.0 MiB"
    )


def test_what_is_shared_waited_for_and_failed() -> None:
    found = snapshot(
        resident("npc/smith@3", shared_bytes=24 << 10),
        resident("npc/baker@1", state=ResidentState.LOADING, waiting=3, leases=0, pinned=True),
        resident(
            "npc/witch@2",
            state=ResidentState.FAILED,
            size_bytes=0,
            leases=0,
            error="component sha256:ab is missing from the store",
            retry_ms=4200,
        ),
    )
    assert page(found, now=NOW).split("\n", 4) == [
        "VOICE        STATE                SIZE    SHARED  LEASES  WAITING  USES  LAST USE    LOAD",
        "npc/smith@3  resident         60.0 MiB  24.0 KiB       1        0    12       now  412 ms",
        "npc/baker@1  loading, pinned  60.0 MiB       0 B       0        3    12       now  412 ms",
        "npc/witch@2  failed                0 B       0 B       0        0    12       now  412 ms",
        (
            "npc/witch@2 failed: component sha256:ab is missing from the store; it is tried again "
            "in 4.20 s, or\n    at once by `voxswap load`"
        ),
    ]


def test_components_are_shown_once() -> None:
    model = ResidentComponent(
        "model",
        "sha256:" + "ab" * 32,
        ResidentState.RESIDENT,
        60 * MIB,
        ("npc/smith@3",),
        1,
        NOW,
        NOW,
    )
    symbols = replace(
        model,
        role="symbols",
        digest="sha256:" + "12" * 32,
        size_bytes=24 << 10,
        voices=("npc/smith@3", "npc/baker@1", "npc/clerk@1"),
        leases=4,
    )
    orphan = replace(model, state=ResidentState.ABANDONED, voices=(), leases=0, last_use_time=None)
    found = snapshot(resident("npc/smith@3"), components=[model, symbols, orphan])
    assert page(found, now=NOW, components=True).splitlines()[3:] == [
        "COMPONENT  DIGEST        STATE          SIZE  LEASES  LAST USE  VOICES",
        "model      abababababab  resident   60.0 MiB       1       now  npc/smith@3",
        "symbols    121212121212  resident   24.0 KiB       4       now  npc/smith@3 +2",
        "model      abababababab  abandoned  60.0 MiB       0     never  -",
    ]
    assert "DIGEST" not in page(found, now=NOW)


def test_books_out_of_the_ordinary() -> None:
    device = Ledger("cuda:0", 900 * MIB, 0, 60 * MIB, 840 * MIB, 0, 12 * MIB, 512 * MIB, 1200 * MIB)
    host = Ledger("cuda:0", 100, 100, 0, 0, 0, target_bytes=100, tier=Tier.HOST)
    only = Ledger("host", 100, 100, 0, 0, 0, target_bytes=100, tier=Tier.HOST)
    assert page(snapshot(ledgers=[device, host, only]), now=NOW, width=80) == (
        "no voice is in memory\n"
        "cuda:0: 840.0 MiB resident, 48.0 MiB loading, 12.0 MiB workspace, 0 B free of\n"
        "    900.0 MiB\n"
        "  shrinking to 512.0 MiB as memory comes free; the allocator holds 1.2 GiB\n"
        "cuda:0 (host): 0 B resident, 100 B free of 100 B\n"
        "host: 0 B resident, 100 B free of 100 B"
    )


LONG = "npc/kingdom/capital/castle/north-gate/guards/captain-of-the-night-watch@12"


@pytest.mark.parametrize("width", [40, 50, 60, 80, 100])
def test_it_fits_the_terminal(width: int) -> None:
    found = snapshot(
        resident(LONG, shared_bytes=24 << 10, waiting=2, ago_s=200_000),
        resident("npc/baker@1", state=ResidentState.LOADING, pinned=True),
        resident(LONG, state=ResidentState.FAILED, error="it is broken " * 9, retry_ms=99),
    )
    lines = page(found, now=NOW, width=width).splitlines()
    table = lines[:4]
    assert max(map(len, table)) <= width
    assert all(len(line) <= width for line in lines[4:] if LONG not in line)
    # Both ends of a name can be read.
    assert table[1].startswith("npc")
    assert "@12 " in table[1]
    assert "LOAD" not in table[0]


def test_ps_asks_the_server(capsys: Capsys, server: FakeServer) -> None:
    server.residents.append(
        residency_pb2.Resident(
            voices=["joe@1"], state=residency_pb2.RESIDENT_STATE_LOADING, size_bytes=2048, uses=5
        )
    )
    server.components.append(
        residency_pb2.ResidentComponent(
            role="model",
            digest="sha256:ab",
            state=residency_pb2.RESIDENT_STATE_RESIDENT,
            size_bytes=2048,
        )
    )
    server.ledgers.append(residency_pb2.Ledger(device="cpu", budget_bytes=4096, free_bytes=2048))
    assert main(["ps", "--address", server.address]) == 0
    assert capsys.readouterr().out == (
        "VOICE  STATE       SIZE  LEASES  USES  LAST USE  LOAD\n"
        "joe@1  loading  2.0 KiB       0     5     never  0 ms\n"
        "cpu: 0 B resident, 2.0 KiB free of 4.0 KiB\n"
    )
    assert main(["ps", "--components", "--address", server.address]) == 0
    assert "model      ab      resident  2.0 KiB       0     never  -\n" in capsys.readouterr().out
    assert main(["ps", "--address", server.address, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["residents"][0]["voices"] == ["joe@1"]
    assert document["components"][0]["role"] == "model"
    assert document["ledgers"][0]["budget_bytes"] == 4096
    assert (document["last_sequence"], document["epoch"]) == (0, server.epoch)
