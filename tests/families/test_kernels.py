"""The table of convolutions: every row gives the same sums, and none is needed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from voxswap_families.layers import kernels
from voxswap_families.layers.kernels import KERNELS, Filter, Kernel, convolved

# in, out, kernel, dilation, groups
SHAPES = {
    "product": (24, 40, 1, 1, 1),
    "plain": (24, 40, 5, 1, 1),
    "dilated": (16, 16, 3, 5, 1),
    "separable": (24, 24, 3, 9, 24),
    "grouped": (24, 48, 3, 1, 4),
}
ROWS = [row.name for row in KERNELS]


def drawn(shape: str, dtype: torch.dtype, time: int, batch: int) -> tuple[Tensor, Filter, Tensor]:
    """A signal, a filter, and what is to be added, stored as layers have them."""
    channels_in, channels_out, kernel, dilation, groups = SHAPES[shape]
    generator = torch.Generator().manual_seed(len(shape) * time)

    def draw(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator).to(dtype)

    x = draw(batch, 1, time, channels_in).permute(0, 3, 1, 2)
    per_group = channels_in // groups
    scale = (per_group * kernel) ** -0.5
    weight = draw(channels_out, kernel, per_group).mul_(scale).permute(0, 2, 1)
    left = time - dilation * (kernel - 1)
    addend = draw(batch, 1, left, channels_out).permute(0, 3, 1, 2)
    return x, Filter(weight, draw(channels_out), dilation, groups), addend


def expected(x: Tensor, f: Filter, addend: Tensor | None) -> Tensor:
    bias = None if f.bias is None else f.bias.double()
    weight = f.weight.double().unsqueeze(2)
    y = functional.conv2d(x.double(), weight, bias, 1, 0, (1, f.dilation), f.groups)
    return y if addend is None else y + addend.double()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("missing", [None, *ROWS[:-1]])
def test_each_row_may_be_taken_out(
    monkeypatch: pytest.MonkeyPatch, missing: str | None, shape: str, dtype: torch.dtype
) -> None:
    left = tuple(row for row in KERNELS if row.name != missing)
    monkeypatch.setattr(kernels, "KERNELS", left)
    tolerance = 2e-5 if dtype is torch.float32 else 5e-2
    for time, batch in ((47, 1), (64, 3)):
        x, f, addend = drawn(shape, dtype, time, batch)
        for plus in (None, addend):
            y = convolved(
                x, f, None if plus is None else plus.clone(memory_format=torch.preserve_format)
            )
            assert y.dtype is dtype
            wanted = expected(x, f, plus)
            assert y.shape == wanted.shape
            assert float((y.double() - wanted).abs().max()) <= tolerance
            without = convolved(x, f._replace(bias=None), plus)
            assert (
                float((without.double() - expected(x, f._replace(bias=None), plus)).abs().max())
                <= tolerance
            )


def used(row: Kernel) -> bool:
    """Whether the table takes this row for any of the shapes here."""
    for shape in SHAPES:
        for dtype in (torch.float32, torch.bfloat16):
            x, f, _ = drawn(shape, dtype, 64, 1)
            for adds in (False, True):
                first = next(other for other in KERNELS if other.suits(x, f, adds))
                if first is row:
                    return True
    return False


def test_no_row_is_there_for_nothing() -> None:
    unused = {row.name for row in KERNELS if not used(row)}
    # Where oneDNN takes bfloat16 nothing is left to torch on a CPU.
    assert unused <= {"torch"}
    assert all(row.gain for row in KERNELS[:-1])
