"""Manifests that would harm the server: refused at the door, and never loaded from the store."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.e2e.servers import ServerThread, serving
from tests.registry.drafts import root_of
from voxswap.v1 import voices_pb2, voices_pb2_grpc
from voxswap_client import Client, DataLossError
from voxswap_client.rpc_status import from_rpc_error
from voxswap_registry.layout import manifest_key
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

# Each ended the server, hung it, or was an INTERNAL error or a gigabyte of memory.
HOSTILE = [
    ("front_end.options.voice", "../phontab"),
    ("front_end.options.voice", "../" * 10 + "dev/zero"),
    ("front_end.options.voice", ""),
    ("audio.sample_rate_hertz", 1),
    ("defaults.length_scale", 1e15),
    ("defaults.length_scale", 0),
    ("defaults.length_scale", -1),
    ("speakers.beyond", 7),
    ("engine_config.flow_kernel_size", 4),
]


def hostile(joe: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    raw = copy.deepcopy(joe)
    target = raw
    *outer, last = path.split(".")
    for key in outer:
        target = target[key]
    target[last] = value
    return raw


@pytest.fixture(scope="module")
def joe_json(joe_registry: Registry) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(joe_registry.resolve(VoiceRef("joe")).to_json())
    return loaded


@pytest.fixture(scope="module")
def house(
    joe_registry: Registry, joe_json: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerThread]:
    """A server whose registry has all of them: somebody put them there who may write to it."""
    root = tmp_path_factory.mktemp("hostile") / "registry"
    shutil.copytree(root_of(joe_registry), root)
    objects = Registry(root).objects
    for n, (path, value) in enumerate(HOSTILE):
        for version, raw in ((1, joe_json), (2, hostile(joe_json, path, value))):
            data = raw | {"voice_id": f"evil/{n}", "version": version}
            objects.replace(manifest_key(f"evil/{n}", version), json.dumps(data).encode())
    with serving(root) as thread:
        yield thread


@pytest.mark.parametrize(("path", "value"), HOSTILE)
def test_it_is_refused_by_its_field(
    house: ServerThread, joe_json: dict[str, Any], path: str, value: Any
) -> None:
    raw = hostile(joe_json, path, value) | {"voice_id": "evil/new"}
    message = voices_pb2.RegisterVoiceRequest(manifest_json=json.dumps(raw).encode())
    with grpc.insecure_channel(house.server.address) as channel:
        stub = voices_pb2_grpc.VoiceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            stub.RegisterVoice(iter([message]), timeout=30)
    error = from_rpc_error(raised.value)
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_INPUT")
    (violation,) = error.violations
    assert f"manifest_json.{path}".startswith(violation.field)
    assert path.rpartition(".")[2] in violation.field + violation.description


def test_what_lies_in_the_store_is_listed_with_its_problem_and_never_loaded(
    house: ServerThread,
) -> None:
    with Client(house.server.address, timeout_s=60) as client:
        for n, (path, _) in enumerate(HOSTILE):
            (listed,) = client.list_voices(prefix=f"evil/{n}")
            assert path.partition(".")[0] in listed.problem
            assert "publish a version in which that is right" in listed.problem
            with pytest.raises(DataLossError) as raised:
                client.say(f"evil/{n}", "Hi.")
            assert raised.value.reason == "MANIFEST_INVALID"
        assert house.on_loop(lambda: house.house.manager.statistics().resident_bytes) == 0
        # Its other version is well, and so is everybody else.
        assert client.say("evil/0@1", "Hi.").trailer.total_samples
        assert client.say("joe", "Hi.").trailer.total_samples
