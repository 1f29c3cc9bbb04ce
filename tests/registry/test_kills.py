"""A process that is killed at a random write leaves a sound registry, and keeps nobody waiting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_kills_at_random_writes() -> None:
    """In a process of its own: it forks, and this one has threads."""
    command = [sys.executable, "-m", "bench.hostile.kills", "--kills", "25", "--seed", "1"]
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "25 kills" in done.stdout
    assert "nothing unsound" in done.stdout
