"""A preset speaks as it says, on the parts of its base; what a request says goes before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.servers import serving
from voxswap_client import Client, Expression, PresetDelivery
from voxswap_client.cli import main


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A registry with a voice that is made up, and a guard that is made of it."""
    registry, folder = tmp_path / "registry", str(tmp_path / "made_up")
    at = ["--registry", str(registry)]
    assert main(["voices", "fabricate", "vits", folder, "--size", "tiny"]) == 0
    assert main(["voices", "add", folder, "--id", "joe", *at]) == 0
    guard = ["--emotion", "sad", "--intensity", "1.5", "--rate", "0.8"]
    assert main(["voices", "preset", "npc/guard", "--base", "joe", *guard, *at]) == 0
    return registry


def test_a_preset_speaks_as_it_says(root: Path) -> None:
    with (
        serving(root, allow_fabricated=True) as thread,
        Client(thread.server.address, timeout_s=60) as client,
    ):
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
