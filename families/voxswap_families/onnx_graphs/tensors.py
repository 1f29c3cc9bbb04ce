"""What is known of the tensors of a graph before it runs, and what inputs of operators must be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

# onnx.TensorProto.DataType
FLOAT, UINT8, INT8, INT32, INT64, BOOL = 1, 2, 3, 6, 7, 9

Dims = tuple[int | None, ...]

BYTES, WHOLE = frozenset({UINT8, INT8}), frozenset({INT32, INT64})
NUMBERS = WHOLE | {FLOAT}
ANY = NUMBERS | BYTES | {BOOL}
MOST_RANK = 6
LARGEST = 1 << 16


class OperatorError(ValueError):
    """An operator is given what it may not be given. The message says what."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """What is known of a tensor: a dimension that is only known when it runs is None.

    ``constant`` gives the numbers of one that is part of the graph.
    """

    type: int
    dims: Dims
    constant: Callable[[], npt.NDArray[Any]] | None = None

    @property
    def rank(self) -> int:
        """How many dimensions it has, which is always known."""
        return len(self.dims)

    @property
    def size(self) -> int | None:
        """How many numbers it has, if that is known."""
        return None if None in self.dims else math.prod(d for d in self.dims if d is not None)


def require(holds: bool, told: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise `OperatorError` that says ``told`` unless it ``holds``."""
    if not holds:
        raise OperatorError(told)


def typed(tensor: Tensor, types: Iterable[int], *, rank: int | None = None) -> Tensor:
    """``tensor``, which must be of one of ``types``, and of ``rank``."""
    require(tensor.type in types, "has an input of a type that it is not given")
    require(rank in (None, tensor.rank), f"has an input of rank {tensor.rank}")
    return tensor


def fixed(tensor: Tensor, types: Iterable[int], *, rank: int | None = None) -> Tensor:
    """An input that must be a constant, and not an empty one; its numbers may be any."""
    typed(tensor, types, rank=rank)
    require(tensor.constant is not None, "has an input that must be a constant and is computed")
    require(bool(tensor.size), "has an empty input that must not be")
    return tensor


def constant(
    tensor: Tensor, types: Iterable[int], *, rank: int | None = None, least: float, most: float
) -> npt.NDArray[Any]:
    """The numbers of an input that must be a constant, all within these bounds. Not for weights."""
    numbers = fixed(tensor, types, rank=rank).constant
    assert numbers is not None  # noqa: S101 - required just now
    found = numbers()
    # NaN is within no bounds.
    require(
        bool(((found >= least) & (found <= most)).all()), "has a constant that is out of bounds"
    )
    return found


def axes_in(tensor: Tensor, rank: int) -> list[int]:
    """Different axes of a tensor of ``rank``, not negative, in a constant."""
    found = [int(axis) % rank for axis in constant(
        tensor, WHOLE, rank=1, least=-rank, most=rank - 1
    )] if rank else []  # fmt: skip
    require(bool(found) and len(set(found)) == len(found), "has axes that are none")
    return found


def shape_in(tensor: Tensor) -> Dims:
    """What a shape that is an input says: at least of how many dimensions it is."""
    typed(tensor, (INT64,), rank=1)
    require(tensor.dims[0] is not None, "has a shape of unknown length")
    if tensor.constant is not None:
        return tuple(int(n) if n > 0 else None for n in tensor.constant().tolist())
    return (None,) * (tensor.dims[0] or 0)


def broadcast(*all_dims: Dims) -> Dims:
    """The shape in which tensors of these meet, if they do."""
    rank = max(map(len, all_dims))
    padded = [(1,) * (rank - len(dims)) + dims for dims in all_dims]
    return tuple(_together(column) for column in zip(*padded, strict=True))


def _together(sizes: tuple[int | None, ...]) -> int | None:
    known = {size for size in sizes if size not in (1, None)}
    if known:
        return known.pop() if len(known) == 1 else None
    return None if None in sizes else 1


def replaced(dims: Dims, axis: int, size: int | None) -> Dims:
    """``dims`` with another ``size`` along ``axis``."""
    return (*dims[:axis], size, *dims[axis + 1 :])
