"""The TypeScript client: its own tests, and a tour of the real server from Node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.servers import ServerThread, active_leases

CLIENT = Path(__file__).parents[2] / "clients/typescript"
NODE_AT_LEAST = 20


def node_is_missing() -> str:
    """Why this machine cannot run it; empty if it can."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    version = run("node", "--version")
    found = re.match(r"v(\d+)", version)
    if found is None or int(found[1]) < NODE_AT_LEAST:
        return f"needs Node {NODE_AT_LEAST} or later, and this is {version.strip()}"
    return ""


def run(*command: str, **variables: str) -> str:
    """Run a command of the package; what it prints is the failure."""
    done = subprocess.run(  # noqa: S603
        command,
        cwd=CLIENT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built() -> None:
    """The package with its dependencies, as its lock has them, and its unit tests passed."""
    missing = node_is_missing()
    if missing and os.environ.get("VOXSWAP_CI"):
        pytest.fail(f"CI must have Node: {missing}")
    if missing:
        pytest.skip(missing)
    run("npm", "ci")
    passed(run("npm", "test"), at_least=50)


def passed(output: str, *, at_least: int) -> None:
    """A runner that finds no test is content with that."""
    found = re.search(r"^# pass (\d+)$", output, re.MULTILINE)
    assert found, output
    assert int(found[1]) >= at_least, output


@pytest.mark.usefixtures("built")
def test_the_client_speaks_with_the_real_server(server: ServerThread) -> None:
    http_address = server.server.http_address
    assert http_address is not None
    addresses = {"VOXSWAP_ADDRESS": server.server.address, "TEST_HTTP_ADDRESS": http_address}
    passed(run("npm", "run", "e2e", **addresses), at_least=21)
    server.wait_until(lambda: active_leases(server) == 0)  # whoever left took its compute along


def test_the_lock_names_no_host() -> None:
    """Whoever installs it may have a registry of their own."""
    assert "resolved" not in (CLIENT / "package-lock.json").read_text("utf-8")
