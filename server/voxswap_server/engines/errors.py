"""What can go wrong between an engine and its device.

::

    EngineError               (voxswap_registry.errors)
    ├── DeviceMemoryError     DEVICE_MEMORY   the device refused memory that the ledger had allowed
    └── DeviceStuckError      DEVICE_STUCK    a step does not come back
"""

from __future__ import annotations

from concurrent.futures import Future

from voxswap_registry.errors import EngineError


class DeviceMemoryError(EngineError):
    """The device refused an allocation: another process has it, or what is free is in pieces."""

    reason = "DEVICE_MEMORY"


class DeviceStuckError(EngineError):
    """A step does not come back: whatever needs its thread fails until it does."""

    reason = "DEVICE_STUCK"

    #: Done when the step that has the caller's work ends after all; None if it is in no step.
    returned: Future[None] | None = None
