"""The KAN-TTS vocoder: the reference's numbers, and pieces that join exactly wherever they end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from tests.examples import examples
from tests.families.kantts_fixtures import VOCODERS, VocoderFixture, pieces, vocoder_fixture
from voxswap_families.layers.blocks import Conv, Upsample
from voxswap_families.layers.carry import Carry
from voxswap_families.sambert.generator import Generator
from voxswap_families.sambert.source import SeededDraws, Source
from voxswap_families.sambert.vocoder_architecture import (
    GeneratorArchitecture,
    checkpoint_shapes,
    stored_shapes,
)
from voxswap_families.sambert.vocoder_weights import silent
from voxswap_registry.errors import EngineError

CUTS = st.lists(st.integers(0, 14), max_size=6)


@pytest.fixture(scope="module", params=VOCODERS)
def fixture(request: pytest.FixtureRequest) -> VocoderFixture:
    return vocoder_fixture(request.param)


def spoken(
    generator: Generator, fixture: VocoderFixture, cuts: Sequence[int] = (), *, seed: int = 1
) -> Tensor:
    """In pieces, with the reference's draws."""
    state = generator.begin(seed, fixture.draws())
    found = [generator.step(state, *piece) for piece in pieces(fixture.frames, cuts)]
    return torch.cat(found)


def test_the_reference_makes_the_same_audio(fixture: VocoderFixture) -> None:
    audio = spoken(fixture.generator(), fixture)
    assert audio.shape == fixture.wave.shape
    assert float((audio - fixture.wave).abs().max()) < 1e-5


@examples(30)
@given(cuts=CUTS)
@pytest.mark.parametrize("name", VOCODERS)
def test_pieces_joined_are_the_whole(name: str, cuts: list[int]) -> None:
    fixture = vocoder_fixture(name)
    generator = fixture.generator()
    assert float((spoken(generator, fixture, cuts) - fixture.wave).abs().max()) < 1e-5


@examples(30)
@given(cuts=CUTS, seed=st.integers(0, 2**63 - 1))
def test_what_a_seed_draws_does_not_depend_on_the_cuts(cuts: list[int], seed: int) -> None:
    fixture = vocoder_fixture("hifigan_noncausal_nsf_tiny")
    generator = fixture.generator()

    def drawn(cuts: Sequence[int]) -> Tensor:
        state = generator.begin(seed)
        return torch.cat([generator.step(state, *piece) for piece in pieces(fixture.frames, cuts)])

    assert float((drawn(cuts) - drawn(())).abs().max()) < 1e-5


def test_another_seed_draws_other_noise() -> None:
    fixture = vocoder_fixture("hifigan_causal_nsf_24k_tiny")
    generator = fixture.generator()
    first, second = (generator.step(generator.begin(seed), fixture.frames, True) for seed in (1, 2))
    assert float((first - second).abs().max()) > 1e-3


def test_audio_is_no_further_behind_than_is_said(fixture: VocoderFixture) -> None:
    generator = fixture.generator()
    state = generator.begin(1)
    frames = fixture.frames.repeat(4, 1)
    seen = came = 0
    for piece, is_last in pieces(frames, range(0, len(frames), 3)):
        seen, came = seen + len(piece), came + len(generator.step(state, piece, is_last))
        assert came >= (seen - generator.look_ahead_frames) * generator.hop_samples
        assert state.held_bytes <= generator.state_bytes
    assert came == seen * generator.hop_samples
    assert (generator.look_ahead_frames == 0) is fixture.params["causal"]


def test_a_frame_is_heard_as_far_as_is_said_and_no_further(fixture: VocoderFixture) -> None:
    generator = fixture.generator()
    behind, ahead = generator.look_behind_frames, generator.look_ahead_frames
    frames = fixture.frames[:1].repeat(behind + ahead + 20, 1)
    changed, place = frames.clone(), ahead + 5
    changed[place, : generator.architecture.mels] += 1
    state = [generator.begin(1), generator.begin(1)]
    one, other = (generator.step(s, f, True) for s, f in zip(state, (frames, changed), strict=True))
    heard = ((one - other).abs().view(-1, generator.hop_samples).amax(1) > 0).nonzero()
    assert place - ahead <= int(heard.min())
    assert int(heard.max()) <= place + behind


