"""Which native kernels can be tried here: all that are built and that this processor runs."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from tests.families.native_memory import Arena
from voxswap_families.layers.native.library import fault, load
from voxswap_families.layers.native.packing import pack_panels, padded, panels_shape
from voxswap_families.layers.native.processor import ISAS
from voxswap_families.layers.native.structures import Product

Floats = npt.NDArray[np.float32]

TRIED = [name for name in ISAS if not fault(name)]

if os.environ.get("VOXSWAP_CI"):
    assert len(TRIED) >= 2, "CI builds them before: see scripts/check"

# A quiet NaN, and one that rounding by adding would make infinity.
NANS = np.array([0x7FC00000, 0x7F800001], np.uint32).view(np.float32)


class Native:
    """A library, and memory to call it with."""

    def __init__(self, name: str) -> None:
        self.name, self.library = name, load(name)
        self.call = self.library.functions
        self.arena = Arena()
        #: Whether products read their inputs as bfloat16.
        self.rounds = "VXK_BF16" in ISAS[name].defines

    def seen(self, x: Tensor) -> Tensor:
        """``x`` as products read it."""
        return x.bfloat16().float() if self.rounds else x

    def product(self, weight: Tensor, bias: Tensor | None = None, *, taps: int = 1) -> Product:
        """Of ``weight``, (outputs, taps * channels)."""
        outputs, columns = weight.shape
        panels = torch.empty(panels_shape(outputs, columns), dtype=torch.bfloat16)
        pack_panels(weight, panels)
        address = None
        if bias is not None:
            whole = torch.nn.functional.pad(bias, (0, padded(outputs) - outputs))
            address = self.arena.tensor(whole).data_ptr()
        place = self.arena.tensor(panels).data_ptr()
        return Product(place, address, outputs, taps, columns // taps, 0)

    def linear(self, product: ctypes.Structure, x: Floats) -> Floats:
        """``x``, (rows + taps - 1, channels), to (rows, outputs)."""
        rows = len(x) - product.taps + 1
        given, y = self.arena.copied(x), self.arena.floats(rows, padded(product.outputs))
        room = self.arena.take(self.call.vxk_linear_bytes(product, rows))
        done = self.call.vxk_linear(product, rows, given.ctypes.data, y.ctypes.data, room)
        assert done == 0
        return y[:, : product.outputs]


@pytest.fixture(params=TRIED)
def native(request: pytest.FixtureRequest) -> Iterator[Native]:
    """Each library in turn; afterwards nothing was written beside what it was given."""
    native = Native(request.param)
    yield native
    native.arena.check()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rounded(weight: Tensor) -> Tensor:
    """As panels hold it."""
    return weight.bfloat16().float()


def cuts(rows: int, sizes: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Pieces of ``rows``: of these sizes, and the rest."""
    first = 0
    for size in (*sizes, rows):
        last = min(rows, first + size)
        if first < last:
            yield first, last
        first = last
