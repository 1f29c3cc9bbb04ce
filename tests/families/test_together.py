"""What goes together on a GPU, tried on the CPU: the sums are the same ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.families.vits_voices import LIVELY, decoded_together, line, random_voice, whole
from voxswap_families.layers.blocks import Conv, Upsample
from voxswap_families.vits.voice import VitsVoice
from voxswap_families.work import finished


def batching(voice: VitsVoice) -> VitsVoice:
    voice.decodes_together = True
    return voice


@pytest.mark.parametrize("n_speakers", [0, 3])
@pytest.mark.parametrize("n_voices", [1, 3])
def test_streams_that_go_together_are_each_their_own(n_voices: int, n_speakers: int) -> None:
    voices = [random_voice("low", n_speakers, seed) for seed in range(n_voices)]
    lines = [(voices[i % n_voices], line(60 + 5 * i, i, 60)) for i in range(6)]
    alone = [whole(voice, ids, LIVELY) for voice, ids in lines]
    for voice in voices:
        batching(voice)
    utterances = [finished(voice.prepare(ids, LIVELY)) for voice, ids in lines]
    assert min(u.frames for u in utterances) > 48, "they shall be in the middle for a while"
    found, shared = decoded_together(utterances)
    assert shared["flow"] >= 4
    assert shared["decode"] >= 2
    for ours, before in zip(found, alone, strict=True):
        assert np.abs(ours - before).max() < 1e-5


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("preset", ["low", "medium", "high"])
def test_on_a_cpu_a_line_is_the_very_same_whoever_speaks_beside_it(preset: str) -> None:
    """In float32: bfloat16 is emulated on some processors, and these have no promise to keep."""
    voice = random_voice(preset)
    for symbols in (3, 25):
        lines = [line(symbols, seed, 60) for seed in range(4)]
        alone = [decoded_together([finished(voice.prepare(ids, LIVELY))])[0][0] for ids in lines]
        for beside in (2, 4):
            utterances = [finished(voice.prepare(ids, LIVELY)) for ids in lines[:beside]]
            found, shared = decoded_together(utterances)
            assert shared["flow"] or symbols == 3
            for ours, before in zip(found, alone, strict=False):
                assert np.array_equal(ours, before)


def signal(channels: int, time: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, 1, time, channels), generator=generator).permute(0, 3, 1, 2)


def filled(layer: Conv | Upsample) -> Conv | Upsample:
    """With weights as they lie in a component."""
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        shape = parameter.shape if parameter.dim() == 1 else [parameter.shape[i] for i in (0, 2, 1)]
        values = torch.randn(shape, generator=generator) / 8
        parameter.data = values if values.dim() == 1 else values.permute(0, 2, 1)
    return layer


LAYERS: dict[str, Callable[[], Conv | Upsample]] = {
    "gate": lambda: Conv(192, 384, 5),
    "dilated": lambda: Conv(64, 64, 7, dilation=12),
    "plain": lambda: Conv(128, 128, 3),
    "product": lambda: Conv(192, 384),
    "upsample": lambda: Upsample(256, 128, 16, 8),
    "last upsample": lambda: Upsample(64, 32, 8, 4),
}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_one_signal_the_same_bits_as_several(name: str) -> None:
    """torch's own choice of a convolution goes by the size of what it is given."""
    layer = filled(LAYERS[name]())
    channels = layer.weight.shape[0] if isinstance(layer, Upsample) else layer.weight.shape[1]
    with torch.inference_mode():
        for time in (1, 2, 3, 7, 16, 40, 64, 96, 130):
            signals = [signal(channels, time, seed) for seed in range(4)]
            alone = [layer(x) for x in signals]
            for n in (2, 3, 4):
                together = layer(torch.cat(signals[:n])).split(1)
                for ours, before in zip(together, alone, strict=False):
                    assert torch.equal(ours, before), (time, n)


def test_only_what_is_in_one_state_decodes_together() -> None:
    """One stream is at its beginning, where context is zero, and one in the middle."""
    voice = batching(random_voice("low"))
    ids = line(80, 3, 60)
    alone = whole(random_voice("low"), ids, LIVELY)
    ahead, behind = (finished(voice.prepare(ids, LIVELY)) for _ in range(2))
    began = finished(ahead.decode(0, 7))
    found, _ = decoded_together([behind], sizes=(7,))
    works = [ahead.decode(7, 23)]
    while not works[0].is_done:
        works[0].step()
    joined = np.concatenate([began, works[0].result()])
    assert np.abs(joined - alone[: len(joined)]).max() < 1e-5
    assert np.abs(found[0] - alone).max() < 1e-5


def test_voices_of_different_shapes_never_go_together() -> None:
    voices = [batching(random_voice(name)) for name in ("low", "high")]
    utterances = [finished(voice.prepare(line(60, 1, 60), LIVELY)) for voice in voices]
    works = [utterance.decode(0, 7) for utterance in utterances]
    keys: list[set[object]] = []
    for work in works:
        seen: set[object] = set()
        while not work.is_done:
            work.step()
            seen.add(work.key)
        keys.append(seen - {None})
    assert keys[0]
    assert keys[1]
    assert not keys[0] & keys[1]
