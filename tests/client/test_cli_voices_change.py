"""`voxswap voices promote`, `rollback`, `traffic`, `update`, `delete`: the same at both ends."""

from __future__ import annotations

import getpass
import io
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.client.fake_server import FakeServer
from tests.client.local_voices import draft
from tests.client.terminal import Capsys, unwrapped
from voxswap.v1 import voices_pb2
from voxswap_client import Change, Client
from voxswap_client.cli import main
from voxswap_client.cli.local import LocalCatalog
from voxswap_registry.state import Edit
from voxswap_registry.store import Registry

pytestmark = pytest.mark.usefixtures("at_home")
FOLDER = "var/registry"
WHO = ["--actor", "me@here"]


@pytest.fixture(params=["folder", "server"])
def source(request: pytest.FixtureRequest, server: FakeServer, tmp_path: Path) -> list[str]:
    """The flags that name either: npc/smith has versions 1, 2 and 3, and 2 is stable."""
    if request.param == "folder":
        found = Registry(tmp_path / FOLDER)
        for version in (1, 2, 3):
            found.publish(draft(tmp_path, weights=str(version).encode()))
        found.edit("npc/smith", Edit(moves={"stable": 1}))
        found.edit("npc/smith", Edit(moves={"stable": 2}))
        return ["--registry", FOLDER]
    for version in (1, 2, 3):
        component = voices_pb2.Component(role="model", size_bytes=9)
        voice = voices_pb2.Voice(id="npc/smith", version=version, components=[component])
        server.voices.append(voice)
    for version in (1, 2):
        server.relabel("npc/smith", version, ["stable"])
        server.record("npc/smith", f"promote stable {version}", "", "")
    return ["--address", server.address]


@pytest.fixture
def voices(source: list[str]) -> Iterator[Client | LocalCatalog]:
    """The catalog at that end."""
    if source[0] == "--registry":
        yield LocalCatalog(source[1])
    else:
        with Client(source[1]) as client:
            yield client


def last_change(voices: Client | LocalCatalog) -> Change:
    return next(iter(voices.list_changes("npc/smith")))


def run(*words: str) -> int:
    return main(["voices", *words])


# unlabel


def test_unlabel(capsys: Capsys, source: list[str], voices: Client | LocalCatalog) -> None:
    assert run("unlabel", "npc/smith", "stable", *WHO, *source) == 0
    assert capsys.readouterr().out == "npc/smith@2 is no longer stable\n"
    assert voices.get_voice_details("npc/smith").labels == {}
    assert last_change(voices).actor == "me@here"


def test_unlabel_of_a_label_that_is_not_set_is_an_error(
    capsys: Capsys, source: list[str], voices: Client | LocalCatalog
) -> None:
    assert run("unlabel", "npc/smith", "canary", *source) == 1
    assert "canary" in capsys.readouterr().err
    assert voices.get_voice_details("npc/smith").labels == {"stable": 2}


# promote and rollback


def test_promote(capsys: Capsys, source: list[str], voices: Client | LocalCatalog) -> None:
    assert run("promote", "npc/smith@3", "--note", "it is good", *WHO, *source) == 0
    assert capsys.readouterr() == ("npc/smith@3 is stable now; before it was 2\n", "")
    assert voices.get_voice_details("npc/smith").labels == {"stable": 3}
    change = last_change(voices)
    assert (change.actor, change.note) == ("me@here", "it is good")


def test_promote_to_another_label(
    capsys: Capsys, source: list[str], voices: Client | LocalCatalog
) -> None:
    assert run("promote", "npc/smith@stable", "--label", "canary", *WHO, *source) == 0
    assert capsys.readouterr().out == "npc/smith@2 is canary now\n"
    assert voices.get_voice_details("npc/smith").labels == {"canary": 2, "stable": 2}


