"""The environments of published clients, made once and kept under var/clients.

``python -m tests.clients.environments`` makes those that are not there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
import tomllib
import venv
from pathlib import Path

from tests.clients.published import CLIENTS, OURS, pins

ROOT = Path(__file__).parents[2]
_KEPT = ROOT / "var" / "clients"


def python_of(environment: str) -> Path:
    """Its interpreter."""
    return _KEPT / environment / "bin" / "python"


def is_there(environment: str) -> bool:
    """Whether all that is wanted of it is installed."""
    stamp = _KEPT / environment / "wanted.txt"
    return stamp.exists() and stamp.read_text() == _wanted(environment)


def make(environment: str) -> None:
    """Install what is pinned, and what is ours; does nothing where it is there."""
    _KEPT.mkdir(parents=True, exist_ok=True)
    with (_KEPT / f"{environment}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be making it
        if is_there(environment):
            return
        folder = _KEPT / environment
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        _pip(environment, "install", "--only-binary=:all:", "--requirement", pins(environment))
        for ours in OURS.get(environment, ()):
            _pip(environment, "install", "--no-deps", "--editable", ROOT / ours)
        _pip(environment, "check")
        (folder / "wanted.txt").write_text(_wanted(environment))


def _pip(environment: str, command: str, *arguments: str | Path) -> None:
    # What is on somebody's path is not in the environment.
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    quiet = {**usual, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_QUIET": "2"}
    pip = [str(python_of(environment)), "-m", "pip", command, *map(str, arguments)]
    subprocess.run(pip, check=True, env=quiet)  # noqa: S603


def _wanted(environment: str) -> str:
    read = [pins(environment).read_text()]
    for ours in OURS.get(environment, ()):
        told = tomllib.loads((ROOT / ours / "pyproject.toml").read_text())
        read += [told["project"]["version"], *told["project"]["dependencies"]]
    return "\n".join([sys.version, str(ROOT), *read])


def main() -> None:
    """Make all of them, one after another."""
    for environment in dict.fromkeys(client.environment for client in CLIENTS):
        began_s = time.monotonic()
        if not is_there(environment):
            make(environment)
            print(f"{environment}: {time.monotonic() - began_s:.0f} s", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
