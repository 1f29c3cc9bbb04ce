"""`voxswap voices repack`: in a real registry folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.client.local_voices import draft, torn
from tests.client.terminal import Capsys, unwrapped
from tests.families.packable_voices import SMALL
from tests.families.vits_fakes import write_piper
from tests.registry.drafts import blob_path
from voxswap_client.cli import main
from voxswap_families.importing.detect import import_voice
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def home(tmp_path: Path) -> Registry:
    """The usual registry with a voice that can be packed, and one that cannot."""
    registry = Registry(tmp_path / "var/registry")
    source = write_piper(tmp_path / "piper", SMALL)
    imported = import_voice(source, "npc/wide", workdir=tmp_path / "work")
    registry.publish(imported, label="stable")
    registry.publish(draft(tmp_path))
    return registry


def repack(*flags: str) -> int:
    return main(["voices", "repack", *flags])


def test_a_voice_is_repacked_and_told_about(capsys: Capsys, home: Registry) -> None:
    assert repack("npc/wide", "--actor", "me") == 0
    first, snr, distance, next_step = capsys.readouterr().out.splitlines()
    assert first.startswith("repacked npc/wide@1 as npc/wide@2: ")
    assert first.endswith(" now")
    assert snr.startswith("  SNR to float32 in dB: prior ")
    assert " durations moved" in distance
    assert next_step.endswith("voxswap voices promote npc/wide@2 --warm-up")
    assert home.resolve(VoiceRef("npc/wide", version=2)).component("model").form == "packed"
    assert home.record("npc/wide").state.labels == {"stable": 1}
    assert main(["voices", "show", "npc/wide@2", "--registry", "var/registry"]) == 0
    assert "\nmodel, packed  " in capsys.readouterr().out
    # By its label it is the old one, whose packed form is there already.
    assert repack("npc/wide") == 0
    assert capsys.readouterr().out.startswith("nothing to repack: the same is there of npc/wide@1")
    assert repack("npc/wide@2") == 0
    assert capsys.readouterr().out == "nothing to repack: npc/wide@2 is packed already\n"


def test_all_of_them_at_their_newest_version(capsys: Capsys, home: Registry) -> None:
    torn(home, "npc/torn", 1)
    assert repack("--all") == 0
    out = capsys.readouterr().out
    assert out.startswith("repacked npc/wide@1 as npc/wide@2")
    assert out.endswith("\n1 repacked, 1 left as they are, 0 failed\n")
    assert repack("--all") == 0
    assert capsys.readouterr().out == "0 repacked, 2 left as they are, 0 failed\n"


def test_it_is_told_as_json(capsys: Capsys, home: Registry) -> None:
    assert repack("--all", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    (done,) = document["repacked"]
    assert (done["voice"], done["repacked"], done["created"]) == ("npc/wide@1", "npc/wide@2", True)
    assert done["size_bytes"]["after"] < done["size_bytes"]["before"]
    assert done["comparison"]["snr_db"]["audio"] > 0
    (left,) = document["left"]
    assert left["voice"] == "npc/smith@1"
    assert left["reason"].startswith("cannot be packed: hidden is 2")
    assert (document["failed"], document["registry"]) == ([], "var/registry")


def test_one_that_cannot_be_packed_is_a_fault_if_it_was_named(
    capsys: Capsys, home: Registry
) -> None:
    assert repack("npc/smith", "npc/wide") == 1
    told = capsys.readouterr()
    assert told.out.startswith("repacked npc/wide@1")
    warning = "npc/smith@1 cannot be packed: hidden is 2, which is no multiple of 16"
    assert f"voxswap: warning: {warning}" in unwrapped(told.err)


def test_a_damaged_voice_keeps_no_other_from_it(
    capsys: Capsys, home: Registry, tmp_path: Path
) -> None:
    source = write_piper(tmp_path / "aged", SMALL, seed=1)
    aged = home.publish(import_voice(source, "npc/aged", workdir=tmp_path / "work"))
    path = blob_path(home, aged.component("model"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert repack("--all") == 1
    told = capsys.readouterr()
    assert told.out.startswith("repacked npc/wide@1")
    assert told.out.endswith("\n1 repacked, 1 left as they are, 1 failed\n")
    assert "voxswap: warning: npc/aged@1 the model component" in " ".join(unwrapped(told.err))
    assert home.look("npc/aged").versions == (1,)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("flags", [[], ["--all", "npc/wide"]])
def test_it_takes_names_or_all(capsys: Capsys, flags: list[str]) -> None:
    assert repack(*flags) == 2
    assert "either the names of voices or --all" in capsys.readouterr().err