def test_promote_of_what_is_there(
    capsys: Capsys, source: list[str], voices: Client | LocalCatalog
) -> None:
    before = last_change(voices)
    assert run("promote", "npc/smith@2", *WHO, *source) == 0
    assert capsys.readouterr().out == "npc/smith@2 is stable already\n"
    assert last_change(voices) == before


def test_promote_as_json(capsys: Capsys, source: list[str]) -> None:
    assert run("promote", "npc/smith@3", "--json", *WHO, *source) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["label"], document["previous_version"]) == ("stable", 2)
    assert document["voice"]["labels"] == ["stable"]
    assert run("promote", "npc/smith@3", "--label", "new", "--json", *WHO, *source) == 0
    assert json.loads(capsys.readouterr().out)["previous_version"] is None


def test_promote_of_a_bare_id(capsys: Capsys, source: list[str]) -> None:
    assert run("promote", "npc/smith", *source) == 2
    assert unwrapped(capsys.readouterr().err) == [
        "voxswap: error: npc/smith does not say which version",
        "  write npc/smith@3, or a label's name in place of the number",
    ]


def test_promote_of_a_version_that_is_not_there(capsys: Capsys, source: list[str]) -> None:
    assert run("promote", "npc/smith@9", *WHO, *source) == 1
    assert capsys.readouterr().err.startswith("voxswap: error: ")


def test_warm_up_goes_to_the_server(server: FakeServer) -> None:
    server.voices.append(voices_pb2.Voice(id="npc/smith", version=1))
    flags = ["--warm-up", "--test-text", "Hi", "--address", server.address]
    assert run("promote", "npc/smith@1", *flags) == 0
    request = server.requests[-1]
    assert (request.warm_up, request.test_text) == (True, "Hi")


def test_a_failed_warm_up_is_told(capsys: Capsys, server: FakeServer) -> None:
    server.voices.append(voices_pb2.Voice(id="npc/smith", version=1))
    silent = server.reason("SELF_TEST_FAILED")
    status = grpc.StatusCode.FAILED_PRECONDITION
    server.script.extend([server.play(), server.fail(status, "it is silent", silent)])
    assert run("promote", "npc/smith@1", "--warm-up", "--address", server.address) == 1
    assert capsys.readouterr().err.startswith("voxswap: error: it is silent\n")


@pytest.mark.usefixtures("registry")
def test_a_registry_cannot_warm_up(capsys: Capsys) -> None:
    assert run("promote", "npc/smith@1", "--warm-up") == 2
    assert "a registry cannot let a version speak" in capsys.readouterr().err


def test_a_test_text_without_warm_up(capsys: Capsys, source: list[str]) -> None:
    assert run("promote", "npc/smith@3", "--test-text", "Hi", *source) == 2
    assert "--test-text goes with --warm-up" in capsys.readouterr().err


def test_rollback(capsys: Capsys, source: list[str], voices: Client | LocalCatalog) -> None:
    assert run("rollback", "npc/smith", "--note", "it lisps", *WHO, *source) == 0
    assert capsys.readouterr() == ("npc/smith@1 is stable again; before it was 2\n", "")
    assert voices.get_voice_details("npc/smith").labels == {"stable": 1}
    change = last_change(voices)
    assert (change.actor, change.note) == ("me@here", "it lisps")


@pytest.mark.parametrize("source", ["folder"], indirect=True)
def test_rollback_of_a_label_that_was_taken_away(capsys: Capsys, source: list[str]) -> None:
    assert run("unlabel", "npc/smith", "stable", *source) == 0
    capsys.readouterr()
    assert run("rollback", "npc/smith", *source) == 0
    assert capsys.readouterr().out == "npc/smith@2 is stable again; before no version was\n"


def test_rollback_of_what_never_moved(capsys: Capsys, source: list[str]) -> None:
    assert run("rollback", "npc/smith", "--label", "canary", *WHO, *source) == 1
    assert "label 'canary'" in capsys.readouterr().err


