"""Each native kernel by itself: as torch's layer has it, row by row, and nothing beside it."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.families.native_kernels import (
    NANS,
    TRIED,
    Floats,
    Native,
    cuts,
    native,
    random,
    rounded,
)  # fmt: skip
from voxswap_families.layers.native.packing import native_packing, pack_panels, panels_shape
from voxswap_families.layers.native.structures import Fsmn, Lstm
from voxswap_registry.errors import EngineError

__all__ = ["native"]


def check_product(native: Native, rows: int, taps: int, channels: int, outputs: int) -> None:
    """Beside torch in float64, to what summing floats in any order may lose."""
    weight, bias = rounded(random(outputs, taps * channels)), random(outputs, seed=1)
    x = random(rows + taps - 1, channels, seed=2)
    found = native.linear(native.product(weight, bias, taps=taps), x.numpy())
    unfolded = native.seen(x).as_strided((rows, taps * channels), (channels, 1)).double()
    expected = functional.linear(unfolded, weight.double(), bias.double())
    most = functional.linear(unfolded.abs(), weight.double().abs(), bias.double().abs())
    assert ((torch.from_numpy(found) - expected).abs() <= 1e-6 * most).all(), (rows, taps, channels)


def test_products_of_any_number_of_rows(native: Native) -> None:
    for rows in range(1, 71):
        check_product(native, rows, 3, 32, 48)
        check_product(native, rows, 1, 48, 16)


@pytest.mark.parametrize("outputs", [1, 37, 64, 80, 96, 161])
def test_products_of_any_taps_channels_and_outputs(native: Native, outputs: int) -> None:
    for taps, channels in itertools.product(range(1, 8), range(16, 97, 16)):
        check_product(native, 13, taps, channels, outputs)


@pytest.mark.parametrize(("channels", "outputs"), [(32, 64), (48, 100)])
def test_a_row_has_the_same_bits_whatever_is_computed_with_it(
    native: Native, channels: int, outputs: int
) -> None:
    taps, rows = 3, 70
    product = native.product(random(outputs, taps * channels), taps=taps)
    x = random(rows + taps - 1, channels, seed=2).numpy()
    whole = native.linear(product, x)
    for first, last in cuts(rows, (1, 2, 3, 5, 17, 33)):
        piece = native.linear(product, x[first : last + taps - 1])
        np.testing.assert_array_equal(piece, whole[first:last])
    for rows_here in range(1, rows):
        np.testing.assert_array_equal(
            native.linear(product, x[: rows_here + taps - 1]), whole[:rows_here]
        )


@pytest.mark.parametrize("nan", NANS, ids=["quiet", "signalling"])
def test_a_product_passes_nan_on_and_to_nothing_else(native: Native, nan: float) -> None:
    taps, rows, channels, outputs = 3, 40, 32, 37
    weight = random(outputs, taps * channels)
    product = native.product(weight, taps=taps)
    x = random(rows + taps - 1, channels, seed=2).numpy()
    whole = native.linear(product, x)
    x[20, 5] = nan
    found = native.linear(product, x)
    assert np.isnan(found[18:21]).all()
    np.testing.assert_array_equal(
        np.delete(found, range(18, 21), 0), np.delete(whole, range(18, 21), 0)
    )
    x[20, 5] = random(1, seed=3).item()
    weight[7, 50] = float(nan)
    plain = native.linear(product, x)
    found = native.linear(native.product(weight, taps=taps), x)
    assert np.isnan(found[:, 7]).all()
    np.testing.assert_array_equal(np.delete(found, 7, 1), np.delete(plain, 7, 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (16, 34), (37, 130), (64, 192)])
def test_packing_is_that_of_torch(
    native: Native, rows: int, columns: int, dtype: torch.dtype
) -> None:
    weight = random(rows, columns).to(dtype)
    pack = native_packing(native.library)
    for nan in (False, True):
        if nan:
            weight[rows // 2, columns // 2] = float("nan")
        expected = torch.empty(panels_shape(rows, columns), dtype=torch.bfloat16)
        pack_panels(weight, expected)
        for given in (weight, weight.T.contiguous().T):
            found = native.arena.tensor(torch.zeros_like(expected))
            assert pack(native.arena.tensor(given), found) != nan
            # Bits of NaN are nobody's.
            np.testing.assert_array_equal(found.float().numpy(), expected.float().numpy())


class Memories:
    """An LSTM of torch, its weights as panels hold them, and the native one."""

    def __init__(self, native: Native, channels: int, hidden: int, directions: int) -> None:
        self.native, self.width, self.shape = native, directions * hidden, (directions, 2, hidden)
        with torch.random.fork_rng():
            torch.manual_seed(channels + hidden)
            self.torch: nn.Module = nn.LSTM(channels, hidden, bidirectional=directions == 2)
        self.torch.requires_grad_(requires_grad=False)
        self.packed = Lstm(directions=directions, hidden=hidden)
        self.pack()

    def pack(self) -> None:
        """Take the weights anew."""
        for d, suffix in enumerate(("", "_reverse")[: self.packed.directions]):
            for into, kind in ((self.packed.inputs, "ih"), (self.packed.recurrent, "hh")):
                weight = getattr(self.torch, f"weight_{kind}_l0{suffix}")
                weight.copy_(rounded(weight))
                bias = getattr(self.torch, f"bias_{kind}_l0{suffix}")
                into[d] = self.native.product(weight, bias)

    def expected(self, x: Tensor, state: Floats) -> tuple[Floats, Floats]:
        output, cell = torch.from_numpy(state).unbind(1)
        y, (output, cell) = self.torch(x, (output.contiguous(), cell.contiguous()))
        return y.numpy(), torch.stack([output, cell], 1).numpy()

    def __call__(self, x: Tensor, state: Floats) -> tuple[Floats, Floats]:
        native, rows = self.native, len(x)
        state = native.arena.copied(state)
        given, y = native.arena.copied(x.numpy()), native.arena.floats(rows, self.width)
        room = native.arena.take(native.call.vxk_lstm_bytes(self.packed, rows))
        done = native.call.vxk_lstm(
            self.packed, rows, given.ctypes.data, state.ctypes.data, y.ctypes.data, room
        )
        assert done == 0
        return y, state


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(("channels", "hidden"), [(16, 16), (80, 32), (48, 48), (32, 128)])
def test_lstm(native: Native, channels: int, hidden: int, directions: int) -> None:
    lstm = Memories(native, channels, hidden, directions)
    tolerance = 1e-2 if native.rounds else 2e-6
    for rows in (1, 7, 40):
        x, state = random(rows, channels), random(*lstm.shape, seed=rows).numpy()
        for found, expected in zip(lstm(x, state), lstm.expected(x, state), strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_an_lstm_goes_on_where_it_was(native: Native) -> None:
    lstm = Memories(native, 48, 32, 1)
    x, state = random(60, 48), np.zeros(lstm.shape, np.float32)
    whole, end = lstm(x, state)
    pieces = []
    for first, last in cuts(60, (1, 2, 7, 16, 33)):
        piece, state = lstm(x[first:last], state)
        pieces.append(piece)
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    np.testing.assert_array_equal(state, end)


@pytest.mark.parametrize("nan", NANS, ids=["quiet", "signalling"])
def test_an_lstm_passes_nan_on_from_where_it_comes(native: Native, nan: float) -> None:
    lstm = Memories(native, 16, 32, 2)
    x, state = random(20, 16), np.zeros(lstm.shape, np.float32)
    whole, _ = lstm(x, state)
    x.numpy()[8, 3] = nan
    found, _ = lstm(x, state)
    assert np.isnan(found[8:, :32]).all()
    assert np.isnan(found[:9, 32:]).all()
    np.testing.assert_array_equal(found[:8, :32], whole[:8, :32])
    np.testing.assert_array_equal(found[9:, 32:], whole[9:, 32:])
    x[8, 3] = 1
    lstm.torch.get_parameter("weight_hh_l0")[40, 3] = float(nan)  # of the forget gate, for output 8
    lstm.pack()
    found, end = lstm(x, state)
    assert np.isnan(found[0, 8])
    assert np.isnan(found[1:, :32]).all()
    assert np.isnan(end[0, 0]).all()
    assert np.isfinite(found[:, 32:]).all()


class Layer:
    """A layer of FSMN: its tensors, and the native one."""

    def __init__(
        self, native: Native, channels_in: int, channels: int, left: int, right: int
    ) -> None:
        self.native, self.left, self.right, wide = native, left, right, 2 * channels
        self.up = rounded(random(wide, channels_in) / channels_in**0.5)
        self.bias = random(wide, seed=1)
        self.down = rounded(random(channels, wide, seed=2) / wide**0.5)
        self.taps = random(left + 1 + right, channels, seed=3) / 4
        self.pack()

    def pack(self) -> None:
        """Take the weights anew."""
        self.packed = Fsmn(
            self.native.product(self.up, self.bias),
            self.native.product(self.down),
            self.native.arena.tensor(self.taps).data_ptr(),
            self.left,
            self.right,
        )

    def expected(self, x: Tensor) -> Floats:
        inner = functional.linear(torch.relu(functional.linear(x, self.up, self.bias)), self.down)
        around = functional.pad(inner.T, (self.left, self.right)).unsqueeze(0)
        kernels = self.taps.T.unsqueeze(1)
        y = functional.conv1d(around, kernels, groups=len(kernels))[0].T + inner
        return (y + x if x.shape == y.shape else y).numpy()

    def __call__(self, x: Tensor, *sizes: int) -> Floats:
        """In pieces, each as far as it is final."""
        arena, call = self.native.arena, self.native.call
        state = arena.take(call.vxk_fsmn_state_bytes(self.packed))
        assert call.vxk_fsmn_begin(self.packed, state) == 0
        pieces, seen = [], 0
        for first, last in cuts(len(x), sizes):
            rows, is_last = last - first, last == len(x)
            y = arena.floats(rows + self.right, self.taps.shape[1])
            given = arena.copied(x[first:last].numpy())
            room = arena.take(call.vxk_fsmn_bytes(self.packed, rows))
            made = call.vxk_fsmn(
                self.packed, state, room, is_last, rows, given.ctypes.data, y.ctypes.data
            )
            seen += made
            assert seen == (last if is_last else max(0, last - self.right))
            pieces.append(y[:made])
        return np.concatenate(pieces)


@pytest.mark.parametrize("around", [(20, 20), (37, 3), (0, 0), (4, 0), (2, 5)], ids=str)
@pytest.mark.parametrize(("channels_in", "channels"), [(48, 48), (80, 32), (32, 64)])
def test_fsmn(native: Native, channels_in: int, channels: int, around: tuple[int, int]) -> None:
    layer = Layer(native, channels_in, channels, *around)
    for rows in (1, 3, 50):
        x = random(rows, channels_in, seed=rows)
        tolerance = 3e-2 if native.rounds else 1e-5
        np.testing.assert_allclose(layer(x), layer.expected(x), rtol=0, atol=tolerance)


@pytest.mark.parametrize("around", [(20, 20), (37, 3), (0, 0), (4, 0), (2, 5)], ids=str)
def test_an_fsmn_has_the_same_bits_whatever_the_cuts(
    native: Native, around: tuple[int, int]
) -> None:
    layer, x = Layer(native, 32, 32, *around), random(90, 32)
    whole = layer(x)
    for sizes in ((1, 2, 3, 5, 17, 40), (1,) * 89, (60, 29)):
        np.testing.assert_array_equal(layer(x, *sizes), whole)


@pytest.mark.parametrize("nan", NANS, ids=["quiet", "signalling"])
def test_an_fsmn_passes_nan_on_to_whoever_sees_it(native: Native, nan: float) -> None:
    layer, x = Layer(native, 32, 32, 6, 2), random(40, 32)
    whole = layer(x, 7, 9)
    x.numpy()[20, 3] = nan
    found = layer(x, 7, 9)
    assert np.isnan(found[18:27]).all()
    np.testing.assert_array_equal(found[:18], whole[:18])
    np.testing.assert_array_equal(found[27:], whole[27:])
    x[20, 3] = 0
    layer.taps[4, 9] = float(nan)
    layer.pack()
    found = layer(x, 7, 9)
    assert np.isnan(found[:, 9]).all()
    assert np.isfinite(np.delete(found, 9, 1)).all()


_WITHOUT_MEMORY = """
import resource, sys
import numpy as np
from voxswap_families.layers.native.library import load
from voxswap_families.layers.native.structures import Product
from voxswap_registry.errors import EngineError
call, columns = load(sys.argv[1]).functions, 1 << 20
weights, x = np.full(16 * columns, 0x3C00, np.uint16), np.ones(columns, np.float32)
y = np.zeros(16, np.float32)
product = Product(weights.ctypes.data, None, 16, 1, columns, 0)
memory = np.zeros(call.vxk_linear_bytes(product, 1), np.uint8)
arguments = product, 1, x.ctypes.data, y.ctypes.data, memory.ctypes.data
own, most = resource.getrlimit(resource.RLIMIT_AS)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 20), most))
try:
    call.vxk_linear(*arguments)
