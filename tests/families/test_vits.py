"""The VITS engine against its references, and against itself cut into pieces."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.families.files import assembled, mapped, read
from tests.families.vits_fakes import PRESETS, canonical, preset
from tests.registry.drafts import blob_path
from tests.server.fakes import make_manifest
from voxswap_families.contract import Delivery, Voice
from voxswap_families.vits import model as vits_model
from voxswap_families.vits.architecture import VitsArchitecture, infer_architecture
from voxswap_families.vits.checkpoint import as_stored, write_safetensors
from voxswap_families.vits.engine import VitsEngine
from voxswap_families.vits.family import FAMILY
from voxswap_families.vits.model import (
    VitsModel,
    in_canonical_shape,
    load_model,
)
from voxswap_families.vits.voice import VitsUtterance, VitsVoice, VitsWeights
from voxswap_families.work import SuspendedError, finished
from voxswap_registry.errors import EngineError, ManifestError
from voxswap_registry.manifest import Audio, Manifest
from voxswap_registry.progress import NullProgress
from voxswap_registry.store import Registry

SILENT_NOISE = Delivery(rate=1.0, seed=0)
LIVELY = Delivery(rate=1.0, seed=7, controls={"noise_scale": 0.667, "duration_noise_scale": 0.8})


@pytest.fixture(scope="session")
def joe_voice(joe: Manifest, joe_registry: Registry) -> Voice:
    return load(VitsEngine(), joe, blob_path(joe_registry, joe.component("model")))


def load(engine: VitsEngine, manifest: Manifest, path: Path) -> Voice:
    """A voice as residency makes it."""
    part = read(engine, manifest, "model", path).place()
    return assembled(engine, manifest, model=part)


def line(length: int, seed: int, n_symbols: int = 130) -> list[int]:
    """Ids in Piper's layout: begin, then symbols and blanks in turn, then end."""
    symbols = np.random.default_rng(seed).integers(3, n_symbols, length)
    return [1, 0, *(i for symbol in symbols for i in (int(symbol), 0)), 2]


def manifest_of(architecture: VitsArchitecture, size_bytes: int = 10) -> Manifest:
    return dataclasses.replace(
        make_manifest(size=size_bytes, symbols=("table", 100)),
        engine="vits",
        engine_config=architecture.to_config(),
        audio=Audio(22050, architecture.hop_length_samples),
    )


def component(folder: Path, architecture: VitsArchitecture) -> Path:
    """A model component with random weights."""
    folder.mkdir(exist_ok=True)
    path = folder / "model.safetensors"
    write_safetensors(as_stored(canonical(architecture)), path, progress=NullProgress())
    return path


def whole(voice: Voice, ids: list[int], delivery: Delivery) -> npt.NDArray[np.float32]:
    utterance = finished(voice.prepare(ids, delivery))
    return finished(utterance.decode(0, utterance.frames))


def pieces(
    voice: Voice, ids: list[int], delivery: Delivery, sizes: list[int]
) -> npt.NDArray[np.float32]:
    utterance = finished(voice.prepare(ids, delivery))
    out, first = [], 0
    while first < utterance.frames:
        last = min(utterance.frames, first + sizes[min(len(out), len(sizes) - 1)])
        out.append(finished(utterance.decode(first, last)))
        first = last
    return np.concatenate(out)


def random_voice(name: str, n_speakers: int = 0, seed: int = 0) -> VitsVoice:
    architecture = preset(name, n_speakers=n_speakers)
    model = load_model(architecture, canonical(architecture, seed=seed))
    return voice_of(model, architecture)


def voice_of(model: VitsModel, architecture: VitsArchitecture) -> VitsVoice:
    return VitsVoice(VitsWeights(model, architecture, "cpu"))


