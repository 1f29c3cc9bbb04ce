"""The C# client: what knows no engine, and the Unity component beside a stub of its engine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.foreign_clients import demand, passed, run
from tests.e2e.servers import ServerThread, active_leases

CLIENT = Path(__file__).parents[2] / "clients/csharp"
# Debian's libnewtonsoft-json5.0-cil; Unity has the same library as a package of its own.
JSON = Path("/usr/lib/cli/Newtonsoft.Json-5.0/Newtonsoft.Json.dll")
# Unity 2021.3 takes C# 9, and mcs a little more than C# 7.
COMPILE = ("mcs", "-langversion:7", "-warn:4", "-warnaserror")
PASSED = r"^(\d+) passed, 0 failed$"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources and tests in one program, which takes the address of a server or none."""
    missing = [tool for tool in ("mcs", "mono") if shutil.which(tool) is None]
    missing += [] if JSON.exists() else [str(JSON)]
    packages = "the packages mono-mcs and libnewtonsoft-json5.0-cil"
    demand(f"{', '.join(missing)} missing: needs {packages}" if missing else "")
    folder = tmp_path_factory.mktemp("csharp")
    shutil.copy(JSON, folder)
    sources = [*CLIENT.glob("com.voxswap.unity/Runtime/**/*.cs"), *CLIENT.glob("tests/*.cs")]
    assert len(sources) > 10
    made = folder / "check.exe"
    run(*COMPILE, f"-r:{JSON}", f"-out:{made}", *sources)
    return made


def test_the_parts_that_know_no_engine(program: Path) -> None:
    passed(run("mono", program), PASSED, at_least=10)


def test_the_component_speaks_with_the_real_server(program: Path, server: ServerThread) -> None:
    address = f"ws://{server.server.http_address}/v1/converse"
    passed(run("mono", program, address), PASSED, at_least=6)
    server.wait_until(lambda: active_leases(server) == 0)  # whoever was interrupted let go


@pytest.mark.usefixtures("program")
def test_the_playback_needs_no_other_library(tmp_path: Path) -> None:
    """The folder that projects without Unity take."""
    sources = CLIENT.glob("com.voxswap.unity/Runtime/Playback/*.cs")
    run(*COMPILE, "-target:library", f"-out:{tmp_path / 'playback.dll'}", *sources)
