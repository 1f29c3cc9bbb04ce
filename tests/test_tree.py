"""What is in the repository: sources and small fixtures, and neither weights nor sound."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MOST_BYTES = 1 << 20
FOLDERS = frozenset(
    {
        *(".ci", "bench", "clients", "deploy", "docs", "families", "model_registry", "proto"),
        *("scripts", "server", "tests"),
    }
)


def test_nothing_large_and_nothing_left_over_is_committed() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of git's")
    listing = subprocess.run(  # noqa: S603
        [git, "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    files = [Path(name) for name in listing.stdout.split("\0") if name]
    assert len(files) > 500
    there = [path for path in files if (ROOT / path).is_file()]
    assert [str(p) for p in there if (ROOT / p).stat().st_size > MOST_BYTES] == []
    assert {path.parts[0] for path in files if len(path.parts) > 1} == FOLDERS
    assert [str(path) for path in files if path.suffix in {".wav", ".pth", ".safetensors"}] == []