@pytest.mark.parametrize(
    ("rates", "kernels", "is_causal", "dilations", "mels", "reach", "million"),
    [
        ((10, 5, 2, 2), (20, 10, 4, 4), True, (1, 3, 5, 7), 80, (35, 0), 4.86),
        ((10, 5, 2, 2), (20, 11, 4, 4), False, (1, 3, 5, 7), 80, (18, 18), 4.87),
        ((8, 5, 3, 2), (16, 10, 6, 4), True, (1, 3, 5), 80, (27, 0), 14.96),
        ((10, 5, 3, 2, 2), (20, 10, 6, 4, 4), True, (1, 3, 5, 7), 128, (34, 0), 19.37),
    ],
)
def test_published_vocoders_have_the_size_and_the_reach_that_were_measured(
    rates: tuple[int, ...],
    kernels: tuple[int, ...],
    is_causal: bool,
    dilations: tuple[int, ...],
    mels: int,
    reach: tuple[int, int],
    million: float,
) -> None:
    architecture = GeneratorArchitecture.read(
        {
            "mels": mels,
            "channels": 256 if len(rates) == 4 and rates[0] == 10 else 512,
            "kernel": 7,
            "rates": rates,
            "kernels": kernels,
            "resblock_kernels": (3, 7, 11),
            "resblock_dilations": (dilations,) * 3,
            "causal": is_causal,
            "harmonics": 0,
            "sample_rate_hertz": 16_000,
        }
    )
    numbers = sum(torch.Size(shape).numel() for shape in checkpoint_shapes(architecture).values())
    assert architecture.reach_frames == reach
    assert numbers / 1e6 == pytest.approx(million, abs=0.01)


def test_a_step_takes_no_more_memory_than_is_said(fixture: VocoderFixture) -> None:
    generator = fixture.generator()
    frames = fixture.frames.repeat(2, 1)
    for n in (1, 3, 24):
        state = generator.begin(1)
        for is_last in (False, True):
            with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
                audio = generator.step(state, frames[:n], is_last)
            held = peak = 0
            for event in found.profiler.kineto_results.events():
                if event.name() == "[memory]":
                    held += event.nbytes()
                    peak = max(peak, held)
            assert audio.nbytes <= peak <= generator.step_bytes(n)


def test_weights_that_are_not_its_own_are_refused(fixture: VocoderFixture) -> None:
    architecture = fixture.architecture
    weights = silent(architecture)
    assert weights.keys() == stored_shapes(architecture).keys()
    Generator(weights, architecture)
    for damaged in (
        {**weights, "conv_pre.bias": torch.zeros(3)},
        {**weights, "surplus.weight": torch.zeros(3)},
        {name: tensor for name, tensor in weights.items() if name != "conv_post.bias"},
    ):
        with pytest.raises(EngineError, match="import the voice again"):
            Generator(damaged, architecture)


def test_frames_of_another_voice_and_frames_after_the_end_are_refused() -> None:
    fixture = vocoder_fixture("hifigan_causal_tiny")
    generator = fixture.generator()
    state = generator.begin(1)
    with pytest.raises(EngineError, match="have no 8 columns"):
        generator.step(state, torch.zeros(3, 10), False)
    generator.step(state, fixture.frames, True)
    with pytest.raises(EngineError, match="come after the last"):
        generator.step(state, fixture.frames, True)


def test_phases_are_exact_after_an_hour() -> None:
    hop, rate, f0 = 200, 16_000, torch.full((8_000,), 123.4567)
    source = Source(SeededDraws(0, hop), harmonics=1, hop_samples=hop, sample_rate_hertz=rate)
    source._turns = torch.zeros(1, 1, dtype=torch.float64)
    whole = source.sines(f0, torch.ones(8_000))[0, -1_000:]
    turns = f0[:1].double() / rate * torch.arange(8_000 * hop - 999, 8_000 * hop + 1)
    # The noise beside the sine has a deviation of .003.
    assert float((whole - 0.1 * torch.sin(turns * 2 * torch.pi)).abs().max()) < 0.02


