"""`voxswap voices mix`: into a real registry folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.client.local_voices import draft
from tests.client.terminal import Capsys, unwrapped
from tests.families.kokoro_fakes import write_kokoro
from voxswap_client.cli import main
from voxswap_families.importing.detect import import_voice
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

pytestmark = pytest.mark.usefixtures("at_home")

HALVES = ["--of", "kokoro/af_hum=0.5", "--of", "kokoro/bm_deep=0.5"]


@pytest.fixture
def kokoro(tmp_path: Path) -> Registry:
    """The usual registry with two Kokoro voices of one small model, and one of another kind."""
    registry = Registry(tmp_path / "var/registry")
    folder = write_kokoro(tmp_path / "kokoro")
    for name in ("af_hum", "bm_deep"):
        imported = import_voice(folder, f"kokoro/{name}", style=name, workdir=tmp_path / "work")
        registry.publish(imported)
    registry.publish(draft(tmp_path))
    return registry


def mix(*flags: str) -> int:
    return main(["voices", "mix", "npc/mix", *flags])


def test_mix_publishes_a_voice_that_shares_the_base(capsys: Capsys, kokoro: Registry) -> None:
    assert mix(*HALVES, "--label", "canary", "--tag", "old", "--name", "Mixed") == 0
    out = capsys.readouterr().out
    assert out.startswith("added npc/mix@1 (")
    assert "labelled canary) to var/registry\n" in out
    manifest, source = (kokoro.resolve(VoiceRef(name)) for name in ("npc/mix", "kokoro/af_hum"))
    assert manifest.component("base") == source.component("base")
    assert (manifest.display_name, manifest.tags, manifest.gender) == ("Mixed", ("old",), "")
    assert kokoro.record("npc/mix").state.labels == {"canary": 1}
    assert mix(*HALVES, "--tag", "old", "--name", "Mixed") == 0
    assert "is the same voice" in capsys.readouterr().out


def test_mix_as_json(capsys: Capsys, kokoro: Registry) -> None:
    assert mix(*HALVES, "--json", "--gender", "female", "--actor", "me@here") == 0
    document = json.loads(capsys.readouterr().out)
    assert [voice["id"] for voice in document["added"]] == ["npc/mix"]
    assert (document["unchanged"], document["registry"]) == ([], "var/registry")
    assert kokoro.resolve(VoiceRef("npc/mix")).gender == "female"


@pytest.mark.usefixtures("kokoro")
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--of", "kokoro/af_hum=1"], "of: names 1 voices; a mix has 2 to 8"),
        (HALVES[:2] * 2, "of[1]: names kokoro/af_hum a second time; give it one weight"),
        ([*HALVES[:3], "kokoro/bm_deep=0.6"], "of: has weights with the sum 1.1"),
        ([*HALVES[:3], "kokoro/bm_deep=nan"], "of[1].weight: is nan; a weight is from 0 to 1"),
        ([*HALVES[:3], "npc/smith=0.5"], "of[1]: npc/smith@1 is a vits voice; only Kokoro"),
        ([*HALVES[:3], "No Id=0.5"], "of[1]: 'No Id' is not a voice id"),
    ],
)
def test_a_mix_that_is_none(capsys: Capsys, flags: list[str], expected: str) -> None:
    assert mix(*flags) == 2
    assert unwrapped(capsys.readouterr().err)[0].startswith(f"voxswap: error: {expected}")


@pytest.mark.usefixtures("kokoro")
def test_a_mix_of_nobody(capsys: Capsys) -> None:
    assert mix(*HALVES[:3], "nobody=0.5") == 1
    assert unwrapped(capsys.readouterr().err)[0].startswith(
        "voxswap: error: no voice 'nobody' is registered"
    )


@pytest.mark.parametrize("flag", ["kokoro/jm_kumo", "kokoro/jm_kumo=", "kokoro/jm_kumo=half"])
def test_a_weight_that_is_none(capsys: Capsys, flag: str) -> None:
    assert mix("--of", flag) == 2
    assert "write it such as kokoro/jm_kumo=0.3" in capsys.readouterr().err


def test_voices_are_mixed_in_a_registry_alone(capsys: Capsys) -> None:
    assert mix(*HALVES, "--address", "127.0.0.1:1") == 2
    assert "unrecognized arguments: --address 127.0.0.1:1" in capsys.readouterr().err


def test_a_registry_must_be_there(capsys: Capsys) -> None:
    assert mix(*HALVES) == 1
    assert "there is no registry folder at var/registry" in capsys.readouterr().err
