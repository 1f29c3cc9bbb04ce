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

_M = TypeVar("_M", bound=nn.Module)

# oneDNN compiles a kernel for each length, for a millisecond and 100 KB, and keeps a thousand. So
# what may have any length is computed for the next multiple of this, and cut.
GRID = 16

_LARGE_WEIGHTS = 1 << 18
_FEW_ROWS = 4
# Operators of torch's own compiler, which another version may not have.
_FUSES = hasattr(torch.ops.mkldnn, "_convolution_pointwise")
_TRANSPOSES = hasattr(torch.ops.mkldnn, "_convolution_transpose_pointwise")
_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
# Its convolutions refuse bfloat16 on processors without AVX-512; torch's own take it everywhere.
_ROUNDED: bool = _ONEDNN and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _suits_onednn(x: Tensor) -> bool:
    """Whether oneDNN convolves such signals on this processor."""
    takes = _ROUNDED if x.dtype == torch.bfloat16 else _ONEDNN
    return takes and x.device.type == "cpu"


def typed(modules: nn.ModuleList, kind: type[_M]) -> Sequence[_M]:
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
        self.dilation = (1, dilation)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with zeros beyond both ends."""
        if not self.reach:
            return self._convolved(x)
        if x.device.type != "cpu":
            weight = self.weight.unsqueeze(2)
            padding = (0, self.reach)
            return functional.conv2d(x, weight, self.bias, 1, padding, self.dilation, self.groups)
        time = x.shape[3]
        x = functional.pad(x, (self.reach, self.reach + -time % GRID))
        return self._convolved(x)[..., :time]

    def inner(self, x: Tensor, *, plus: Tensor | None = None) -> Tensor:
        """Convolve without them: ``2 * reach`` samples fewer than ``x`` has. Then add ``plus``."""
        if x.shape[3] <= 2 * self.reach:
            return x.new_empty(x.shape[0], self.weight.shape[0], 1, 0)
        if plus is None:
            return self._convolved(x)
        if _FUSES and _suits_onednn(x):
            # One pass over the signal in place of two, and it has more bytes than the weights.
            weight, stride = self.weight.unsqueeze(2), (1, 1)
            return torch.ops.mkldnn._convolution_pointwise.binary(  # type: ignore[no-any-return]
                *(x, plus, weight, self.bias, (0, 0), stride, self.dilation, self.groups),
                *("add", None, None, [], None),
            )
        return self._convolved(x).add_(plus)

    def carried(self, x: Tensor, carry: Carry) -> Tensor:
        """Convolve a piece: as much as can be told by now."""
        return self.inner(carry.with_context(x, self.reach)) if self.reach else self.forward(x)

    def _convolved(self, x: Tensor) -> Tensor:
        if self.weight.shape[2] == 1 and self.groups == 1:
            # The same sums as a matrix product over channels, which lie last: half the time.
            return _product(x.permute(0, 2, 3, 1), self.weight[:, :, 0], self.bias)
        weight, is_host = self.weight.unsqueeze(2), x.device.type == "cpu"
        if self._is_product and is_host:
            return self._multiplied(x)
        if self.groups == self.weight.shape[0] == x.shape[1] and is_host:
            return self._weighed(x)
        if _suits_onednn(x):
            # conv2d would take another path for short signals that are alone: slower if they are
            # dilated, and rounding otherwise, so that a line would depend on its cuts and on who
            # else speaks.
            return torch.mkldnn_convolution(
                x, weight, self.bias, (0, 0), (1, 1), self.dilation, self.groups
            )
        return functional.conv2d(x, weight, self.bias, 1, 0, self.dilation, self.groups)

    @property
    def _is_product(self) -> bool:
        """Whether a matrix product is faster: oneDNN repacks the weights at every convolution.

        Of the product it repacks them as it goes. That pays in bfloat16 and for large weights.
        """
        w = self.weight
        return w.dtype == torch.bfloat16 and self.groups == 1 and w.numel() >= _LARGE_WEIGHTS

    def _multiplied(self, x: Tensor) -> Tensor:
        """The same sums as one matrix product: rows are what each output sample sees."""
        out, channels, kernel = self.weight.shape
        y = x.permute(0, 2, 3, 1)
        batch, _, time, _ = y.shape
        shape = (batch, 1, time - 2 * self.reach, kernel, channels)
        step = y.stride(2)
        seen = y.as_strided(shape, (*y.stride()[:3], step * self.dilation[1], y.stride(3)))
        if step == channels and self.dilation[1] == 1:
            # Rows that overlap: nothing is copied.
            seen = y.as_strided((*shape[:3], kernel * channels), (*y.stride()[:3], 1))
        weight = self.weight.permute(0, 2, 1).reshape(out, kernel * channels)
        return _product(seen.flatten(3), weight, self.bias)

    def _weighed(self, x: Tensor) -> Tensor:
        """The same sums of one channel each, a tap at a time: a quarter of oneDNN's time."""
        y = x.permute(0, 2, 3, 1)
        taps, step = self.weight[:, 0].t().contiguous(), self.dilation[1]
        time = x.shape[3] - 2 * self.reach
        z = self.bias if self.bias is not None else y.new_zeros(())
        for i, tap in enumerate(taps):
            z = torch.addcmul(z, y[:, :, i * step : i * step + time], tap)
        return z.permute(0, 3, 1, 2)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``(batch, 1, time, in)`` times ``(out, in)``, as a signal. Two axes, so that bias is free."""
    rows = x.flatten(0, 2)
    n = rows.shape[0]
    # A product of fewer rows than `_FEW_ROWS` rounds otherwise than one of more.
    if n % GRID and (rows.dtype == torch.bfloat16 or n < _FEW_ROWS) and x.device.type == "cpu":
        rows = functional.pad(rows, (0, 0, 0, -n % GRID))
    y = functional.linear(rows, weight, bias)[:n]
    return y.view(*x.shape[:3], -1).permute(0, 3, 1, 2)


class Upsample(nn.Module):
    """A transposed convolution: ``rate`` times as long. ``kernel - rate`` must be even."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, rate: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_in, channels_out, kernel))
        self.bias = nn.Parameter(torch.empty(channels_out))
        self.stride, self.padding = (1, rate), (0, (kernel - rate) // 2)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, in, 1, time)`` to ``(batch, out, 1, time * rate)``."""
        return self._upsampled(x, self.padding)

    def carried(self, x: Tensor, carry: Carry) -> Tensor:
        """Upsample a piece: as much as can be told by now."""
        kernel, rate, cut = self.weight.shape[2], self.stride[1], self.padding[1]
        x, before = carry.with_tail(x, -(-kernel // rate) - 1)
        if not x.shape[3]:
            return x.new_empty(x.shape[0], self.weight.shape[1], 1, 0)
        y = self._upsampled(x, (0, 0))
        # What was told before ends where the next sample to come would have changed it.
        first = before * rate if before else cut
        last = y.shape[3] - cut if carry.is_last else x.shape[3] * rate
        carry.beyond *= rate
        return silenced(y[..., first:last], carry.beyond)

    def _upsampled(self, x: Tensor, padding: tuple[int, int]) -> Tensor:
        weight = self.weight.unsqueeze(2)
        if _TRANSPOSES and _suits_onednn(x):
            # See `Conv._convolved`.
            return torch.ops.mkldnn._convolution_transpose_pointwise(  # type: ignore[no-any-return]
                *(x, weight, self.bias, padding, (0, 0), self.stride, (1, 1), 1),
                *("none", [], ""),
            )
        return functional.conv_transpose2d(x, weight, self.bias, self.stride, padding)


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