@pytest.mark.parametrize("seed", range(3))
def test_parity_with_onnxruntime(joe_voice: Voice, joe_weights: Path, seed: int) -> None:
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(joe_weights))
    ids = line(30 + 40 * seed, seed)
    reference = session.run(
        None,
        {
            "input": np.array([ids]),
            "input_lengths": np.array([len(ids)]),
            "scales": np.array([0, 1, 0], np.float32),
        },
    )[0].ravel()
    ours = whole(joe_voice, ids, SILENT_NOISE)
    assert ours.shape == reference.shape
    assert np.abs(ours - reference).max() < 1e-4


@pytest.mark.parametrize("sizes", [[1, 2, 3, 50], [10, 20, 40, 80, 160], [33]])
def test_pieces_are_the_whole(joe_voice: Voice, sizes: list[int]) -> None:
    ids = line(40, 5)
    assert (
        np.abs(pieces(joe_voice, ids, LIVELY, sizes) - whole(joe_voice, ids, LIVELY)).max() < 1e-5
    )


@pytest.mark.parametrize("rate", [1.0, 0.15])
def test_what_is_kept_of_a_segment_does_not_grow_with_it(joe_voice: Voice, rate: float) -> None:
    utterance = finished(joe_voice.prepare(line(150, 5), dataclasses.replace(LIVELY, rate=rate)))
    assert isinstance(utterance, VitsUtterance)
    most, step = 0, 60
    for first in range(0, utterance.frames, step):
        finished(utterance.decode(first, min(utterance.frames, first + step)))
        signals = (utterance._latents, utterance._decodable)
        kept = sum(signal._memory.nbytes for signal in signals)
        most = max(most, kept + utterance._prior.size_bytes)
    assert most <= utterance.held_bytes < 4 << 20
    if rate < 1:
        whole_bytes = 2 * 192 * 4 * utterance.frames
        assert utterance.held_bytes < whole_bytes / 2, "it is the whole segment"


@pytest.mark.parametrize("n_speakers", [0, 3])
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_loads_speaks_and_joins(name: str, n_speakers: int) -> None:
    voice = random_voice(name, n_speakers)
    ids = line(12, 1, 60)
    audio = whole(voice, ids, LIVELY)
    utterance = finished(voice.prepare(ids, LIVELY))
    assert len(utterance.durations_frames) == len(ids)
    assert sum(utterance.durations_frames) == utterance.frames
    assert len(audio) == utterance.frames * voice.architecture.hop_length_samples
    assert audio.std() > 0
    assert np.abs(pieces(voice, ids, LIVELY, [3, 7, 40]) - audio).max() < 1e-5


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("n_speakers", [0, 904])
def test_the_architecture_is_read_off_the_shapes(name: str, n_speakers: int) -> None:
    architecture = preset(name, n_speakers=n_speakers)
    shapes = {k: tuple(v.shape) for k, v in canonical(architecture).items()}
    assert infer_architecture(shapes) == architecture


def test_context_is_enough_and_not_much_more() -> None:
    """The reach is what the model's own layers say: one frame less, and cuts would be heard."""
    for name, least in (("medium", 11), ("high", 13)):
        model = load_model(preset(name), canonical(preset(name)))
        assert least <= model.dec.reach_frames <= least + 1
        assert model.flow.reach_frames == 32


def test_speakers_differ() -> None:
    voice = random_voice("low", n_speakers=2)
    ids = line(8, 2, 60)
    first, second = (whole(voice, ids, Delivery(1.0, 0, speaker=index)) for index in (0, 1))
    assert len(first) != len(second) or np.abs(first - second).max() > 1e-3


def test_a_seed_repeats_a_line_whatever_runs_between(joe_voice: Voice) -> None:
    ids = line(20, 3)
    first = finished(joe_voice.prepare(ids, LIVELY))
    a = finished(first.decode(0, 10))
    whole(joe_voice, line(5, 4), dataclasses.replace(LIVELY, seed=99))
    b = finished(first.decode(10, first.frames))
    again = whole(joe_voice, ids, LIVELY)
    assert np.abs(np.concatenate([a, b]) - again).max() < 1e-5
    same_cuts = pieces(joe_voice, ids, LIVELY, [10, first.frames])
    assert np.array_equal(np.concatenate([a, b]), same_cuts)
    other = whole(joe_voice, ids, dataclasses.replace(LIVELY, seed=8))
    assert len(other) != len(again) or np.abs(other - again).max() > 1e-3


