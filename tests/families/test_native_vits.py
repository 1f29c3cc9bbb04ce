"""A VITS voice on native kernels is the one that torch speaks with, whatever was damaged or cut.

Distances are to torch in float32 on the same weights. Those of AVX2 and AVX-512 differ by nothing
but the order of sums; where bfloat16 is multiplied, inputs are rounded before each product.
"""

from __future__ import annotations

import dataclasses
import threading
import tracemalloc
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from torch import Tensor

from tests.examples import examples
from tests.families.native_kernels import TRIED
from tests.families.native_memory import Arena
from tests.families.native_voices import (
    Pair,
    drawn,
    native_durations,
    native_flow,
    native_generator,
    native_hidden,
    native_voice,
    pair_of,
    snr,
    torch_durations,
    torch_flow,
    torch_generator,
    torch_hidden,
)
from tests.families.packable_voices import (
    PUBLISHED,
    SMALL,
    SMALL_HIGH,
    packable,
    packed_component,
    packed_manifest,
)
from tests.families.vits_fakes import canonical, read_component
from tests.families.vits_voices import LIVELY, line, load, pieces, whole
from tests.registry.drafts import blob_paths
from voxswap_families.contract import Delivery
from voxswap_families.layers.native.memory import Scratch
from voxswap_families.layers.native.processor import ISAS
from voxswap_families.vits import native_parts
from voxswap_families.vits import native_voice as native_module
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.engine import VitsEngine
from voxswap_families.vits.native_voice import (
    NativeVitsUtterance,
    NativeVitsVoice,
    encoder_steps,
)
from voxswap_families.vits.packable import PACKED
from voxswap_families.vits.packed import pack
from voxswap_families.work import finished
from voxswap_registry.errors import EngineError
from voxswap_registry.manifest import Manifest
from voxswap_registry.store import Registry

ROUNDED = {name for name in TRIED if "VXK_BF16" in ISAS[name].defines}
#: Published shapes that are different to compute; the others are these with other tables.
SHAPES = ("piper x_low", "piper medium", "piper high", "vctk")
#: Least SNR in dB, 3 below what was measured: of float32 products, and of rounded ones.
LEAST = {"encoder": (126, 51), "durations": (99, 37), "flow": (124, 48), "generator": (112, 41)}


def least(part: str, kernels: str) -> float:
    return LEAST[part][kernels in ROUNDED]


def distances(pair: Pair, *, symbols: int, frames: int) -> dict[str, float]:
    """Each part on what torch gives to it, so that errors do not add up."""
    a = pair.architecture
    ids = [int(i) for i in np.random.default_rng(1).integers(0, a.n_symbols, symbols)]
    hidden, noise = torch_hidden(pair, ids), drawn(2, symbols)
    z = drawn(frames, a.inter)
    flowed = torch_flow(pair, z)
    return {
        "encoder": snr(hidden, native_hidden(pair, ids, 2)),
        "durations": snr(
            torch_durations(pair, hidden, noise), native_durations(pair, hidden, noise)
        ),
        "flow": snr(flowed, native_flow(pair, z, (frames,))),
        "generator": snr(torch_generator(pair, flowed), native_generator(pair, flowed, (40,))),
    }


@pytest.mark.parametrize("kernels", TRIED)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("one_thread")
def test_published_shapes_are_computed_as_torch_does(shape: str, kernels: str) -> None:
    a = PUBLISHED[shape]
    pair = pair_of(a, canonical(a), kernels, speaker=max(0, a.n_speakers - 1))
    found = distances(pair, symbols=61, frames=40)
    assert all(value >= least(part, kernels) for part, value in found.items()), found


@pytest.mark.parametrize("kernels", TRIED)
@pytest.mark.usefixtures("one_thread")
def test_a_trained_voice_is_computed_as_torch_does(
    joe: Manifest, joe_registry: Registry, kernels: str
) -> None:
    a = VitsArchitecture.from_config(joe.engine_config, where="joe")
    tensors = read_component(blob_paths(joe_registry, joe)["model"])
    found = distances(pair_of(a, tensors, kernels), symbols=61, frames=40)
    assert all(value >= least(part, kernels) for part, value in found.items()), found


