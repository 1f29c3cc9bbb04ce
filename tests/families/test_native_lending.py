"""Rows of products that another thread computes: the same bits, and counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.families.native_kernels import TRIED
from voxswap_families.layers.native import structures as c
from voxswap_families.layers.native.lending import KernelLending
from voxswap_families.layers.native.library import Library, load
from voxswap_families.layers.native.memory import Block, address
from voxswap_families.vits.native_model import Floats

# A busy machine is no place to lend, and the library then waits for up to ten seconds.
_PATIENCE_S = 60.0
_ROWS, _CHANNELS, _OUTPUTS = 480, 192, 768


@pytest.fixture(params=TRIED)
def library(request: pytest.FixtureRequest) -> Library:
    return load(request.param)


@pytest.fixture
def lending(library: Library) -> Iterator[KernelLending]:
    """With a thread that helps for as long as the test lasts."""
    lending = KernelLending()
    lending.open(library)
    ticket = lending.ticket()
    helper = threading.Thread(target=lending.lend, args=(ticket,))
    helper.start()
    yield lending
    lending.recall()
    helper.join(10)
    assert not helper.is_alive(), "who helps was not called back"


def multiplied(library: Library) -> Floats:
    draw = np.random.default_rng(0)
    call, columns = library.functions, _CHANNELS
    weights = draw.standard_normal((_OUTPUTS, columns), np.float32)
    panels = np.empty(_OUTPUTS * columns, np.uint16)
    call.vxk_pack(
        *(address(weights), False, _OUTPUTS, columns, columns, 1),
        *(panels.ctypes.data, columns * c.PANEL),
    )
    product = c.Product(panels.ctypes.data, None, _OUTPUTS, 1, columns, 0)
    x = draw.standard_normal((_ROWS, columns), np.float32)
    y = np.empty((_ROWS, _OUTPUTS), np.float32)
    memory = Block(call.vxk_linear_bytes(product, _ROWS))
    call.vxk_linear(product, _ROWS, address(x), address(y), memory.address)
    return y


def test_rows_that_others_computed_have_the_same_bits_and_are_counted(
    library: Library, request: pytest.FixtureRequest
) -> None:
    alone = multiplied(library)
    lending: KernelLending = request.getfixturevalue("lending")
    before = library.functions.vxk_helped_ns()
    until_s = time.monotonic() + _PATIENCE_S
    while library.functions.vxk_helped_ns() == before:
        assert time.monotonic() < until_s, "nobody helped"
        assert np.array_equal(multiplied(library), alone)
    shared, late, closings = lending.shared
    assert shared > 0
    assert 0 <= late <= shared
    assert closings >= 0
    assert lending.cpu_clock() > time.thread_time()


def test_who_lends_himself_after_a_recall_comes_back_at_once(library: Library) -> None:
    lending = KernelLending()
    lending.open(library)
    ticket = lending.ticket()
    lending.recall()
    lending.lend(ticket)


def test_what_is_lost_is_a_debt_that_gains_pay_off(library: Library) -> None:
    debt_after = library.functions.vxk_debt_after
    assert debt_after(0, 70) == 0  # nothing is put by
    assert debt_after(0, -3_000) == 3_000
    assert debt_after(3_000, -500) == 3_500
    assert debt_after(3_500, 500) == 3_000
    assert debt_after(40, 70) == 0


def test_without_kernels_nobody_is_kept() -> None:
    lending = KernelLending()
    assert not lending.is_open
    lending.lend(lending.ticket())
    lending.recall()
    assert lending.shared == (0, 0, 0)
    assert lending.cpu_clock() <= time.thread_time()