@pytest.mark.parametrize("dilation", [1, 3])
def test_a_causal_convolution_sees_nothing_of_what_comes(dilation: int) -> None:
    torch.manual_seed(0)
    conv = Conv(4, 6, 5, dilation=dilation, causal=True)
    for parameter in conv.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(1, 1, 40, 4).permute(0, 3, 1, 2)
    with torch.inference_mode():
        whole = conv(x)
        carry, found = Carry(), []
        for first, last in ((0, 7), (7, 7), (7, 29), (29, 40)):
            carry.begin(last=last == 40)
            found.append(conv.carried(x[..., first:last], carry))
            assert found[-1].shape[3] == last - first
        expected = torch.nn.functional.conv1d(
            torch.nn.functional.pad(x[:, :, 0], (4 * dilation, 0)),
            conv.weight,
            conv.bias,
            dilation=dilation,
        )
    torch.testing.assert_close(whole[:, :, 0], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat(found, 3), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("kernel", "rate", "cut"), [(20, 10, 0), (11, 5, 3), (9, 3, 0), (8, 2, 5)])
def test_an_upsampling_may_be_cut_anywhere(kernel: int, rate: int, cut: int) -> None:
    torch.manual_seed(0)
    up = Upsample(4, 3, kernel, rate, cut=cut)
    for parameter in up.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(1, 1, 12, 4).permute(0, 3, 1, 2)
    with torch.inference_mode():
        sums = torch.nn.functional.conv_transpose1d(x[:, :, 0], up.weight, up.bias, stride=rate)
        carry, found = Carry(), []
        for first, last in ((0, 0), (0, 1), (1, 8), (8, 12)):
            carry.begin(last=last == 12)
            found.append(up.carried(x[..., first:last], carry))
    expected = sums[:, :, None, cut : cut + 12 * rate]
    torch.testing.assert_close(up(x), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat(found, 3), expected, atol=1e-5, rtol=0)


USUAL = {
    "mels": 80,
    "channels": 256,
    "kernel": 7,
    "rates": [10, 5, 2, 2],
    "kernels": [20, 11, 4, 4],
    "resblock_kernels": [3, 7, 11],
    "resblock_dilations": [[1, 3, 5, 7]] * 3,
    "causal": False,
    "harmonics": 8,
    "sample_rate_hertz": 16_000,
}


def test_an_architecture_comes_back_out_of_a_manifest() -> None:
    architecture = GeneratorArchitecture.read(USUAL)
    stored = json.loads(json.dumps(architecture.to_config()))
    assert GeneratorArchitecture.read(stored) == architecture


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mels": 0}, "mels has 0 where a whole number from 1 to 256 belongs"),
        ({"mels": True}, "mels has True"),
        ({"channels": 10**400}, "channels has a number of 1329 bits"),
        ({"kernel": 6}, "kernel must be odd"),
        ({"rates": "10"}, "rates has '10' where a list belongs"),
        ({"rates": [10, 5, 2]}, "rates and kernels must be equally long"),
        ({"rates": [64, 64, 64, 64], "kernels": [65] * 4}, "product of rates must be"),
        ({"kernels": [20, 5, 4, 4]}, "each of kernels must be more than its rate"),
        ({"resblock_kernels": [3, 7]}, "equally long"),
        ({"resblock_kernels": [3, 7, 10]}, "resblock_kernels must be odd"),
        ({"resblock_dilations": [[64] * 8] * 3}, "must depend on 64 frames"),
        ({"channels": 8}, "channels must be halved"),
        ({"channels": 2048}, "products, 1000000000 at most"),
        ({"causal": 1}, "causal is neither true nor false"),
        ({"rates": [10, 5, 3, 5], "kernels": [20, 11, 5, 7]}, "even strides alone"),
        ({"surplus": 1}, "has unknown 'surplus'"),
    ],
)
def test_an_architecture_that_cannot_be_computed_is_refused(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        GeneratorArchitecture.read({**USUAL, **change})


def test_an_architecture_that_lacks_something_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks causal, rates"):
        GeneratorArchitecture.read({k: v for k, v in USUAL.items() if k not in {"causal", "rates"}})
