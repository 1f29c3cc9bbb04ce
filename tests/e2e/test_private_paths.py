"""What goes wrong on a server's disk is told to clients without paths; its log has them."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.e2e.voice_service import House, housed, upload_of
from tests.registry.drafts import root_of
from voxswap.v1 import voices_pb2
from voxswap_registry.layout import blob_key, manifest_key, state_key
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import Edit
from voxswap_registry.store import Registry


@pytest.fixture
def house(joe_registry: Registry, tmp_path: Path) -> Iterator[House]:
    """A server on a registry of its own, in a place whose name would be noticed."""
    place = tmp_path / "secret-place"
    shutil.copytree(root_of(joe_registry), place, copy_function=os.link)
    (tmp_path / "secret-cache").mkdir()
    with housed(place, cache_dir=str(tmp_path / "secret-cache"), preload="") as house:
        yield house


def told(call: Callable[[], object]) -> tuple[grpc.StatusCode, str, str]:
    """Code, reference, and all that a client is told of an error."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    status = rpc_status.from_call(raised.value)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    everything = f"{status} {raised.value.trailing_metadata()}"
    return raised.value.code(), info.metadata["reference"], everything


def joe_blob(house: House, role: str = "model") -> Path:
    joe = house.registry.resolve(VoiceRef("joe"))
    path = house.registry.objects.path(blob_key(joe.component(role).digest))
    assert path is not None
    return path


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", link)


def upload(house: House) -> object:
    return house.voices.RegisterVoice(iter(upload_of(house, "new/joe", b"new")), timeout=60)


def promote(house: House) -> object:
    return house.label("joe@1", "canary")


def full_for_uploads(house: House, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    full_disk(patch)
    return lambda: upload(house)


def full_for_changes(house: House, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    full_disk(patch)
    return lambda: promote(house)


def missing(house: House, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    joe_blob(house).unlink()
    return lambda: say(house)


def damaged(house: House, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    path = joe_blob(house)
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(bytes(len(data)))
    return lambda: say(house)


def linked(house: House, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    path = joe_blob(house)
    path.rename(path.with_name("moved"))
    path.symlink_to(path.with_name("moved"))
    return lambda: say(house)


def folder_in_its_place(house: House, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    path = joe_blob(house)
    path.unlink()
    path.mkdir()
    return lambda: say(house)


def state_in_the_way(house: House, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    house.registry.edit("joe", Edit(tags=("one",)))
    revision = house.registry.record("joe").state.revision
    path = root_of(house.registry) / state_key("joe", revision)
    path.unlink()
    path.symlink_to("nowhere")
    return lambda: promote(house)


def torn_manifest(house: House, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    house.registry.objects.replace(manifest_key("joe", 1), b'{"torn')
    house.thread.house.catalog.refresh(["joe"])
    return lambda: house.get("joe@1")


def busy(house: House, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    from voxswap_registry import markers

    patch.setattr(markers, "_WAIT_S", 0.0)
    house.registry.objects.replace("collecting/other.json", b"{}")
    return lambda: upload(house)


def say(house: House) -> object:
    from voxswap.v1 import speech_pb2

    request = speech_pb2.SynthesizeRequest(voice="joe", text="Where am I?")
    return list(house.speech.Synthesize(request, timeout=60))


FAULTS = [
    full_for_uploads,
    full_for_changes,
    missing,
    damaged,
    linked,
    folder_in_its_place,
    state_in_the_way,
    torn_manifest,
    busy,
]


@pytest.mark.parametrize("induce", FAULTS, ids=lambda induce: induce.__name__)
def test_clients_learn_no_path_and_the_log_has_it(
    induce: Callable[[House, pytest.MonkeyPatch], Callable[[], object]],
    house: House,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        with monkeypatch.context() as patch:
            code, reference, everything = told(induce(house, patch))
    assert code not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL), everything
    for secret in (str(tmp_path), "secret-place", "secret-cache", "/tmp"):  # noqa: S108
        assert secret not in everything
    assert bool(reference) == (induce not in (damaged, torn_manifest, busy))
    if reference:
        assert f"reference {reference}" in everything
        (line,) = [line for line in caplog.messages if f"reference {reference}" in line]
        assert "secret-place" in line
    listed = f"{house.voices.ListVoices(voices_pb2.ListVoicesRequest(), timeout=30)}"
    assert str(tmp_path) not in listed
