"""Panels of weights: each element where the layout says, rounded to nearest even, and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.families.bits import bits_of, rounded
from voxswap_families.layers.native.packing import (
    byte_panels_shape,
    is_finite,
    pack_byte_panels,
    pack_panels,
    padded,
    panels_shape,
    unpack_byte_panels,
    unpack_panels,
    widen_byte_panels,
)

sizes = st.integers(1, 50)


def packed(rows: torch.Tensor) -> torch.Tensor:
    # What was there before must not show.
    into = torch.full(panels_shape(*rows.shape), 7.0, dtype=torch.bfloat16)
    pack_panels(rows, into)
    return into


@examples(60)
@given(sizes, sizes, st.integers(0, 2**32), st.booleans())
def test_each_weight_lies_where_the_layout_says(
    rows: int, columns: int, seed: int, transposed: bool
) -> None:
    numbers = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    given = torch.from_numpy(numbers)
    found = bits_of(packed(given.t().contiguous().t() if transposed else given))
    assert found.shape == (-(-rows // 16), -(-columns // 2), 16, 2)
    bits = rounded(numbers)
    for p, j, c, z in np.ndindex(found.shape):
        row, column = 16 * p + c, 2 * j + z
        expected = bits[row, column] if row < rows and column < columns else 0
        assert found[p, j, c, z] == expected


@examples(60)
@given(sizes, sizes, st.integers(0, 2**32), st.sampled_from([torch.float32, torch.bfloat16]))
def test_what_was_packed_comes_back(rows: int, columns: int, seed: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(rows, columns, generator=generator).to(dtype)
    back = torch.empty(rows, columns, dtype=dtype)
    unpack_panels(packed(numbers), back)
    assert torch.equal(back, numbers.to(torch.bfloat16).to(dtype))
    columns_first = torch.empty(columns, rows, dtype=dtype).t()
    unpack_panels(packed(numbers), columns_first)
    assert torch.equal(columns_first, back)


def test_some_panels_of_a_larger_product_are_written_and_no_others() -> None:
    whole = torch.full(panels_shape(64, 6), 7.0, dtype=torch.bfloat16)
    pack_panels(torch.ones(32, 6), whole[1::2])
    assert whole[1::2].eq(1).all()
    assert whole[0::2].eq(7).all()
    back = torch.zeros(32, 6)
    unpack_panels(whole[1::2], back)
    assert back.eq(1).all()


# A tie goes to the even neighbour: 0x3f80 8000 down to 0x3f80, and 0x3f81 8000 up to 0x3f82.
EXACT = {
    0x3F808000: 0x3F80, 0x3F818000: 0x3F82, 0x3F808001: 0x3F81, 0xBF818000: 0xBF82,
    0x00000000: 0x0000, 0x80000000: 0x8000, 0x00008001: 0x0001, 0x7F7FFFFF: 0x7F80,
    0x7F800000: 0x7F80, 0xFF800000: 0xFF80,
}  # fmt: skip


@pytest.mark.parametrize("bits", EXACT, ids=hex)
def test_rounding_is_to_the_nearest_and_ties_are_even(bits: int) -> None:
    number = np.full((16, 2), bits, np.uint32).view(np.float32)
    assert set(bits_of(packed(torch.from_numpy(number))).flat) == {EXACT[bits]}
    assert set(rounded(number).flat) == {EXACT[bits]}


# One whose high half alone would be infinity, and one whose rounding up would be minus zero.
@pytest.mark.parametrize("bits", [0x7F800001, 0xFFFFFFFF, 0x7FC00000], ids=hex)
def test_what_is_no_number_stays_none(bits: int) -> None:
    for columns in (1, 2, 33):  # In vectors and without them.
        number = torch.from_numpy(np.full((16, columns), bits, np.uint32).view(np.float32))
        assert packed(number)[:, : columns // 2].isnan().all()
        assert not is_finite(packed(number))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_number_that_is_none_is_found_anywhere(value: float, dtype: torch.dtype) -> None:
    numbers = torch.randn(67, generator=torch.Generator().manual_seed(1)).to(dtype)
    assert is_finite(numbers)
    for place in range(len(numbers)):
        spoilt = numbers.clone()
        spoilt[place] = value
        assert not is_finite(spoilt)


@given(st.integers(1, 10_000))
def test_padding_makes_whole_panels_and_no_more(rows: int) -> None:
    assert padded(rows) % 16 == 0
    assert 0 <= padded(rows) - rows < 16


# Panels of int8.


def byte_packed(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    into = torch.full(byte_panels_shape(*rows.shape), 7, dtype=torch.int8)
    scale = torch.full((padded(len(rows)),), 7.0)
    pack_byte_panels(rows, into, scale)
    return into, scale


@examples(60)
@given(sizes, sizes, st.integers(0, 2**32), st.sampled_from([torch.float32, torch.bfloat16]))
def test_each_byte_lies_where_the_layout_says(
    rows: int, columns: int, seed: int, dtype: torch.dtype
) -> None:
    numbers = torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, columns))).to(dtype)
    found, scale = byte_packed(numbers)
    assert found.shape == (-(-rows // 16), -(-columns // 4), 16, 4)
    whole = numbers.float().numpy()
    scales = np.abs(whole).max(1) / np.float32(127)
    np.testing.assert_array_equal(scale.numpy()[:rows], scales)
    assert not scale.numpy()[rows:].any()
    for p, j, c, z in np.ndindex(*found.shape):
        row, column = 16 * p + c, 4 * j + z
        is_there = row < rows and column < columns
        assert found[p, j, c, z] == (np.rint(whole[row, column] / scales[row]) if is_there else 0)


@examples(30)
@given(sizes, sizes, st.integers(0, 2**32))
def test_bytes_come_back_to_half_a_step_and_then_stay(rows: int, columns: int, seed: int) -> None:
    numbers = torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, columns))).float()
    found, scale = byte_packed(numbers)
    back = torch.empty(columns, rows).t()
    unpack_byte_panels(found, scale, back)
    assert ((back - numbers).abs() <= 0.5001 * scale[:rows, None]).all()
    assert torch.equal(byte_packed(back)[0], found)
    widened = torch.full(panels_shape(rows, columns), 7.0, dtype=torch.bfloat16)
    widen_byte_panels(found, scale, widened)
    np.testing.assert_array_equal(bits_of(widened), bits_of(packed(back)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_seen_in_its_scale(value: float) -> None:
    numbers = torch.ones(20, 8)
    numbers[3, 5] = value
    _, scale = byte_packed(numbers)
    assert not is_finite(scale)
    assert is_finite(scale[4:])


def test_rows_of_nothing_are_zeros() -> None:
    numbers = torch.zeros(16, 4)
    numbers[1] = 1e-45  # no step is as small
    found, scale = byte_packed(numbers)
    assert not found.any()
    assert not scale.any()
