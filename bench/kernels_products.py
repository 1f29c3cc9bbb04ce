"""Single products on one thread: each instruction set's, and torch's in float32, in turns.

A compiler that runs out of registers makes a product three times as slow and says nothing, so the
least of each set's has a bound, by torch's in the same run. And the rows of an LSTM, whose products
are of one row each.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from bench.report import Report
from bench.turns import in_turns
from bench.voices import one_thread
from voxswap_families.layers.native.library import load
from voxswap_families.layers.native.memory import Block, address
from voxswap_families.layers.native.packing import pack_panels, padded, panels_shape
from voxswap_families.layers.native.structures import Lstm, Product

# Rows, channels, taps and outputs of products of joe.
_SHAPES = {
    "attention": (203, 192, 1, 576),
    "feed-forward, first": (203, 192, 3, 768),
    "feed-forward, second": (203, 768, 3, 192),
    "gate of the flow": (64, 192, 5, 384),
    "generator, first stage": (512, 128, 7, 128),
    "generator, last stage": (8192, 32, 7, 32),
    "durations": (203, 192, 1, 192),
}
# Of torch's rate, at least: half of the lowest that any product has where it is lowest, which is an
# Intel Xeon without AMX. torch takes AVX-512 there.
_LEAST = {"amx": 1.0, "avx512_bf16": 0.25, "avx512_vnni": 0.45, "avx512": 0.45, "avx2": 0.25}
# Rows, channels, and outputs of each direction.
_LSTMS = {"LSTM, 128 to 128": (200, 128, 128), "LSTM, 512 to 256": (200, 512, 256)}
# Used in turn, so that they come from where weights come from.
_WEIGHTS = 16


def measure_products(report: Report, names: Sequence[str], turns: int) -> None:
    """10⁹ operations a second, two for a multiply-add, with what rounds and stores around it."""
    least = dict.fromkeys(names, float("inf"))
    with one_thread(), torch.inference_mode():
        for what, (rows, channels, taps, outputs) in _SHAPES.items():
            weights = [torch.randn(outputs, taps * channels) for _ in range(_WEIGHTS)]
            x = torch.randn(rows + taps - 1, channels)
            ways = [_torch_product(x, weights, taps)]
            ways += [_native_product(name, x, weights, taps) for name in names]
            in_turns(2, *ways)
            found = [statistics.median(times) for times in in_turns(turns, *ways)]
            operations = 2 * rows * channels * taps * outputs
            plain, *ours = (operations / seconds / 1e9 for seconds in found)
            for name, rate in zip(names, ours, strict=True):
                report.add(f"{what}, {name}; peer: torch, float32", rate, "GFLOPS", peer=plain)
                least[name] = min(least[name], rate / plain)
        for name, share in least.items():
            what = f"the slowest of these, {name}, by torch's"
            report.add(what, share, "times", _LEAST.get(name), sense="at_least")
        for what, shape in _LSTMS.items():
            ways = [_torch_lstm(*shape), *(_native_lstm(name, *shape) for name in names)]
            in_turns(2, *ways)
            found = [statistics.median(times) for times in in_turns(turns, *ways)]
            plain, *ours = (1e6 * seconds / shape[0] for seconds in found)
            for name, took_us in zip(names, ours, strict=True):
                report.add(
                    f"{what}, a row, {name}; peer: torch, float32", took_us, "us", peer=plain
                )


def _torch_product(x: Tensor, weights: Sequence[Tensor], taps: int) -> Callable[[], float]:
    rows, channels = len(x) - taps + 1, x.shape[1]
    unfolded = x.as_strided((rows, taps * channels), (channels, 1)).contiguous()
    return _seconds(lambda i: torch.nn.functional.linear(unfolded, weights[i]))


def _native_product(
    name: str, x: Tensor, weights: Sequence[Tensor], taps: int
) -> Callable[[], float]:
    call = load(name).functions
    rows, (outputs, columns) = len(x) - taps + 1, weights[0].shape
    packed, products = [], []
    for weight in weights:
        panels = torch.empty(panels_shape(outputs, columns), dtype=torch.bfloat16)
        pack_panels(weight, panels)
        packed.append(panels)
        products.append(Product(panels.data_ptr(), None, outputs, taps, x.shape[1], 0))
    y = np.empty((rows, padded(outputs)), np.float32)
    memory = Block(call.vxk_linear_bytes(products[0], rows))
    given = x.numpy()

    def multiply(i: int) -> None:
        assert packed  # kept: products point to them
        call.vxk_linear(products[i], rows, address(given), address(y), memory.address)

    return _seconds(multiply)


def _torch_lstm(rows: int, channels: int, hidden: int) -> Callable[[], float]:
    lstm, x = torch.nn.LSTM(channels, hidden), torch.randn(rows, channels)
    return _seconds(lambda _: lstm(x))


def _native_lstm(name: str, rows: int, channels: int, hidden: int) -> Callable[[], float]:
    call = load(name).functions
    bias = np.zeros(4 * hidden, np.float32)
    lstm, kept = Lstm(directions=1, hidden=hidden), []
    for into, columns in ((lstm.inputs, channels), (lstm.recurrent, hidden)):
        panels = torch.empty(panels_shape(4 * hidden, columns), dtype=torch.bfloat16)
        pack_panels(torch.randn(4 * hidden, columns) / columns**0.5, panels)
        kept.append(panels)
        into[0] = Product(panels.data_ptr(), address(bias), 4 * hidden, 1, columns, 0)
    x = torch.randn(rows, channels).numpy()
    state, y = np.zeros((1, 2, hidden), np.float32), np.empty((rows, hidden), np.float32)
    memory = Block(call.vxk_lstm_bytes(lstm, rows))

    def run(_: int) -> None:
        assert kept  # the products point to them
        call.vxk_lstm(lstm, rows, address(x), address(state), address(y), memory.address)

    return _seconds(run)


def _seconds(work: Callable[[int], object]) -> Callable[[], float]:
    """What one of ``work`` takes, with every weight once."""

    def measure() -> float:
        began = time.thread_time()
        for i in range(_WEIGHTS):
            work(i)
        return (time.thread_time() - began) / _WEIGHTS

    return measure
