"""The text encoder: four tables, positions, and a transformer normalised before each layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from voxswap_families.layers.rows import Linear, Named
from voxswap_families.sambert.architecture import ENCODER_KERNEL, AcousticArchitecture
from voxswap_families.sambert.parts import FeedForward, Norm, SelfAttention
from voxswap_families.work import Steps

_LONGEST_WAVE = 10_000
_TABLES = ("sy", "tone", "syllable_flag", "ws")


class TextEncoder:
    """Symbols to states. Immutable."""

    def __init__(self, named: Named, a: AcousticArchitecture) -> None:
        self._tables = [named[f"{table}_emb.weight"] for table in _TABLES]
        self._scale = math.sqrt(a.encoder_units)
        blocks = [named.at(f"ling_enc.fft.{i}") for i in range(a.encoder_layers)]
        self._attends = [SelfAttention(b.at("slf_attn"), a.encoder_heads) for b in blocks]
        self._feeds = [FeedForward(b.at("pos_ffn"), ENCODER_KERNEL) for b in blocks]
        self._norm = Norm(named.at("ling_enc.ln"))
        self._out = Linear(named.at("ling_proj"), bias=False)

    def steps(self, rows: Tensor) -> Steps[Tensor]:
        """``(symbols, 4)`` rows of the four tables to ``(symbols, text_units)``."""
        x = torch.stack([t[rows[:, n]] for n, t in enumerate(self._tables)]).sum(0) * self._scale
        x = x + text_positions(x.shape[0], x.shape[1]).to(x)
        for attend, feed in zip(self._attends, self._feeds, strict=True):
            x = yield from attend.steps(x)
            x = feed(x)
            yield None
        return self._out(self._norm(x))


def text_positions(length: int, width: int) -> Tensor:
    """``(length, width)``: sines of each position, which count from 1, then cosines.

    Wavelengths grow in equal ratios from 2 pi to 10,000 times that, both ends included (Vaswani et
    al. 2017, as the first implementations had it). In float64, then rounded.
    """
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float64) / max(1, half - 1)
    positions = torch.arange(1, length + 1, dtype=torch.float64)
    angles = positions[:, None] / _LONGEST_WAVE**exponents
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()


def phone_positions(longest: int, width: int) -> Tensor:
    """``(longest + 1, width)``: of frame n within its phone, sines and cosines in turn.

    Frames count from 1; row 0 is for what belongs to no phone.
    """
    channels = torch.arange(width)
    waves = torch.pow(float(_LONGEST_WAVE), 2.0 * (channels // 2).double() / width).float()
    angles = torch.arange(longest + 1, dtype=torch.float32)[:, None] / waves
    return torch.where(channels % 2 == 0, angles.sin(), angles.cos())
