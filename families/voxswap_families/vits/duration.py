"""The stochastic duration predictor, run backwards: noise to log durations.

Kim et al. 2021, section 2.2.2; the splines are Durkan et al., "Neural Spline Flows" (2019), eq. 6
to 8. Only the reverse direction is here; training needs more.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxswap_families.layers.blocks import ChannelNorm, Conv
from voxswap_families.work import Steps

_TAIL_BOUND = 5.0
_MIN_BIN = 1e-3
_MIN_SLOPE = 1e-3


class DilatedSeparableConv(nn.Module):
    """Depthwise and pointwise convolutions whose dilation grows by the kernel size."""

    def __init__(self, channels: int, kernel: int, layers: int) -> None:
        super().__init__()
        self.convs_sep = nn.ModuleList(
            Conv(channels, channels, kernel, groups=channels, dilation=kernel**i)
            for i in range(layers)
        )
        self.convs_1x1 = nn.ModuleList(Conv(channels, channels) for _ in range(layers))
        self.norms_1 = nn.ModuleList(ChannelNorm(channels) for _ in range(layers))
        self.norms_2 = nn.ModuleList(ChannelNorm(channels) for _ in range(layers))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """``(batch, channels, 1, time)`` to the same; ``condition`` like it is added first."""
        if condition is not None:
            x = x + condition
        for sep, point, norm_1, norm_2 in zip(
            self.convs_sep, self.convs_1x1, self.norms_1, self.norms_2, strict=True
        ):
            y = functional.gelu(norm_1(sep(x)))
            x = x + functional.gelu(norm_2(point(y)))
        return x


class ElementwiseAffine(nn.Module):
    """``y = m + exp(logs) x`` for each channel, undone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.empty(channels, 1))
        self.logs = nn.Parameter(torch.empty(channels, 1))

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """Inverse of the flow; the shape stays."""
        return (z - self.m.unsqueeze(2)) * torch.exp(-self.logs.unsqueeze(2))


class Flip(nn.Module):
    """Swaps the channels' order, so that the next coupling changes the other half."""

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """The shape stays."""
        return z.flip(1)


class ConvFlow(nn.Module):
    """A coupling whose second channel goes through a spline made from the first."""

    def __init__(self, channels: int, kernel: int, layers: int, bins: int) -> None:
        super().__init__()
        self.bins, self.scale = bins, 1.0 / math.sqrt(channels)
        self.pre = Conv(1, channels)
        self.convs = DilatedSeparableConv(channels, kernel, layers)
        self.proj = Conv(channels, 3 * bins - 1)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """Inverse of the flow on ``(batch, 2, 1, time)``."""
        kept, changed = z.chunk(2, dim=1)
        h = self.proj(self.convs(self.pre(kept), condition))
        h = h.permute(0, 2, 3, 1)  # (batch, 1, time, 3 bins - 1)
        widths = h[..., : self.bins] * self.scale
        heights = h[..., self.bins : 2 * self.bins] * self.scale
        slopes = h[..., 2 * self.bins :]
        undone = inverse_spline(changed.squeeze(1), widths, heights, slopes)
        return torch.cat([kept, undone.unsqueeze(1)], dim=1)


def inverse_spline(y: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor) -> Tensor:
    """Invert a monotonic rational-quadratic spline with linear tails.

    ``y`` is ``(batch, 1, time)``; ``widths`` and ``heights`` are unnormalised, ``(…, bins)``;
    ``slopes`` are unnormalised at the inner knots, ``(…, bins - 1)``. Outside [-5, 5] the spline is
    the identity.
    """
    left, width = _knots(widths)
    bottom, height = _knots(heights)
    # softplus(edge) + min = 1: the slope of the tails.
    edge = math.log(math.exp(1 - _MIN_SLOPE) - 1)
    slope = _MIN_SLOPE + functional.softplus(functional.pad(slopes, (1, 1), value=edge))

    inside = y.abs() <= _TAIL_BOUND
    clamped = y.clamp(-_TAIL_BOUND, _TAIL_BOUND)
    # The bin whose lower knot is the last one at or below y.
    found = (clamped.unsqueeze(-1) >= bottom[..., 1:-1]).sum(-1, keepdim=True)

    def pick(values: Tensor) -> Tensor:
        return values.gather(-1, found).squeeze(-1)

    x0, w, y0, h = pick(left), pick(width), pick(bottom), pick(height)
    d0, d1 = pick(slope), pick(slope[..., 1:])
    s = h / w
    rise = clamped - y0
    curve = d0 + d1 - 2 * s
    # The root of a x^2 + b x + c that lies in the bin, in its numerically stable form.
    a = rise * curve + h * (s - d0)
    b = h * d0 - rise * curve
    c = -s * rise
    root = 2 * c / (-b - torch.sqrt((b * b - 4 * a * c).clamp_min(0)))
    return torch.where(inside, root * w + x0, y)


def _knots(unnormalised: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the ``bins + 1`` knots in [-5, 5] and the sizes of the bins between them."""
    bins = unnormalised.shape[-1]
    share = _MIN_BIN + (1 - _MIN_BIN * bins) * torch.softmax(unnormalised, dim=-1)
    knots = functional.pad(share.cumsum(-1), (1, 0)) * (2 * _TAIL_BOUND) - _TAIL_BOUND
    knots[..., -1] = _TAIL_BOUND
    return knots, knots.diff(dim=-1)


class StochasticDurationPredictor(nn.Module):
    """Hidden states and noise to log durations."""

    def __init__(
        self,
        *,
        hidden: int,
        channels: int,
        kernel: int,
        layers: int,
        flows: int,
        bins: int,
        gin: int,
    ) -> None:
        super().__init__()
        self.pre = Conv(hidden, channels)
        self.convs = DilatedSeparableConv(channels, kernel, layers)
        self.proj = Conv(channels, channels)
        self.cond = Conv(gin, channels) if gin else None
        # Positions are those of the training code, where 1 is a ConvFlow that the reverse pass of
        # VITS leaves out; it has no weights here.
        stack: list[nn.Module] = [ElementwiseAffine(2), nn.Identity(), Flip()]
        for _ in range(flows - 1):
            stack += [ConvFlow(channels, kernel, layers, bins), Flip()]
        self.flows = nn.ModuleList(stack)

    def steps(self, hidden: Tensor, noise: Tensor, speaker: Tensor | None) -> Steps[Tensor]:
        """``(batch, hidden, 1, time)`` and noise ``(batch, 2, 1, time)`` to one channel."""
        x = self.pre(hidden)
        if self.cond is not None and speaker is not None:
            x = x + self.cond(speaker)
        condition = self.proj(self.convs(x))
        z = noise
        for position in reversed(range(len(self.flows))):
            if position != 1:
                yield None
                z = self.flows[position](z, condition)
        return z[:, :1]
