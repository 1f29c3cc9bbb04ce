"""Weights of products in panels: the one layout that native kernels read, and the way back.

A product of ``rows`` outputs and ``columns`` inputs is stored as ``(panels, pairs, 16, 2)``
bfloat16: sixteen rows are a panel, two columns a pair, and element ``[p][j][c][z]`` is the weight
of row ``16 p + c`` and column ``2 j + z``. That is what an AMX tile is, and what a product of pairs
takes on AVX-512 and ARM. Beyond the rows and the columns everything is zero.

Weights are rounded to the nearest bfloat16, ties to even; NaN stays NaN.

Of int8 it is stored as ``(panels, quads, 16, 4)``, with a float32 scale for each row: its largest
weight is 127 or -127. What is no number makes its row's scale one that is none. A balance,
``(columns,)``, is what inputs are multiplied with before they are rounded; weights are divided by
it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from voxswap_families.layers.native.library import Library

PANEL_ROWS = 16
_PAIR, _QUAD = 2, 4
_MOST_INT8 = 127


def padded(rows: int) -> int:
    """``rows``, and as many more as make whole panels."""
    return -(-rows // PANEL_ROWS) * PANEL_ROWS


def panels_shape(rows: int, columns: int) -> tuple[int, int, int, int]:
    """Of the panels of a product."""
    return padded(rows) // PANEL_ROWS, -(-columns // _PAIR), PANEL_ROWS, _PAIR


def byte_panels_shape(rows: int, columns: int) -> tuple[int, int, int, int]:
    """Of the panels of a product of int8."""
    return padded(rows) // PANEL_ROWS, -(-columns // _QUAD), PANEL_ROWS, _QUAD


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
    """`pack_panels` by native code, in one pass."""

    def pack(rows: Tensor, into: Tensor) -> bool:
        is_plain = rows.dtype in (torch.float32, torch.bfloat16) and rows.device.type == "cpu"
        inner = (_PAIR * PANEL_ROWS, _PAIR, 1)
        if not is_plain or rows.shape[1] != into.shape[1] * _PAIR or into.stride()[1:] != inner:
            return pack_panels(rows, into)
        assert padded(rows.shape[0]) == into.shape[0] * PANEL_ROWS  # noqa: S101 - it is written to
        is_sound = library.functions.vxk_pack(
            *(rows.data_ptr(), rows.dtype == torch.bfloat16, rows.shape[0], rows.stride(0)),
            *(rows.shape[1], rows.stride(1), into.data_ptr(), into.stride(0)),
        )
        return bool(is_sound)

    return pack


def unpack_panels(panels: Tensor, into: Tensor) -> None:
    """Write the rows of ``panels`` over all of ``into``, ``(rows, columns)`` of any type."""
    moved = _as_pairs(panels).transpose(1, 2).clone(memory_format=torch.contiguous_format)
    rows = moved.view(torch.bfloat16)
    whole = rows.view(rows.shape[0] * PANEL_ROWS, rows.shape[2])
    into.copy_(whole[: into.shape[0], : into.shape[1]])


def pack_byte_panels(
    rows: Tensor, into: Tensor, scale: Tensor, balance: Tensor | None = None
) -> None:
    """Write ``(rows, columns)`` over all of ``into``, and ``(panels * 16,)`` over ``scale``."""
    panels, quads = into.shape[:2]
    lacking = panels * PANEL_ROWS - rows.shape[0], quads * _QUAD - rows.shape[1]
    balanced = rows.float() if balance is None else rows.float() / balance
    whole = functional.pad(balanced, (0, lacking[1], 0, lacking[0]))
    torch.div(whole.abs().amax(1), _MOST_INT8, out=scale)
    steps = whole / torch.where(scale > 0, scale, 1.0)[:, None]
    rounded = steps.nan_to_num(0.0).round().clamp(-_MOST_INT8, _MOST_INT8).to(torch.int8)
    into.copy_(rounded.view(panels, PANEL_ROWS, quads, _QUAD).transpose(1, 2))


def unpack_byte_panels(
    panels: Tensor, scale: Tensor, into: Tensor, balance: Tensor | None = None
) -> None:
    """Write the rows of ``panels`` over all of ``into``, ``(rows, columns)`` of any type."""
    whole = _scaled(panels, scale, balance).transpose(1, 2).flatten(0, 1).flatten(1)
    into.copy_(whole[: into.shape[0], : into.shape[1]])


def widen_byte_panels(
    panels: Tensor, scale: Tensor, into: Tensor, balance: Tensor | None = None
) -> None:
    """Write ``panels`` over all of ``into``, which has those of bfloat16 of the same product."""
    count, quads = panels.shape[:2]
    pairs = _scaled(panels, scale, balance).view(count, quads, PANEL_ROWS, 2, _PAIR).transpose(2, 3)
    into.copy_(pairs.reshape(count, quads * 2, PANEL_ROWS, _PAIR)[:, : into.shape[1]])


def _scaled(panels: Tensor, scale: Tensor, balance: Tensor | None) -> Tensor:
    scaled = panels * scale.view(-1, 1, PANEL_ROWS, 1)
    if balance is None:
        return scaled
    whole = functional.pad(balance, (0, panels.shape[1] * _QUAD - len(balance)))
    return scaled * whole.view(1, -1, 1, _QUAD)


def _as_pairs(panels: Tensor) -> Tensor:
    """``(panels, pairs, 16)`` of 32 bits each."""
    return panels.view(torch.int32).squeeze(3)


def is_finite(tensor: Tensor) -> bool:
    """Whether ``tensor``, which is not empty, holds neither NaN nor infinity."""
    # Both ends are NaN if anything is; that takes a tenth of the time of looking at each number.
    return all(math.isfinite(end.item()) for end in torch.aminmax(tensor))
