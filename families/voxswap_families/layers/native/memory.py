"""Memory for native calls: of an utterance, and of a thread for the length of a call."""

from __future__ import annotations

import threading
from typing import Final

import numpy as np
import numpy.typing as npt

_ALIGNMENT: Final = 64


class Block:
    """So many bytes, aligned as the library wants them; they go with it."""

    def __init__(self, size_bytes: int) -> None:
        self._array = np.empty(size_bytes + _ALIGNMENT, np.uint8)
        begin = self._array.ctypes.data
        self.address = begin + -begin % _ALIGNMENT
        self.size_bytes = size_bytes


class Scratch:
    """What each thread computes in. It grows to what the largest call on that thread took."""

    def __init__(self) -> None:
        self._kept = threading.local()

    def of(self, size_bytes: int) -> int:
        """The address of at least ``size_bytes``; what is there is anything, and nobody else's.

        Until the thread asks again.
        """
        block: Block | None = getattr(self._kept, "block", None)
        if block is None or block.size_bytes < size_bytes:
            self._kept.block = block = None  # before the new one is there
            self._kept.block = block = Block(size_bytes)
        return block.address


def address(array: npt.NDArray[np.float32]) -> int:
    """Of an array that lies in one piece."""
    assert array.flags.c_contiguous and array.dtype == np.float32  # noqa: S101, PT018 - ours
    return int(array.ctypes.data)