@st.composite
def unlike(draw: st.DrawFn) -> VitsArchitecture:
    """`packable` ones, and such as nobody published: cuts and reaches longer than a piece."""
    a = draw(packable())
    wide = [r + 2 * draw(st.sampled_from((0, 3, 9, 25))) for r in a.upsample_rates]
    config = a.to_config() | {
        "upsample_kernels": wide,
        "resblock_dilations": [draw(st.lists(st.sampled_from((1, 2, 12)), min_size=1, max_size=3))
                               for _ in a.resblock_kernels],
        "flow_wavenet_layers": draw(st.integers(1, 5)),
        "dp_bins": draw(st.sampled_from((1, 10, 64))),
    }  # fmt: skip
    try:
        return VitsArchitecture.read(config)
    except ValueError:
        return a


@pytest.mark.parametrize("kernels", TRIED)
@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(a=unlike(), seed=st.integers(0, 99), frames=st.integers(1, 40), data=st.data())
@pytest.mark.usefixtures("one_thread")
def test_whatever_can_be_packed_is_computed_and_cut_anywhere(
    kernels: str, a: VitsArchitecture, seed: int, frames: int, data: st.DataObject
) -> None:
    """In memory full of NaN, and nothing is written beside it (`Arena`)."""
    pair = pair_of(a, canonical(a, seed=seed), kernels, speaker=max(0, a.n_speakers - 1))
    ids = data.draw(st.lists(st.integers(0, a.n_symbols - 1), min_size=1, max_size=70))
    hidden = native_hidden(pair, ids, a.n_heads + 4)
    assert np.array_equal(native_hidden(pair, ids, 1), hidden)
    noise = drawn(2, len(ids), seed)
    durations = native_durations(pair, torch_hidden(pair, ids), noise)
    assert np.isfinite(durations).all()
    z = drawn(frames, a.inter, seed)
    flowed, audio = native_flow(pair, z, (frames,)), native_generator(pair, z, (frames,))
    for cuts in ((1,), data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=9))):
        assert np.array_equal(native_flow(pair, z, cuts), flowed)
        assert np.array_equal(native_generator(pair, z, cuts), audio)
    if kernels not in ROUNDED:
        assert snr(torch_hidden(pair, ids), hidden) > 90
        assert snr(torch_durations(pair, torch_hidden(pair, ids), noise), durations) > 70
        assert snr(torch_flow(pair, z), flowed) > 90
        assert snr(torch_generator(pair, z), audio) > 80


@pytest.mark.parametrize("kernels", TRIED)
def test_what_upsampling_cuts_off_is_not_heard(kernels: str) -> None:
    """Also where a first call makes fewer rows than are cut."""
    a = dataclasses.replace(SMALL, upsample_rates=(2, 4), upsample_kernels=(20, 10))
    pair, z = pair_of(a, canonical(a), kernels), drawn(20, a.inter)
    audio = native_generator(pair, z, (20,))
    assert snr(torch_generator(pair, z), audio) > 35
    assert np.array_equal(native_generator(pair, z, (1,)), audio)


@pytest.mark.parametrize("kernels", TRIED)
def test_scores_may_be_as_large_as_they_like(kernels: str) -> None:
    """What stands for no symbol is below all of them."""
    tensors = canonical(SMALL)
    for name, tensor in tensors.items():
        if ".conv_q." in name or ".conv_k." in name:
            tensor.mul_(1e16)
    pair = pair_of(SMALL, tensors, kernels)
    ids = [7] * 21  # one symbol, so that weights are equal, whatever the scores are
    expected = torch_hidden(pair, ids)
    assert np.isfinite(expected).all()
    assert snr(expected, native_hidden(pair, ids, 1)) > 40


# Voices and lines.


def small(
    kernels: str, a: VitsArchitecture = SMALL, tensors: Mapping[str, Tensor] | None = None
) -> NativeVitsVoice:
    return native_voice(a, pack(a, tensors or canonical(a)), kernels)


IDS = line(40, 3, SMALL.n_symbols)


