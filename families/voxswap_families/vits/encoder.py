"""The text encoder: symbols to the mean and deviation of the acoustic prior.

A transformer with relative positions (Shaw et al. 2018) within a window, as VITS has it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxswap_families.layers.blocks import ChannelNorm, Conv, Table, modules_of
from voxswap_families.work import Steps

# Of more symbols, attention takes more than one step; of fewer, a step is not worth its price.
_LONG = 400


class RelativeAttention(nn.Module):
    """Multi-head self attention with learnt offsets for keys and values up to ``window`` away."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window, self.size = heads, window, channels // heads
        self.conv_q = Conv(channels, channels)
        self.conv_k = Conv(channels, channels)
        self.conv_v = Conv(channels, channels)
        self.conv_o = Conv(channels, channels)
        self.emb_rel_k = nn.Parameter(torch.empty(1, 2 * window + 1, self.size))
        self.emb_rel_v = nn.Parameter(torch.empty(1, 2 * window + 1, self.size))

    def steps(self, x: Tensor) -> Steps[Tensor]:
        """``(batch, channels, 1, time)`` to the same; long ones in parts: scores are a square."""
        batch, channels, _, time = x.shape

        def split(y: Tensor) -> Tensor:
            y = y.permute(0, 2, 3, 1).reshape(batch, time, self.heads, self.size)
            return y.transpose(1, 2).reshape(batch * self.heads, time, self.size)

        query = split(self.conv_q(x)) / math.sqrt(self.size)
        key, value = split(self.conv_k(x)), split(self.conv_v(x))
        # scores[t, s] = q_t . (k_s + rel_k[s - t]), the second term within the window alone.
        relative = query.new_zeros(query.shape[0], time, time + 2 * self.window)
        _band(relative).copy_(query @ self.emb_rel_k.transpose(1, 2))
        scores = query @ key.transpose(1, 2) + relative[:, :, self.window : self.window + time]
        if time > _LONG:
            yield None
        weights = torch.softmax(scores, dim=-1)
        if time > _LONG:
            yield None
        near = _band(functional.pad(weights, (self.window, self.window)))
        y = (weights @ value + near @ self.emb_rel_v).view(batch, self.heads, time, self.size)
        y = y.transpose(1, 2).reshape(batch, 1, time, channels).permute(0, 3, 1, 2)
        return self.conv_o(y)  # type: ignore[no-any-return]


def _band(padded: Tensor) -> Tensor:
    """View ``(n, time, time + 2 w)`` as ``(n, time, 2 w + 1)``: row t from its column t on.

    Of a matrix padded by w on both sides, that is the band of width w about the diagonal.
    """
    n, time, width = padded.shape
    return padded.as_strided((n, time, width - time + 1), (time * width, width + 1, 1))


class FeedForward(nn.Module):
    """Two convolutions over time with a ReLU between them."""

    def __init__(self, channels: int, filter_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv_1 = Conv(channels, filter_channels, kernel)
        self.conv_2 = Conv(filter_channels, channels, kernel)

    def steps(self, x: Tensor) -> Steps[Tensor]:
        """``(batch, channels, 1, time)`` to the same."""
        y = torch.relu(self.conv_1(x.to(self.conv_1.weight.dtype)))
        yield None
        return self.conv_2(y).to(x.dtype)  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Transformer layers, each normalised after its shortcut."""

    def __init__(
        self,
        channels: int,
        filter_channels: int,
        heads: int,
        layers: int,
        kernel: int,
        window: int,
    ) -> None:
        super().__init__()
        self.attn_layers = nn.ModuleList(
            RelativeAttention(channels, heads, window) for _ in range(layers)
        )
        self.norm_layers_1 = nn.ModuleList(ChannelNorm(channels) for _ in range(layers))
        self.ffn_layers = nn.ModuleList(
            FeedForward(channels, filter_channels, kernel) for _ in range(layers)
        )
        self.norm_layers_2 = nn.ModuleList(ChannelNorm(channels) for _ in range(layers))

    def steps(self, x: Tensor) -> Steps[Tensor]:
        """``(batch, channels, 1, time)`` to the same."""
        attends = modules_of(self.attn_layers, RelativeAttention)
        feeds = modules_of(self.ffn_layers, FeedForward)
        for attend, norm_1, feed, norm_2 in zip(
            attends, self.norm_layers_1, feeds, self.norm_layers_2, strict=True
        ):
            x = norm_1(x + (yield from attend.steps(x)))
            yield None
            x = norm_2(x + (yield from feed.steps(x)))
            yield None
        return x


class TextEncoder(nn.Module):
    """Symbols to hidden states and to the prior's mean and log deviation."""

    def __init__(
        self,
        *,
        n_symbols: int,
        hidden: int,
        inter: int,
        filter_hidden: int,
        heads: int,
        layers: int,
        kernel: int,
        window: int,
    ) -> None:
        super().__init__()
        self.scale = math.sqrt(hidden)
        self.emb = Table(n_symbols, hidden)
        self.encoder = Encoder(hidden, filter_hidden, heads, layers, kernel, window)
        self.proj = Conv(hidden, 2 * inter)

    def steps(self, ids: Tensor) -> Steps[tuple[Tensor, Tensor, Tensor]]:
        """``(batch, time)`` ids to three signals: hidden states, mean, log deviation."""
        x = yield from self.encoder.steps(self.emb(ids) * self.scale)
        mean, log_deviation = self.proj(x).chunk(2, dim=1)
        return x, mean, log_deviation
