"""Layers over rows, which several families' acoustic models are made of: ``(time, channels)``.

Each is made of tensors as a component stores them, which are taken up and not copied: views of a
mapped file, or of a block on a device. Convolutions lie ``(out, kernel, in)`` there. They compute
float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from voxswap_families.layers.shapes import Shapes, check_shapes
from voxswap_families.layers.stored import in_canonical_shape


@dataclass(frozen=True, slots=True)
class Named:
    """Tensors by their names behind a prefix."""

    tensors: Mapping[str, Tensor]
    prefix: str = ""

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[f"{self.prefix}{name}"]

    def at(self, name: str) -> Named:
        """Those below ``name``."""
        return Named(self.tensors, f"{self.prefix}{name}.")


def checked(weights: Mapping[str, Tensor], expected: Shapes, prefix: str = "") -> Named:
    """A component's ``weights``, those behind ``prefix``; nothing is copied.

    Raises `EngineError` unless they are just those of ``expected``, in a checkpoint's shapes.
    """
    found = {name: tuple(t.shape) for name, t in in_canonical_shape(weights).items()}
    check_shapes(expected, found)
    return Named(weights, prefix)


class Linear:
    """A product of each row with a matrix, and a bias if there is one."""

    def __init__(self, named: Named, *, bias: bool = True) -> None:
        weight = named["weight"]
        # Of convolutions of width 1 or more: a row has its neighbours beside it, see `beside`.
        self.weight = weight.flatten(1) if weight.dim() == 3 else weight
        self.bias = named["bias"] if bias else None
        # Of one row a product takes little longer than to see its weights the other way round.
        self._turned = self.weight.t()

    def __call__(self, x: Tensor) -> Tensor:
        """``(time, in)`` to ``(time, out)``."""
        if self.bias is None:
            return torch.mm(x, self._turned)
        return torch.addmm(self.bias, x, self._turned)


def windows(x: Tensor, width: int) -> Tensor:
    """Each ``width`` rows of ``(time, channels)`` that follow each other, side by side.

    ``(time - width + 1, width * channels)``: what a convolution of that width sees. A view.
    """
    channels = x.shape[1]
    shape, strides = (x.shape[0] - width + 1, width * channels), (channels, 1)
    return x.as_strided(shape, strides, x.storage_offset())


def beside(x: Tensor, width: int) -> Tensor:
    """Each row of ``(time, channels)`` with its neighbours, zeros beyond both ends.

    ``(time, width * channels)``, for an odd ``width``.
    """
    return windows(functional.pad(x, (0, 0, width // 2, width // 2)), width)


class Norm:
    """Layer norm over the channels."""

    def __init__(self, named: Named, epsilon: float) -> None:
        self._weight, self._bias = named["weight"], named["bias"]
        self._epsilon = epsilon

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise; the shape stays."""
        return functional.layer_norm(x, self._weight.shape, self._weight, self._bias, self._epsilon)


def joined(rows: Sequence[Tensor]) -> Tensor:
    """One after the other in time."""
    return rows[0] if len(rows) == 1 else torch.cat(list(rows))
