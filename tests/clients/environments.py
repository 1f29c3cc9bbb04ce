"""Published clients, each in an environment of its own, made once and kept under var/clients."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

_KEPT = Path(__file__).parents[2] / "var" / "clients"
_INSTALL_S = 600


@dataclass(frozen=True, slots=True)
class PublishedClient:
    """What is installed, and the tour that is made with it: a script beside this file.

    ``speaks_to`` is the port that its tour is given: ``grpc``, ``http`` or ``wyoming``.
    """

    name: str
    requirements: tuple[str, ...]
    script: str
    speaks_to: str


def python_of(client: PublishedClient) -> Path:
    """The interpreter of its environment. Skips the test where that cannot be made, but in CI."""
    folder = _KEPT / client.name
    python, pins = folder / "bin" / "python", folder / "pins.txt"
    wanted = "\n".join((sys.version, *client.requirements))
    _KEPT.mkdir(parents=True, exist_ok=True)
    with (_KEPT / f"{client.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of the tests may be making it
        if not pins.exists() or pins.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            _install(python, client)
            pins.write_text(wanted)
    return python


def _install(python: Path, client: PublishedClient) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", *client.requirements]
    done = subprocess.run(  # noqa: S603
        [*command, "--disable-pip-version-check", "--only-binary=:all:"],
        timeout=_INSTALL_S,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = f"{client.name} cannot be installed: {done.stderr[-500:]}"
        assert not os.environ.get("VOXSWAP_CI"), why
        pytest.skip(why)
