"""Clients in other languages: their tools, and what their runners say."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest


def demand(missing: str) -> None:
    """Skip where something is missing, which CI must have."""
    if missing and os.environ.get("VOXSWAP_CI"):
        pytest.fail(f"CI must have it: {missing}")
    if missing:
        pytest.skip(missing)


def run(*command: str | Path, cwd: Path | None = None, **variables: str) -> str:
    """Run a command; what it prints is the failure."""
    done = subprocess.run(  # noqa: S603
        command,
        cwd=cwd,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def passed(output: str, pattern: str, *, at_least: int) -> None:
    """A runner that finds no test is content with that."""
    found = re.search(pattern, output, re.MULTILINE)
    assert found, output
    assert int(found[1]) >= at_least, output