def test_rollback_as_json(capsys: Capsys, source: list[str]) -> None:
    assert run("rollback", "npc/smith", "--json", *WHO, *source) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["voice"]["version"], document["previous_version"]) == (1, 2)


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        (["promote", "npc/smith@3"], True),
        (["promote", "npc/smith@3", "--json"], True),
        (["rollback", "npc/smith"], True),
        (["promote", "npc/smith@3", "--label", "canary"], False),
    ],
    ids=str,
)
def test_a_split_that_outweighs_the_label_is_told(
    capsys: Capsys, source: list[str], words: list[str], warned: bool
) -> None:
    assert run("traffic", "npc/smith", "1=90", "3=10", *source) == 0
    capsys.readouterr()
    assert run(*words, *WHO, *source) == 0
    told = [
        "voxswap: warning: bare npc/smith still goes by its traffic split 1=90 3=10",
        f"  clear it with: voxswap voices traffic npc/smith --clear {' '.join(source)}",
    ]
    assert capsys.readouterr().err.splitlines() == (told if warned else [])


# traffic


def test_traffic(capsys: Capsys, source: list[str], voices: Client | LocalCatalog) -> None:
    assert run("traffic", "npc/smith", "1=90", "3=10", "--note", "try 3", *WHO, *source) == 0
    assert capsys.readouterr() == ("bare npc/smith goes by 1=90 3=10 now\n", "")
    shares = voices.get_voice_details("npc/smith@1").voice.traffic
    assert [(share.version, share.weight) for share in shares] == [(1, 90), (3, 10)]
    assert last_change(voices).note == "try 3"
    assert run("traffic", "npc/smith", "--clear", *WHO, *source) == 0
    assert capsys.readouterr().out == (
        "bare npc/smith means its stable version now, or the newest if none is\n"
    )
    assert voices.get_voice_details("npc/smith").voice.traffic == ()


def test_traffic_as_json(capsys: Capsys, source: list[str]) -> None:
    assert run("traffic", "npc/smith", "1=90", "3=10", "--json", *WHO, *source) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["voice"]["traffic"][0] == {"version": 1, "weight": 90}


@pytest.mark.parametrize(
    "words",
    [[], ["1=90", "--clear"], ["1=90", "1=10"], ["1"], ["one=1"], ["1=-1"], ["1="], ["1=²"]],
    ids=" ".join,
)
def test_a_split_that_is_none(capsys: Capsys, source: list[str], words: list[str]) -> None:
    assert run("traffic", "npc/smith", *words, *source) == 2
    assert "error: " in capsys.readouterr().err


# update


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--name", "The Smith"], "name The Smith; tags -; gender -"),
        (["--tag", "old", "--tag", "wise"], "name -; tags old, wise; gender -"),
        (["--gender", "male", "--name", "S"], "name S; tags -; gender male"),
    ],
    ids=str,
)
def test_update(
    capsys: Capsys, source: list[str], voices: Client | LocalCatalog, words: list[str], told: str
) -> None:
    # The folder's voices are called Smith by their manifest.
    voices.update_voice("npc/smith", display_name="", actor="", note="")
    assert run("update", "npc/smith", *words, "--note", "why", *WHO, *source) == 0
    assert capsys.readouterr() == (f"npc/smith: {told}\n", "")
    assert (last_change(voices).actor, last_change(voices).note) == ("me@here", "why")


def test_tags_are_taken_off(
    capsys: Capsys, source: list[str], voices: Client | LocalCatalog
) -> None:
    voices.update_voice("npc/smith", tags=["old"], actor="", note="")
    assert run("update", "npc/smith", "--no-tags", "--json", *WHO, *source) == 0
    assert json.loads(capsys.readouterr().out)["voice"]["tags"] == []


@pytest.mark.parametrize("words", [[], ["--tag", "old", "--no-tags"]], ids=" ".join)
def test_an_update_that_is_none(capsys: Capsys, source: list[str], words: list[str]) -> None:
    assert run("update", "npc/smith", *words, *source) == 2
    assert "error: " in capsys.readouterr().err


