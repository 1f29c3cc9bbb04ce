"""The ways to compute a convolution: one table, of which the first row that suits computes.

All rows give the same sums, in an order of their own. Each but the last may be taken out: then the
next that suits computes (`tests/families/test_kernels.py`). What a row gains stands beside it, and
``scripts/bench kernels`` measures it anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

# oneDNN compiles a kernel for each length, for a millisecond and 100 KB, and keeps a thousand. So
# what may have any length is computed for the next multiple of this, and cut.
GRID: Final = 16

# Operators of torch's own compiler, which another version may not have.
_FUSES = hasattr(torch.ops.mkldnn, "_convolution_pointwise")
_TRANSPOSES = hasattr(torch.ops.mkldnn, "_convolution_transpose_pointwise")
_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
# Its convolutions refuse bfloat16 on processors without AVX-512; torch's own take it everywhere.
_ROUNDED: bool = _ONEDNN and torch.ops.mkldnn._is_mkldnn_bf16_supported()


class Filter(NamedTuple):
    """What a signal is convolved with: ``weight`` is ``(out, in / groups, kernel)``."""

    weight: Tensor
    bias: Tensor | None
    dilation: int
    groups: int


@dataclass(frozen=True, slots=True)
class Kernel:
    """A way to convolve without padding: ``(batch, in, 1, time)`` to out channels, fewer samples.

    ``suits`` says for which signals and filters it is the one to use, the third argument whether a
    signal is to be added. ``compute`` convolves, and adds that signal if there is one. ``gain`` is
    its time as a share of what it takes without this row, on one core.
    """

    name: str
    suits: Callable[[Tensor, Filter, bool], bool]
    compute: Callable[[Tensor, Filter, Tensor | None], Tensor]
    gain: str


def _suits_onednn(x: Tensor) -> bool:
    """Whether oneDNN convolves such signals on this processor."""
    takes = _ROUNDED if x.dtype == torch.bfloat16 else _ONEDNN
    return takes and x.device.type == "cpu"


def _plus(y: Tensor, addend: Tensor | None) -> Tensor:
    return y if addend is None else y.add_(addend)


def _fused(x: Tensor, f: Filter, addend: Tensor | None) -> Tensor:
    """One pass over the signal in place of two, and it has more bytes than the weights."""
    return torch.ops.mkldnn._convolution_pointwise.binary(  # type: ignore[no-any-return]
        *(x, addend, f.weight.unsqueeze(2), f.bias, (0, 0), (1, 1), (1, f.dilation), f.groups),
        *("add", None, None, [], None),
    )


def _channels(x: Tensor, f: Filter, addend: Tensor | None) -> Tensor:
    """A matrix product over channels, which lie last."""
    return _plus(_product(x.permute(0, 2, 3, 1), f.weight[:, :, 0], f.bias), addend)


def _taps(x: Tensor, f: Filter, addend: Tensor | None) -> Tensor:
    """Of one channel each, a tap at a time."""
    y = x.permute(0, 2, 3, 1)
    taps = f.weight[:, 0].t().contiguous()
    time = x.shape[3] - (len(taps) - 1) * f.dilation
    z = f.bias if f.bias is not None else y.new_zeros(())
    for i, tap in enumerate(taps):
        z = torch.addcmul(z, y[:, :, i * f.dilation : i * f.dilation + time], tap)
    return _plus(z.permute(0, 3, 1, 2), addend)


def _onednn(x: Tensor, f: Filter, addend: Tensor | None) -> Tensor:
    """conv2d would take another path for short signals that are alone.

    That is slower if they are dilated, and rounds otherwise, so that a line would depend on its
    cuts and on who else speaks.
    """
    y = torch.mkldnn_convolution(
        x, f.weight.unsqueeze(2), f.bias, (0, 0), (1, 1), (1, f.dilation), f.groups
    )
    return _plus(y, addend)


def _torch(x: Tensor, f: Filter, addend: Tensor | None) -> Tensor:
    """Whatever torch finds best on a device."""
    y = functional.conv2d(x, f.weight.unsqueeze(2), f.bias, 1, 0, (1, f.dilation), f.groups)
    return _plus(y, addend)


KERNELS: Final[tuple[Kernel, ...]] = (
    Kernel(
        "fused",
        lambda x, f, adds: adds and _FUSES and _suits_onednn(x),
        _fused,
        "0.9 for 32 channels, 1 for more; bfloat16 of 32, kernel 7: 0.2",
    ),
    Kernel(
        "channels",
        lambda x, f, adds: f.weight.shape[2] == 1 and f.groups == 1,
        _channels,
        "0.5 of oneDNN's",
    ),
    Kernel(
        "taps",
        lambda x, f, adds: x.device.type == "cpu" and f.groups == f.weight.shape[0] == x.shape[1],
        _taps,
        "0.6 of oneDNN's",
    ),
    Kernel(
        "onednn",
        lambda x, f, adds: _suits_onednn(x),
        _onednn,
        "0.75 to 0.95 of conv2d's if short",
    ),
    Kernel("torch", lambda x, f, adds: True, _torch, ""),
)


def convolved(x: Tensor, f: Filter, addend: Tensor | None = None) -> Tensor:
    """``x`` convolved, ``dilation * (kernel - 1)`` samples fewer; and ``addend`` added."""
    adds = addend is not None
    for kernel in KERNELS:
        if kernel.suits(x, f, adds):
            return kernel.compute(x, f, addend)
    raise AssertionError("the last row of the table suits everything")


def upsampled(
    x: Tensor, weight: Tensor, bias: Tensor, rate: int, padding: tuple[int, int]
) -> Tensor:
    """A transposed convolution; ``weight`` is ``(in, out, kernel)``."""
    weight, stride = weight.unsqueeze(2), (1, rate)
    if _TRANSPOSES and _suits_onednn(x):
        # See `_onednn`.
        return torch.ops.mkldnn._convolution_transpose_pointwise(  # type: ignore[no-any-return]
            *(x, weight, bias, padding, (0, 0), stride, (1, 1), 1), *("none", [], "")
        )
    return functional.conv_transpose2d(x, weight, bias, stride, padding)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``(batch, 1, time, in)`` times ``(out, in)``, as a signal. Two axes, so that bias is free."""
    rows = x.flatten(0, 2)
    n = rows.shape[0]
    # A product of few rows rounds otherwise than one of more: of one to three on AMD, of up to
    # fifteen on Intel with AVX-512.
    if n % GRID and (rows.dtype == torch.bfloat16 or n < GRID) and x.device.type == "cpu":
        rows = functional.pad(rows, (0, 0, 0, -n % GRID))
    y = functional.linear(rows, weight, bias)[:n]
    return y.view(*x.shape[:3], -1).permute(0, 3, 1, 2)
