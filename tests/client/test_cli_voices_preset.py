"""`voxswap voices preset`: into a real registry folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.client.terminal import Capsys, unwrapped
from voxswap_client.cli import main
from voxswap_registry.store import Registry

pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def joe(capsys: Capsys) -> Registry:
    """The usual registry with a voice, which is made up."""
    assert main(["voices", "fabricate", "vits", "made", "--size", "tiny"]) == 0
    assert main(["voices", "add", "made", "--id", "joe"]) == 0
    capsys.readouterr()
    return Registry(Path("var/registry"))


def preset(*flags: str, name: str = "npc/guard") -> int:
    return main(["voices", "preset", name, "--registry", "var/registry", *flags])


def test_it_is_published_and_told(capsys: Capsys, joe: Registry) -> None:
    flags = ["--base", "joe", "--emotion", "angry=0.7", "--intensity", "1.2", "--rate", "0.9"]
    flags += ["--pitch", "-2", "--volume", "0", "--tag", "guard", "--name", "Guard"]
    assert preset(*flags, "--label", "stable") == 0
    out = capsys.readouterr().out
    assert " ".join(out.split()) == (
        "added npc/guard@1 to var/registry: preset of joe@1; angry 0.7, intensity 1.2; what it "
        "does not list by rate, pitch and volume; pitch_semitones -2; rate 0.9"
    )
    manifest = joe.read("npc/guard", 1)
    assert manifest.components == joe.read("joe", 1).components
    assert (manifest.display_name, manifest.tags) == ("Guard", ("guard",))
    assert joe.record("npc/guard").state.labels == {"stable": 1}
    assert preset(*flags) == 0
    assert capsys.readouterr().out.startswith("nothing to add: npc/guard@1 at var/registry is")
    tired = ["--base", "npc/guard@stable", "--rate", "0.7", "--json"]
    assert preset(*tired, name="npc/tired") == 0
    voice = json.loads(capsys.readouterr().out)["voice"]
    assert voice["delivery"]["emotions"] == {"angry": 0.7}
    assert voice["delivery"]["controls"] == {"pitch_semitones": -2.0, "rate": 0.7}


def test_a_card_says_what_it_is_and_that_it_is_made_up(capsys: Capsys, joe: Registry) -> None:
    assert preset("--base", "joe", "--rate", "0.9") == 0
    capsys.readouterr()
    assert main(["voices", "show", "npc/guard", "--registry", "var/registry"]) == 0
    out = capsys.readouterr().out
    assert "made up       yes: its weights are random numbers\n" in out
    assert "preset        rate 0.9\n" in out
    assert main(["voices", "list", "--registry", "var/registry", "--json"]) == 0
    voices = json.loads(capsys.readouterr().out)["voices"]
    assert [voice["fabricated"] for voice in voices] == [True, True]
    assert [voice["delivery"] is None for voice in voices] == [True, False]


WRONG = [
    (["--base", "joe"], 2, "delivery: says nothing that joe@1 does not"),
    (["--base", "nobody", "--rate", "2"], 1, "no voice 'nobody' is registered"),
    (["--base", "joe", "--emotion", "jealous"], 2, "emotion: has 'jealous', which is none that"),
    (["--base", "joe", "--emotion", "auto"], 2, "--emotion auto is read off each text"),
    (["--base", "joe", "--emotion", "angry=x"], 2, "--emotion: 'angry=x' has no number"),
    (["--base", "joe", "--rate", "9"], 2, "controls.rate: is 9.0; use 0.25 to 4"),
    (["--base", "joe", "--style-prompt", "calm"], 2, "style_prompt: is set, and joe@1 takes"),
    (["--base", "jo e", "--rate", "2"], 2, "base: 'jo e' is not a voice"),
]


def test_what_it_cannot_be(capsys: Capsys, joe: Registry) -> None:
    for flags, code, told in WRONG:
        assert preset(*flags) == code
        assert told in " ".join(unwrapped(capsys.readouterr().err))
    assert list(joe.objects.keys("voices/npc")) == []
