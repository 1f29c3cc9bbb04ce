"""Which of the libraries that are here is fastest: measured, since names of instructions mislead.

Intel's processors without AMX multiply pairs of bfloat16 at half the rate at which they multiply
floats, and AMD's at twice; a virtual machine may show instructions that it runs slowly.
"""

from __future__ import annotations

import ctypes
import time
from typing import Final

import numpy as np

from voxswap_families.layers.native import structures as c
from voxswap_families.layers.native.library import Library, usable
from voxswap_families.layers.native.memory import Block, address

_ROUNDS: Final = 5
# Rows, taps, channels, outputs: an encoder's feed-forward layer, and a generator's last stage.
_PRODUCTS: Final = ((192, 3, 192, 768), (2048, 7, 32, 32))


def fastest() -> Library | None:
    """The one that is fastest here, or None if there is none. Blocks, for up to 0.1 s.

    All in turns, the best of several rounds of each.
    """
    libraries = usable()
    if len(libraries) < 2:
        return libraries[0] if libraries else None
    best_s = [[float("inf")] * len(_PRODUCTS) for _ in libraries]
    for _ in range(_ROUNDS):
        for library, took_s in zip(libraries, best_s, strict=True):
            for i, shape in enumerate(_PRODUCTS):
                took_s[i] = min(took_s[i], _took_s(library, *shape))
    totals = [sum(took_s) for took_s in best_s]
    return libraries[totals.index(min(totals))]


def _took_s(library: Library, rows: int, taps: int, channels: int, outputs: int) -> float:
    call, columns = library.functions, taps * channels
    weights = np.full(outputs * columns, 0x3C00, np.uint16)  # of no matter
    product = c.Product(weights.ctypes.data, None, outputs, taps, channels, 0)
    x = np.ones((rows + taps - 1, channels), np.float32)
    y = np.empty((rows, outputs), np.float32)
    memory = Block(call.vxk_linear_bytes(ctypes.byref(product), rows))
    began_s = time.perf_counter()
    call.vxk_linear(ctypes.byref(product), rows, address(x), address(y), memory.address)
    return time.perf_counter() - began_s
