"""The KAN-TTS vocoder on native kernels: what torch computes, and the same bits for any cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.families.native_kernels import TRIED
from tests.families.test_vocoder import pieces
from voxswap_families.layers.native import library
from voxswap_families.made_up import random_tensors
from voxswap_families.sambert.generator import Generator
from voxswap_families.sambert.native_generator import (
    NativeGenerator,
    handled,
    packed_bytes,
    step_bytes,
)
from voxswap_families.sambert.vocoder_architecture import GeneratorArchitecture, stored_shapes
from voxswap_registry.errors import EngineError

FRAMES = 23
SORTS = {
    "causal": {"causal": True, "kernels": [10, 8]},
    "ahead": {"causal": False, "kernels": [11, 8]},
    "causal with a source": {"causal": True, "kernels": [10, 8], "harmonics": 4},
    "ahead with a source": {"causal": False, "kernels": [11, 8], "harmonics": 4},
    "three stages": {"causal": False, "kernels": [11, 6, 4], "rates": [5, 3, 2], "channels": 128},
}


def architecture(sort: str) -> GeneratorArchitecture:
    usual: dict[str, Any] = {
        "mels": 8,
        "channels": 64,
        "kernel": 7,
        "rates": [5, 4],
        "resblock_kernels": [3, 7],
        "resblock_dilations": [[1, 3], [1, 5]],
        "harmonics": 0,
        "sample_rate_hertz": 8_000,
    }
    return GeneratorArchitecture.read({**usual, **SORTS[sort]})


def weights_of(a: GeneratorArchitecture) -> dict[str, Tensor]:
    return random_tensors(stored_shapes(a), "native")


def frames_of(a: GeneratorArchitecture) -> Tensor:
    frames = random_tensors({"frames": (FRAMES, a.columns)}, "frames")["frames"] * math.sqrt(
        a.columns
    )
    if a.has_source:
        frames[:, -2] = 200 + 30 * frames[:, -2]
        frames[:, -1] = (frames[:, -1] > 0).float()
    return frames


def made(generator: NativeGenerator, frames: Tensor, cuts: Sequence[int] = ()) -> Tensor:
    state = generator.begin(5, frames=len(frames))
    found = [generator.step(state, *piece) for piece in pieces(frames, cuts)]
    assert state.held_bytes <= generator.state_bytes
    return torch.cat(found)


@pytest.fixture(params=SORTS)
def sort(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.mark.parametrize("isa", TRIED)
def test_it_is_what_torch_computes(isa: str, sort: str) -> None:
    a = architecture(sort)
    weights, frames = weights_of(a), frames_of(a)
    # Weights are rounded, for torch as well.
    rounded = {
        name: tensor.bfloat16().float()
        if name.endswith("weight") and "post" not in name and name.split(".")[0] in PACKED
        else tensor
        for name, tensor in weights.items()
    }
    plain = Generator(rounded, a)
    expected = plain.step(plain.begin(5), frames, True)
    found = made(NativeGenerator(weights, a, library.load(isa)), frames)
    assert found.shape == expected.shape
    noise = float((found - expected).square().mean() / expected.square().mean())
    assert 10 * math.log10(noise) < -38
    assert float(expected.square().mean()) > 1e-4


PACKED = {"conv_pre", "ups", "blocks"}


@pytest.mark.parametrize("isa", TRIED)
@given(cuts=st.lists(st.integers(0, FRAMES), max_size=6))
@pytest.mark.parametrize("sort", SORTS)
def test_cuts_change_no_bit(isa: str, sort: str, cuts: list[int]) -> None:
    a = architecture(sort)
    generator, frames = NativeGenerator(weights_of(a), a, library.load(isa)), frames_of(a)
    assert torch.equal(made(generator, frames, cuts), made(generator, frames))


@pytest.mark.parametrize("isa", TRIED)
def test_audio_is_no_further_behind_than_is_said(isa: str, sort: str) -> None:
    a = architecture(sort)
    generator, frames = NativeGenerator(weights_of(a), a, library.load(isa)), frames_of(a)
    state, seen, came = generator.begin(5, frames=len(frames)), 0, 0
    for piece, is_last in pieces(frames, range(0, len(frames), 3)):
        seen, came = seen + len(piece), came + len(generator.step(state, piece, is_last))
        assert came >= (seen - generator.look_ahead_frames) * generator.hop_samples
    assert came == seen * generator.hop_samples


@pytest.mark.parametrize("isa", TRIED)
def test_what_it_takes_is_bounded(isa: str, sort: str) -> None:
    a = architecture(sort)
    kernels = library.load(isa)
    generator = NativeGenerator(weights_of(a), a, kernels)
    assert generator.resident_bytes <= packed_bytes(a) <= 4 * generator.resident_bytes
    assert step_bytes(a, kernels, 8) < step_bytes(a, kernels, 64)


@pytest.mark.parametrize("isa", TRIED)
def test_frames_that_were_not_announced_are_refused(isa: str) -> None:
    a = architecture("causal")
    generator, frames = NativeGenerator(weights_of(a), a, library.load(isa)), frames_of(a)
    state = generator.begin(5, frames=4)
    with pytest.raises(EngineError, match="5 frames came where 4 are left"):
        generator.step(state, frames[:5], True)
    with pytest.raises(EngineError, match="3 frames came where 4 are left"):
        generator.step(state, frames[:3], True)
    with pytest.raises(EngineError, match="have no 8 columns"):
        generator.step(state, frames[:3, :5], False)
    generator.step(state, frames[:4], True)
    with pytest.raises(EngineError, match="come after the last"):
        generator.step(state, frames[:1], True)


@pytest.mark.parametrize("isa", TRIED)
@pytest.mark.parametrize("name", ["conv_pre.weight", "conv_post.weight", "blocks.0.convs1.0.bias"])
def test_damaged_weights_are_noticed(isa: str, name: str) -> None:
    a = architecture("ahead")
    weights = weights_of(a)
    weights[name] = weights[name] * math.nan
    with pytest.raises(EngineError, match=r"no number|NaN or infinity"):
        made(NativeGenerator(weights, a, library.load(isa)), frames_of(a))


@pytest.mark.parametrize("isa", TRIED)
def test_weights_of_another_vocoder_are_refused(isa: str) -> None:
    a, other = architecture("ahead"), architecture("three stages")
    with pytest.raises(EngineError, match="do not fit"):
        NativeGenerator(weights_of(other), a, library.load(isa))


def test_what_it_does_not_handle_is_told() -> None:
    a = architecture("causal")
    assert handled(a) == ""
    narrow = GeneratorArchitecture.read({**a.to_config(), "channels": 32})
    assert "multiples of 16" in handled(narrow)
    odd = GeneratorArchitecture.read({**a.to_config(), "mels": 7})
    assert "mels are odd" in handled(odd)
