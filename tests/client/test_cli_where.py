"""Whom `voxswap voices` asks: a server wherever there is one, unless a registry was named."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from tests.client.fake_server import FakeServer
from tests.client.terminal import Capsys, unwrapped
from voxswap.v1 import voices_pb2
from voxswap_client.cli import connection, main
from voxswap_families.importing import detect

pytestmark = pytest.mark.usefixtures("at_home")
HERE = "var/registry"
REMEDY = (
    "  start a server with `voxswap serve`, or name one with --address (VOXSWAP_ADDRESS); without "
    "a server, name the registry with --registry (VOXSWAP_REGISTRY)"
)


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> FakeServer:
    """A server at the usual address, which has npc/ghost, and no name of a registry."""
    monkeypatch.setattr(connection, "DEFAULT_ADDRESS", server.address)
    monkeypatch.delenv("VOXSWAP_REGISTRY")
    server.voices.append(voices_pb2.Voice(id="npc/ghost", version=1))
    return server


def listed(capsys: Capsys, *flags: str) -> list[str]:
    assert main(["voices", "list", "--json", *flags]) == 0
    return [voice["id"] for voice in json.loads(capsys.readouterr().out)["voices"]]


IN_THE_FOLDER, AT_THE_SERVER = ["npc/baker", "npc/smith"], ["npc/ghost"]


@pytest.mark.parametrize(
    ("variables", "flags", "expected"),
    [
        ([], [], AT_THE_SERVER),
        (["VOXSWAP_REGISTRY"], [], IN_THE_FOLDER),
        (["VOXSWAP_ADDRESS"], [], AT_THE_SERVER),
        (["VOXSWAP_ADDRESS", "VOXSWAP_REGISTRY"], [], AT_THE_SERVER),
        ([], ["--registry"], IN_THE_FOLDER),
        (["VOXSWAP_ADDRESS"], ["--registry"], IN_THE_FOLDER),
        (["VOXSWAP_REGISTRY"], ["--address"], AT_THE_SERVER),
    ],
)
@pytest.mark.usefixtures("registry")
def test_who_is_asked(
    capsys: Capsys,
    monkeypatch: pytest.MonkeyPatch,
    usual: FakeServer,
    variables: list[str],
    flags: list[str],
    expected: list[str],
) -> None:
    places = {"VOXSWAP_REGISTRY": HERE, "VOXSWAP_ADDRESS": usual.address}
    places |= {"--registry": HERE, "--address": usual.address}
    for name in variables:
        monkeypatch.setenv(name, places[name])
    assert listed(capsys, *(word for flag in flags for word in (flag, places[flag]))) == expected
    assert bool(usual.requests) is (expected is AT_THE_SERVER)


@pytest.mark.parametrize(
    "command",
    [
        ["show", "npc/ghost"],
        ["versions", "npc/ghost"],
        ["history", "npc/ghost"],
        ["promote", "npc/ghost@1"],
        ["traffic", "npc/ghost", "1=1"],
        ["update", "npc/ghost", "--name", "Boo"],
        ["delete", "npc/ghost@1", "--yes"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_that_the_wire_has_asks_it(usual: FakeServer, command: list[str]) -> None:
    assert main(["voices", *command]) == 0
    assert usual.requests
    assert not Path("var").exists()


@pytest.mark.parametrize("words", [["list"], ["promote", "npc/ghost@1"], ["delete", "a", "--yes"]])
def test_without_any_server_both_remedies_are_told(
    capsys: Capsys, usual: FakeServer, words: list[str]
) -> None:
    usual.stop()
    assert main(["voices", *words]) == 1
    out, err = capsys.readouterr()
    told, remedy = unwrapped(err)
    assert out == ""
    assert told.startswith("voxswap: error: the server cannot be reached, or broke the connection")
    assert usual.address in told
    assert remedy == REMEDY


def test_an_import_begins_when_a_server_answers(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, usual: FakeServer
) -> None:
    monkeypatch.setattr(detect, "import_voices", lambda *_args, **_options: pytest.fail("imported"))
    monkeypatch.setattr("voxswap_client.cli.voices_add._ANSWERS_WITHIN_S", 0.2)
    usual.stop()
    assert main(["voices", "add", "line.onnx", "--id", "npc/new"]) == 1
    told, remedy = unwrapped(capsys.readouterr().err)
    assert told.startswith(f"voxswap: error: {usual.address} does not answer after 0.2 s")
    assert remedy == REMEDY


def test_a_server_that_cannot_do_it_now_has_answered(capsys: Capsys, usual: FakeServer) -> None:
    stopping = usual.reason("SHUTTING_DOWN")
    usual.script += [usual.fail(grpc.StatusCode.UNAVAILABLE, "it is stopping", stopping)] * 9
    assert main(["voices", "list"]) == 1
    assert capsys.readouterr().err == "voxswap: error: it is stopping\n"
