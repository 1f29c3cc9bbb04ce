"""Measuring in turns, so that a noisy minute meets everybody; with another commit as well."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]
# Where packages stand in a tree; one that a commit does not have yet is not looked for.
_PACKAGES = ("server", "model_registry", "families", "clients/python", "proto", ".")


def in_turns(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    """What each of ``measures`` gave, once a round; who goes first changes with every round."""
    found: list[list[float]] = [[] for _ in measures]
    for turn in range(rounds):
        order = range(len(measures)) if turn % 2 else reversed(range(len(measures)))
        for i in order:
            found[i].append(measures[i]())
    return found


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a commit. ``name`` is its short hash."""

    name: str
    path: Path

    def environment(self) -> dict[str, str]:
        """Ours, but Python finds this tree's packages before any that are installed."""
        paths = [str(self.path / folder) for folder in _PACKAGES if (self.path / folder).is_dir()]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@contextlib.contextmanager
def tree_of(commit: str) -> Iterator[Tree]:
    """The tree of ``commit`` in a folder of its own, for as long as the block lasts.

    It is an export, not a worktree: whatever ends us, the repository keeps nothing of it. What is
    installed is shared, so a commit that needs other packages cannot be measured this way.
    """
    named = _git("rev-parse", "--verify", "--short", f"{commit}^{{commit}}")
    if named.returncode:
        raise SystemExit(f"--against {commit}: {named.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-tree-") as folder:
        archive = Path(folder) / "tree.tar"
        with archive.open("wb") as file:
            subprocess.run(
                [_git_program(), "archive", "--format=tar", commit],
                cwd=_ROOT,
                stdout=file,
                check=True,
            )
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        archive.unlink()
        tree = Tree(named.stdout.decode().strip(), Path(folder))
        _check(tree)
        yield tree


def _check(tree: Tree) -> None:
    """Prove that what would run is the tree's: the comparison would be of today with today."""
    command = [sys.executable, "-c", "import voxswap_server; print(voxswap_server.__file__)"]
    done = subprocess.run(
        command, env=tree.environment(), cwd=tree.path, capture_output=True, text=True, check=True
    )
    found = Path(done.stdout.strip())
    if not found.is_relative_to(tree.path):
        raise SystemExit(f"--against {tree.name}: Python would run {found}")


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([_git_program(), *arguments], cwd=_ROOT, capture_output=True, check=False)


def _git_program() -> str:
    found = shutil.which("git")
    if found is None:
        raise SystemExit("--against needs git")
    return found
