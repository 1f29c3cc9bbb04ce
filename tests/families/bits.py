"""bfloat16 by its bits: rounding as IEEE 754 has it, written apart from torch's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch


def rounded(numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The bits of the nearest bfloat16, ties to even: the arithmetic of IEEE 754, by hand."""
    bits = np.ascontiguousarray(numbers).view(np.uint32).astype(np.uint64)
    up = (bits & 0xFFFF) + ((bits >> 16) & 1) > 0x8000
    return ((bits >> 16) + up).astype(np.uint16)


def bits_of(tensor: torch.Tensor) -> npt.NDArray[np.uint16]:
    return tensor.contiguous().view(torch.int16).numpy().view(np.uint16)
