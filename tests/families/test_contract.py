"""Every family keeps the contract."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.family import N_SYMBOLS, SYMBOLS, WEIGHTS, FakeEngine, characters
from tests.fakes.manifests import make_manifest
from tests.families.contract import Case, EngineContract, allocated
from tests.families.emotivoice_voices import write_voice as write_emotivoice
from tests.families.kokoro_voices import write_fake
from tests.families.native_kernels import TRIED
from tests.families.packable_voices import SMALL, SMALL_HIGH, packed_component, packed_manifest
from tests.families.sambert_voices import PAIRS, write_voice
from tests.families.vits_fakes import preset
from tests.families.vits_voices import component, line, manifest_of
from tests.registry.drafts import blob_paths
from voxswap_families.emotivoice.config import EmotiVoiceConfig
from voxswap_families.emotivoice.engine import EmotiVoiceEngine
from voxswap_families.emotivoice.family import FAMILY as EMOTIVOICE
from voxswap_families.importing.detect import import_voice
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.engine import KokoroEngine
from voxswap_families.register import families
from voxswap_families.sambert.config import SambertConfig
from voxswap_families.sambert.engine import SambertEngine
from voxswap_families.sambert.family import FAMILY as SAMBERT
from voxswap_families.tone.engine import ToneEngine
from voxswap_families.tone.phones import PHONES
from voxswap_families.vits.engine import VitsEngine
from voxswap_families.vits.packable import PACKED, PACKED_INT8
from voxswap_registry.manifest import Manifest
from voxswap_registry.store import Registry


def with_table(folder: Path) -> Path:
    path = folder / "symbols"
    path.write_bytes(SYMBOLS)
    return path


class TestVits(EngineContract):
    @pytest.fixture(params=[("low", 3), ("high", 0)], ids=str)
    def case(self, request: pytest.FixtureRequest, tmp_path: Path) -> Case:
        name, n_speakers = request.param
        architecture = preset(name, n_speakers=n_speakers)
        path = component(tmp_path, architecture)
        size = path.stat().st_size
        manifest = manifest_of(architecture, size)
        files = {"model": path, "symbols": with_table(tmp_path)}
        engine = VitsEngine(front_ends=characters)
        return Case(engine, manifest, files, line(30, 5, 60), architecture.n_symbols, 1e-5)


class TestVitsPacked(EngineContract):
    @pytest.fixture(
        params=[(PACKED, None), (PACKED, "bfloat16"), (PACKED, "float32"), (PACKED_INT8, None)],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest, tmp_path: Path) -> Case:
        form, dtype = request.param
        path = packed_component(tmp_path, SMALL, form=form)
        manifest = packed_manifest(SMALL, path.stat().st_size, form)
        files = {"model": path, "symbols": with_table(tmp_path)}
        engine = VitsEngine(dtype=dtype, front_ends=characters)
        tolerance = 1e-5 if dtype == "float32" else 2e-2
        return Case(engine, manifest, files, line(30, 5, 60), SMALL.n_symbols, tolerance)


@pytest.mark.parametrize("kernels", TRIED)
class TestVitsNative(EngineContract):
    @pytest.fixture(params=["plain", PACKED, PACKED_INT8, "high"])
    def case(self, request: pytest.FixtureRequest, kernels: str, tmp_path: Path) -> Case:
        architecture = SMALL_HIGH if request.param == "high" else SMALL
        if request.param == "plain":
            path = component(tmp_path, architecture)
            manifest = manifest_of(architecture, path.stat().st_size)
        else:
            form = PACKED_INT8 if request.param == PACKED_INT8 else PACKED
            path = packed_component(tmp_path, architecture, form=form)
            manifest = packed_manifest(architecture, path.stat().st_size, form)
        files = {"model": path, "symbols": with_table(tmp_path)}
        engine = VitsEngine(kernels=kernels, front_ends=characters)
        n_symbols = architecture.n_symbols
        return Case(engine, manifest, files, line(30, 5, 60), n_symbols, 0.0, allocated)


class TestJoe(EngineContract):
    @pytest.fixture
    def case(self, joe: Manifest, joe_registry: Registry) -> Case:
        engine = VitsEngine(front_ends=characters)
        return Case(engine, joe, blob_paths(joe_registry, joe), line(30, 5), 256, 1e-5)


class TestKokoro(EngineContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        manifest = write_fake(tmp_path)
        files = {role: tmp_path / role for role in ("base", "style")}
        files["symbols"] = with_table(tmp_path)
        ids = [0, *range(43, 63), 0]
        return Case(
            KokoroEngine(front_ends=characters), manifest, files, ids, kokoro.N_SYMBOLS, 0.0
        )


class TestTone(EngineContract):
    @pytest.fixture(params=[{}, {"pitch_hertz": 50, "formant_scale": 2.0}])
    def case(self, request: pytest.FixtureRequest, tmp_path: Path) -> Case:
        source = tmp_path / "robot.tone.json"
        source.write_text(json.dumps(request.param))
        registry = Registry(tmp_path / "registry")
        manifest = registry.publish(import_voice(source, "robot", workdir=tmp_path / "work"))
        engine = ToneEngine(front_ends=characters)
        files = blob_paths(registry, manifest)
        return Case(engine, manifest, files, range(len(PHONES)), len(PHONES), 0.0, allocated)


class TestSambert(EngineContract):
    @pytest.fixture(params=PAIRS)
    def case(self, request: pytest.FixtureRequest, tmp_path: Path) -> Case:
        voice = write_voice(tmp_path, request.param)
        engine = SambertEngine(front_ends=characters)
        return Case(engine, voice.manifest, voice.files, voice.ids, voice.n_symbols, 1e-5)


class TestSambertFabricated(EngineContract):
    """As imported of a directory in ModelScope's layout."""

    @pytest.fixture(params=["sambert", "sambert-speakers", "sambert-24k-nsf", "sambert-se"])
    def case(self, request: pytest.FixtureRequest, tmp_path: Path) -> Case:
        folder = tmp_path / "model"
        folder.mkdir()
        SAMBERT.fabricators[request.param].write(folder, 3, "tiny")
        registry = Registry(tmp_path / "registry")
        manifest = registry.publish(import_voice(folder, "made", workdir=tmp_path / "work"))
        architecture = SambertConfig.of(manifest).acoustic
        ids = [n * 997 % architecture.n_symbols for n in range(40)]
        engine = SambertEngine(front_ends=characters)
        files = blob_paths(registry, manifest)
        return Case(engine, manifest, files, ids, architecture.n_symbols, 1e-5)


