"""What can go wrong between asking for a voice and having it.

::

    ResidencyError            (voxswap_registry.errors.VoxswapError)
    ├── VoiceTooLargeError    VOICE_TOO_LARGE     more than the whole budget
    ├── MemoryBusyError       MEMORY_BUSY         everything that could go is in use
    ├── LoadTimeoutError      LOAD_TIMEOUT        the load took longer than the caller would wait
    ├── LoadStuckError        LOAD_STUCK          the load took longer than any load may
    ├── LoadFailedError       LOAD_FAILED         a reason that nobody foresaw; the log has it
    ├── FootprintError        FOOTPRINT_EXCEEDED  an engine's upper bound was none
    ├── DeviceRefusedError    DEVICE_REFUSED      no memory on the device, though the ledger had it
    ├── NotLocalError         NOT_LOCAL           its bytes are to be fetched first; never leaves us
    ├── VoiceBarredError      VOICE_BARRED        a step of it took too long a while ago
    ├── VoiceInUseError       VOICE_IN_USE        it cannot be unloaded now
    ├── EventsLostError       EVENTS_LOST         a watcher resumed from what is no longer kept
    ├── SlowWatcherError      SLOW_WATCHER        a watcher fell behind what is kept
    ├── TooManyWatchersError  TOO_MANY_WATCHERS
    └── ScenesBusyError       SCENES_BUSY         too many scenes are being prepared

    EngineError               (voxswap_registry.errors)
    └── FabricatedVoiceError  VOICE_FABRICATED    its weights are random numbers
"""

from __future__ import annotations

from voxswap_registry.errors import EngineError, VoxswapError


class ResidencyError(VoxswapError):
    """Base of the errors of residency."""

    reason = "RESIDENCY"


class VoiceTooLargeError(ResidencyError):
    """The voice could not be loaded even into an empty budget."""

    reason = "VOICE_TOO_LARGE"


class MemoryBusyError(ResidencyError):
    """No memory came free within the caller's time, or within the server's own limit."""

    reason = "MEMORY_BUSY"


class LoadTimeoutError(ResidencyError):
    """The caller's time ran out while the voice was being loaded."""

    reason = "LOAD_TIMEOUT"


class LoadStuckError(ResidencyError):
    """A load took longer than the server lets any load take: the disk or the store hangs."""

    reason = "LOAD_STUCK"


class LoadFailedError(ResidencyError):
    """A load failed for a reason that nobody foresaw: the server's log has it."""

    reason = "LOAD_FAILED"


class FootprintError(ResidencyError):
    """A loaded part measured more than its engine had announced; it was dropped again."""

    reason = "FOOTPRINT_EXCEEDED"


class DeviceRefusedError(ResidencyError):
    """The device refused the memory twice, although the ledger had allowed it."""

    reason = "DEVICE_REFUSED"


class NotLocalError(ResidencyError):
    """The bytes of a part are not on this machine, though they were; they are to be fetched."""

    reason = "NOT_LOCAL"


class VoiceBarredError(ResidencyError):
    """A step of the voice took longer than any may, so that it may not speak for a while."""

    reason = "VOICE_BARRED"


class VoiceInUseError(ResidencyError):
    """The voice speaks, is being loaded or is pinned, so that it cannot be unloaded."""

    reason = "VOICE_IN_USE"


class EventsLostError(ResidencyError):
    """Events after the given number are no longer kept, or are another server's."""

    reason = "EVENTS_LOST"


class SlowWatcherError(ResidencyError):
    """A watcher took its events more slowly than they came, and lost some."""

    reason = "SLOW_WATCHER"


class TooManyWatchersError(ResidencyError):
    """As many watch as the server lets watch."""

    reason = "TOO_MANY_WATCHERS"


class ScenesBusyError(ResidencyError):
    """As many scenes are being prepared as the server prepares at a time."""

    reason = "SCENES_BUSY"


class FabricatedVoiceError(EngineError):
    """The voice was made up, and this server speaks with real ones alone."""

    reason = "VOICE_FABRICATED"