def test_rate_changes_the_length(joe_voice: Voice) -> None:
    ids = line(40, 6)
    frames = [
        finished(joe_voice.prepare(ids, Delivery(rate, 0))).frames for rate in (0.5, 1.0, 2.0)
    ]
    assert frames[0] > 1.6 * frames[1] > 1.6 * 1.3 * frames[2]


def test_weights_are_taken_up_and_not_copied(joe: Manifest, joe_registry: Registry) -> None:
    path = blob_path(joe_registry, joe.component("model"))
    tensors = in_canonical_shape(mapped(path))
    model = load_model(VitsArchitecture.from_config(joe.engine_config, where="joe"), tensors)
    for name, parameter in model.named_parameters():
        assert parameter.data_ptr() == tensors[name].data_ptr(), name
    part = read(VitsEngine(), joe, "model", path).place()
    spec = VitsEngine().parts(joe)[0]
    assert part.allocated_bytes == 0
    assert part.resident_bytes <= spec.footprint_bytes <= 1.01 * part.resident_bytes


def test_bfloat16_speaks_almost_the_same(joe_voice: Voice, joe_weights: Path) -> None:
    assert isinstance(joe_voice, VitsVoice)
    rounded = {
        name: tensor.bfloat16() if name.startswith(("flow.", "dec.")) else tensor
        for name, tensor in joe_voice.model.state_dict().items()
    }
    voice = voice_of(load_model(joe_voice.architecture, rounded), joe_voice.architecture)
    ids = line(40, 9)
    a, b = whole(joe_voice, ids, LIVELY), whole(voice, ids, LIVELY)
    assert a.shape == b.shape, "durations must not depend on the generator's dtype"
    noise = np.square(a - b).sum()
    assert 10 * np.log10(np.square(a).sum() / noise) > 10  # 24 to 28 dB on English
    assert np.abs(pieces(voice, ids, LIVELY, [11, 22, 44]) - b).max() < 0.05


@pytest.mark.parametrize("part", ["dp.proj.weight", "dec.conv_pre.weight"])
def test_damaged_weights_never_become_audio(part: str) -> None:
    architecture = preset("low")
    tensors = canonical(architecture)
    tensors[part][0] = float("nan")
    voice = voice_of(load_model(architecture, tensors), architecture)
    with pytest.raises(EngineError, match="NaN or infinity"):
        whole(voice, line(8, 2, 60), LIVELY)


def test_weights_that_do_not_fit_are_refused() -> None:
    architecture = preset("low")
    tensors = canonical(architecture)
    del tensors["dec.conv_pre.bias"]
    with pytest.raises(EngineError, match=r"dec\.conv_pre\.bias"):
        load_model(architecture, tensors)


def test_symbols_of_another_voice_are_refused(joe_voice: Voice) -> None:
    for ids in ([], [1, 256], [-1]):
        with pytest.raises(EngineError, match="symbol"):
            finished(joe_voice.prepare(ids, LIVELY))


def test_an_absurd_duration_is_bounded() -> None:
    architecture = preset("low")
    tensors = canonical(architecture)
    tensors["dp.flows.0.m"][:] = -60.0
    voice = voice_of(load_model(architecture, tensors), architecture)
    utterance = finished(voice.prepare(line(4, 2, 60), SILENT_NOISE))
    assert max(utterance.durations_frames) == 400


