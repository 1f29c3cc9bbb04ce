"""Weights of products in panels: the one layout that native kernels read, and the way back.

A product of ``rows`` outputs and ``columns`` inputs is stored as ``(panels, pairs, 16, 2)``
bfloat16: sixteen rows are a panel, two columns a pair, and element ``[p][j][c][z]`` is the weight
of row ``16 p + c`` and column ``2 j + z``. That is what an AMX tile is, and what a product of pairs
takes on AVX-512 and ARM. Beyond the rows and the columns everything is zero.

Weights are rounded to the nearest bfloat16, ties to even; NaN stays NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from voxswap_families.layers.native.library import Library

PANEL_ROWS = 16
_PAIR = 2


def padded(rows: int) -> int:
    """``rows``, and as many more as make whole panels."""
    return -(-rows // PANEL_ROWS) * PANEL_ROWS


def panels_shape(rows: int, columns: int) -> tuple[int, int, int, int]:
    """Of the panels of a product."""
    return padded(rows) // PANEL_ROWS, -(-columns // _PAIR), PANEL_ROWS, _PAIR


def pack_panels(rows: Tensor, into: Tensor) -> bool:
    """Write ``(rows, columns)`` of any floating type and strides over all of ``into``.

    ``into`` is panels, or some of a larger product's. Whether all that it holds now is finite.
    """
    panels, pairs = into.shape[:2]
    rounded = rows.to(torch.bfloat16)
    lacking = panels * PANEL_ROWS - rows.shape[0], pairs * _PAIR - rows.shape[1]
    if any(lacking):
        rounded = functional.pad(rounded, (0, lacking[1], 0, lacking[0]))
    # A pair moves as one number: that takes a third of the time of two.
    moved = rounded.contiguous().view(torch.int32).view(panels, PANEL_ROWS, pairs)
    _as_pairs(into).copy_(moved.transpose(1, 2))
    return is_finite(into)  # While it is near.


def native_packing(library: Library) -> Callable[[Tensor, Tensor], bool]:
    """`pack_panels` by native code, in a tenth of the time."""

    def pack(rows: Tensor, into: Tensor) -> bool:
        is_plain = rows.dtype in (torch.float32, torch.bfloat16) and rows.device.type == "cpu"
        inner = (_PAIR * PANEL_ROWS, _PAIR, 1)
        if not is_plain or rows.shape[1] != into.shape[1] * _PAIR or into.stride()[1:] != inner:
            return pack_panels(rows, into)
        assert padded(rows.shape[0]) == into.shape[0] * PANEL_ROWS  # noqa: S101 - it is written to
        found = library.functions.vxk_pack(
            *(rows.data_ptr(), rows.dtype == torch.bfloat16, rows.shape[0], rows.stride(0)),
            *(rows.shape[1], rows.stride(1), into.data_ptr(), into.stride(0)),
        )
        assert found >= 0  # noqa: S101 - see above
        return bool(found)

    return pack


def unpack_panels(panels: Tensor, into: Tensor) -> None:
    """Write the rows of ``panels`` over all of ``into``, ``(rows, columns)`` of any type."""
    moved = _as_pairs(panels).transpose(1, 2).clone(memory_format=torch.contiguous_format)
    rows = moved.view(torch.bfloat16)
    whole = rows.view(rows.shape[0] * PANEL_ROWS, rows.shape[2])
    into.copy_(whole[: into.shape[0], : into.shape[1]])


def _as_pairs(panels: Tensor) -> Tensor:
    """``(panels, pairs, 16)`` of 32 bits each."""
    return panels.view(torch.int32).squeeze(3)


def is_finite(tensor: Tensor) -> bool:
    """Whether ``tensor``, which is not empty, holds neither NaN nor infinity."""
    # Both ends are NaN if anything is; that takes a tenth of the time of looking at each number.
    return all(math.isfinite(end.item()) for end in torch.aminmax(tensor))
