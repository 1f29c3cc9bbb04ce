"""The TypeScript client: its own tests, and a tour of the real server from Node."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.foreign_clients import demand, passed, run
from tests.e2e.servers import ServerThread, active_leases

CLIENT = Path(__file__).parents[2] / "clients/typescript"
NODE_AT_LEAST = 20
PASSED = r"^# pass (\d+)$"


def node_is_missing() -> str:
    """Why this machine cannot run it; empty if it can."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    version = run("node", "--version").strip()
    found = re.match(r"v(\d+)", version)
    if found is None or int(found[1]) < NODE_AT_LEAST:
        return f"needs Node {NODE_AT_LEAST} or later, and this is {version}"
    return ""


@pytest.fixture(scope="module")
def built() -> None:
    """The package with its dependencies, as its lock has them, and its unit tests passed."""
    demand(node_is_missing())
    run("npm", "ci", cwd=CLIENT)
    passed(run("npm", "test", cwd=CLIENT), PASSED, at_least=55)


@pytest.mark.usefixtures("built")
def test_the_client_speaks_with_the_real_server(server: ServerThread) -> None:
    http_address = server.server.http_address
    assert http_address is not None
    addresses = {"VOXSWAP_ADDRESS": server.server.address, "TEST_HTTP_ADDRESS": http_address}
    passed(run("npm", "run", "e2e", cwd=CLIENT, **addresses), PASSED, at_least=21)
    server.wait_until(lambda: active_leases(server) == 0)  # whoever left took its compute along


def test_the_lock_names_no_host() -> None:
    """Whoever installs it may have a registry of their own."""
    assert "resolved" not in (CLIENT / "package-lock.json").read_text("utf-8")
