"""How long a load will take, from those that were measured."""

from __future__ import annotations

import enum
import threading

# Share of the newest measurement: the last ten or so count.
_WEIGHT = 0.2
# A sample of less says nothing about speed: it is all overhead.
_LEAST_BYTES = 1 << 20
_OVERHEAD_S = 0.002


class Tier(enum.Enum):
    """Where the bytes of a part are, the nearest first."""

    DEVICE = "device"
    HOST = "host"
    DISK = "disk"
    REMOTE = "remote"


class LoadEstimates:
    """Speeds by tier, as moving averages. Thread-safe.

    Until something was measured it takes 1.5 GB/s from disk (reading and hashing on one core),
    10 GB/s from host memory and 50 MB/s from a remote store.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes_per_s = {Tier.HOST: 10e9, Tier.DISK: 1.5e9, Tier.REMOTE: 50e6}

    def record(self, tier: Tier, size_bytes: int, duration_s: float) -> None:
        """A load from ``tier`` took so long."""
        if size_bytes < _LEAST_BYTES or duration_s <= 0:
            return
        with self._lock:
            known = self._bytes_per_s[tier]
            self._bytes_per_s[tier] = known + _WEIGHT * (size_bytes / duration_s - known)

    def load_s(self, tier: Tier, size_bytes: int) -> float:
        """Seconds that loading so many bytes from ``tier`` will take; none from the device."""
        if tier is Tier.DEVICE:
            return 0.0
        with self._lock:
            return _OVERHEAD_S + size_bytes / self._bytes_per_s[tier]
