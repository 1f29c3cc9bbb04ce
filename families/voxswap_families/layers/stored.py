"""How a component holds tensors whose models are made of rows and convolutions over them.

Weights of three axes lie with the last two swapped, ``(out, kernel, in)``: mapped from the file and
swapped back in the view, they are what convolutions read in the order in which it lies.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def as_stored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` as a component has them."""
    # Of an axis of length 1 `contiguous` would leave a stride that no file has.
    plain = torch.contiguous_format
    return {
        name: t.transpose(1, 2).clone(memory_format=plain) if t.dim() == 3 else t
        for name, t in tensors.items()
    }


def in_canonical_shape(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Stored tensors, seen in the shapes that the layers know."""
    return {name: t.transpose(1, 2) if t.dim() == 3 else t for name, t in stored.items()}
