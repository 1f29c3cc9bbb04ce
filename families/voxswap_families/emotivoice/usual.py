"""The shape of published voices, one layer deep, with silent weights: what an engine warms up by.

All layers of a transformer are alike, so one is enough to make kernels and to measure by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from voxswap_families.emotivoice.architecture import (
    AcousticArchitecture,
    StyleArchitecture,
    VocoderArchitecture,
)
from voxswap_families.emotivoice.config import NEUTRAL, PROMPTS, EmotiVoiceConfig
from voxswap_families.emotivoice.shapes import acoustic_shapes, style_shapes, vocoder_shapes
from voxswap_families.layers.stored import as_stored

SYMBOL_FRAMES: Final = 5

CONFIG: Final = EmotiVoiceConfig(
    AcousticArchitecture(
        n_symbols=4,
        units=384,
        speaker_units=384,
        style_units=768,
        encoder_layers=1,
        encoder_heads=8,
        encoder_inner=1536,
        encoder_kernel=3,
        decoder_layers=1,
        decoder_heads=8,
        decoder_inner=1536,
        decoder_kernel=3,
        predictor_units=384,
        duration_layers=2,
        duration_kernel=3,
        pitch_layers=3,
        pitch_kernel=3,
        energy_layers=2,
        energy_kernel=3,
        embedding_kernel=9,
        mels=80,
        f0_mean_hertz=225.089,
        f0_deviation_hertz=53.78,
    ),
    VocoderArchitecture(
        mels=80,
        channels=512,
        rates=(8, 8, 2, 2),
        kernels=(16, 16, 4, 4),
        resblock_kernels=(3, 7, 11),
        resblock_dilations=((1, 3, 5),) * 3,
        sample_rate_hertz=16_000,
    ),
    StyleArchitecture(
        vocabulary=4, positions=512, types=2, units=768, layers=1, heads=12, inner=3072
    ),
    {NEUTRAL: PROMPTS[NEUTRAL]},
)


def acoustic_weights(device: str) -> Mapping[str, Tensor]:
    """Zeros, as a component stores them, but for how long a symbol lasts."""
    weights = _zeros(acoustic_shapes(CONFIG.acoustic), device)
    weights["am.duration_predictor.linear.bias"] += math.log(SYMBOL_FRAMES + 1)
    return weights


def vocoder_weights(device: str) -> Mapping[str, Tensor]:
    """Zeros, as a component stores them."""
    return _zeros(vocoder_shapes(CONFIG.vocoder), device)


def style_weights(device: str) -> Mapping[str, Tensor]:
    """Zeros, as a component stores them."""
    return _zeros(style_shapes(CONFIG.style), device)


def _zeros(shapes: Mapping[str, tuple[int, ...]], device: str) -> dict[str, Tensor]:
    return as_stored({name: torch.zeros(shape, device=device) for name, shape in shapes.items()})
