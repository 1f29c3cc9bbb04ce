"""What residency asks of a device beside the engines: its own figures, and to give memory back."""

from __future__ import annotations

import ctypes
import functools
import logging
from pathlib import Path
from typing import Any, Protocol

_LOGGER = logging.getLogger(__name__)

_STATUS = Path("/proc/self/status")
# Trimming walks the whole heap; for less than this it is not worth it.
_WORTH_TRIMMING_BYTES = 4 << 20


class Device(Protocol):
    """A device and its allocator. Thread-safe."""

    @property
    def name(self) -> str:
        """As in the settings: ``cpu``, ``cuda:0``."""
        ...

    def held_bytes(self) -> int:
        """What the allocator holds now by its own figures, be it in use or not."""
        ...

    def kept_bytes(self) -> int:
        """What stays of that, besides parts, once all is given back that can be. May block.

        0 if unknown.
        """
        ...

    def give_back(self, freed_bytes: int) -> None:
        """Parts of ``freed_bytes`` were dropped: see to it that the system has them. May block."""
        ...

    def figures(self) -> str:
        """How its memory stands, for a message."""
        ...


class HostDevice:
    """A CPU. Mapped weights go back by themselves; what an allocator had, it must be told of."""

    name = "cpu"

    def held_bytes(self) -> int:
        """The process's resident memory; 0 where the system does not say."""
        return process_memory().get("VmRSS", 0)

    def kept_bytes(self) -> int:
        """The process's own pages: those of files go with the parts that are mapped from them."""
        self.give_back(_WORTH_TRIMMING_BYTES)
        return process_memory().get("RssAnon", 0)

    def give_back(self, freed_bytes: int) -> None:
        """Have glibc return its free pages. Other allocators do so when they see fit."""
        if freed_bytes >= _WORTH_TRIMMING_BYTES and (trim := _malloc_trim()) is not None:
            trim(0)

    def figures(self) -> str:
        """Of the process."""
        return f"the process has {self.held_bytes() >> 20} MiB resident"


class CudaDevice:
    """A CUDA device, seen through torch's caching allocator."""

    def __init__(self, name: str) -> None:
        self.name = name

    def held_bytes(self) -> int:
        """Segments that the allocator has, in use or cached."""
        import torch

        return int(torch.cuda.memory_reserved(self.name))

    def kept_bytes(self) -> int:
        """Segments that are in use."""
        self.give_back(1)
        return self.held_bytes()

    def give_back(self, freed_bytes: int) -> None:
        """Return cached segments to the driver: other allocators and processes want them."""
        import torch

        if freed_bytes:
            with torch.cuda.device(self.name):
                torch.cuda.empty_cache()

    def figures(self) -> str:
        """Of the device, and of this process on it."""
        import torch

        free, total = torch.cuda.mem_get_info(self.name)
        allocated = torch.cuda.memory_allocated(self.name)
        return (
            f"{self.name} has {free >> 20} of {total >> 20} MiB free; this process uses "
            f"{allocated >> 20} MiB of the {self.held_bytes() >> 20} MiB that it holds"
        )


def make_device(name: str) -> Device:
    """The device of that name."""
    return CudaDevice(name) if name.startswith("cuda") else HostDevice()


def process_memory() -> dict[str, int]:
    """Figures of ``/proc/self/status`` in bytes, such as VmRSS and RssAnon; empty elsewhere."""
    try:
        lines = _STATUS.read_text("ascii").splitlines()
    except OSError:
        return {}  # No Linux: there are no such figures.
    fields = (line.partition(":") for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) << 10 for name, _, value in fields}


@functools.cache
def _malloc_trim() -> Any:
    """glibc's ``malloc_trim``, or None where the C library has none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        _LOGGER.info("this C library has no malloc_trim; freed memory may stay with the process")
        return None