def test_a_file_that_is_no_safetensors_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{broken")
    with pytest.raises(EngineError, match="import the voice again"):
        mapped(path)


@pytest.mark.parametrize(
    "change", [{"hidden": None}, {"hidden": "192"}, {"upsample_rates": [8, 1.5]}]
)
def test_an_architecture_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    config = preset("low").to_config()
    config.update(change)
    with pytest.raises(ManifestError, match="engine_config"):
        VitsArchitecture.from_config(config, where="x@1")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"n_layers": 1 << 23}, "n_layers has 8388608 where a whole number from 1 to 32"),
        ({"n_layers": 0}, "n_layers has 0"),
        ({"flow_layers": 17}, "flow_layers has 17"),
        ({"flow_wavenet_layers": 33}, "flow_wavenet_layers has 33"),
        ({"dp_flows": 17}, "dp_flows has 17"),
        ({"dp_dds_layers": 9}, "dp_dds_layers has 9"),
        ({"dp_kernel_size": 5, "dp_dds_layers": 8}, "dp_kernel_size to the power"),
        ({"kernel_size": 4}, "kernel_size must be odd"),
        ({"flow_kernel_size": 6}, "flow_kernel_size must be odd"),
        ({"dp_kernel_size": 2}, "dp_kernel_size must be odd"),
        ({"resblock_kernels": [3, 4, 7]}, "resblock_kernels must be odd"),
        ({"upsample_kernels": [16, 6, 8]}, "each of upsample_kernels must be"),
        ({"upsample_kernels": [16, 15, 8]}, "each of upsample_kernels must be"),
        ({"flow_layers": 16, "flow_wavenet_layers": 8}, "128 to either side at most"),
        ({"resblock_kernels": [31] * 3, "resblock_dilations": [[64] * 3] * 3}, "32 frames"),
        ({"upsample_initial": 4096}, "a frame of the generator takes"),
        ({"hidden": 1024, "flow_layers": 1, "flow_wavenet_layers": 4}, "a frame of a flow layer"),
        ({"filter_hidden": 4096, "hidden": 512, "flow_wavenet_layers": 1}, "a symbol of a text"),
        ({"hidden": 1025}, "hidden has 1025"),
        ({"hidden": 10**5000}, "hidden has a number of 16610 bits"),
        ({"hidden": "x" * 10_000}, "hidden has 'xxx"),
        ({"n_symbols": 20_001}, "n_symbols has 20001"),
        ({"n_speakers": 100_001}, "n_speakers has 100001"),
        ({"n_speakers": 2}, "n_speakers and gin"),
        ({"n_heads": 0}, "n_heads has 0"),
        ({"n_heads": 3}, "n_heads must divide hidden"),
        ({"inter": 15}, "inter must be even"),
        ({"resblock": 3}, "resblock has 3"),
        ({"resblock_kernels": []}, "resblock_kernels has a list of 0"),
        ({"resblock_kernels": [3, 5]}, "resblock_kernels and resblock_dilations"),
        ({"resblock_dilations": [[1, 2], [2, 6], [3, 1025]]}, "resblock_dilations has 1025"),
        ({"upsample_rates": [1024] * 60_000}, "upsample_rates has a list of 60000; 1 to 8"),
        ({"upsample_rates": [17] * 3, "upsample_kernels": [17] * 3},
         "product of upsample_rates must be 4800 at most"),
        ({"upsample_rates": [8, 32]}, "upsample_rates and upsample_kernels"),
        ({"upsample_initial": 4}, "upsample_initial must be halved"),
    ],
)  # fmt: skip
def test_a_claim_beyond_all_voices_is_refused_briefly(change: dict[str, Any], fault: str) -> None:
    manifest = manifest_of(preset("low"))
    manifest = dataclasses.replace(manifest, engine_config={**manifest.engine_config, **change})
    (found,) = FAMILY.faults(manifest)
    assert found.field == "engine_config"
    assert fault in found.description
    assert len(found.description) < 200


