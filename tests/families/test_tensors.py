"""Blocks on their way to a device: known before, aligned, one allocation, and refused by type."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.examples import examples
from voxswap_families.errors import DeviceMemoryError
from voxswap_families.layers.tensors import StagedTensors, block_bytes, device_memory

GRANULE = 2 << 20
shapes = st.lists(st.integers(0, 5), max_size=3)
dtypes = st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.int8])
tensor_sets = st.dictionaries(st.text(max_size=3), st.tuples(shapes, dtypes), max_size=6)


def made(found: dict[str, tuple[list[int], torch.dtype]]) -> dict[str, Tensor]:
    numbers = torch.arange(125)
    return {
        name: numbers[: torch.Size(shape).numel()].to(dtype).reshape(shape)
        for name, (shape, dtype) in found.items()
    }


@examples(60)
@given(tensor_sets)
def test_tensors_arrive_as_they_were_in_one_aligned_block(
    found: dict[str, tuple[list[int], torch.dtype]],
) -> None:
    tensors = made(found)
    staged = StagedTensors(tensors, pinned=False)
    sizes = [t.numel() * t.element_size() for t in tensors.values()]
    assert staged.size_bytes == block_bytes(sizes)
    placed = staged.to_device("cpu")
    assert placed.keys() == tensors.keys()
    spans = []
    for name, tensor in placed.items():
        assert torch.equal(tensor, tensors[name])
        assert tensor.dtype == tensors[name].dtype
        assert tensor.is_contiguous()
        if tensor.numel():
            assert tensor.data_ptr() % 64 == 0
            spans.append((tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes))
    assert len({tensor.untyped_storage().data_ptr() for tensor in placed.values()}) <= 1
    spans.sort()
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))


def test_each_place_is_a_block_of_its_own() -> None:
    staged = StagedTensors({"a": torch.ones(3)}, pinned=False)
    first, second = staged.to_device("cpu"), staged.to_device("cpu")
    first["a"].zero_()
    assert torch.equal(second["a"], torch.ones(3))


def test_tensors_that_are_views_of_something_large_are_copied_out_of_it() -> None:
    large = torch.arange(1000.0)
    view = large.reshape(10, 100)[:, :2].t()
    staged = StagedTensors({"a": view}, pinned=False)
    expected = view.clone()
    large.zero_()
    assert torch.equal(staged.to_device("cpu")["a"], expected)
    assert staged.size_bytes == GRANULE


@given(st.lists(st.integers(0, 1 << 30), max_size=50))
def test_the_size_of_a_block_is_an_upper_bound_in_whole_granules(sizes: list[int]) -> None:
    block = block_bytes(sizes)
    assert block % GRANULE == 0
    assert sum(sizes) <= block <= sum(sizes) + 255 * len(sizes) + GRANULE
    # What an engine announces before it knows the tensors: their sum, and a loss for each.
    assert block <= block_bytes([sum(sizes), *[255] * len(sizes)])


def test_a_refusal_is_told_by_its_type_and_nothing_else_is() -> None:
    with pytest.raises(DeviceMemoryError, match="cuda:0 refused 99 bytes") as raised:
        with device_memory("cuda:0", 99):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate …")
    assert isinstance(raised.value.__cause__, torch.OutOfMemoryError)
    with pytest.raises(RuntimeError, match="out of memory"):
        with device_memory("cuda:0", 99):
            raise RuntimeError("CUDA error: out of memory")
    with device_memory("cuda:0", 99):
        pass
