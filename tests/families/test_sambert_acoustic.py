"""The acoustic model of Sambert voices against the reference, and against itself in pieces."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.families.sambert_fixtures import (
    REAL,
    TINY,
    AcousticFixture,
    acoustic_fixture,
    frames_of,
    run,
)
from voxswap_families.sambert import acoustic as module
from voxswap_families.sambert.architecture import AcousticArchitecture
from voxswap_families.sambert.configuration import architecture_of
from voxswap_families.sambert.decoder import DecoderState
from voxswap_families.sambert.encoder import phone_positions, text_positions
from voxswap_families.sambert.shapes import acoustic_shapes
from voxswap_registry.errors import EngineError, ManifestError


def furthest(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max())


@pytest.mark.parametrize("name", [*TINY, REAL])
def test_parity_with_the_reference(name: str) -> None:
    fixture = acoustic_fixture(name)
    acoustic, found = fixture.acoustic(), fixture.found
    asked = fixture.asked(acoustic)
    text = run(acoustic.encoder.steps(asked.rows))
    assert furthest(text, found["text_hid"]) < 1e-5
    condition = torch.cat([asked.speaker.expand(len(text), -1), asked.emotion], dim=1)
    pitch, energy, _ = run(acoustic.adaptor.coloured(text, condition))
    assert furthest(pitch[:, 0], found["pitch"]) < 1e-5
    assert furthest(energy[:, 0], found["energy"]) < 1e-5
    _, logarithms = run(acoustic.adaptor.steps(text, condition))
    assert furthest(logarithms, found["log_duration"]) < 1e-5

    line = fixture.line(acoustic)
    durations = (torch.exp(found["log_duration"]) - 1 + 0.5).floor().int()
    assert line.durations == tuple(durations.tolist())
    assert (line.frames, line.band) == (int(found["frames"]), int(found["band"]))
    expanded = line.expanded(0, len(found["LR_text"]))
    assert furthest(expanded, found["LR_text"]) < 1e-5
    with pytest.MonkeyPatch.context() as patch:
        # Before pitch is made hertz, which multiplies differences by hundreds.
        patch.setattr(module, "sounding", lambda frames, architecture: frames)
        assert furthest(frames_of(line), found["post"][: line.frames]) < 1e-4


@pytest.mark.parametrize("name", TINY[1:])
def test_pitch_is_in_hertz_and_voicing_is_yes_or_no(name: str) -> None:
    fixture = acoustic_fixture(name)
    line = fixture.line(fixture.acoustic())
    ours, theirs = frames_of(line), fixture.found["denormalised"][: line.frames]
    assert furthest(ours[:, :-2], theirs[:, :-2]) < 1e-4
    assert float((ours[:, -2] / theirs[:, -2] - 1).abs().max()) < 1e-4
    assert bool((ours[:, -1] == theirs[:, -1]).all())


def test_frames_of_a_source_are_cut_off_where_nobody_speaks() -> None:
    a = acoustic_fixture("sambert_tiny_se_nsf").architecture
    frames = torch.zeros(3, a.mels)
    frames[:, -1] = torch.tensor([0.59, 0.6, 3.0])
    frames[:, -2] = torch.tensor([-1.0, 0.0, 1.0])
    told = module.sounding(frames, a)
    assert told[:, -1].tolist() == [0.0, 1.0, 1.0]
    assert told[:, -2].tolist() == [30.0, 30.0, 730.0]


@pytest.mark.parametrize("rate", [0.3, 1.0, 2.0])
def test_caches_of_a_band_are_enough(rate: float) -> None:
    """The same as with all that was ever made, however often the caches have moved."""
    fixture = acoustic_fixture(TINY[0])
    acoustic = fixture.acoustic()
    line = fixture.line(acoustic, rate)
    assert line.band == int(max(_exact(fixture)) / rate / 3 + 0.5)
    frames = frames_of(line)
    wide = fixture.line(acoustic, rate)
    state = wide._decoding
    roomy = DecoderState(acoustic.architecture, state.memory, state.steps, state.steps)
    roomy.band = state.band
    wide._decoding = roomy
    assert torch.equal(frames_of(wide), frames)
    held = line._decoding
    kept = held.own.size_bytes + held.text.size_bytes
    a = acoustic.architecture
    assert kept == 4 * 4 * a.decoder_layers * a.decoder_units * (line.band + 1 + 32)


def _exact(fixture: AcousticFixture) -> list[float]:
    durations: list[float] = (torch.exp(fixture.found["log_duration"]) - 1).tolist()
    return durations


def test_the_postnet_in_pieces_is_the_whole() -> None:
    fixture = acoustic_fixture(TINY[0])
    postnet = fixture.acoustic().postnet
    frames = torch.randn(50, 8, generator=torch.Generator().manual_seed(3))
    ahead = fixture.architecture.postnet_ahead_frames
    with torch.inference_mode():
        whole = postnet.piece(postnet.start(frames), frames, is_last=True)
        for sizes in ([1] * 50, [50, 0], [3, 1, 20, 26], [0, 49, 1]):
            state, made, seen = postnet.start(frames), list[Tensor](), 0
            for n, size in enumerate(sizes):
                is_last = n == len(sizes) - 1
                piece = postnet.piece(state, frames[seen : seen + size], is_last=is_last)
                made.append(piece)
                seen += size
                assert sum(map(len, made)) == (50 if is_last else max(0, seen - ahead))
            assert furthest(torch.cat(made), whole) < 1e-5


def test_the_first_frames_take_few_steps() -> None:
    fixture = acoustic_fixture(REAL)
    assert fixture.architecture.postnet_ahead_frames == 12
    line = fixture.line(fixture.acoustic())
    assert len(run(line.piece())) == 0
    assert len(run(line.piece())) == 12
    assert line._decoding.done * 3 == 24 < line.frames


def test_slower_is_longer_to_the_frame() -> None:
    fixture = acoustic_fixture(TINY[0])
    acoustic = fixture.acoustic()
    for rate in (0.25, 0.8, 1.7, 4.0):
        expected = [int(duration / rate + 0.5) for duration in _exact(fixture)]
        assert list(fixture.line(acoustic, rate).durations) == expected


def test_durations_are_bounded() -> None:
    assert module.frames_of(torch.tensor([0.2, 0.4])).tolist() == [0, 1]
    assert module.frames_of(torch.tensor([1e9, 2.5])).tolist() == [400, 3]
    many = module.frames_of(torch.full((100,), 300.0))
    assert 0.99 * module.MOST_FRAMES < int(many.sum()) <= module.MOST_FRAMES


def test_positions_are_sines_and_cosines() -> None:
    text = text_positions(900, 24).tolist()
    assert text[0][0] == pytest.approx(math.sin(1))
    assert text[899][11] == pytest.approx(math.sin(900 / 10_000))
    assert text[899][12] == pytest.approx(math.cos(900))
    phone = phone_positions(3, 8).tolist()
    assert phone[0] == [0, 1] * 4
    assert phone[3][2:4] == pytest.approx([math.sin(3 / 10), math.cos(3 / 10)])


@pytest.mark.parametrize("name", [*TINY, REAL])
def test_the_architecture_is_read_off_params_and_shapes(name: str) -> None:
    fixture = acoustic_fixture(name)
    a = fixture.architecture
    assert set(acoustic_shapes(a)) <= set(fixture.shapes)
    assert AcousticArchitecture.read(json.loads(json.dumps(a.to_config()))) == a
    assert a.n_sy == (146 if "nomask" in name else 147)
    assert (a.n_speakers == 0) == ("se" in name.split("_"))
    assert a.has_source == ("nsf" in name)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"FP": True}, "filled pauses"),
        ({"using_byte": True}, "using_byte"),
        ({"decoder_num_layers": None}, "decoder_layers has None"),
        ({"encoder_num_heads": 3}, "encoder_heads must divide encoder_units"),
        ({"postnet_shift": [1, 2]}, "postnet_shift has 2 numbers"),
        ({"postnet_fsmn_num_layers": 10**12}, "postnet_fsmn_num_layers is 1000000000000"),
        ({"predictor_filter_size": 8}, "predictor_filter must be odd"),
        ({"nsf_norm_type": "minmax"}, "nsf_norm_type is 'minmax'"),
        ({"nsf_norm_type": "mean_std"}, "no mvn.npy"),
        ({"nsf_f0_global_minimum": 900.0}, "must be less than"),
        ({"nsf_f0_global_maximum": "loud"}, "must be numbers"),
        ({"num_mels": 2}, "more than 2 with a source"),
        ({"decoder_ffn_inner_dim": 10**9}, "decoder_inner has 1000000000"),
    ],
)
def test_what_is_not_carried_out_is_refused_by_name(change: dict[str, Any], told: str) -> None:
    fixture = acoustic_fixture("sambert_tiny_se_nsf")
    with pytest.raises(ValueError, match=told):
        architecture_of({**fixture.params, **change}, fixture.shapes)


def test_a_missing_setting_or_table_is_named() -> None:
    fixture = acoustic_fixture(TINY[0])
    params = {name: value for name, value in fixture.params.items() if name != "num_mels"}
    with pytest.raises(ValueError, match="lacks num_mels"):
        architecture_of(params, fixture.shapes)
    shapes = {n: s for n, s in fixture.shapes.items() if not n.startswith("spk")}
    with pytest.raises(ValueError, match="spk_tokenizer"):
        architecture_of(fixture.params, shapes)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"mels": True}, "mels has True"),
        ({"has_source": 1}, "has_source has 1"),
        ({"f0_scale_hertz": float("nan")}, "f0_scale_hertz has nan"),
        ({"postnet_shifts": []}, "postnet_shifts"),
        ({"postnet_shifts": [0] * 100}, "postnet_shifts"),
        ({"postnet_shifts": [9]}, "half of postnet_filter"),
        ({"decoder_prenet": [4096]}, "decoder_prenet"),
        ({"surplus": 1}, "has unknown 'surplus'"),
        ({"encoder_inner": 4096, "encoder_units": 1024, "encoder_layers": 32}, "products"),
    ],
)
def test_an_architecture_out_of_bounds_is_refused(change: dict[str, Any], told: str) -> None:
    config = acoustic_fixture(TINY[0]).architecture.to_config()
    with pytest.raises(ManifestError, match=told):
        AcousticArchitecture.from_config({**config, **change}, where="here")


def test_weights_of_another_architecture_are_refused() -> None:
    fixture = acoustic_fixture(TINY[0])
    for change in ({"n_speakers": 7}, {"decoder_layers": 2}, {"postnet_shifts": (3, 3, 3, 3)}):
        other = dataclasses.replace(fixture.architecture, **change)
        with pytest.raises(EngineError, match="do not fit"):
            module.Acoustic(fixture.stored, other)


def test_damaged_weights_never_become_durations() -> None:
    fixture = acoustic_fixture(TINY[0])
    stored = {name: tensor.clone() for name, tensor in fixture.stored.items()}
    stored["variance_adaptor.duration_predictor.fc.bias"][0] = float("nan")
    acoustic = module.Acoustic(stored, fixture.architecture)
    with pytest.raises(EngineError, match="NaN or infinity"):
        fixture.line(acoustic)
