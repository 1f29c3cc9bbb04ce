"""Layers that engines share. Signals are ``(batch, channels, 1, time)``, stored channels last.

Why that form: on a CPU, one-dimensional convolutions in torch reorder their weights at every call.
Two-dimensional ones on channels-last signals, with weights stored ``(out, kernel, in)``, do not,
and take half to nine tenths of the time (``docs/performance.md``). Weights keep the shape
``(out, in, kernel)`` of the checkpoints; only their strides differ.

Nothing is initialised here: weights are assigned from checkpoints, and skeletons stand on the meta
device until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxswap_families.layers.carry import Carry, silenced
from voxswap_families.layers.kernels import GRID, Filter, convolved, upsampled

_M = TypeVar("_M", bound=nn.Module)


def modules_of(modules: nn.ModuleList, kind: type[_M]) -> Sequence[_M]:
    """``modules`` as what they are: torch's list knows them as `nn.Module` alone."""
    del kind
    return cast("Sequence[_M]", modules)


class Conv(nn.Module):
    """A convolution over time that keeps the length: ``(batch, in, 1, time)`` to out channels.

    It sees ``reach`` samples to either side, or if it is ``causal`` all of them before.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 1,
        *,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in // groups, kernel))
        self.bias = nn.Parameter(torch.empty(channels_out)) if bias else None
        span = dilation * (kernel - 1)
        self.reach = span // 2
        self.before = span if causal else self.reach
        self.after = span - self.before
        self.dilation = dilation
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with zeros beyond both ends."""
        if not self.before:
            return convolved(x, self._filter)
        if x.device.type != "cpu" and self.after == self.before:
            weight, dilation = self.weight.unsqueeze(2), (1, self.dilation)
            padding = (0, self.reach)
            return functional.conv2d(x, weight, self.bias, 1, padding, dilation, self.groups)
        time = x.shape[3]
        x = functional.pad(x, (self.before, self.after + -time % GRID))
        return convolved(x, self._filter)[..., :time]

    def inner(self, x: Tensor, *, plus: Tensor | None = None) -> Tensor:
        """Convolve without them: so many samples fewer than ``x`` has. Then add ``plus``."""
        if x.shape[3] <= self.before + self.after:
            return x.new_empty(x.shape[0], self.weight.shape[0], 1, 0)
        return convolved(x, self._filter, plus)

    def carried(self, x: Tensor, carry: Carry) -> Tensor:
        """Convolve a piece: as much as can be emitted by now."""
        if not self.before:
            return self.inner(x)
        return self.inner(carry.with_context(x, self.before, self.after))

    @property
    def _filter(self) -> Filter:
        return Filter(self.weight, self.bias, self.dilation, self.groups)


class Upsample(nn.Module):
    """A transposed convolution: ``rate`` times as long, from the sample ``cut`` of its sums on.

    Without a ``cut`` its kernel lies around each sample, and ``kernel - rate`` must be even.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, rate: int, *, cut: int | None = None
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_in, channels_out, kernel))
        self.bias = nn.Parameter(torch.empty(channels_out))
        self.rate = rate
        self.cut = (kernel - rate) // 2 if cut is None else cut
        self.cut_after = kernel - rate - self.cut

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, in, 1, time)`` to ``(batch, out, 1, time * rate)``."""
        if self.cut == self.cut_after:
            return self._upsampled(x, (0, self.cut))
        return self._upsampled(x, (0, 0))[..., self.cut : self.cut + x.shape[3] * self.rate]

    def carried(self, x: Tensor, carry: Carry) -> Tensor:
        """Upsample a piece: as much as can be emitted by now."""
        kernel, rate = self.weight.shape[2], self.rate
        x, before = carry.with_tail(x, -(-kernel // rate) - 1)
        carry.beyond *= rate
        if not x.shape[3]:
            return x.new_empty(x.shape[0], self.weight.shape[1], 1, 0)
        y = self._upsampled(x, (0, 0))
        # What was emitted before ends where the next sample to come would have changed it.
        first = max(before * rate, self.cut)
        last = y.shape[3] - self.cut_after if carry.is_last else x.shape[3] * rate
        return silenced(y[..., first:last], carry.beyond)

    def _upsampled(self, x: Tensor, padding: tuple[int, int]) -> Tensor:
        return upsampled(x, self.weight, self.bias, self.rate, padding)


class ChannelNorm(nn.Module):
    """Layer norm over the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(channels))
        self.beta = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; the shape stays. Channels lie last, so nothing is moved."""
        y = x.permute(0, 2, 3, 1)
        y = functional.layer_norm(y, self.gamma.shape, self.gamma, self.beta)
        return y.permute(0, 3, 1, 2)


class Table(nn.Module):
    """Rows to look up: ids ``(batch, time)`` to a signal ``(batch, channels, 1, time)``."""

    def __init__(self, rows: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, channels))

    def forward(self, ids: Tensor) -> Tensor:
        """Look the rows up."""
        return functional.embedding(ids, self.weight).unsqueeze(1).permute(0, 3, 1, 2)
