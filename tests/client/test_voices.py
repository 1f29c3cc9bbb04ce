"""The catalog and readiness, through both clients."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from tests.client.fake_server import FakeServer
from tests.client.terminal import Connect
from tests.fakes.clocks import FakeClock
from voxswap.v1 import voices_pb2
from voxswap_client import (
    Component,
    DeadlineExceededError,
    InternalServerError,
    Provenance,
    TrafficShare,
    Voice,
    VoiceNotFoundError,
)

WHEN = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


def voice(voice_id: str = "npc/smith", version: int = 1, **fields: Any) -> voices_pb2.Voice:
    return voices_pb2.Voice(id=voice_id, version=version, **fields)


async def test_a_voice_is_typed(server: FakeServer, connect: Connect) -> None:
    wire = voice(
        version=3,
        display_name="Smith",
        language="en-GB",
        engine="vits",
        sample_rate_hertz=22050,
        speakers=[
            voices_pb2.Speaker(name="second", index=1),
            voices_pb2.Speaker(name="first", index=0),
        ],
        components=[
            voices_pb2.Component(role="model", digest="sha256:0", size_bytes=40, media_type="m/t"),
            voices_pb2.Component(role="symbols", digest="sha256:1", size_bytes=2, media_type="j/s"),
        ],
        licence="CC0-1.0",
        provenance=voices_pb2.Provenance(
            source="a package", tool="voxswap 0.1", note="with care", code_licence="MIT"
        ),
        emotions=["angry"],
        controls=["rate"],
        languages=["en-GB", "de"],
        tags=["old"],
        gender="male",
        labels=["stable"],
        traffic=[
            voices_pb2.TrafficShare(version=3, weight=90),
            voices_pb2.TrafficShare(version=2, weight=10),
        ],
        problem="none yet",
    )
    wire.provenance.create_time.FromDatetime(WHEN)
    server.voices.append(wire)
    found = await connect().get_voice("npc/smith@3")
    assert found == Voice(
        id="npc/smith",
        version=3,
        display_name="Smith",
        language="en-GB",
        engine="vits",
        sample_rate_hertz=22050,
        speakers=("first", "second"),
        components=(
            Component("model", "sha256:0", 40, "m/t"),
            Component("symbols", "sha256:1", 2, "j/s"),
        ),
        licence="CC0-1.0",
        provenance=Provenance("a package", "voxswap 0.1", WHEN, "with care", "MIT"),
        emotions=("angry",),
        controls=("rate",),
        languages=("en-GB", "de"),
        tags=("old",),
        gender="male",
        labels=("stable",),
        traffic=(TrafficShare(3, 90), TrafficShare(2, 10)),
        problem="none yet",
    )
    assert (found.ref, found.size_bytes) == ("npc/smith@3", 42)


async def test_a_time_that_is_unset_is_none(server: FakeServer, connect: Connect) -> None:
    server.voices.append(voice())
    assert (await connect().get_voice("npc/smith")).provenance.created is None


async def test_an_unknown_voice(server: FakeServer, connect: Connect) -> None:
    with pytest.raises(VoiceNotFoundError) as caught:
        await connect().get_voice("npc/nobody")
    assert caught.value.reason == "VOICE_NOT_FOUND"
    assert caught.value.metadata == {"voice": "npc/nobody"}


async def test_versions(server: FakeServer, connect: Connect) -> None:
    server.voices += [voice(version=2), voice(version=1), voice("npc/other")]
    client = connect()
    assert [v.version for v in await client.list_versions("npc/smith")] == [2, 1]
    with pytest.raises(VoiceNotFoundError):
        await client.list_versions("npc/nobody")


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (2, 1), (3, 1), (4, 2), (9, 3)])
async def test_listing_asks_for_page_after_page(
    server: FakeServer, connect: Connect, count: int, pages: int
) -> None:
    server.voices += [voice(f"npc/{n:02}") for n in range(count)]
    found = [v.id async for v in connect().list_voices(page_size=3)]
    assert found == [f"npc/{n:02}" for n in range(count)]
    assert len(server.requests) == pages


async def test_every_page_carries_the_filters(server: FakeServer, connect: Connect) -> None:
    fields: dict[str, Any] = {"tags": ["old", "kind", "wise"], "gender": "female"}
    server.voices += [voice(f"npc/{n}", **fields) for n in range(2)]
    server.voices += [voice("zoo/1", **fields), voice("npc/3", tags=["old"], gender="female")]
    options: dict[str, Any] = {
        "prefix": "npc/",
        "language": "en",
        "engine": "vits",
        "tags": ["old", "wise"],
        "gender": "female",
        "page_size": 1,
    }
    assert [v.id async for v in connect().list_voices(**options)] == ["npc/0", "npc/1"]
    assert server.requests == [
        voices_pb2.ListVoicesRequest(**options),
        voices_pb2.ListVoicesRequest(**(options | {"page_token": "1"})),
    ]


async def test_pages_are_asked_for_as_they_are_read(server: FakeServer, connect: Connect) -> None:
    server.voices += [voice(f"npc/{n}") for n in range(9)]
    listing = connect().list_voices(page_size=3)
    assert server.requests == []
    assert (await anext(listing)).id == "npc/0"
    assert len(server.requests) == 1
    await listing.aclose()


async def test_a_failing_page_is_an_error(server: FakeServer, connect: Connect) -> None:
    server.voices += [voice(f"npc/{n}") for n in range(2)]
    listing = connect().list_voices(page_size=1)
    assert (await anext(listing)).id == "npc/0"
    server.script.append(server.fail(grpc.StatusCode.INTERNAL, "disk"))
    with pytest.raises(InternalServerError):
        await anext(listing)


async def test_wait_ready_for_a_server_that_serves(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    await connect(time=fake_clock).wait_ready()
    assert fake_clock.sleeps == []


async def test_wait_ready_asks_until_the_server_serves(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.serving(now=False)

    def serve_after_three() -> None:
        if len(fake_clock.sleeps) == 3:
            server.serving(now=True)

    fake_clock.on_sleep = serve_after_three
    await connect(time=fake_clock).wait_ready(60.0)
    assert len(fake_clock.sleeps) == 3


async def test_wait_ready_gives_up_on_a_server_that_does_not_serve(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.serving(now=False)
    with pytest.raises(DeadlineExceededError, match=r"not serving yet after 0\.35 s"):
        await connect(time=fake_clock).wait_ready(0.35)
    assert len(fake_clock.sleeps) == 3


async def test_wait_ready_gives_up_on_a_server_that_is_not_there(
    server: FakeServer, connect: Connect
) -> None:
    server.stop()
    with pytest.raises(DeadlineExceededError, match=f"{server.address} does not answer"):
        await connect().wait_ready(0.05)


async def test_wait_ready_takes_a_server_without_health_service(
    make_server: Callable[..., FakeServer], connect: Connect, fake_clock: FakeClock
) -> None:
    plain = make_server(with_health=False)
    plain.start()
    await connect(plain.address, time=fake_clock).wait_ready()
    assert fake_clock.sleeps == []