def test_weights_of_another_architecture_are_refused_by_their_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither weights are read nor modules built for it, and the message stays short."""
    path = component(tmp_path, preset("low"))
    largest = dataclasses.replace(
        preset("low"), n_layers=32, flow_layers=16, flow_wavenet_layers=4, dp_flows=16
    )
    monkeypatch.setattr(vits_model, "VitsModel", None)
    for claimed, fault in (
        (largest, r"\d{4} tensors are missing \('dp\.flows\.11\."),
        (preset("low", n_speakers=2), r"tensors are missing \('dec\.cond\.bias'"),
        (preset("medium", shrink=6), r"tensors have another shape \('dec"),
        (dataclasses.replace(preset("low"), n_layers=1), r"18 tensors are unknown \('enc_p"),
    ):
        with pytest.raises(EngineError, match=fault) as caught:
            read(VitsEngine(), manifest_of(claimed), "model", path).place()
        assert len(caught.value.message) < 500


def test_a_voice_keeps_one_descriptor_and_gives_it_back(tmp_path: Path) -> None:
    """By which its file is watched; the map itself keeps none."""
    path = component(tmp_path, preset("low"))

    def n_open() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    gc.collect()
    before = n_open()
    voices = [load(VitsEngine(), manifest_of(preset("low")), path) for _ in range(5)]
    assert n_open() == before + 5
    utterance = finished(voices[0].prepare(line(4, 1, 60), SILENT_NOISE))
    voices.clear()
    del utterance
    gc.collect()
    assert n_open() == before


def test_a_voice_is_not_stepped_once_its_file_has_changed(tmp_path: Path) -> None:
    path = component(tmp_path, preset("low"))
    voice = load(VitsEngine(), manifest_of(preset("low")), path)
    utterance = finished(voice.prepare(line(4, 1, 60), SILENT_NOISE))
    decoding = utterance.decode(0, utterance.frames)
    decoding.step()
    os.truncate(path, 1 << 10)  # to touch what was there would be a SIGBUS
    with pytest.raises(SuspendedError):
        finished(decoding)
    with pytest.raises(SuspendedError):
        finished(voice.prepare(line(4, 1, 60), SILENT_NOISE))


def test_a_strangers_tensor_names_are_not_repeated_at_length(tmp_path: Path) -> None:
    path = tmp_path / "model"
    names = [f"\n{i}☃" * 1_000 for i in range(1_000)]
    header = json.dumps({n: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in names})
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    with pytest.raises(EngineError, match="1000 tensors are unknown") as caught:
        read(VitsEngine(), manifest_of(preset("low")), "model", path).place()
    assert len(caught.value.message) < 500
    assert caught.value.message.isascii()
    assert "\n" not in caught.value.message


def test_a_header_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes((16 << 20 | 1).to_bytes(8, "little"))
    with pytest.raises(EngineError, match="a header of 16777217 bytes"):
        mapped(path)


def test_a_component_that_fits_is_loaded(tmp_path: Path) -> None:
    for name in PRESETS:
        architecture = preset(name, n_speakers=2)
        path = component(tmp_path / name, architecture)
        voice = load(VitsEngine(), manifest_of(architecture), path)
        assert isinstance(voice, VitsVoice)


def test_a_manifest_is_checked_without_its_weights(joe: Manifest) -> None:
    joe.check(where="joe")
    VitsEngine().check(joe)
    for change in (
        {"engine_config": {**joe.engine_config, "hidden": "192"}},
        {"audio": Audio(22050, 300)},
        {"components": ()},
    ):
        with pytest.raises(ManifestError):
            dataclasses.replace(joe, **change).check(where="joe")


def test_warm_up_runs() -> None:
    VitsEngine().warm_up()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_says_the_same(joe: Manifest, joe_registry: Registry, joe_voice: Voice) -> None:
    path = blob_path(joe_registry, joe.component("model"))
    ids = line(40, 5)
    ours = whole(load(VitsEngine("cuda"), joe, path), ids, LIVELY)
    reference = whole(joe_voice, ids, LIVELY)
    assert ours.shape == reference.shape
    assert np.abs(ours - reference).max() < 2e-2
