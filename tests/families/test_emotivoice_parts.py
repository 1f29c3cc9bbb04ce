"""EmotiVoice's models give the reference's numbers: acoustic model, vocoder, style encoder."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.families.emotivoice_fixtures import REAL, TINY, joint_fixture, run, style_fixture
from tests.families.native_kernels import TRIED
from voxswap_families.emotivoice.acoustic import MOST_FRAMES, Acoustic, Predicted, frames_of
from voxswap_families.emotivoice.architecture import VocoderArchitecture
from voxswap_families.emotivoice.bert import StyleEncoder
from voxswap_families.emotivoice.parts import pieces
from voxswap_families.emotivoice.shapes import vocoder_shapes
from voxswap_families.emotivoice.vocoder import NativeVocoder, TorchVocoder, Vocoder, shape_of
from voxswap_families.layers.native import library
from voxswap_families.layers.native.generator import packed_bytes
from voxswap_families.layers.stored import as_stored
from voxswap_families.made_up import random_tensors
from voxswap_families.work import Work
from voxswap_registry.errors import EngineError

pytestmark = pytest.mark.usefixtures("one_thread")


def furthest(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max())


@pytest.mark.parametrize("name", [TINY, REAL])
def test_the_numbers_are_the_references(name: str) -> None:
    fixture = joint_fixture(name)
    theirs = fixture.found
    acoustic = Acoustic(fixture.stored("am."), fixture.acoustic)
    found: Predicted = run(acoustic.predicted(fixture.asked()))
    assert furthest(found.encoded, theirs["encoder_out"]) < 1e-4
    assert furthest(found.projected, theirs["projected"]) < 1e-4
    assert furthest(found.log_durations, theirs["log_duration"]) < 1e-4
    assert furthest(found.pitch, theirs["pitch"]) < 1e-4
    assert furthest(found.energy, theirs["energy"]) < 1e-4
    line = run(acoustic.steps(fixture.asked()))
    assert list(line.durations) == theirs["durations"].tolist()
    assert furthest(line.mels, theirs["mel"]) < 1e-4
    vocoder = TorchVocoder(fixture.stored("generator."), fixture.vocoder)
    whole = heard(vocoder, line.mels)
    assert furthest(whole, theirs["wave"]) < 1e-4
    assert furthest(heard(vocoder, line.mels, (16, 32)), whole) < 1e-5


def heard(vocoder: Vocoder, mels: Tensor, cuts: tuple[int, ...] = ()) -> Tensor:
    """``(frames, mels)`` through it, cut there."""
    edges = [0, *(cut for cut in cuts if cut < len(mels)), len(mels)]
    state, made = vocoder.begin(len(mels)), list[Tensor]()
    for first, last in itertools.pairwise(edges):
        steps = vocoder.steps(state, mels[first:last], is_last=last == len(mels))
        made.append(torch.from_numpy(run(steps)))
    return torch.cat(made)


def test_the_style_encoder_gives_the_references_numbers() -> None:
    fixture = style_fixture()
    encoder = StyleEncoder(fixture.stored, fixture.architecture)
    assert furthest(run(encoder.steps(fixture.ids)), fixture.pooled) < 1e-4
    for ids in ([], [40], [-1], [1] * 21):
        with pytest.raises(EngineError, match="tokens"):
            run(encoder.steps(ids))


@pytest.mark.parametrize("isa", TRIED)
def test_native_kernels_give_what_torch_gives_and_the_same_bits_for_any_cut(isa: str) -> None:
    vocoder = {**joint_fixture(TINY).vocoder.to_config(), "channels": 64, "rates": (8, 2)}
    a = VocoderArchitecture.read({**vocoder, "kernels": (16, 4)})
    weights = as_stored(random_tensors(vocoder_shapes(a), "native"))
    mels = random_tensors({"mels": (23, a.mels)}, "mels")["mels"] * a.mels**0.5
    native = NativeVocoder(weights, a, library.load(isa))
    whole, expected = heard(native, mels), heard(TorchVocoder(weights, a), mels)
    assert whole.shape == expected.shape == (23 * a.hop_samples,)
    noise = float((whole - expected).square().mean() / expected.square().mean())
    assert 10 * math.log10(noise) < -36  # weights are rounded, and inputs too on some
    assert torch.equal(heard(native, mels, (1, 2, 7, 20)), whole)
    assert native.resident_bytes <= packed_bytes(shape_of(a))


def test_rows_in_pieces_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few rows a step has; then there are many steps."""
    fixture = joint_fixture(TINY)
    acoustic = Acoustic(fixture.stored("am."), fixture.acoustic)
    asked = fixture.asked(rate=0.2)
    usual = run(acoustic.steps(asked))
    monkeypatch.setattr("voxswap_families.emotivoice.parts._STEP_PRODUCTS", 1)
    work, steps = Work(acoustic.steps(asked), around=torch.inference_mode), 0
    while not work.is_done:
        work.step()
        steps += 1
    assert work.result().durations == usual.durations
    assert furthest(work.result().mels, usual.mels) < 1e-5
    assert steps > 4 * 2 * usual.mels.shape[0] // 16


