"""Encoder and decoder of the acoustic model: transformers that normalise before each layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from voxswap_families.emotivoice.parts import EPSILON, Attention, FeedForward
from voxswap_families.layers.rows import Named, Norm
from voxswap_families.work import Steps

_LONGEST_WAVE = 10_000


class _Block:
    """Attention and a feed-forward layer, each normalised before and with a shortcut around it."""

    def __init__(self, named: Named, heads: int, kernel: int) -> None:
        attention, feed = named.at("self_attn"), named.at("feed_forward")
        linears = [attention.at(f"linear_{name}") for name in ("q", "k", "v", "out")]
        self._attention = Attention(linears, heads)
        self._feed = FeedForward(feed.at("w_1"), feed.at("w_2"), kernel)
        self._norms = Norm(named.at("norm1"), EPSILON), Norm(named.at("norm2"), EPSILON)

    def steps(self, x: Tensor) -> Steps[Tensor]:
        x = x + (yield from self._attention.steps(self._norms[0](x)))
        return x + (yield from self._feed.steps(self._norms[1](x)))


class Transformer:
    """Rows with their positions through blocks, and a last norm. Immutable."""

    def __init__(self, named: Named, *, layers: int, heads: int, kernel: int) -> None:
        self._alpha = named["embed.0.alpha"]
        self._blocks = [_Block(named.at(f"encoders.{i}"), heads, kernel) for i in range(layers)]
        self._norm = Norm(named.at("after_norm"), EPSILON)

    def steps(self, x: Tensor) -> Steps[Tensor]:
        """``(time, units)`` to the same."""
        x = x + self._alpha * positions(x.shape[0], x.shape[1]).to(x)
        for block in self._blocks:
            x = yield from block.steps(x)
        return self._norm(x)


def positions(length: int, width: int) -> Tensor:
    """``(length, width)``: of each position, which count from 0, sines and cosines in turn.

    Wavelengths grow in equal ratios from 2 pi (Vaswani et al. 2017). In float32, as the reference.
    """
    places = torch.arange(length, dtype=torch.float32)[:, None]
    steps = torch.arange(0, width, 2, dtype=torch.float32)
    angles = places * torch.exp(steps * -(math.log(_LONGEST_WAVE) / width))
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
