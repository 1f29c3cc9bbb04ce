"""`voxswap voices fabricate`, and `voices add` of a model with several voices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.client.terminal import Capsys
from tests.families.sambert_directories import edit_lines
from voxswap_client.cli import main, voices_add
from voxswap_registry.store import Registry

pytestmark = pytest.mark.usefixtures("at_home")


def made_up(kind: str, *flags: str) -> int:
    return main(["voices", "fabricate", kind, "voice", "--size", "tiny", *flags])


def test_it_says_how_what_it_made_is_added(capsys: Capsys) -> None:
    assert made_up("vits", "--seed", "3") == 0
    out = capsys.readouterr().out
    assert out.startswith("made up voice: a Hugging Face folder")
    assert "voxswap voices add voice --id bench/vits\n" in out
    assert "--allow-fabricated" in out
    assert main(["voices", "add", "voice", "--id", "bench/vits"]) == 0
    assert capsys.readouterr().out.startswith("added bench/vits@1")
    assert Registry(Path("var/registry")).read("bench/vits", 1).fabricated is True


def test_it_lists_what_there_is(capsys: Capsys) -> None:
    assert main(["voices", "fabricate", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"hifigan", "sambert", "vits"} <= {line.split()[0] for line in lines}
    assert main(["voices", "fabricate", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kinds"].keys() >= {"sambert", "vits"}


def test_what_it_cannot_make(capsys: Capsys) -> None:
    assert made_up("nothing") == 2
    assert "there is no 'nothing' to make up" in capsys.readouterr().err
    assert made_up("vits") == 0
    assert made_up("vits") == 2
    assert "voice is not empty" in capsys.readouterr().err


def test_each_voice_of_a_model_is_added_by_its_name(capsys: Capsys) -> None:
    assert made_up("sambert-shared") == 0
    capsys.readouterr()
    assert main(["voices", "add", "voice", "--id", "zh"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("voice holds 4 voices: first_emo, second_emo, third, fourth\n")
    names = ("first_emo", "second_emo", "third", "fourth")
    assert all(f"added zh/{name}@1 (" in out for name in names)
    assert "zh/first_emo@1: sambert, zh-CN, 16000 Hz; acoustic" in out
    assert "emotions angry, disgust" in out
    registry = Registry(Path("var/registry"))
    vocoders = {registry.read(f"zh/{name}", 1).component("vocoder").digest for name in names}
    assert len(vocoders) == 1


def test_one_voice_of_a_model_is_added_as_it_shall_be_called(capsys: Capsys) -> None:
    assert made_up("sambert-shared") == 0
    assert main(["voices", "add", "voice", "--id", "zh/smith", "--style", "third"]) == 0
    assert "added zh/smith@1" in capsys.readouterr().out
    assert Registry(Path("var/registry")).versions("zh/smith") == (1,)
    assert main(["voices", "add", "voice", "--id", "zh/smith", "--style", "fifth"]) == 1
    assert "has no voice 'fifth'; choose one with --style" in capsys.readouterr().err


def test_a_directory_that_is_wrong_is_told_and_nothing_is_added(capsys: Capsys) -> None:
    assert made_up("sambert") == 0
    edit_lines("voices/fabricated_emo/dict/sy_dict.txt", lambda lines: lines[1:])(Path("voice"))
    assert main(["voices", "add", "voice", "--id", "zh/new"]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "sy_dict.txt has 143 names" in told
    assert not list(Path("var/registry").glob("voices/**/*.json"))


def test_speakers_of_emotivoice_are_chosen_by_pattern(capsys: Capsys) -> None:
    assert made_up("emotivoice") == 0
    capsys.readouterr()
    adding = ["voices", "add", "voice", "--id", "emo"]
    assert main([*adding, "--only", "80?1, 8053"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("voice holds 2 voices: 8051, 8053\n")
    assert "emo/8051@1: emotivoice, zh-CN, 16000 Hz; acoustic" in out
    assert Registry(Path("var/registry")).versions("emo/8053") == (1,)
    assert main(adding) == 0
    out = capsys.readouterr().out
    assert "nothing to add: emo/8051@1" in out
    assert "added emo/8052@1" in out
    assert main([*adding, "--only", "9*"]) == 2
    assert "--only has '9*', which is none of the 3 voices at voice" in capsys.readouterr().err
    assert main([*adding, "--style", "9999"]) == 1
    assert "has no speaker '9999'; choose one with --style: 8051" in capsys.readouterr().err


def test_of_many_voices_the_first_are_told(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices_add, "_TOLD_ONE_BY_ONE", 1)
    monkeypatch.setattr(voices_add, "_TOLD_WITH_PARTS", 2)
    assert made_up("emotivoice") == 0
    capsys.readouterr()
    assert main(["voices", "add", "voice", "--id", "emo"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("voice holds 3 voices: 8051 and 2 more\nadded emo/8051@1")
    assert "added 2 of 2 others, up to emo/8053@1, to var/registry\n" in out
    assert out.count("acoustic") == 1
    assert main(["voices", "add", "voice", "--id", "emo"]) == 0
    assert "nothing to add: 2 others at var/registry are the same" in capsys.readouterr().out


def test_only_chooses_among_several(capsys: Capsys) -> None:
    assert made_up("vits") == 0
    assert main(["voices", "add", "voice", "--id", "x", "--only", "a*"]) == 2
    assert "voice holds one voice" in capsys.readouterr().err
