"""Layers that engines share. Signals are ``(batch, channels, 1, time)``, stored channels last.

Why that form: on a CPU, one-dimensional convolutions in torch reorder their weights at every call.
Two-dimensional ones on channels-last signals, with weights stored ``(out, kernel, in)``, do not,
and take half to nine tenths of the time (``docs/performance.md``). Weights keep the shape
``(out, in, kernel)`` of the checkpoints; only their strides differ.

Nothing is initialised here: weights are assigned from checkpoints, and skeletons stand on the meta
device until then.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


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
        self.padding = (0, dilation * (kernel - 1) // 2)
        self.dilation = (1, dilation)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with zeros beyond both ends."""
        if self.weight.shape[2] == 1 and self.groups == 1:
            # The same sums as a matrix product over channels, which lie last: half the time.
            y = functional.linear(x.permute(0, 2, 3, 1), self.weight[:, :, 0], self.bias)
            return y.permute(0, 3, 1, 2)
        weight = self.weight.unsqueeze(2)
        if self.dilation[1] > 1 and x.device.type == "cpu" and _ONEDNN:
            # conv2d would take its slow path for short dilated signals: it judges by their size.
            return torch.mkldnn_convolution(
                x, weight, self.bias, self.padding, (1, 1), self.dilation, self.groups
            )
        return functional.conv2d(x, weight, self.bias, 1, self.padding, self.dilation, self.groups)


class Upsample(nn.Module):
    """A transposed convolution: ``rate`` times as long. ``kernel - rate`` must be even."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, rate: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_in, channels_out, kernel))
        self.bias = nn.Parameter(torch.empty(channels_out))
        self.stride, self.padding = (1, rate), (0, (kernel - rate) // 2)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, in, 1, time)`` to ``(batch, out, 1, time * rate)``."""
        return functional.conv_transpose2d(
            x, self.weight.unsqueeze(2), self.bias, self.stride, self.padding
        )


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
