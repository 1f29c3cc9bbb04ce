"""The VITS engine against its references, and against itself cut into pieces."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.families.files import mapped, read
from tests.families.vits_fakes import PRESETS, canonical, preset
from tests.families.vits_voices import (
    LIVELY,
    SILENT_NOISE,
    component,
    line,
    load,
    manifest_of,
    pieces,
    random_voice,
    voice_of,
    whole,
)
from tests.registry.drafts import blob_path
from voxswap_families.contract import Delivery, Voice
from voxswap_families.vits import model as vits_model
from voxswap_families.vits.architecture import VitsArchitecture, infer_architecture
from voxswap_families.vits.engine import VitsEngine
from voxswap_families.vits.family import FAMILY
from voxswap_families.vits.model import (
    in_canonical_shape,
    load_model,
)
from voxswap_families.vits.voice import VitsUtterance, VitsVoice
from voxswap_families.work import SuspendedError, finished
from voxswap_registry.errors import EngineError, ManifestError
from voxswap_registry.manifest import Audio, Manifest
from voxswap_registry.store import Registry


@pytest.fixture(scope="session")
def joe_voice(joe: Manifest, joe_registry: Registry) -> Voice:
    return load(VitsEngine(), joe, blob_path(joe_registry, joe.component("model")))


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


def test_another_seed_is_another_line(joe_voice: Voice) -> None:
    one, other = (whole(joe_voice, line(20, 3), replace(LIVELY, seed=seed)) for seed in (7, 8))
    assert len(one) != len(other) or np.abs(one - other).max() > 1e-3


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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_says_the_same(joe: Manifest, joe_registry: Registry, joe_voice: Voice) -> None:
    path = blob_path(joe_registry, joe.component("model"))
    ids = line(40, 5)
    ours = whole(load(VitsEngine("cuda"), joe, path), ids, LIVELY)
    reference = whole(joe_voice, ids, LIVELY)
    assert ours.shape == reference.shape
    assert np.abs(ours - reference).max() < 2e-2
