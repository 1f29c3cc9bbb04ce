"""The command as users meet it: help, errors, exit codes, and what it does not import."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

import voxswap_client
from tests.client.fake_residency import EPOCH
from tests.client.fake_server import FakeServer
from tests.client.terminal import Capsys, unwrapped
from voxswap_client.cli import main
from voxswap_client.cli.failure import CliError, report
from voxswap_families.layers.native.library import shown


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("VOXSWAP_ADDRESS", "VOXSWAP_REGISTRY"):
        monkeypatch.delenv(name, raising=False)


def test_help_imports_neither_grpc_nor_server_nor_torch() -> None:
    program = (
        "import sys; from voxswap_client.cli import main; code = main(['--help']); "
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr); "
        "sys.exit(code)"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    imported = done.stderr
    assert "'voxswap_client'" in imported
    for heavy in ("grpc", "google", "torch", "numpy", "voxswap_server", "voxswap_registry"):
        assert f"'{heavy}'" not in imported
    assert done.stdout.startswith("usage: voxswap ")


COMMANDS = [
    [],
    ["say"],
    ["converse"],
    ["render"],
    ["ps"],
    *([name] for name in ("load", "unload", "pin", "unpin", "budget", "explain", "prepare")),
    *([name] for name in ("watch", "top")),
    ["voices"],
    *(
        ["voices", action]
        for action in (
            *("list", "show", "versions", "history", "promote", "rollback", "traffic", "update"),
            *("delete", "add", "verify", "sign"),
        )
    ),
    *(["registry", action] for action in ("gc", "pull")),
    *(["keys", action] for action in ("new", "show")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_help_fits_100_columns(capsys: Capsys, command: list[str]) -> None:
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(" ".join(["usage: voxswap", *command]))
    assert max(map(len, shown.splitlines())) <= 100


def test_version(capsys: Capsys) -> None:
    assert main(["--version"]) == 0
    version, kernels = capsys.readouterr().out.splitlines()
    assert version == f"voxswap {voxswap_client.__version__}"
    assert kernels == f"kernels {shown()}"


def test_version_needs_nothing_of_the_server() -> None:
    program = (
        "import sys; from voxswap_client.cli import main; main(['--version']); "
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    for name in ("grpc", "torch", "numpy", "pydantic", "voxswap_server"):
        assert f"'{name}'" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["sing"],
        ["say", "npc/smith"],
        ["say", "npc/smith", "Hi", "--marks", "vowel"],
        ["say", "npc/smith", "Hi", "--timeout", "0"],
        ["say", "npc/smith", "Hi", "--timeout", "nan"],
        ["say", "npc/smith", "Hi", "--encoding", "mp4"],
        ["say", "npc/smith", "Hi", "--class", "song"],
        ["say", "npc/smith", "Hi", "--start-by", "soon"],
        ["converse"],
        ["converse", "npc/smith", "Hi"],
        ["render", "script.csv"],
        ["render", "--out", "lines"],
        ["voices", "list", "--address", "a:1", "--registry", "b"],
        ["ps", "--addr", "abbreviated:1"],
        ["load"],
        ["unload"],
        ["explain"],
        ["explain", "npc/smith", "npc/baker"],
        ["prepare"],
        ["prepare", "=500"],
        ["prepare", "npc/smith=soon"],
        ["prepare", "npc/smith=-1"],
        ["budget"],
        ["budget", "large"],
        ["budget", "-1GiB"],
        ["budget", "0"],
        ["budget", "99999999TiB"],
        ["watch", "--after", "x"],
        ["watch", "--after", "1", "--since-start"],
        ["watch", "--epoch", "7"],
        ["top", "--sort", "name"],
        ["top", "--interval", "0"],
        ["top", "--metrics", "ftp://host/metrics"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_is_wrong(capsys: Capsys, command: list[str]) -> None:
    assert main(command) == 2
    assert "error: " in capsys.readouterr().err


def test_a_server_that_is_not_there(capsys: Capsys, server: FakeServer) -> None:
    server.stop()
    assert main(["ps", "--address", server.address]) == 1
    out, err = capsys.readouterr()
    first, remedy = unwrapped(err)
    assert out == ""
    assert first.startswith("voxswap: error: the server cannot be reached, or broke the connection")
    assert remedy == (
        "  start a server with `voxswap serve`, or say where one is with --address or "
        "VOXSWAP_ADDRESS"
    )


def test_the_address_comes_from_the_environment(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, server: FakeServer
) -> None:
    monkeypatch.setenv("VOXSWAP_ADDRESS", server.address)
    assert main(["ps"]) == 0
    assert capsys.readouterr().out == "no voice is in memory\n"


def test_every_violation_has_a_line(capsys: Capsys, server: FakeServer) -> None:
    faults = [("text", "is blank"), ("controls.rate", "is 9, above 4")]
    request = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
            for field, description in faults
        ]
    )
    message = "; ".join(f"{field}: {description}" for field, description in faults)
    server.script.append(server.fail(grpc.StatusCode.INVALID_ARGUMENT, message, request))
    assert main(["say", "npc/smith", " ", "--address", server.address]) == 1
    assert capsys.readouterr().err == (
        "voxswap: error: the request is not valid\n"
        "  text: is blank\n"
        "  controls.rate: is 9, above 4\n"
    )


def test_a_retry_hint_is_told(capsys: Capsys, server: FakeServer) -> None:
    hint = server.retry_info(1.5)
    server.script.append(server.fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "60 streams speak", hint))
    # One that is as good later would be tried again.
    line = ["say", "npc/smith", "Hi", "--start-by", "300"]
    assert main([*line, "--address", server.address]) == 1
    assert capsys.readouterr().err == "voxswap: error: 60 streams speak\n  try again in 1.5 s\n"


def test_a_message_of_several_lines_is_told_in_one(capsys: Capsys) -> None:
    assert report(voxswap_client.InternalServerError("what\n  happened")) == 1
    assert capsys.readouterr().err == "voxswap: error: what happened\n"


def test_an_error_of_the_operating_system_is_told(capsys: Capsys) -> None:
    assert report(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/full/line.wav")) == 1
    assert capsys.readouterr().err == "voxswap: error: No space left on device: /full/line.wav\n"


def test_a_server_that_cannot_do_it_now_has_said_what_to_do_itself(capsys: Capsys) -> None:
    stuck = voxswap_client.UnavailableError(
        "look at the disk", code="UNAVAILABLE", reason="LOAD_STUCK", retry_after_s=30.0
    )
    assert report(stuck) == 1
    assert capsys.readouterr().err == "voxswap: error: look at the disk\n  try again in 30 s\n"


def test_a_deadline_is_an_error_with_its_remedy(capsys: Capsys, server: FakeServer) -> None:
    server.script.append(server.stall(*server.line[:2]))
    assert main(["say", "n", "Hi", "--timeout", "0.5", "--address", server.address]) == 1
    assert unwrapped(capsys.readouterr().err)[1] == "  give it longer with --timeout SECONDS"
    assert server.ended.wait(server.patience_s)


def test_serve_hands_every_flag_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []
    module: Any = type(sys)("voxswap_server.app.command")
    module.main = lambda argv: heard.append(argv) or 7
    monkeypatch.setitem(sys.modules, "voxswap_server.app.command", module)
    assert main(["serve", "--help", "--budget", "1 GiB", "--address"]) == 7
    assert heard == [["--help", "--budget", "1 GiB", "--address"]]


def test_serve_without_the_server(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "voxswap_server.app.command", None)
    assert main(["serve"]) == 1
    first, remedy = unwrapped(capsys.readouterr().err)
    assert first.startswith("voxswap: error: the server cannot be loaded")
    assert remedy == "  pip install 'voxswap[server]'"


def test_a_reader_that_leaves_is_no_traceback(server: FakeServer) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "voxswap_client.cli", "ps", "--address", server.address]
    try:
        done = subprocess.run(  # noqa: S603
            command, stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_ps_as_json(capsys: Capsys, server: FakeServer) -> None:
    assert main(["ps", "--json", "--address", server.address]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "residents": [],
        "components": [],
        "ledgers": [],
        "last_sequence": 0,
        "epoch": EPOCH,
        "beside": {},
    }


def test_long_errors_are_wrapped_and_paths_stay_whole(capsys: Capsys) -> None:
    path = "/very/long" * 12
    assert report(CliError(f"cannot read {path}, " + "because of this and that " * 9)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any(path in line for line in lines)
    assert all(len(line) <= 100 for line in lines if path not in line)
