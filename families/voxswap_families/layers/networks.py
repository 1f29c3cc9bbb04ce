"""Networks as parts: from a component's tensors to what computes with them, in float32.

A network is whatever an engine makes of a component's tensors. Its weights are pages of the file,
or a block on a device, unless it says that it keeps its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from voxswap_families.contract import DevicePart, HostPart
from voxswap_families.layers.mapping import map_tensors
from voxswap_families.layers.tensors import StagedTensors
from voxswap_registry.errors import EngineError
from voxswap_registry.storage.verified import VerifiedFile, WatchedFile

_HOST = "cpu"

MakeNetwork = Callable[[Mapping[str, Tensor]], object]


@runtime_checkable
class Packed(Protocol):
    """A network with weights of its own: once it is made it needs nothing of the file any more."""

    @property
    def resident_bytes(self) -> int:
        """Of its weights."""
        ...


@runtime_checkable
class Keeping(Protocol):
    """A network that keeps something beside its weights."""

    @property
    def most_bytes(self) -> int:
        """Of that, at the most."""
        ...


@dataclass(frozen=True, slots=True)
class NetworkPart:
    """A network on its device. ``file`` is what its tensors are pages of."""

    network: object
    resident_bytes: int
    allocated_bytes: int = 0
    file: WatchedFile | None = None


@dataclass(frozen=True, slots=True)
class _Moving:
    """Tensors on their way; ``moved`` gives them on the device, and what they take there anew."""

    moved: Callable[[], tuple[Mapping[str, Tensor], int]]
    network: MakeNetwork
    file: WatchedFile | None
    host_bytes: int = 0

    def place(self) -> DevicePart:
        """Make the network of them; raises `EngineError` if they are another one's."""
        tensors, allocated_bytes = self.moved()
        network = self.network(tensors)
        if isinstance(network, Packed):
            return NetworkPart(network, network.resident_bytes, network.resident_bytes)
        stored_bytes = sum(tensor.nbytes for tensor in tensors.values())
        beside_bytes = network.most_bytes if isinstance(network, Keeping) else 0
        resident_bytes = max(stored_bytes, allocated_bytes) + beside_bytes
        return NetworkPart(network, resident_bytes, allocated_bytes + beside_bytes, self.file)


def read(file: VerifiedFile, network: MakeNetwork, *, device: str, where: str) -> HostPart:
    """*Load.* Map the weights; for another device than the host's memory, copy them for the way.

    Raises `EngineError` for what is no safetensors file or not float32, and for another device what
    ``network`` raises: what does not fit is refused before it is copied.
    """
    tensors = map_tensors(file)
    if any(tensor.dtype != torch.float32 for tensor in tensors.values()):
        raise EngineError(f"{where} is not float32, which durations need; import it again")
    if device == _HOST:
        return _Moving(lambda: (tensors, 0), network, file.watch())
    network(tensors)
    staged = StagedTensors(tensors, pinned=device.startswith("cuda"))
    size_bytes = staged.size_bytes
    return _Moving(lambda: (staged.to_device(device), size_bytes), network, None, size_bytes)
