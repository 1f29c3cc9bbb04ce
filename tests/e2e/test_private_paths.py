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

from tests.e2e.voice_service import VoiceServer, serving_voices, upload_of
from tests.registry.drafts import root_of
from voxswap.v1 import voices_pb2
from voxswap_registry.layout import blob_key, manifest_key, state_key
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import Edit
from voxswap_registry.store import Registry


@pytest.fixture
def served(joe_registry: Registry, tmp_path: Path) -> Iterator[VoiceServer]:
    """A server on a registry of its own, in a place whose name would be noticed."""
    place = tmp_path / "secret-place"
    shutil.copytree(root_of(joe_registry), place, copy_function=os.link)
    (tmp_path / "secret-cache").mkdir()
    with serving_voices(place, cache_dir=str(tmp_path / "secret-cache"), preload="") as served:
        yield served


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


def joe_blob(served: VoiceServer, role: str = "model") -> Path:
    joe = served.registry.resolve(VoiceRef("joe"))
    path = served.registry.objects.path(blob_key(joe.component(role).digest))
    assert path is not None
    return path


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", link)


def upload(served: VoiceServer) -> object:
    return served.voices.RegisterVoice(iter(upload_of(served, "new/joe", b"new")), timeout=60)


def promote(served: VoiceServer) -> object:
    return served.label("joe@1", "canary")


def full_for_uploads(served: VoiceServer, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    full_disk(patch)
    return lambda: upload(served)


def full_for_changes(served: VoiceServer, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    full_disk(patch)
    return lambda: promote(served)


def missing(served: VoiceServer, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    joe_blob(served).unlink()
    return lambda: say(served)


def damaged(served: VoiceServer, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    path = joe_blob(served)
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(bytes(len(data)))
    return lambda: say(served)


def linked(served: VoiceServer, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    path = joe_blob(served)
    path.rename(path.with_name("moved"))
    path.symlink_to(path.with_name("moved"))
    return lambda: say(served)


def folder_in_its_place(served: VoiceServer, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    path = joe_blob(served)
    path.unlink()
    path.mkdir()
    return lambda: say(served)


def state_in_the_way(served: VoiceServer, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    served.registry.edit("joe", Edit(tags=("one",)))
    revision = served.registry.record("joe").state.revision
    path = root_of(served.registry) / state_key("joe", revision)
    path.unlink()
    path.symlink_to("nowhere")
    return lambda: promote(served)


def torn_manifest(served: VoiceServer, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    served.registry.objects.replace(manifest_key("joe", 1), b'{"torn')
    served.thread.house.catalog.refresh(["joe"])
    return lambda: served.get("joe@1")


def busy(served: VoiceServer, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    from voxswap_registry import markers

    patch.setattr(markers, "_WAIT_S", 0.0)
    served.registry.objects.replace("collecting/other.json", b"{}")
    return lambda: upload(served)


def say(served: VoiceServer) -> object:
    from voxswap.v1 import speech_pb2

    request = speech_pb2.SynthesizeRequest(voice="joe", text="Where am I?")
    return list(served.speech.Synthesize(request, timeout=60))


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
    induce: Callable[[VoiceServer, pytest.MonkeyPatch], Callable[[], object]],
    served: VoiceServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        with monkeypatch.context() as patch:
            code, reference, everything = told(induce(served, patch))
    assert code not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL), everything
    for secret in (str(tmp_path), "secret-place", "secret-cache", "/tmp"):  # noqa: S108
        assert secret not in everything
    assert bool(reference) == (induce not in (damaged, torn_manifest, busy))
    if reference:
        assert f"reference {reference}" in everything
        (line,) = [line for line in caplog.messages if f"reference {reference}" in line]
        assert "secret-place" in line
    listed = f"{served.voices.ListVoices(voices_pb2.ListVoicesRequest(), timeout=30)}"
    assert str(tmp_path) not in listed
