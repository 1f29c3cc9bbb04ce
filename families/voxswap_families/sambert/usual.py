"""The shape of published 16 kHz voices, with silent weights: what an engine warms up by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from voxswap_families.layers.stored import as_stored
from voxswap_families.sambert.architecture import AcousticArchitecture
from voxswap_families.sambert.config import NONE, SambertConfig
from voxswap_families.sambert.shapes import acoustic_shapes
from voxswap_families.sambert.vocoder_architecture import GeneratorArchitecture
from voxswap_families.sambert.vocoder_weights import silent

_SYMBOL_FRAMES = 9

CONFIG: Final = SambertConfig(
    AcousticArchitecture(
        n_sy=147,
        n_tone=10,
        n_syllable_flag=8,
        n_word_segment=8,
        n_emotions=36,
        n_speakers=4,
        speaker_units=32,
        emotion_units=32,
        embedding=512,
        encoder_layers=8,
        encoder_heads=8,
        encoder_units=128,
        encoder_inner=1024,
        text_units=32,
        predictor_filter=41,
        predictor_memory=128,
        predictor_inner=256,
        predictor_lstm=128,
        predictor_shifts=(0, 0, 0),
        duration_prenet=(128, 128),
        duration_lstm=128,
        decoder_prenet=(256, 256),
        decoder_layers=12,
        decoder_heads=8,
        decoder_units=128,
        decoder_inner=1024,
        step_frames=3,
        mels=80,
        postnet_filter=41,
        postnet_memory=256,
        postnet_inner=512,
        postnet_lstm=128,
        postnet_shifts=(17, 17, 17, 17),
        has_source=False,
        f0_offset_hertz=0.0,
        f0_scale_hertz=0.0,
    ),
    GeneratorArchitecture(
        mels=80,
        channels=256,
        kernel=7,
        rates=(10, 5, 2, 2),
        kernels=(20, 11, 4, 4),
        resblock_kernels=(3, 7, 11),
        resblock_dilations=((1, 3, 5, 7),) * 3,
        causal=False,
        harmonics=0,
        sample_rate_hertz=16_000,
    ),
    {NONE: 0},
    (),
)


def acoustic_weights(device: str) -> Mapping[str, Tensor]:
    """Zeros, as a component stores them, but for how long a symbol lasts."""
    shapes = acoustic_shapes(CONFIG.acoustic).items()
    weights = as_stored({name: torch.zeros(shape, device=device) for name, shape in shapes})
    weights["variance_adaptor.duration_predictor.fc.bias"] += math.log(_SYMBOL_FRAMES + 1)
    return weights


def vocoder_weights(device: str) -> Mapping[str, Tensor]:
    """Zeros, in canonical shape."""
    return {name: tensor.to(device) for name, tensor in silent(CONFIG.vocoder).items()}
