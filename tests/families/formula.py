"""Weights of any size from a formula: what fixtures of real size have in place of stored ones."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

# Weight norm, as torch's parametrizations have it.
_LENGTHS, _DIRECTIONS = "original0", "original1"

_Array = npt.NDArray[np.float64]


def noise(key: str, shape: Sequence[int]) -> _Array:
    """Numbers between the square root of 3 and its negative, with a variance of 1."""
    count = np.arange(1, math.prod(shape) + 1, dtype=np.float64)
    phase = (zlib.crc32(key.encode()) % 100_003) * 0.078233
    spread = np.sin(count * 12.9898 + phase) * 43_758.5453
    return ((2 * (spread - np.floor(spread)) - 1) * math.sqrt(3)).reshape(shape)


def formula_weight(
    key: str, shape: Sequence[int], *, is_norm: bool, gain: float
) -> npt.NDArray[np.float32]:
    """The tensor called ``key``."""
    drawn = noise(key, shape)
    if is_norm:
        drawn = 1 + 0.2 * drawn if key.endswith("weight") else 0.2 * drawn
    elif len(shape) > 1:
        drawn = drawn * gain / math.sqrt(math.prod(shape[1:]))
    else:
        drawn = 0.1 * drawn
    return drawn.astype(np.float32)


def formula_weights(
    shapes: Mapping[str, Sequence[int]], norm_keys: Sequence[str], gain: float
) -> dict[str, npt.NDArray[np.float32]]:
    """All of them."""
    norms = frozenset(norm_keys)
    made = {
        key: formula_weight(key, shape, is_norm=key in norms, gain=gain)
        for key, shape in shapes.items()
        if not key.endswith(_LENGTHS)
    }
    for key in shapes.keys() - made.keys():
        made[key] = _length(key, made[key.removesuffix(_LENGTHS) + _DIRECTIONS])
    return made


def _length(key: str, direction: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Of each row of a weight that has its norm apart."""
    squares = (direction.astype(np.float64) ** 2).sum(axis=(1, 2), keepdims=True)
    found: npt.NDArray[np.float32]
    found = (np.sqrt(squares) * (1 + 0.2 * noise(key, squares.shape))).astype(np.float32)
    return found
