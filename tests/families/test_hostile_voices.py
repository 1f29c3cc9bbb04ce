"""Strangers' manifests, architectures, weights and tables: refused, or they speak; nothing else."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.hostile import manifests as hostile
from tests.examples import examples
from tests.families import files
from tests.families.files import assembled
from tests.families.vits_fakes import PRESETS, canonical, preset
from tests.registry.drafts import TINY, make_draft
from voxswap_families.contract import Delivery
from voxswap_families.importing.weights import write_safetensors
from voxswap_families.layers.hifigan import Generator
from voxswap_families.symbols import Symbol, SymbolTable
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.checkpoint import as_stored
from voxswap_families.vits.engine import VitsEngine
from voxswap_families.vits.model import load_model
from voxswap_families.vits.segments import MOST_SYMBOLS
from voxswap_families.vits.voice import VitsVoice, VitsWeights
from voxswap_families.work import finished
from voxswap_registry.errors import (
    EngineError,
    FieldViolation,
    InvalidInputError,
    ManifestError,
    VoxswapError,
)
from voxswap_registry.manifest import Component, Manifest
from voxswap_registry.progress import NullProgress
from voxswap_registry.store import Registry
from voxswap_registry.upload import Upload

DIGEST = f"sha256:{'a' * 64}"
TABLE = b'{"layout": "piper", "symbols": {"_": [0], "^": [1], "$": [2], "a": [3], "b": [4]}}'
# Quick: of random weights, a symbol may last for seconds.
LIVELY = Delivery(rate=8.0, seed=7, controls={"noise_scale": 0.667, "duration_noise_scale": 0.8})


def raw_manifest(folder: Path, config: dict[str, Any] = TINY) -> dict[str, Any]:
    components = (
        Component("model", DIGEST, 7, "application/vnd.safetensors"),
        Component("symbols", DIGEST, 2, "application/json"),
    )
    draft = make_draft(folder, engine_config=config, speakers={"ann": 0, "bob": 1})
    loaded: dict[str, Any] = json.loads(draft.manifest(1, components).to_json())
    return loaded


def speak(voice: VitsVoice, ids: list[int], delivery: Delivery = LIVELY) -> int:
    """All steps of a line; how many samples it has."""
    utterance = finished(voice.prepare(ids, delivery))
    samples, first = 0, 0
    while first < utterance.frames:
        last = min(utterance.frames, first + 200)
        samples += len(finished(utterance.decode(first, last)))
        first = last
    assert samples == utterance.frames * voice.model.dec.hop
    return samples


def random_voice(architecture: VitsArchitecture, seed: int = 0) -> VitsVoice:
    model = load_model(architecture, canonical(architecture, seed=seed))
    return VitsVoice(VitsWeights(model, architecture, "cpu"))


def test_hostile_manifests_are_refused_or_harmless(tmp_path: Path) -> None:
    """As they lie in a store, and as they come over the wire."""
    registry, taken = Registry(tmp_path / "registry"), 0
    for data in hostile.manifests(raw_manifest(tmp_path), seed=1, count=500):
        told: VoxswapError | None = None
        violations: Sequence[FieldViolation] = ()
        try:
            manifest = Manifest.from_json(data, where="here")
            taken += manifest == Manifest.from_json(manifest.to_json(), where="again")
        except ManifestError as error:
            told = error
        try:
            Upload(registry, data, tmp_path, max_bytes=1 << 60).close()
        except InvalidInputError as error:
            violations = error.violations
        assert told is None or (told.message.startswith("here: ") and len(told.message) < 8_000)
        # An upload's version is left out of account.
        assert violations or told is None or "version" in told.message
        assert all(v.field.startswith("manifest_json") for v in violations)
    assert 20 < taken < 480


def test_hostile_architectures_speak_or_are_refused(tmp_path: Path) -> None:
    spoke = 0
    for data in hostile.architectures(raw_manifest(tmp_path), seed=2, count=400):
        try:
            manifest = Manifest.from_json(data, where="here")
        except ManifestError:
            continue
        architecture = VitsArchitecture.read(manifest.engine_config)
        # What is merely wide takes its time.
        if architecture.generator_products < 1 << 20 and spoke < 20:
            speak(random_voice(architecture), [i % architecture.n_symbols for i in range(9)])
            spoke += 1
    assert spoke == 20


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """Whatever shape is allowed, at tiny widths, and a bit of what is not."""
    stages = draw(st.integers(1, 4))
    rates = draw(st.lists(st.integers(1, 8), min_size=stages, max_size=stages))
    kernels = [rate + 2 * draw(st.integers(0, 5)) + draw(ALMOST_NEVER) for rate in rates]
    odd = st.integers(0, 5).map(lambda n: 2 * n + 1)
    blocks = draw(st.integers(1, 3))
    heads = draw(st.integers(1, 3))
    speakers = draw(st.sampled_from((0, 0, 1, 3)))
    return {
        "n_symbols": draw(st.integers(1, 20)),
        "hidden": heads * draw(st.integers(1, 6)),
        "inter": 2 * draw(st.integers(1, 6)),
        "filter_hidden": draw(st.integers(1, 12)),
        "n_layers": draw(st.integers(1, 3)),
        "n_heads": heads,
        "kernel_size": draw(odd) + draw(ALMOST_NEVER),
        "attention_window": draw(st.integers(0, 8)),
        "flow_layers": draw(st.integers(1, 4)),
        "flow_wavenet_layers": draw(st.integers(1, 3)),
        "flow_kernel_size": draw(odd) + draw(ALMOST_NEVER),
        "dp_hidden": draw(st.integers(1, 8)),
        "dp_kernel_size": draw(odd) + draw(ALMOST_NEVER),
        "dp_flows": draw(st.integers(1, 4)),
        "dp_dds_layers": draw(st.integers(1, 4)),
        "dp_bins": draw(st.integers(1, 12)),
        "resblock": draw(st.sampled_from((1, 2))),
        "resblock_kernels": [draw(odd) + draw(ALMOST_NEVER) for _ in range(blocks)],
        "resblock_dilations": [
            draw(st.lists(st.integers(1, 8), min_size=1, max_size=3)) for _ in range(blocks)
        ],
        "upsample_rates": rates,
        "upsample_kernels": kernels,
        "upsample_initial": draw(st.integers(1, 3)) << stages,
        "n_speakers": speakers,
        "gin": draw(st.integers(1, 5)) if speakers else 0,
    }


ALMOST_NEVER = st.sampled_from((0,) * 15 + (1,))


@examples(30)
@given(configs(), st.integers(0, 3))
def test_whatever_architecture_is_allowed_computes(config: dict[str, Any], seed: int) -> None:
    try:
        architecture = VitsArchitecture.read(config)
    except ValueError:
        return
    voice = random_voice(architecture, seed)
    assert voice.model.dec.reach_frames == architecture.generator_reach_frames
    assert voice.model.flow.reach_frames == architecture.flow_reach_frames
    # Its numbers are small, so it speaks; and whatever is cut off is what was not cut.
    n, speaker = architecture.n_symbols, max(0, architecture.n_speakers - 1)
    for length in (1, 20):
        delivery = dataclasses.replace(LIVELY, speaker=speaker)
        assert speak(voice, [i % n for i in range(length)], delivery) > 0


@pytest.mark.parametrize("name", PRESETS)
def test_the_reach_of_the_generator_is_known_without_it(name: str) -> None:
    a = preset(name)
    with torch.device("meta"):
        generator = Generator(
            channels_in=a.inter,
            channels=a.upsample_initial,
            rates=a.upsample_rates,
            kernels=a.upsample_kernels,
            resblock=a.resblock,
            resblock_kernels=a.resblock_kernels,
            resblock_dilations=a.resblock_dilations,
        )
    assert generator.reach_frames == a.generator_reach_frames


def test_hostile_weights_speak_or_are_an_engine_error(tmp_path: Path) -> None:
    config = json.loads(json.dumps(preset("low").to_config()))
    manifest = Manifest.from_json(
        json.dumps(raw_manifest(tmp_path, config) | {"speakers": {}}).encode(), where="here"
    )
    valid = tmp_path / "valid.safetensors"
    write_safetensors(as_stored(canonical(preset("low"))), valid, progress=NullProgress())
    engine, path, spoke = VitsEngine(), tmp_path / "model.safetensors", 0
    for data in hostile.safetensors(valid.read_bytes(), seed=3, count=60):
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        try:
            part = files.read(engine, manifest, "model", path).place()
            voice = assembled(engine, manifest, model=part)
            assert isinstance(voice, VitsVoice)
            speak(voice, [1, 2, 3, 4])
            spoke += 1
        except VoxswapError:
            pass
    assert spoke > 0


def test_hostile_symbol_tables_read_or_are_a_manifest_error() -> None:
    read = 0
    for data in hostile.symbol_tables(TABLE, seed=4, count=400):
        try:
            table = SymbolTable.from_json(data)
        except ManifestError:
            continue
        sequence = table.sequence([Symbol(c, n // 3) for n, c in enumerate("ab" * 200)])
        # 64 ids for a symbol, 64 for each blank.
        assert len(sequence.ids) <= 128 * 402
        read += 1
    assert read > 20


# How long a segment may be


def lasting(symbol_frames: float) -> VitsVoice:
    """A voice whose symbols all last so many frames at rate 1."""
    architecture = preset("low")
    tensors = canonical(architecture)
    for name, tensor in tensors.items():
        if name.startswith("dp."):
            tensor.zero_()
    tensors["dp.flows.0.m"][:] = -math.log(symbol_frames)
    return VitsVoice(VitsWeights(load_model(architecture, tensors), architecture, "cpu"))


def frames(voice: VitsVoice, symbols: int, rate: float) -> list[int]:
    delivery = Delivery(rate=rate, seed=0)
    return list(finished(voice.prepare([1] * symbols, delivery)).durations_frames)


def test_a_segment_is_bounded_and_not_only_its_symbols() -> None:
    """Weights or a length_scale that make an hour of a sentence make two minutes of it."""
    voice = lasting(350)
    for symbols in (1, 40, 400, MOST_SYMBOLS):
        found = frames(voice, symbols, 1.0)
        assert sum(found) <= 12_000 + symbols
        assert min(found) >= 1
    assert frames(voice, 28, 1.0) == [350] * 28


@pytest.mark.parametrize("rate", [4.0, 1.0, 0.6, 0.5, 0.25, 0.125, 0.025])
def test_an_honest_line_is_as_long_as_it_should_be(rate: float) -> None:
    """English has 2.5 frames a symbol; at 48 kHz, or of a slow speaker, twice as many.

    At a quarter of the speed of a voice whose length_scale is 10, the rate is 0.025.
    """
    voice = lasting(4.9)
    most = voice.most_symbols(rate)
    found = frames(voice, most, rate)
    assert found == [min(400, math.ceil(4.9 / rate - 1e-3))] * most
    assert most == MOST_SYMBOLS or rate < 0.5
    assert most >= 24


def test_a_speaker_that_is_none_is_an_engine_error() -> None:
    for n_speakers, speaker in ((0, 1), (2, 2), (2, -1), (2, 1 << 31)):
        voice = random_voice(preset("low", n_speakers=n_speakers))
        with pytest.raises(EngineError, match="the speaker"):
            voice.prepare([1], dataclasses.replace(LIVELY, speaker=speaker))


def test_speakers_beyond_the_table_are_refused(tmp_path: Path) -> None:
    manifest = Manifest.from_json(json.dumps(raw_manifest(tmp_path)).encode(), where="here")
    manifest.check(where="here")
    with pytest.raises(ManifestError, match="the row 8, and the engine has 8 rows"):
        dataclasses.replace(manifest, speakers={"x": 8}).check(where="here")
