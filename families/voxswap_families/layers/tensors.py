"""Tensors on their way from a mapped file to a device: one block, one copy, on a stream of its own.

A block holds all tensors of a part, each at a multiple of 256 bytes. So a part is one allocation:
what it takes is known before, and freeing it leaves one hole and not hundreds.
"""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from voxswap_families.errors import DeviceMemoryError

# Where CUDA's own allocations begin; kernels choose their fastest form by it.
_ALIGNMENT = 256
# torch's caching allocator rounds what is this large up to whole pieces of it.
_GRANULE = 2 << 20


def block_bytes(sizes: Iterable[int]) -> int:
    """Size of a block with tensors of ``sizes`` bytes, as the device's allocator rounds it."""
    return -(-sum(map(_aligned, sizes)) // _GRANULE) * _GRANULE


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a tensor lies in its block."""

    offset: int
    size: int
    dtype: torch.dtype
    shape: torch.Size


class StagedTensors:
    """A block in host memory. Immutable; `to_device` may run on any thread, and blocks.

    ``pinned``: the block is page-locked, so that the copy goes at the bus's full speed and needs
    nobody's attention. Locking pages takes a while; that is done once for all later copies.
    """

    def __init__(self, tensors: Mapping[str, Tensor], *, pinned: bool) -> None:
        self._slots: dict[str, _Slot] = {}
        end = 0
        for name, tensor in tensors.items():
            size = tensor.numel() * tensor.element_size()
            self._slots[name] = _Slot(end, size, tensor.dtype, tensor.shape)
            end += _aligned(size)
        self._block = torch.empty(block_bytes([end]), dtype=torch.uint8, pin_memory=pinned)
        for name, view in _views(self._slots, self._block).items():
            view.copy_(tensors[name])

    @property
    def size_bytes(self) -> int:
        """Bytes of the block, here and on the device."""
        return self._block.numel()

    def to_device(self, device: str) -> dict[str, Tensor]:
        """The tensors on ``device``, views of one block there. Returns when they can be used.

        Raises `DeviceMemoryError` if the device has no such block.
        """
        with device_memory(device, self.size_bytes):
            block = torch.empty_like(self._block, device=device, pin_memory=False)
        if block.device.type == "cuda":
            # Beside the stream that computes: voices that are speaking do not wait for the copy.
            stream = torch.cuda.Stream(block.device)  # type: ignore[no-untyped-call]
            # The block may have been somebody else's, whose last kernel is still in line.
            stream.wait_stream(torch.cuda.default_stream(block.device))
            with torch.cuda.stream(stream):
                block.copy_(self._block, non_blocking=True)
            stream.synchronize()
        else:
            block.copy_(self._block)
        return _views(self._slots, block)


def _views(slots: Mapping[str, _Slot], block: Tensor) -> dict[str, Tensor]:
    return {
        name: block[slot.offset : slot.offset + slot.size].view(slot.dtype).view(slot.shape)
        for name, slot in slots.items()
    }


def as_dtype(
    tensors: Mapping[str, Tensor], dtype: torch.dtype, may_change: Callable[[str], bool]
) -> tuple[dict[str, Tensor], int]:
    """``tensors``, those that ``may_change`` as ``dtype``; and the bytes that these take now.

    What is converted lies in one anonymous map, which the system has back as soon as the last of it
    is dropped; what needs no conversion stays where it is. Raises `DeviceMemoryError` if the system
    has no memory for it.
    """
    kinds = {torch.float32, torch.bfloat16, torch.float16} - {dtype}
    old = {n: t for n, t in tensors.items() if t.dtype in kinds and may_change(n)}
    if not old:
        return dict(tensors), 0
    new, size_bytes = anonymous({name: (dtype, tensor.shape) for name, tensor in old.items()})
    for name, view in new.items():
        view.copy_(old[name])
    return {**tensors, **new}, size_bytes


def anonymous(
    layout: Mapping[str, tuple[torch.dtype, Sequence[int]]],
) -> tuple[dict[str, Tensor], int]:
    """Zeros of these types and shapes in one anonymous map, and its size in bytes.

    The system has it back as soon as the last of them is dropped. Raises `DeviceMemoryError` if it
    has no memory for it.
    """
    slots, end = {}, 0
    for name, (dtype, shape) in layout.items():
        size = math.prod(shape) * dtype.itemsize
        slots[name] = _Slot(end, size, dtype, torch.Size(shape))
        end += _aligned(size)
    try:
        block = torch.frombuffer(mmap.mmap(-1, end), dtype=torch.uint8)
    except OSError as error:
        kinds = ", ".join(sorted({str(dtype) for dtype, _ in layout.values()}))
        raise DeviceMemoryError(
            f"the system refused {end} bytes for weights in {kinds}; something else has them"
        ) from error
    return _views(slots, block), end


@contextlib.contextmanager
def device_memory(device: str, size_bytes: int) -> Iterator[None]:
    """Turn torch's refusal of memory into `DeviceMemoryError`: by its type, not its message."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceMemoryError(
            f"{device} refused {size_bytes} bytes; something else has them, or what is free is in "
            "pieces"
        ) from error