except EngineError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_AS, (own, most))
call.vxk_linear(*arguments)
print(y[0] > 1_000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of memory, and /proc")
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="ASan needs all addresses")
@pytest.mark.parametrize("name", sorted({"avx2", "neon"} & {*TRIED}))  # those that widen weights
def test_a_product_without_memory_is_refused_and_ends_nothing(name: str) -> None:
    ran = subprocess.run(  # noqa: S603 - Python, on code of ours
        [sys.executable, "-c", _WITHOUT_MEMORY, name], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == [
        "vxk_linear refuses what it was given: there is no memory left for the weights",
        "True",
    ]


def refused(function: Callable[..., int], *arguments: object) -> bool:
    with pytest.raises(EngineError, match="refuses what it was given"):
        function(*arguments)
    return True


def test_what_a_kernel_does_not_handle_is_refused_before_it_is_read(native: Native) -> None:
    call = native.call
    for channels, hidden, directions in ((24, 16, 1), (16, 24, 1), (0, 16, 1), (16, 16, 3)):
        lstm = Lstm(directions=directions, hidden=hidden)
        lstm.inputs[0].channels = channels
        assert refused(call.vxk_lstm_bytes, lstm, 1)
        assert refused(call.vxk_lstm, lstm, 1, None, None, None, None)
    for channels, wide, left in ((16, 16, -1), (82, 16, 0), (16, 24, 0)):
        fsmn = Fsmn(left=left, right=1)
        fsmn.up.channels, fsmn.up.outputs, fsmn.down.outputs = channels, wide, 16
        assert refused(call.vxk_fsmn_bytes, fsmn, 1)
        assert refused(call.vxk_fsmn_state_bytes, fsmn)
        assert refused(call.vxk_fsmn_begin, fsmn, None)
        assert refused(call.vxk_fsmn, fsmn, None, None, 1, 1, None, None)
    product = native.product(random(16, 16))
    for rows in (-1, 0, (1 << 16) + 1):
        assert refused(call.vxk_linear_bytes, product, rows)
        assert refused(call.vxk_linear, product, rows, None, None, None)
