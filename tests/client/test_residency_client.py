"""What is in memory and how it is steered, through both clients."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from tests.client.fake_server import FakeServer
from tests.client.terminal import Connect
from tests.fakes.clocks import FakeClock
from voxswap.v1 import residency_pb2, speech_pb2
from voxswap_client import (
    CastMember,
    CastOutlook,
    ComponentOutlook,
    Explanation,
    InvalidRequestError,
    Ledger,
    ResidencySnapshot,
    Resident,
    ResidentComponent,
    ResidentState,
    SceneOutlook,
    Tier,
    UnavailableError,
    VoiceInUseError,
    VoiceNotFoundError,
)

WHEN = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
DOWN = grpc.StatusCode.UNAVAILABLE
EPOCH = 1_900_000_000_000_000


def component(**changes: int) -> residency_pb2.ResidentComponent:
    fields: dict[str, Any] = {
        "role": "model",
        "digest": "sha256:ab",
        "state": residency_pb2.RESIDENT_STATE_RESIDENT,
        "size_bytes": 60,
        "voices": ["npc/smith@3"],
        "leases": 2,
    }
    wire = residency_pb2.ResidentComponent(**(fields | changes))
    wire.load_time.FromDatetime(WHEN)
    return wire


COMPONENT = ResidentComponent(
    "model", "sha256:ab", ResidentState.RESIDENT, 60, ("npc/smith@3",), 2, WHEN, None
)


async def test_a_snapshot_is_typed(server: FakeServer, connect: Connect) -> None:
    resident = residency_pb2.Resident(
        voices=["npc/smith@3", "npc/smith@4"],
        state=residency_pb2.RESIDENT_STATE_FAILED,
        size_bytes=60,
        leases=1,
        uses=9,
        load_ms=12.5,
        pinned=True,
        shared_bytes=24,
        waiting=2,
        error="a component is missing",
        retry_ms=1500,
    )
    resident.load_time.FromDatetime(WHEN)
    resident.last_use_time.FromDatetime(WHEN)
    server.residents.append(resident)
    server.components.append(component())
    server.components.append(component(state=residency_pb2.RESIDENT_STATE_ABANDONED))
    server.ledgers.append(
        residency_pb2.Ledger(
            device="cuda:0",
            budget_bytes=100,
            free_bytes=10,
            reserved_bytes=20,
            resident_bytes=60,
            evicting_bytes=10,
            workspace_bytes=5,
            target_bytes=80,
            held_bytes=120,
            tier=residency_pb2.TIER_HOST,
            for_streams_bytes=4,
            streams_bytes=3,
        )
    )
    server.beside.append(residency_pb2.Beside(what="program", size_bytes=9))
    found = await connect().residents()
    assert isinstance(found, ResidencySnapshot)
    assert found.residents == (
        Resident(
            voices=("npc/smith@3", "npc/smith@4"),
            state=ResidentState.FAILED,
            size_bytes=60,
            leases=1,
            uses=9,
            load_time=WHEN,
            last_use_time=WHEN,
            load_ms=12.5,
            pinned=True,
            shared_bytes=24,
            waiting=2,
            error="a component is missing",
            retry_ms=1500,
        ),
    )
    assert [c.state for c in found.components] == [ResidentState.RESIDENT, ResidentState.ABANDONED]
    assert found.components[0] == COMPONENT
    assert found.ledgers == (Ledger("cuda:0", 100, 10, 20, 60, 10, 5, 80, 120, Tier.HOST, 4, 3),)
    assert found.beside == {"program": 9}


async def test_a_ledger_of_an_older_server(server: FakeServer, connect: Connect) -> None:
    server.ledgers.append(residency_pb2.Ledger(device="cpu", budget_bytes=100, free_bytes=100))
    (ledger,) = (await connect().residents()).ledgers
    assert (ledger.tier, ledger.target_bytes) == (Tier.DEVICE, 100)


async def test_a_voice_goes_in_and_out_of_memory(server: FakeServer, connect: Connect) -> None:
    server.loadable["npc/smith@3"] = 60
    client = connect()
    loaded = await client.load("npc/smith@3")
    assert (loaded.voices, loaded.state) == (("npc/smith@3",), ResidentState.RESIDENT)
    assert (loaded.size_bytes, loaded.load_ms, loaded.pinned) == (60, 412.4, False)
    assert (await client.pin("npc/smith@3")).pinned
    with pytest.raises(VoiceInUseError, match="npc/smith@3 is pinned; unpin it first"):
        await client.unload("npc/smith@3")
    assert not (await client.unpin("npc/smith@3")).pinned
    assert await client.unload("npc/smith@3") == 60
    assert await client.unload("npc/smith@3") == 0
    assert await client.unpin("npc/smith@3") is None
    assert not (await client.residents()).residents


@pytest.mark.parametrize("method", ["load", "unload", "pin", "unpin", "explain"])
async def test_a_voice_that_nobody_knows(server: FakeServer, connect: Connect, method: str) -> None:
    with pytest.raises(VoiceNotFoundError, match="no voice 'npc/nobody' is registered"):
        await getattr(connect(), method)("npc/nobody")
    assert server.requests[-1].voice == "npc/nobody"


async def test_an_explanation_is_typed(server: FakeServer, connect: Connect) -> None:
    server.loadable["npc/smith"] = 60
    server.explanation = residency_pb2.ExplainResponse(
        voice="npc/smith@3",
        fits=True,
        would_evict=[component()],
        estimated_ms=42.5,
        reason="it is small",
        components=[
            residency_pb2.ComponentOutlook(
                role="model", digest="sha256:ab", tier=residency_pb2.TIER_REMOTE, size_bytes=60
            )
        ],
        need_bytes=61,
        speaking=["npc/baker@1"],
        ahead=2,
    )
    assert await connect().explain("npc/smith") == Explanation(
        voice="npc/smith@3",
        resident=False,
        fits=True,
        estimated_ms=42.5,
        reason="it is small",
        need_bytes=61,
        components=(ComponentOutlook("model", "sha256:ab", Tier.REMOTE, 60),),
        would_evict=(COMPONENT,),
        speaking=("npc/baker@1",),
        ahead=2,
    )


async def test_a_smaller_budget_takes_effect_later(server: FakeServer, connect: Connect) -> None:
    server.ledgers.append(
        residency_pb2.Ledger(device="cpu", budget_bytes=100, free_bytes=40, resident_bytes=60)
    )
    ledger = await connect().set_budget(50)
    assert (ledger.budget_bytes, ledger.target_bytes, ledger.free_bytes) == (60, 50, 0)


async def test_a_scene_is_typed(server: FakeServer, connect: Connect) -> None:
    server.scene = speech_pb2.PrepareResponse(
        estimated_ms=80.0,
        would_evict=["npc/clerk@1"],
        cast=[
            speech_pb2.CastOutlook(voice="npc/smith@3", estimated_ms=40.0, in_time=True, fits=True),
            speech_pb2.CastOutlook(voice="npc/baker@1", estimated_ms=80.0),
        ],
    )
    cast = ["npc/smith", CastMember("npc/baker", 0), CastMember("npc/clerk")]
    outlook = await connect().prepare(cast, by_ms=500, dry_run=True, session_id="scene-1")
    assert outlook == SceneOutlook(
        fits=False,
        estimated_ms=80.0,
        would_evict=("npc/clerk@1",),
        cast=(
            CastOutlook("npc/smith@3", 40.0, in_time=True, fits=True),
            CastOutlook("npc/baker@1", 80.0, in_time=False, fits=False),
        ),
    )
    member = speech_pb2.CastMember
    assert server.requests == [
        speech_pb2.PrepareRequest(
            cast=[
                member(voice="npc/smith"),
                member(voice="npc/baker", first_line_ms=0),
                member(voice="npc/clerk"),
            ],
            by_ms=500,
            dry_run=True,
            session_id="scene-1",
        )
    ]


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda c: c.prepare("npc/smith"), "cast is the text 'npc/smith'; give a list"),
        (lambda c: c.prepare([CastMember("npc/smith", 2**40)]), "first_line_ms of npc/smith"),
        (lambda c: c.prepare(["npc/smith"], by_ms=2**40), "by_ms"),
        (lambda c: c.set_budget(2**70), "budget_bytes"),
    ],
)
async def test_what_does_not_fit_is_not_sent(
    server: FakeServer, connect: Connect, ask: Callable[..., Any], told: str
) -> None:
    with pytest.raises(InvalidRequestError, match=told):
        await ask(connect())
    assert not server.requests


async def test_only_what_may_happen_twice_is_tried_twice(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.loadable["npc/smith@3"] = 60
    client = connect(time=fake_clock)
    for call in (client.load, client.pin, client.unpin):
        server.script.append(server.fail(DOWN, "down"))
        await call("npc/smith@3")
    assert len(fake_clock.sleeps) == 3
    for call in (client.unload("npc/smith@3"), client.set_budget(1 << 20)):
        server.script.append(server.fail(DOWN, "down"))
        with pytest.raises(UnavailableError):
            await call
    server.script.append(server.fail(DOWN, "wait", server.retry_info(0.5)))
    assert await client.unload("npc/smith@3") == 60
