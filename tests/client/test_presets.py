"""The client's call that makes a preset."""

from __future__ import annotations

from tests.client.fake_server import FakeServer
from tests.client.terminal import Connect
from voxswap.v1 import voices_pb2
from voxswap_client import PresetDelivery


async def test_a_preset_is_made_of_what_is_said(server: FakeServer, connect: Connect) -> None:
    server.voices.append(voices_pb2.Voice(id="npc/smith", version=2))
    done = await connect().create_preset(
        *("npc/guard", "npc/smith@2"),
        emotions={"angry": 0.5},
        controls={"rate": 0.75},
        tags=["old"],
        actor="me@here",
    )
    assert server.requests[-1] == voices_pb2.CreatePresetRequest(
        voice="npc/guard",
        base="npc/smith@2",
        emotions={"angry": 0.5},
        controls={"rate": 0.75},
        tags=["old"],
        actor="me@here",
    )
    assert (done.created, done.voice.ref) == (True, "npc/guard@1")
    assert done.voice.delivery == PresetDelivery({"angry": 0.5}, 1.0, {"rate": 0.75})
