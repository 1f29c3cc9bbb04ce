"""The blocking client is what `scripts/gen-client` makes of the asyncio one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "scripts/gen-client"
PACKAGE = "clients/python/voxswap_client"


def run(root: Path, *flags: str) -> tuple[int, str, str]:
    command: list[str | Path] = [sys.executable, root / SCRIPT, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the script reads and writes, elsewhere."""
    for name in (SCRIPT, "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for folder in ("_async", "_sync"):
        shutil.copytree(ROOT / PACKAGE / folder, tmp_path / PACKAGE / folder)
    return tmp_path


@pytest.fixture(scope="module")
def script() -> ModuleType:
    loader = SourceFileLoader("gen_client", str(ROOT / SCRIPT))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def test_the_blocking_client_is_up_to_date() -> None:
    assert run(ROOT, "--check") == (0, "", "")


def test_what_differs_is_named_with_its_remedy_and_mended(copy: Path) -> None:
    target = copy / PACKAGE / "_sync"
    (target / "stream.py").write_text("# changed by hand\n")
    (target / "extra.py").write_text("")
    (target / "watch.py").unlink()
    code, out, err = run(copy, "--check")
    assert (code, out) == (1, "")
    assert sorted(err.splitlines()) == [
        f"{PACKAGE}/_sync/{name} is not what _async/{name} says: run scripts/gen-client"
        for name in ("extra.py", "stream.py", "watch.py")
    ]
    assert run(copy)[0] == 0
    assert run(copy, "--check") == (0, "", "")
    assert (target / "stream.py").read_bytes() == (ROOT / PACKAGE / "_sync/stream.py").read_bytes()
    assert not (target / "extra.py").exists()


def test_every_name_and_phrase_is_of_use(script: ModuleType) -> None:
    sources = [path.read_text() for path in script.SOURCE.glob("*.py")]
    words = " ".join(" ".join(sources).split())
    assert [entry for entry in (*script.NAMES, *script.PHRASES) if entry not in words] == []


def test_a_source_is_changed_word_by_word(script: ModuleType) -> None:
    source = (
        "class AsyncThing(AsyncIterator[int]):\n"
        '    """An asyncio client\'s thing. Never awaits."""\n'
        "\n"
        "    # sync: @property\n"
        "    async def total(self) -> int:\n"
        "        async with self as thing:\n"
        '            return sum([await one() async for one in thing]), "await Async"\n'
    )
    assert script.synchronous(source) == (
        "class Thing(Iterator[int]):\n"
        '    """An blocking client\'s thing. Never awaits."""\n'
        "\n"
        "    @property\n"
        "    def total(self) -> int:\n"
        "        with self as thing:\n"
        '            return sum([one() for one in thing]), "await Async"\n'
    )
