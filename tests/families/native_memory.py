"""Memory for native calls, in which whatever they touch and may not touch is noticed."""

from __future__ import annotations

import ctypes
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_T = TypeVar("_T", bound=np.generic)

_GUARD_BYTES = 4096
_ALIGNMENT = 64
_UNTOUCHED = 0xA5
# As floats, and as bfloat16.
_NAN_BYTES = 0xFF

# There where AddressSanitizer was preloaded: then guards may not even be read.
_poison = getattr(ctypes.CDLL(None), "__asan_poison_memory_region", lambda *_: None)
_unpoison = getattr(ctypes.CDLL(None), "__asan_unpoison_memory_region", lambda *_: None)


class Arena:
    """Pieces between guards. Each is NaN until it is written, so that nobody reads it before."""

    def __init__(self) -> None:
        self._pieces: list[tuple[npt.NDArray[np.uint8], int, int]] = []

    def take(self, size_bytes: int) -> int:
        """The address of so many bytes, aligned as the library wants them."""
        assert size_bytes > 0
        return self._piece(size_bytes).ctypes.data

    def floats(self, *shape: int) -> npt.NDArray[np.float32]:
        """An array for results."""
        size_bytes = 4 * int(np.prod(shape))
        return self._piece(size_bytes).view(np.float32).reshape(shape)

    def copied(self, array: npt.NDArray[_T]) -> npt.NDArray[_T]:
        """The same array in a piece of its own."""
        view = self._piece(array.nbytes).view(array.dtype).reshape(array.shape)
        view[...] = array
        return view

    def tensor(self, tensor: Tensor) -> Tensor:
        """The same tensor, of floats or bfloat16, in a piece of its own."""
        if tensor.dtype == torch.bfloat16:
            bits = self.copied(tensor.contiguous().view(torch.int16).numpy())
            return torch.from_numpy(bits).view(torch.bfloat16)
        return torch.from_numpy(self.copied(tensor.numpy()))

    def check(self) -> None:
        """Fail if something was written beside a piece."""
        for whole, begin, end in self._pieces:
            _unpoison(ctypes.c_void_p(whole.ctypes.data), ctypes.c_size_t(whole.nbytes))
            assert (whole[:begin] == _UNTOUCHED).all(), "written before a piece"
            assert (whole[end:] == _UNTOUCHED).all(), "written behind a piece"

    def _piece(self, size_bytes: int) -> npt.NDArray[np.uint8]:
        whole = np.full(size_bytes + 2 * _GUARD_BYTES + _ALIGNMENT, _UNTOUCHED, np.uint8)
        address = whole.ctypes.data
        begin = _GUARD_BYTES + -(address + _GUARD_BYTES) % _ALIGNMENT
        end = begin + size_bytes
        whole[begin:end] = _NAN_BYTES
        _poison(ctypes.c_void_p(address), ctypes.c_size_t(begin))
        _poison(ctypes.c_void_p(address + end), ctypes.c_size_t(whole.nbytes - end))
        self._pieces.append((whole, begin, end))
        return whole[begin:end]
