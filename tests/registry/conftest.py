"""Fixtures of the registry's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.registry.stores import S3Server, memory_objects
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.storage.objects import Objects


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
