"""How long a load will take, from those that were measured."""

from __future__ import annotations

import enum
import math
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


# Bytes a second: reading and hashing on one core, copying, and downloading.
_FIRST_GUESSES = {Tier.HOST: 10e9, Tier.DISK: 1.5e9, Tier.REMOTE: 50e6}


class LoadEstimates:
    """Speeds by kind of part and by tier, as moving averages. Thread-safe.

    Until a kind was measured, a guess stands for it: 1.5 GB/s from disk, 10 GB/s from host memory,
    50 MB/s from a remote store.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes_per_s: dict[tuple[str, Tier], float] = {}

    def record(self, kind: str, tier: Tier, size_bytes: int, duration_s: float) -> None:
        """A load from ``tier`` took so long."""
        if size_bytes < _LEAST_BYTES or duration_s <= 0:
            return
        speed = size_bytes / duration_s
        with self._lock:
            known = self._bytes_per_s.get((kind, tier), speed)
            self._bytes_per_s[kind, tier] = known + _WEIGHT * (speed - known)

    def load_s(
        self, kind: str, tier: Tier, size_bytes: int, *, most_bytes_per_s: float = math.inf
    ) -> float:
        """Seconds that loading so many bytes from ``tier`` will take; none from the device.

        ``most_bytes_per_s`` is how fast the engine takes them up at best: it counts until a part of
        the kind was measured.
        """
        if tier is Tier.DEVICE:
            return 0.0
        with self._lock:
            speed = self._bytes_per_s.get((kind, tier))
        if speed is None:
            speed = 1 / (1 / _FIRST_GUESSES[tier] + 1 / most_bytes_per_s)
        return _OVERHEAD_S + size_bytes / speed
