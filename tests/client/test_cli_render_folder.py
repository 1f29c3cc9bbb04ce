"""`voxswap render` and its folder: ended in the middle, shared, with strange things in it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.client.fake_server import FakeServer
from tests.client.rendering import asked, files, render, rows, running, script, then
from tests.client.terminal import Capsys, unwrapped


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: FakeServer) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXSWAP_ADDRESS", server.address)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_is_gone_on_with(server: FakeServer, end: signal.Signals) -> None:
    script(*(f"npc/smith,Text {n},{n}" for n in range(5)))
    whole = server.play(*server.line)
    then(server, whole, whole, server.stall(*server.line[:2]))
    with running() as process:
        assert server.waiting.wait(server.patience_s)
        process.send_signal(end)
        out, err = process.communicate(timeout=server.patience_s)
    assert out == b""
    assert server.ended.wait(server.patience_s), "nothing is computed for nobody"
    if end is signal.SIGINT:
        assert process.returncode == 130
        assert err.decode().splitlines() == [
            "2 of 5 lines are done; the same command goes on from here",
            "voxswap: interrupted",
        ]
    else:
        assert (process.returncode, err) == (-end, b"")
    assert files() == {"0.wav", "1.wav"}
    assert [row["id"] for row in rows()] == ["0", "1"]
    asked(server)
    assert render() == 0
    assert asked(server) == ["Text 2", "Text 3", "Text 4"]
    assert len(files()) == len(rows()) == 5


def test_what_a_kill_can_leave_behind_is_cleared(server: FakeServer, capsys: Capsys) -> None:
    script("npc/smith,One,a", "npc/smith,Two,b", "npc/smith,Three,c")
    assert render() == 0
    asked(server)
    results = Path("out/results.jsonl")
    results.write_bytes(results.read_bytes()[:-20])  # in the middle of a row
    parts = Path("out/.voxswap-parts")
    parts.mkdir()
    (parts / f"{'0' * 32}.part").write_bytes(b"half a file")
    assert render() == 0
    assert asked(server) == ["Three"]
    assert capsys.readouterr().err == ""
    assert not parts.exists()
    assert json.loads(results.read_text().splitlines()[-1])["id"] == "c"
    assert render() == 0
    assert asked(server) == []


def test_rows_that_say_nothing_are_told(server: FakeServer, capsys: Capsys) -> None:
    script("npc/smith,One,a", "npc/smith,Two,b")
    assert render() == 0
    asked(server)
    results = Path("out/results.jsonl")
    first, second = results.read_text().splitlines()
    results.write_text(f"[1]\n{first}\n{{}}\n\n{second}")  # the last one without an end
    assert render() == 0
    assert asked(server) == []
    assert unwrapped(capsys.readouterr().err) == [
        "voxswap: warning: out/results.jsonl: 2 rows could not be read"
    ]
    assert results.read_text().endswith("}\n")


def test_two_runs_do_not_write_to_one_folder(server: FakeServer, capsys: Capsys) -> None:
    script("npc/smith,One,a")
    then(server, server.stall(*server.line[:1]))
    with running():
        assert server.waiting.wait(server.patience_s)
        assert render() == 1
    assert unwrapped(capsys.readouterr().err) == [
        "voxswap: error: another voxswap render is writing to out",
        "  wait for it, or name another folder",
    ]


# The folder


def test_a_link_in_the_folder_is_not_followed(capsys: Capsys, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.wav").write_bytes(b"mine")
    Path("out").mkdir()
    Path("out/npc").symlink_to(outside)
    Path("out/b.wav").symlink_to(outside / "kept.wav")
    script("npc/smith,One,npc/a", "npc/smith,Two,b", "npc/smith,Three,npc/deep/c")
    assert render() == 1
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"kept.wav": b"mine"}
    assert not Path("out/b.wav").is_symlink()
    assert unwrapped(capsys.readouterr().err)[1:3] == [
        "  line 2: npc/a.wav cannot be written: out/npc is a link, which might lead out",
        "  line 4: npc/deep/c.wav cannot be written: out/npc is a link, which might lead out",
    ]


@pytest.mark.parametrize("name", ["results.jsonl", ".voxswap-parts"])
def test_a_link_in_place_of_what_render_keeps(name: str, capsys: Capsys, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    Path("out").mkdir()
    Path("out", name).symlink_to(outside)
    script("npc/smith,One,a")
    assert render() == 1
    assert f"out/{name}" in capsys.readouterr().err
    assert list(outside.iterdir()) == []


def test_a_folder_where_a_file_is_due_fails_that_line_alone(capsys: Capsys) -> None:
    Path("out/a.wav/in-it").mkdir(parents=True)
    script("npc/smith,One,a", "npc/smith,Two,b")
    assert render() == 1
    assert files() == {"b.wav"}
    assert "line 2: a.wav cannot be written: Is a directory" in capsys.readouterr().err


def test_a_full_disk_ends_the_run(
    server: FakeServer, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voxswap_client.cli.render_folder import RenderFolder

    write = RenderFolder.write

    def full(folder: RenderFolder, name: str, data: bytes) -> None:
        if name == "b.wav":
            raise OSError(28, os.strerror(28))
        write(folder, name, data)

    monkeypatch.setattr(RenderFolder, "write", full)
    script("npc/smith,One,a", "npc/smith,Two,b", "npc/smith,Three,c")
    assert render() == 1
    assert files() == {"a.wav"}
    assert unwrapped(capsys.readouterr().err) == [
        "1 of 3 lines are done; the same command goes on from here",
        "voxswap: error: b.wav cannot be written: No space left on device",
        "  make room, or write to another folder",
    ]
