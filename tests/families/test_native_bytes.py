"""Products of bytes: beside sums of whole numbers, for every library that has them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.families.native_kernels import NANS, TRIED, Floats, Native, native, random
from voxswap_families.layers.native.packing import byte_panels_shape, pack_byte_panels, padded
from voxswap_families.layers.native.processor import ISAS
from voxswap_families.layers.native.structures import ByteProduct, EncoderLayer
from voxswap_registry.errors import EngineError

__all__ = ["native"]

Int8s = npt.NDArray[np.int8]


class Weights:
    """Of a product: as floats, as the panels that a library has of them, and what those hold."""

    def __init__(self, outputs: int, taps: int, channels: int, *, seed: int = 0) -> None:
        self.shape = outputs, taps, channels
        self.weight = random(outputs, taps * channels, seed=seed)
        self.bias = random(outputs, seed=seed + 1)
        self.balance = torch.exp2(torch.arange(channels).remainder(5) - 2)

    def of(self, native: Native) -> ByteProduct:
        outputs, taps, channels = self.shape
        panels = torch.zeros(byte_panels_shape(outputs, taps * channels), dtype=torch.int8)
        scale, bias = torch.zeros(padded(outputs)), torch.zeros(padded(outputs))
        pack_byte_panels(self.weight, panels, scale, self.balance.repeat(taps))
        bias[:outputs] = self.bias
        parts = panels, scale, self.balance, bias
        places = (native.arena.copied(tensor.numpy()).ctypes.data for tensor in parts)
        return ByteProduct(*places, outputs, taps, channels, 0)

    def rounded(self) -> tuple[Int8s, Floats]:
        """Bytes, (outputs, taps, channels), and scales; by numpy."""
        weight = (self.weight / self.balance.repeat(self.shape[1])).numpy()
        scale = np.abs(weight).max(1) / np.float32(127)
        return np.rint(weight / scale[:, None]).astype(np.int8).reshape(self.shape), scale


def product(native: Native, weights: ByteProduct, x: Floats, *, has_sign: bool) -> Floats:
    """``x``, (rows, channels), to (rows, outputs)."""
    given, y = native.arena.copied(x), native.arena.floats(len(x), padded(weights.outputs))
    room = native.arena.take(native.call.vxk_byte_linear_bytes(weights, len(x), has_sign))
    done = native.call.vxk_byte_linear(
        weights, len(x), has_sign, given.ctypes.data, y.ctypes.data, room
    )
    assert done == 0
    return y[:, : weights.outputs]


def expected(weights: Weights, x: Floats, *, has_sign: bool) -> tuple[Floats, Floats]:
    """In whole numbers up to the scales; and the sum of what is added without signs."""
    (outputs, taps, _), (w, scale) = weights.shape, weights.rounded()
    steps = np.float32(127 if has_sign else 255)
    x = x * weights.balance.numpy()
    largest = np.abs(x).max(1, keepdims=True)
    q = np.rint(x * (steps / largest)).astype(np.int64)
    assert np.abs(q).max() <= steps
    reach = taps // 2
    rows = np.pad(q, ((reach, reach), (0, 0)))
    scales = np.pad((largest / steps).astype(np.float64), ((reach, reach), (0, 0)))
    sums, most = np.zeros((len(x), outputs)), np.zeros((len(x), outputs))
    for tap in range(taps):
        whole = rows[tap : tap + len(x)] @ w[:, tap].astype(np.int64).T
        part = whole * scales[tap : tap + len(x)] * scale
        sums, most = sums + part, most + np.abs(part)
    bias = weights.bias.numpy()
    return sums + bias, most + np.abs(bias)


@pytest.fixture(params=[name for name in TRIED if ISAS[name].multiplies_bytes])
def multiplying(request: pytest.FixtureRequest) -> Iterator[Native]:
    """Each library that has such products; others widen weights when they are loaded."""
    native = Native(request.param)
    yield native
    native.arena.check()


def check(native: Native, rows: int, taps: int, channels: int, outputs: int) -> None:
    weights = Weights(outputs, taps, channels)
    packed, x = weights.of(native), random(rows, channels, seed=rows).numpy()
    for has_sign, given in ((True, x), (False, np.abs(x))):
        found = product(native, packed, given, has_sign=has_sign)
        wanted, most = expected(weights, given, has_sign=has_sign)
        np.testing.assert_array_less(np.abs(found - wanted), 5e-7 * most + 1e-30)


def test_sums_are_those_of_whole_numbers(multiplying: Native) -> None:
    for rows in range(1, 40):
        check(multiplying, rows, 3, 32, 48)
    for taps, channels in itertools.product((1, 3, 5, 7), (16, 48, 192)):
        for outputs in (16, 32, 64, 80, 112):
            check(multiplying, 13, taps, channels, outputs)


def test_the_largest_sums_there_are_do_not_overflow(multiplying: Native) -> None:
    """All weights at their end, all activations at theirs, of the widest layer that is taken."""
    weights = Weights(16, 1, 4096)
    weights.weight[:8], weights.weight[8:] = 1.0, -1.0
    weights.bias[:], weights.balance[:] = 0, 1
    packed = weights.of(multiplying)
    ones = np.ones((3, 4096), np.float32)
    for x, has_sign in ((ones, False), (ones, True), (-ones, True)):
        found = product(multiplying, packed, x, has_sign=has_sign)
        np.testing.assert_allclose(found, x @ weights.weight.numpy().T, rtol=1e-6)


def test_a_row_has_the_same_bits_whatever_is_computed_with_it(multiplying: Native) -> None:
    weights = Weights(96, 3, 48)
    packed, x = weights.of(multiplying), random(70, 48, seed=5).numpy()
    x[40] *= 1000  # its scale is its own
    whole = product(multiplying, packed, x, has_sign=True)
    for first, last in ((0, 2), (0, 31), (17, 70), (3, 9)):
        piece = product(multiplying, packed, x[first:last], has_sign=True)
        # Those that see no end.
        np.testing.assert_array_equal(piece[1:-1], whole[first + 1 : last - 1])


def test_zeros_are_the_bias(multiplying: Native) -> None:
    weights = Weights(16, 3, 16)
    x = np.zeros((5, 16), np.float32)
    for has_sign in (True, False):
        found = product(multiplying, weights.of(multiplying), x, has_sign=has_sign)
        np.testing.assert_array_equal(found, np.tile(weights.bias.numpy(), (5, 1)))


@pytest.mark.parametrize("value", [*NANS, np.inf, -np.inf], ids=["quiet", "signalling", "+", "-"])
@pytest.mark.parametrize("has_sign", [True, False])
def test_what_is_no_number_is_passed_on_and_to_nothing_else(
    multiplying: Native, value: float, has_sign: bool
) -> None:
    weights = Weights(48, 3, 32)
    packed, x = weights.of(multiplying), np.abs(random(40, 32, seed=2).numpy())
    whole = product(multiplying, packed, x, has_sign=has_sign)
    for place in (0, 17, 31):
        x[20, place] = value
        found = product(multiplying, packed, x, has_sign=has_sign)
        assert np.isnan(found[19:22]).all()
        others = list(range(19, 22))
        np.testing.assert_array_equal(np.delete(found, others, 0), np.delete(whole, others, 0))
    weights.weight[7, 50] = float(value)
    found = product(multiplying, weights.of(multiplying), x[:10], has_sign=has_sign)
    assert not np.isfinite(found[:, 7]).any()
    np.testing.assert_array_equal(np.delete(found, 7, 1)[:9], np.delete(whole, 7, 1)[:9])


def test_who_lends_itself_changes_no_bit(multiplying: Native) -> None:
    rows, call, arena = 60, multiplying.call, multiplying.arena
    packed = Weights(192, 3, 64).of(multiplying)
    x, y = arena.copied(random(rows, 64).numpy()), arena.floats(rows, 192)
    room = arena.take(call.vxk_byte_linear_bytes(packed, rows, 1))

    def multiplied() -> Floats:
        y.fill(np.nan)
        assert not call.vxk_byte_linear(packed, rows, 1, x.ctypes.data, y.ctypes.data, room)
        return y.copy()

    alone, before = multiplied(), call.vxk_shared()
    lender = threading.Thread(target=call.vxk_lend, args=(call.vxk_ticket(),))
    lender.start()
    try:
        for _ in range(200_000):  # until the lender is there
            np.testing.assert_array_equal(multiplied(), alone)
            if call.vxk_shared() >= before + 50:
                break
        assert call.vxk_shared() > before
    finally:
        call.vxk_recall()
        lender.join()


def test_where_there_are_none_they_are_refused_before_they_are_read(native: Native) -> None:
    packed, call = Weights(16, 3, 16).of(native), native.call
    has_bytes = ISAS[native.name].multiplies_bytes
    for rows in (-1, 0, (1 << 16) + 1) if has_bytes else (1,):
        with pytest.raises(EngineError, match="vxk_byte_linear_bytes refuses"):
            call.vxk_byte_linear_bytes(packed, rows, 1)
        with pytest.raises(EngineError, match="vxk_byte_linear refuses"):
            call.vxk_byte_linear(packed, rows, 1, None, None, None)
    if not has_bytes:
        layer = EncoderLayer(byte_up=packed, byte_down=packed)
        with pytest.raises(EngineError, match="vxk_encoder_bytes refuses"):
            call.vxk_encoder_bytes(layer, 1)
        with pytest.raises(EngineError, match="vxk_encode refuses"):
            call.vxk_encode(layer, 1, None, None, 0, 1)
