"""Streams that go together on a CUDA device are each their own, as they are on the host."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.families.vits_voices import LIVELY, decoded_together, line, random_voice, whole
from voxswap_families.vits.voice import VitsVoice, VitsWeights
from voxswap_families.work import finished

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DEVICE = "cuda:0"


def on_device(voice: VitsVoice) -> VitsVoice:
    model = voice.model.to(DEVICE)
    return VitsVoice(VitsWeights(model, voice.architecture, DEVICE), decodes_together=True)


@pytest.mark.parametrize("n_voices", [1, 3])
def test_streams_that_go_together_are_each_their_own(n_voices: int) -> None:
    host = [random_voice("low", seed=seed) for seed in range(n_voices)]
    lines = [line(60 + 5 * i, i, 60) for i in range(6)]
    expected = [whole(host[i % n_voices], ids, LIVELY) for i, ids in enumerate(lines)]
    voices = [on_device(voice) for voice in host]
    utterances = [finished(voices[i % n_voices].prepare(x, LIVELY)) for i, x in enumerate(lines)]
    found, shared = decoded_together(utterances)
    assert shared["flow"] >= 4
    assert shared["decode"] >= 2
    for ours, before in zip(found, expected, strict=True):
        assert np.abs(ours - before).max() < 1e-3  # cuDNN may use TF32
