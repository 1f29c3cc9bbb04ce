"""What can go wrong between asking for a voice and having it.

::

    ResidencyError            (voxswap_registry.errors.VoxswapError)
    ├── VoiceTooLargeError    VOICE_TOO_LARGE     more than the whole budget
    ├── MemoryBusyError       MEMORY_BUSY         everything that could go is in use
    ├── LoadTimeoutError      LOAD_TIMEOUT        the load took longer than the caller would wait
    ├── FootprintError        FOOTPRINT_EXCEEDED  an engine's upper bound was none
    └── ClosedError           SHUTTING_DOWN
"""

from __future__ import annotations

from voxswap_registry.errors import VoxswapError


class ResidencyError(VoxswapError):
    """Base of the errors of residency."""

    reason = "RESIDENCY"


class VoiceTooLargeError(ResidencyError):
    """The voice could not be loaded even into an empty budget."""

    reason = "VOICE_TOO_LARGE"


class MemoryBusyError(ResidencyError):
    """The caller's time ran out while every voice that could make room was speaking."""

    reason = "MEMORY_BUSY"


class LoadTimeoutError(ResidencyError):
    """The caller's time ran out while the voice was being loaded."""

    reason = "LOAD_TIMEOUT"


class FootprintError(ResidencyError):
    """A loaded voice measured more than its engine had announced; it was dropped again."""

    reason = "FOOTPRINT_EXCEEDED"


class ClosedError(ResidencyError):
    """The manager is closed: the server is shutting down."""

    reason = "SHUTTING_DOWN"
