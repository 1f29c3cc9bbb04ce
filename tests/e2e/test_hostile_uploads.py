"""Uploads that end in every way but by commit: nothing is published, nothing is left."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from bench.hostile import uploads
from tests.e2e.servers import ServerThread, serving
from tests.fakes.gates import Gate
from tests.registry.drafts import root_of
from tests.registry.stores import stored_blobs
from voxswap.v1 import voices_pb2_grpc
from voxswap_registry.layout import blob_key
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_registry.upload import Upload

N = 200


class UploadTarget:
    """A server over a registry of its own, and uploads to it that are whole."""

    def __init__(self, thread: ServerThread, root: Path) -> None:
        self.thread = thread
        self.root = root
        self.registry = Registry(root)
        joe = self.registry.resolve(VoiceRef("joe"))
        self.manifest = joe.to_json()
        path = self.registry.objects.path(blob_key(joe.component("symbols").digest))
        assert path is not None
        self.symbols = path.read_bytes()
        self.before = self.picture()

    def picture(self) -> tuple[object, ...]:
        """All that an upload could leave."""
        objects = self.registry.objects
        tmp = self.root / "tmp"
        return (
            sorted(info.key for info in objects.list("voices")),
            stored_blobs(objects),
            [info.key for info in objects.list("publishing")],
            sorted(tmp.iterdir()) if tmp.is_dir() else [],
        )

    def upload(self, n: int) -> list[uploads.Request]:
        """One that nobody else sends: a table of symbols with more space at its end, in pieces."""
        data = self.symbols + b" " * (150_000 + n)
        return uploads.upload_of(self.manifest, f"hostile/v{n}", "symbols", data)


@pytest.fixture
def target(joe_registry: Registry, tmp_path: Path) -> Iterator[UploadTarget]:
    root = tmp_path / "registry"
    shutil.copytree(root_of(joe_registry), root)
    with serving(root, max_uploads=32, shutdown_grace_s=0.2) as thread:
        yield UploadTarget(thread, root)


def test_an_end_without_a_commit_publishes_nothing_and_leaves_nothing(
    target: UploadTarget, caplog: pytest.LogCaptureFixture
) -> None:
    sent = [target.upload(n) for n in range(N)]
    ending = uploads.end(target.thread.server.address, sent, seed=11)
    ended = asyncio.run_coroutine_threadsafe(ending, target.thread.loop).result(150)
    assert ended.total() == N
    assert {end for end, _ in ended} == set(uploads.ENDS)
    assert {code for end, code in ended if end == "half-close"} == {"INVALID_ARGUMENT"}
    target.thread.wait_until(lambda: target.picture() == target.before)
    assert [r for r in caplog.records if r.exc_info or r.levelno >= logging.WARNING] == []
    # Every place is free again, and a whole one is published.
    with grpc.insecure_channel(target.thread.server.address) as channel:
        stub = voices_pb2_grpc.VoiceServiceStub(channel)
        assert stub.RegisterVoice(iter(target.upload(0)), timeout=60).created


def test_a_server_that_stops_amid_an_upload_ends_cleanly(
    target: UploadTarget, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The upload's thread is still at work when its call has been cancelled."""
    gate, publish = Gate(), Upload.publish
    cancelled: list[Callable[[], bool]] = []

    def stopped(self: Upload, **options: Any) -> object:
        cancelled.append(options["cancelled"])
        gate()
        return publish(self, **options)

    monkeypatch.setattr(Upload, "publish", stopped)
    with grpc.insecure_channel(target.thread.server.address) as channel:
        stub = voices_pb2_grpc.VoiceServiceStub(channel)
        call = stub.RegisterVoice.future(iter(target.upload(0)), timeout=60)
        gate.wait_reached()
        target.thread.begin_stop()
        with pytest.raises(grpc.RpcError):
            call.result(60)  # after the grace
        target.thread.wait_until(cancelled[0])
        gate.open()
        target.thread.join()
    assert target.picture() == target.before
    told = [r.message for r in caplog.records if r.exc_info or r.levelno >= logging.WARNING]
    assert [line for line in told if "did not end when they were cancelled" not in line] == []
