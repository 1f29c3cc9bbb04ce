"""The page's modules agree with each other, by the types in their comments."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

import voxswap_server.doors.http.page
from tests.e2e.foreign_clients import demand, run

_PACKAGE = Path(__file__).parents[2] / "clients/typescript/package.json"
_STATIC = files(voxswap_server.doors.http.page) / "static"
_OPTIONS = {
    "allowJs": True,
    "checkJs": True,
    "noEmit": True,
    "strict": True,
    "noUnusedLocals": True,
    "noUnusedParameters": True,
    "types": [],
    "target": "esnext",
    "module": "esnext",
    "moduleResolution": "bundler",
    "lib": ["esnext", "dom", "dom.iterable"],
}


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one that the TypeScript client is built with."""
    demand("" if shutil.which("npm") else "npm is not installed")
    folder = tmp_path_factory.mktemp("typescript")
    version = json.loads(_PACKAGE.read_text())["devDependencies"]["typescript"]
    run("npm", "install", "--no-save", f"typescript@{version}", cwd=folder)
    return folder / "node_modules/.bin/tsc"


def check(compiler: Path, folder: Path) -> str:
    """What is wrong with the modules in ``folder``."""
    # The worklet's own world has names that no library of types knows.
    names = [p.name for p in folder.glob("*.js") if p.name != "worklet.js"]
    config = folder / "tsconfig.json"
    config.write_text(json.dumps({"compilerOptions": _OPTIONS, "files": names}))
    return run(compiler, "-p", config)


def test_types_hold(compiler: Path, tmp_path: Path) -> None:
    shutil.copytree(str(_STATIC), tmp_path / "static")
    check(compiler, tmp_path / "static")


def test_a_type_that_does_not_hold_is_found(compiler: Path, tmp_path: Path) -> None:
    shutil.copytree(str(_STATIC), tmp_path / "static")
    with (tmp_path / "static/format.js").open("a") as module:
        module.write("milliseconds('soon');\n")
    with pytest.raises(AssertionError, match=r"format\.js.*'string'"):
        check(compiler, tmp_path / "static")
