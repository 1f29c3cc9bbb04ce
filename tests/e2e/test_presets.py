"""A preset speaks as it says, on the parts of its base; what a request says goes before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.terminal import Capsys
from tests.e2e.servers import serving
from voxswap_client import Client, EmotionFallback, Expression, PresetDelivery
from voxswap_client.cli import main
from voxswap_client.errors import InvalidRequestError, VoiceNotFoundError


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a voice that is made up, and a guard that is made of it."""
    folder = tmp_path_factory.mktemp("presets")
    made, root = str(folder / "made_up"), folder / "registry"
    at = ["--registry", str(root)]
    assert main(["voices", "fabricate", "vits", made, "--size", "tiny"]) == 0
    assert main(["voices", "add", made, "--id", "joe", *at]) == 0
    guard = ["--emotion", "sad", "--intensity", "1.5", "--rate", "0.8"]
    assert main(["voices", "preset", "npc/guard", "--base", "joe", *guard, *at]) == 0
    with serving(root, allow_fabricated=True) as thread:
        yield thread.server.address


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address, timeout_s=60) as connected:
        yield connected


def test_a_preset_speaks_as_it_says(client: Client) -> None:
    plain = client.say("joe", "hello there", seed=3)
    guard = client.say("npc/guard", "hello there", seed=3)
    assert guard.header.expression is Expression.PROSODY
    assert guard.header.emotions == {"sad": pytest.approx(1.5)}
    assert plain.header.expression is Expression.NONE
    # Slower by itself, and slower still for being sad.
    assert guard.duration_s > plain.duration_s / 0.8
    # Its parts were there already.
    assert not guard.header.cold or guard.header.swap_ms < plain.header.swap_ms
    happy = client.say("npc/guard", "hello there", seed=3, emotion="happy", rate=1.25)
    assert happy.header.emotions == {"happy": 1.0}
    assert happy.duration_s < guard.duration_s
    voice = client.get_voice("npc/guard")
    assert voice.fabricated
    assert voice.delivery == PresetDelivery(
        {"sad": 1.0}, 1.5, {"rate": 0.8}, fallback=voice.delivery.fallback
    )
    assert client.get_voice("joe").delivery is None


def test_a_server_makes_presets_of_what_it_has(
    client: Client, address: str, capsys: Capsys
) -> None:
    at = ["--address", address]
    tired = ["voices", "preset", "npc/tired", "--base", "npc/guard", "--rate", "0.7", *at]
    capsys.readouterr()
    assert main([*tired, "--label", "stable", "--tag", "guard"]) == 0
    assert capsys.readouterr().out.startswith("added npc/tired@1 to 127.0.0.1")
    voice = client.get_voice("npc/tired@stable")
    assert (voice.tags, voice.delivery) == (
        ("guard",),
        PresetDelivery({"sad": 1.0}, 1.5, {"rate": 0.7}, fallback=EmotionFallback.PROSODY),
    )
    again = client.create_preset("npc/tired", "npc/guard", controls={"rate": 0.7}, tags=["guard"])
    assert (again.created, again.voice.version) == (False, 1)
    with pytest.raises(InvalidRequestError) as raised:
        client.create_preset(
            *("npc/x", "joe"),
            emotions={"jealous": 2.0},
            intensity=3.0,
            controls={"tempo": 1.0, "rate": float("nan")},
            style_prompt="calm",
        )
    assert {violation.field for violation in raised.value.violations} == {
        *("emotion", "intensity", "controls.tempo", "controls.rate", "style_prompt"),
    }
    for wrong in ({"label": "No"}, {"gender": "?"}, {"tags": ["a b"]}, {"actor": "x" * 200}):
        with pytest.raises(InvalidRequestError):
            client.create_preset("npc/x", "joe", intensity=1.0, **wrong)
    with pytest.raises(VoiceNotFoundError):
        client.create_preset("npc/x", "nobody", intensity=1.0)
