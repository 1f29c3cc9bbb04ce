"""What acoustic model and style encoder are made of. Signals are ``(time, channels)`` float32.

Long signals are computed some rows at a time: no step takes longer than others should wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from voxswap_families.layers.rows import Linear, Named, windows
from voxswap_families.work import Steps

EPSILON = 1e-12
# Of a step: what takes some 10 ms of a core. Smaller pieces read the weights more often.
_STEP_PRODUCTS = 6 * 10**8
_GRID_ROWS = 16


def most_rows(row_products: int) -> int:
    """How many rows are one step, where a row takes so many products."""
    return max(1, _STEP_PRODUCTS // max(1, row_products) // _GRID_ROWS) * _GRID_ROWS


def pieces(rows: int, row_products: int) -> Iterator[tuple[int, int]]:
    """First and last of the rows that are one step each."""
    most = most_rows(row_products)
    for first in range(0, rows, most):
        yield first, min(rows, first + most)


def by_rows(compute: Callable[[int, int], Tensor], rows: int, row_products: int) -> Steps[Tensor]:
    """What ``compute`` gives of all rows, from the first to the last of a piece at a time."""
    made = []
    for first, last in pieces(rows, row_products):
        made.append(compute(first, last))
        yield None
    return made[0] if len(made) == 1 else torch.cat(made)


class Attention:
    """Attention of all rows to all, between four matrices. No norm, no shortcut."""

    def __init__(self, named: Sequence[Named], heads: int) -> None:
        """``named`` are query, key, value, and what is made of all heads."""
        self._query, self._key, self._value, self._out = map(Linear, named)
        self._heads = heads

    def steps(self, x: Tensor, asking: int | None = None) -> Steps[Tensor]:
        """``(time, channels)`` to the same; or to just the first ``asking`` rows of it."""
        time, units = x.shape
        key = yield from by_rows(lambda a, b: self._key(x[a:b]), time, units**2)
        value = yield from by_rows(lambda a, b: self._value(x[a:b]), time, units**2)
        key, value = self._by_head(key), self._by_head(value)

        def attended(first: int, last: int) -> Tensor:
            query = self._by_head(self._query(x[first:last]))
            y = functional.scaled_dot_product_attention(query, key, value)
            return self._out(y[0].transpose(0, 1).reshape(last - first, units))

        products = 2 * units**2 + 2 * time * units
        return (yield from by_rows(attended, time if asking is None else asking, products))

    def _by_head(self, x: Tensor) -> Tensor:
        """``(1, heads, time, channels / heads)``."""
        return x.view(1, x.shape[0], self._heads, -1).transpose(1, 2)


class FeedForward:
    """Two layers with GELU between them, convolutions of an odd width or matrices."""

    def __init__(self, first: Named, second: Named, width: int = 1) -> None:
        self._width = width
        self._in, self._out = Linear(first), Linear(second)

    def steps(self, x: Tensor) -> Steps[Tensor]:
        """``(time, channels)`` to the same; a row sees ``width - 1`` others to either side."""
        time, half = x.shape[0], self._width // 2
        # Both layers see zeros beyond both ends.
        x = functional.pad(x, (0, 0, 2 * half, 2 * half)) if half else x

        def fed(first: int, last: int) -> Tensor:
            hidden = functional.gelu(self._in(windows(x[first : last + 4 * half], self._width)))
            if half:
                hidden[: max(0, half - first)] = 0
                hidden[hidden.shape[0] - max(0, last + half - time) :] = 0
            return self._out(windows(hidden, self._width))

        products = self._in.weight.numel() + self._out.weight.numel()
        return (yield from by_rows(fed, time, products))