# delete


class Keyboard(io.StringIO):
    """A terminal where somebody types."""

    def isatty(self) -> bool:
        return True


def test_delete_a_version(capsys: Capsys, source: list[str], voices: Client | LocalCatalog) -> None:
    assert run("delete", "npc/smith@1", "--yes", "--note", "why", *WHO, *source) == 0
    assert capsys.readouterr() == ("deleted npc/smith@1\n", "")
    assert voices.get_voice_details("npc/smith").versions == (3, 2)
    assert (last_change(voices).actor, last_change(voices).note) == ("me@here", "why")


def test_delete_of_a_version_in_use(
    capsys: Capsys, source: list[str], voices: Client | LocalCatalog
) -> None:
    assert run("delete", "npc/smith", "--yes", *WHO, *source) == 1
    assert "npc/smith@2 is named by the label 'stable'" in capsys.readouterr().err
    assert voices.get_voice_details("npc/smith").versions == (3, 2, 1)


def test_delete_needs_a_yes(
    capsys: Capsys,
    monkeypatch: pytest.MonkeyPatch,
    source: list[str],
    voices: Client | LocalCatalog,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert run("delete", "npc/smith@1", *source) == 2
    assert capsys.readouterr().err == (
        "voxswap: error: deleting needs a yes\n  add --yes, if you are sure\n"
    )
    assert voices.get_voice_details("npc/smith").versions == (3, 2, 1)


@pytest.mark.parametrize(("typed", "goes"), [("y\n", True), ("Yes\n", True), ("\n", False)])
def test_delete_asks_on_a_terminal(
    capsys: Capsys,
    monkeypatch: pytest.MonkeyPatch,
    source: list[str],
    voices: Client | LocalCatalog,
    typed: str,
    goes: bool,
) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard(typed))
    assert run("delete", "npc/smith@1", *WHO, *source) == (0 if goes else 1)
    out, err = capsys.readouterr()
    assert err.startswith("delete npc/smith@1? [y/N] ")
    assert err.endswith("[y/N] " if goes else "nothing was deleted\n")
    assert out == ("deleted npc/smith@1\n" if goes else "")
    assert len(voices.get_voice_details("npc/smith").versions) == (2 if goes else 3)


def test_the_question_says_how_much_would_go(
    capsys: Capsys,
    monkeypatch: pytest.MonkeyPatch,
    source: list[str],
    voices: Client | LocalCatalog,
) -> None:
    def asked() -> str:
        monkeypatch.setattr(sys, "stdin", Keyboard(""))
        assert run("delete", "npc/smith", *WHO, *source) == 1
        return capsys.readouterr().err.partition("?")[0]

    assert asked() == "delete npc/smith with all its 3 versions"
    for version in (1, 3):
        voices.delete_voice(f"npc/smith@{version}", actor="", note="")
    assert asked() == "delete npc/smith with its only version 2"


def test_delete_as_json(capsys: Capsys, source: list[str]) -> None:
    assert run("delete", "npc/smith@1", "--yes", "--json", *WHO, *source) == 0
    assert json.loads(capsys.readouterr().out) == {"voice": "npc/smith", "deleted": [1]}


# Who did it


def test_the_actor_is_the_user_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, source: list[str], voices: Client | LocalCatalog
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "smith")
    monkeypatch.setattr(socket, "gethostname", lambda: "forge")
    assert run("promote", "npc/smith@3", *source) == 0
    assert last_change(voices).actor == "smith@forge"


def test_a_user_without_a_name(
    monkeypatch: pytest.MonkeyPatch, source: list[str], voices: Client | LocalCatalog
) -> None:
    def nobody() -> None:
        raise KeyError("uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr(socket, "gethostname", lambda: "f" * 300)
    assert run("promote", "npc/smith@3", *source) == 0
    assert last_change(voices).actor == ("unknown@" + "f" * 300)[:128]