@pytest.mark.parametrize("kernels", TRIED)
@pytest.mark.parametrize("a", [SMALL, SMALL_HIGH], ids=["low", "high"])
def test_a_seed_is_the_same_line_whoever_speaks_beside(
    kernels: str, a: VitsArchitecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    arena = Arena()
    monkeypatch.setattr(
        native_module, "Block", lambda n: SimpleNamespace(address=arena.take(n), size_bytes=n)
    )
    voice = small(kernels, a)
    delivery = dataclasses.replace(LIVELY, speaker=max(0, a.n_speakers - 1))
    expected = whole(voice, IDS, delivery)
    assert not np.array_equal(expected, whole(voice, IDS, dataclasses.replace(delivery, seed=8)))
    assert np.array_equal(pieces(voice, IDS, delivery, [1, 3, 20, 5]), expected)
    other, ready = small(kernels, SMALL_HIGH), threading.Barrier(4)

    def speak(i: int) -> bool:
        ready.wait(60)
        if i % 2:
            return len(whole(other, line(20 + i, i, 60), LIVELY)) > 0
        return np.array_equal(pieces(voice, IDS, delivery, [7 + i, 11]), expected)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(speak, range(4)))
    arena.check()


@pytest.mark.parametrize("kernels", TRIED)
def test_speakers_are_not_mixed_up(kernels: str) -> None:
    """Also where more of them speak than are kept."""
    a = dataclasses.replace(SMALL, n_speakers=10)
    voice = small(kernels, a)

    def begun(speaker: int) -> bytes:
        delivery = dataclasses.replace(LIVELY, speaker=speaker)
        return finished(finished(voice.prepare(IDS, delivery)).decode(0, 2)).tobytes()

    spoken = [begun(i) for i in range(10)]
    assert len(set(spoken)) == 10
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(begun, range(9, -1, -1))) == spoken[::-1]
    with pytest.raises(EngineError, match="the speaker 10 is none"):
        voice.prepare(IDS, dataclasses.replace(LIVELY, speaker=10))


@pytest.mark.parametrize("kernels", TRIED)
def test_ids_that_are_no_rows_of_the_table_are_refused(kernels: str) -> None:
    for ids in ([SMALL.n_symbols], [1, -1], []):
        with pytest.raises(EngineError, match="symbols"):
            small(kernels).prepare(ids, LIVELY)


@pytest.mark.parametrize("kernels", TRIED)
def test_long_segments_are_spoken_and_endless_ones_refused(kernels: str) -> None:
    voice = small(kernels)
    utterance = finished(voice.prepare(line(550, 1, SMALL.n_symbols), LIVELY))
    assert 1_100 <= utterance.frames <= 12_000
    audio = finished(utterance.decode(0, 40))
    assert audio.shape == (40 * SMALL.hop_length_samples,)
    assert np.abs(audio).max() <= 1
    work = voice.prepare([1] * 70_000, LIVELY)
    with pytest.raises(EngineError, match="too long for kernels"):
        finished(work)


@pytest.mark.parametrize("kernels", TRIED)
@pytest.mark.filterwarnings("error")
def test_durations_beyond_all_bounds_are_bounded(kernels: str) -> None:
    tensors = canonical(SMALL)
    tensors["dp.flows.0.m"].fill_(-200.0)
    tensors["dp.flows.0.logs"].fill_(0.0)
    utterance = finished(small(kernels, tensors=tensors).prepare(IDS, LIVELY))
    assert utterance.frames <= 12_000


DAMAGED = (
    "enc_p.emb.weight", "enc_p.encoder.attn_layers.0.conv_qkv.panels",
    "enc_p.encoder.attn_layers.0.emb_rel_k.panels", "enc_p.encoder.attn_layers.0.emb_rel_v.panels",
    "enc_p.encoder.ffn_layers.0.conv_1.panels", "enc_p.encoder.ffn_layers.0.conv_2.bias",
    "enc_p.encoder.norm_layers_1.0.gamma", "enc_p.proj.panels", "emb_g.weight", "dp.pre.panels",
    "dp.cond.weight", "dp.convs.convs_sep.0.taps", "dp.flows.0.m", "dp.flows.7.proj.panels",
    "flow.flows.0.pre.panels", "flow.flows.0.enc.in_layers.0.panels", "flow.flows.6.post.bias",
    "flow.flows.0.enc.res_skip_layers.0.panels", "dec.conv_pre.panels", "dec.ups.1.panels",
    "dec.resblocks.4.convs.0.panels", "dec.resblocks.8.convs.1.bias", "dec.conv_post.taps",
)  # fmt: skip


@pytest.mark.parametrize("kernels", TRIED)
@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_no_number_is_an_error_and_no_sound(name: str, kernels: str) -> None:
    packed = pack(SMALL, canonical(SMALL))
    packed[name].fill_(float("nan"))
    voice = native_voice(SMALL, packed, kernels)
    with pytest.raises(EngineError, match="the weights are damaged"):
        whole(voice, IDS, LIVELY)


