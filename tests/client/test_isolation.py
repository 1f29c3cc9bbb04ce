"""What importing the client brings along, seen from a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import voxswap_client

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, sys
before = set(sys.modules)
{imports}
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""
NEEDED = """
import grpc, grpc.aio, grpc_health.v1.health_pb2_grpc, grpc_status.rpc_status
from google.protobuf import (
    descriptor_pb2, descriptor_pool, field_mask_pb2, message_factory, runtime_version, timestamp_pb2
)
from google.rpc import error_details_pb2
"""
ALL_COMMANDS = """
import pkgutil, voxswap_client.cli
for found in pkgutil.iter_modules(voxswap_client.cli.__path__, "voxswap_client.cli."):
    __import__(found.name)
"""


def imported_by(imports: str) -> set[str]:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", PROGRAM.format(imports=imports)],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(json.loads(done.stdout)) - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    "imports",
    [
        "from voxswap_client import *",
        "import voxswap_client._sync.client, voxswap_client._async.client",
        ALL_COMMANDS,
    ],
    ids=["all names", "both clients", "all commands"],
)
def test_the_client_brings_grpc_and_protobuf_and_their_own_packages_alone(imports: str) -> None:
    # grpcio itself imports typing_extensions, and its own siblings if they are installed.
    assert imported_by(imports) <= imported_by(NEEDED) | {"voxswap", "voxswap_client"}


def test_errors_and_values_come_without_grpc() -> None:
    found = imported_by("from voxswap_client import Voice, VoiceNotFoundError")
    assert found == {"voxswap_client"}


def test_every_public_name_is_there() -> None:
    for name in voxswap_client.__all__:
        assert getattr(voxswap_client, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        voxswap_client.Nothing  # noqa: B018


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert voxswap_client.__version__ == project["version"]