def test_a_step_has_a_bounded_number_of_products() -> None:
    for row_products in (1, 4_000_000, 10**9):
        spans = list(pieces(1000, row_products))
        assert [last for _, last in spans[:-1]] == [first for first, _ in spans[1:]]
        assert (spans[0][0], spans[-1][1]) == (0, 1000)
        longest = max(last - first for first, last in spans)
        assert longest * row_products <= 6 * 10**8 or longest == 16


def test_slower_and_faster_lines_are_exactly_so() -> None:
    exact = torch.tensor([0.4, 3.2, 7.7, 0.1, 12.5])
    usual = frames_of(exact, 1.0)
    assert usual.tolist() == [0, 3, 8, 0, 12]
    assert int(frames_of(exact, 0.5).sum()) == 46
    assert int(frames_of(exact, 4.0).sum()) == round(23 / 4)
    assert frames_of(torch.zeros(3), 1.0).tolist() == [1, 1, 1]
    assert int(frames_of(torch.full((100,), 1e9), 0.25).sum()) == MOST_FRAMES


def test_pitch_is_moved_in_hertz() -> None:
    fixture = joint_fixture(TINY)
    acoustic = Acoustic(fixture.stored("am."), fixture.acoustic)
    found: Predicted = run(acoustic.predicted(fixture.asked()))
    frames = torch.ones(len(found.pitch))

    def hertz(**changes: float) -> Tensor:
        moved = acoustic._intoned(found.pitch, frames, fixture.asked(**changes))
        return 225.089 + 53.78 * moved

    usual = hertz()
    assert torch.equal(acoustic._intoned(found.pitch, frames, fixture.asked()), found.pitch)
    assert furthest(hertz(pitch_semitones=12.0), 2 * usual) < 1e-2
    assert furthest(hertz(pitch_semitones=-4.0), usual * 2 ** (-4 / 12)) < 1e-2
    flat = hertz(pitch_range=0.0)
    assert furthest(flat, flat.mean().expand_as(flat)) < 1e-2
    assert abs(float(flat.mean()) - float(usual.log2().mean().exp2())) < 1e-2
    wide = hertz(pitch_range=2.0).log2() - usual.log2().mean()
    assert furthest(wide, 2 * (usual.log2() - usual.log2().mean())) < 1e-3


def test_weights_of_another_model_are_refused() -> None:
    fixture, style = joint_fixture(TINY), style_fixture()
    with pytest.raises(EngineError, match="do not fit"):
        Acoustic(fixture.stored("am."), replace(fixture.acoustic, mels=9))
    with pytest.raises(EngineError, match="do not fit"):
        TorchVocoder(fixture.stored("generator."), replace(fixture.vocoder, channels=64))
    with pytest.raises(EngineError, match="do not fit"):
        StyleEncoder(style.stored, replace(style.architecture, layers=3))
