"""`voxswap ps`, against a real server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from voxswap.v1 import residency_pb2
from voxswap_client.cli import main
from voxswap_client.cli.ps import page
from voxswap_client.types import Ledger, Resident, ResidentState

NOW = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)


def resident(*voices, state=ResidentState.RESIDENT, ago_s=0.0, used=True, **changes):
    last = NOW - timedelta(seconds=ago_s) if used else None
    fields = {"size_bytes": 60 << 20, "leases": 1, "uses": 12, "load_ms": 412.4, "pinned": False}
    return Resident(voices, state, load_time=NOW, last_use_time=last, **(fields | changes))


def test_residents_and_budgets():
    residents = [
        resident("npc/smith@3", "npc/smith@4"),
        resident("npc/baker@1", ago_s=3.9, pinned=True, load_ms=1250),
        resident("npc/clerk@1", ago_s=125, leases=0),
        resident("npc/guard@1", ago_s=7300),
        resident("npc/witch@1", ago_s=200_000, size_bytes=999),
        resident("npc/child@1", ago_s=-5),
        resident("joe@1", state=ResidentState.LOADING, used=False, uses=0, load_ms=0),
    ]
    ledgers = [
        Ledger("cuda:0", 1 << 30, 600 << 20, 64 << 20, 300 << 20, 60 << 20),
        Ledger("cpu", 1 << 20, 1 << 20, 0, 0, 0),
    ]
    assert page(residents, ledgers, now=NOW) == (
        "VOICE           STATE                 SIZE  LEASES  USES  LAST USE    LOAD\n"
        "npc/smith@3 +1  resident          60.0 MiB       1    12       now  412 ms\n"
        "npc/baker@1     resident, pinned  60.0 MiB       1    12    3s ago  1.25 s\n"
        "npc/clerk@1     resident          60.0 MiB       0    12    2m ago  412 ms\n"
        "npc/guard@1     resident          60.0 MiB       1    12    2h ago  412 ms\n"
        "npc/witch@1     resident             999 B       1    12    2d ago  412 ms\n"
        "npc/child@1     resident          60.0 MiB       1    12       now  412 ms\n"
        "joe@1           loading           60.0 MiB       1     0     never    0 ms\n"
        "cuda:0: 300.0 MiB resident, 64.0 MiB loading, 60.0 MiB evicting, 600.0 MiB free of "
        "1.0 GiB\n"
        "cpu: 0 B resident, 1.0 MiB free of 1.0 MiB"
    )


def test_ps_asks_the_server(capsys, server):
    server.residents.append(
        residency_pb2.Resident(voices=["joe@1"], state=1, size_bytes=2048, uses=5)
    )
    server.ledgers.append(residency_pb2.Ledger(device="cpu", budget_bytes=4096, free_bytes=2048))
    assert main(["ps", "--address", server.address]) == 0
    assert capsys.readouterr().out == (
        "VOICE  STATE       SIZE  LEASES  USES  LAST USE  LOAD\n"
        "joe@1  loading  2.0 KiB       0     5     never  0 ms\n"
        "cpu: 0 B resident, 2.0 KiB free of 4.0 KiB\n"
    )
    assert main(["ps", "--address", server.address, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["residents"][0]["voices"] == ["joe@1"]
    assert document["ledgers"][0]["budget_bytes"] == 4096
