"""What can go wrong between an engine and its device.

::

    EngineError               (voxswap_registry.errors)
    ├── DeviceMemoryError     DEVICE_MEMORY   the device refused memory that the ledger had allowed
    ├── DeviceStuckError      DEVICE_STUCK    a step does not come back
    └── KernelsError          KERNELS_UNAVAILABLE  native kernels that this machine lacks
"""

from __future__ import annotations

from voxswap_registry.errors import EngineError


class DeviceMemoryError(EngineError):
    """The device refused an allocation: another process has it, or what is free is in pieces."""

    reason = "DEVICE_MEMORY"


class DeviceStuckError(EngineError):
    """A step did not come back in time, or no thread is left that could take one."""

    reason = "DEVICE_STUCK"


class KernelsError(EngineError):
    """Native kernels that cannot be used here: the processor lacks them, or they are not built."""

    reason = "KERNELS_UNAVAILABLE"
