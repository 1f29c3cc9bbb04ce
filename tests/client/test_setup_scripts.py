"""What a first-time user meets: `scripts/serve --help`, and what the steps of set-up say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

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
