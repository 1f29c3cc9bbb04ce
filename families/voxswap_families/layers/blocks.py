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
    """A convolution over time that keeps the length: ``(batch, in, 1, time)`` to out channels."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 1,
        *,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in // groups, kernel))
        self.bias = nn.Parameter(torch.empty(channels_out)) if bias else None
        self.reach = dilation * (kernel - 1) // 2
        self.dilation = dilation
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with zeros beyond both ends."""
        if not self.reach:
            return convolved(x, self._filter)
        if x.device.type != "cpu":
            weight, dilation = self.weight.unsqueeze(2), (1, self.dilation)
            padding = (0, self.reach)
            return functional.conv2d(x, weight, self.bias, 1, padding, dilation, self.groups)
        time = x.shape[3]
        x = functional.pad(x, (self.reach, self.reach + -time % GRID))
        return convolved(x, self._filter)[..., :time]

    def inner(self, x: Tensor, *, plus: Tensor | None = None) -> Tensor:
        """Convolve without them: ``2 * reach`` samples fewer than ``x`` has. Then add ``plus``."""
        if x.shape[3] <= 2 * self.reach:
            return x.new_empty(x.shape[0], self.weight.shape[0], 1, 0)
        return convolved(x, self._filter, plus)

    def carried(self, x: Tensor, carry: Carry) -> Tensor:
        """Convolve a piece: as much as can be emitted by now."""
        return self.inner(carry.with_context(x, self.reach)) if self.reach else self.forward(x)

    @property
    def _filter(self) -> Filter:
        return Filter(self.weight, self.bias, self.dilation, self.groups)


class Upsample(nn.Module):
    """A transposed convolution: ``rate`` times as long. ``kernel - rate`` must be even."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, rate: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_in, channels_out, kernel))
        self.bias = nn.Parameter(torch.empty(channels_out))
        self.rate, self.padding = rate, (0, (kernel - rate) // 2)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, in, 1, time)`` to ``(batch, out, 1, time * rate)``."""
        return self._upsampled(x, self.padding)

    def carried(self, x: Tensor, carry: Carry) -> Tensor:
        """Upsample a piece: as much as can be emitted by now."""
        kernel, rate, cut = self.weight.shape[2], self.rate, self.padding[1]
        x, before = carry.with_tail(x, -(-kernel // rate) - 1)
        if not x.shape[3]:
            return x.new_empty(x.shape[0], self.weight.shape[1], 1, 0)
        y = self._upsampled(x, (0, 0))
        # What was emitted before ends where the next sample to come would have changed it.
        first = before * rate if before else cut
        last = y.shape[3] - cut if carry.is_last else x.shape[3] * rate
        carry.beyond *= rate
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
