"""The C# client: what knows no engine, and the Unity component beside a stub of its engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.servers import ServerThread, active_leases

CLIENT = Path(__file__).parents[2] / "clients/csharp"
# Debian's libnewtonsoft-json5.0-cil; Unity has the same library as a package of its own.
JSON = Path("/usr/lib/cli/Newtonsoft.Json-5.0/Newtonsoft.Json.dll")


def run(*command: str | Path) -> str:
    """Run a command; what it prints is the failure."""
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, timeout=150
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources and tests in one program, which takes the address of a server or none."""
    missing = [tool for tool in ("mcs", "mono") if shutil.which(tool) is None]
    missing += [] if JSON.exists() else [str(JSON)]
    if missing and os.environ.get("VOXSWAP_CI"):
        pytest.fail(f"CI must have {missing}")
    if missing:
        pytest.skip(f"needs mono-mcs and libnewtonsoft-json5.0-cil: {missing} is not installed")
    folder = tmp_path_factory.mktemp("csharp")
    shutil.copy(JSON, folder)
    sources = [*CLIENT.glob("com.voxswap.unity/Runtime/**/*.cs"), *CLIENT.glob("tests/*.cs")]
    assert len(sources) > 10
    made = folder / "check.exe"
    # Unity 2021.3 takes C# 9, and mcs a little more than C# 7.
    run("mcs", "-langversion:7", "-warn:4", "-warnaserror", f"-r:{JSON}", f"-out:{made}", *sources)
    return made


def passed(output: str, *, at_least: int) -> None:
    found = re.search(r"^(\d+) passed, 0 failed$", output, re.MULTILINE)
    assert found, output
    assert int(found[1]) >= at_least, output


def test_the_parts_that_know_no_engine(program: Path) -> None:
    passed(run("mono", program), at_least=10)


def test_the_component_speaks_with_the_real_server(program: Path, server: ServerThread) -> None:
    address = f"ws://{server.server.http_address}/v1/converse"
    passed(run("mono", program, address), at_least=6)
    server.wait_until(lambda: active_leases(server) == 0)  # whoever was interrupted let go


def test_the_playback_needs_no_other_library(program: Path, tmp_path: Path) -> None:
    """The folder that projects without Unity take, by itself, without any library."""
    assert program.exists()
    sources = CLIENT.glob("com.voxswap.unity/Runtime/Playback/*.cs")
    run("mcs", "-langversion:7", "-target:library", f"-out:{tmp_path / 'playback.dll'}", *sources)