class TestEmotiVoice(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory: pytest.TempPathFactory) -> Case:
        voice = write_emotivoice(tmp_path_factory.mktemp("voice"))
        engine = EmotiVoiceEngine(front_ends=characters)
        return Case(engine, voice.manifest, voice.files, voice.ids, voice.n_symbols, 1e-5)


class TestEmotiVoiceFabricated(EngineContract):
    """As imported of a release's layout; its vocoder is computed by native kernels."""

    @pytest.fixture(params=TRIED[:1] or ["torch"], scope="class")
    @classmethod
    def case(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
        tmp_path = tmp_path_factory.mktemp("made")
        folder = tmp_path / "release"
        folder.mkdir()
        EMOTIVOICE.fabricators["emotivoice"].write(folder, 3, "tiny")
        registry = Registry(tmp_path / "registry")
        draft = import_voice(folder, "made", style="8052", workdir=tmp_path / "work")
        manifest = registry.publish(draft)
        n_symbols = EmotiVoiceConfig.of(manifest).acoustic.n_symbols
        ids = [n * 97 % n_symbols for n in range(40)]
        engine = EmotiVoiceEngine(kernels=request.param, front_ends=characters)
        return Case(engine, manifest, blob_paths(registry, manifest), ids, n_symbols, 1e-5)


class TestFake(EngineContract):
    """What the tests of the server speak with."""

    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        (tmp_path / "model").write_bytes(WEIGHTS)
        files = {"model": tmp_path / "model", "symbols": with_table(tmp_path)}
        manifest = make_manifest(size=len(WEIGHTS), symbols=("table", 100))
        return Case(FakeEngine(), manifest, files, range(20), N_SYMBOLS, 0.0)


def test_no_family_is_left_out() -> None:
    """A family that is added here keeps the contract too."""
    tried = {name.removeprefix("Test").lower() for name in globals() if name.startswith("Test")}
    assert set(families()) <= tried