@pytest.mark.parametrize("kernels", TRIED)
@pytest.mark.filterwarnings("error")
def test_a_speaker_who_is_infinite_is_an_error_and_no_warning(kernels: str) -> None:
    packed = pack(SMALL, canonical(SMALL))
    packed["emb_g.weight"].fill_(float("inf"))
    voice = native_voice(SMALL, packed, kernels)
    with pytest.raises(EngineError, match="the weights are damaged"):
        whole(voice, IDS, LIVELY)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    path = packed_component(tmp_path, SMALL)
    other = dataclasses.replace(SMALL, hidden=64)
    for kernels in TRIED:
        with pytest.raises(EngineError, match="do not fit"):
            load(VitsEngine(kernels=kernels), packed_manifest(other, path.stat().st_size), path)


# What a step takes, and what is held between steps.


@pytest.mark.parametrize("shape", PUBLISHED)
@pytest.mark.parametrize("symbols", [1, 40, 200, 1_200])
def test_parts_of_the_encoder_are_steps_of_bounded_work(shape: str, symbols: int) -> None:
    a = PUBLISHED[shape]
    steps = encoder_steps(a, symbols)
    assert [first for first, _ in steps[1:]] == [last for _, last in steps[:-1]]
    assert (steps[0][0], steps[-1][1]) == (0, a.n_heads + 4)
    most = a.layer_products // 2 * symbols  # of the largest part by itself
    assert len(steps) == 1 if symbols <= 200 else len(steps) >= most / 6e8


@pytest.mark.parametrize("kernels", TRIED)
@pytest.mark.usefixtures("one_thread")
def test_the_end_of_a_line_takes_no_longer_than_its_middle(
    kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generator gets as many frames in each step, and makes as much of them, at most."""
    monkeypatch.setattr(native_module, "step_frames", lambda _: 2)
    made = list[int]()
    generated = native_module.NativeVitsUtterance._generated

    def counted(self: Any, n: int) -> Any:
        audio = generated(self, n)
        made.append(len(audio))
        return audio

    monkeypatch.setattr(native_module.NativeVitsUtterance, "_generated", counted)
    whole(small(kernels), IDS, Delivery(rate=1.0, seed=0))
    assert max(made) <= 3 * SMALL.hop_length_samples


@pytest.mark.parametrize("kernels", TRIED)
@pytest.mark.parametrize("a", [SMALL, SMALL_HIGH], ids=["low", "high"])
def test_no_more_is_held_than_was_said(kernels: str, a: VitsArchitecture) -> None:
    voice = small(kernels, a)
    utterance = finished(voice.prepare(IDS, LIVELY))
    assert isinstance(utterance, NativeVitsUtterance)
    first = 0
    while first < utterance.frames:
        last = min(utterance.frames, first + 5)
        finished(utterance.decode(first, last))
        arrays = ("_prior", "_symbol_of_frame", "_drawn", "_final", "_audio")
        held = sum(getattr(utterance, name).nbytes for name in arrays)
        states = utterance._flow_state.size_bytes + utterance._generator_state.size_bytes
        assert held + states <= utterance.held_bytes
        first = last


#: Whose durations take the most.
PONDEROUS = dataclasses.replace(SMALL, dp_flows=1, dp_hidden=512)


@pytest.mark.parametrize("kernels", TRIED)
@pytest.mark.parametrize("a", [SMALL, SMALL_HIGH, PONDEROUS], ids=["low", "high", "ponderous"])
def test_steps_take_no_more_memory_than_was_said(
    kernels: str, a: VitsArchitecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a segment as long as there are, on a thread that has no memory yet."""
    voice = small(kernels, a)
    monkeypatch.setattr(native_module, "_SCRATCH", Scratch())
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        utterance = finished(voice.prepare([1, 2, 3] * 400, LIVELY))
        finished(utterance.decode(0, 300))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    said = native_parts.step_bytes(a, voice.library, PACKED, 300 * a.hop_length_samples)
    assert most - before <= said


def test_what_is_widened_counts() -> None:
    a = dataclasses.replace(SMALL, filter_hidden=1024, kernel_size=31)
    assert native_parts.widened_bytes(a) == 2 * 16 * 4 * 1024 * 31
