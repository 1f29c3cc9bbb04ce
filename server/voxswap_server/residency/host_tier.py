"""The host tier: verified components in host memory, between the disk and a device of its own.

Only devices with memory of their own have one. On a CPU the weights are pages of the system's
cache: leaving the device tier leaves them there, and the system keeps or drops them as it sees fit.
"""

from __future__ import annotations

import threading

from voxswap_families.contract import HostPart
from voxswap_registry.kept import Kept
from voxswap_server.memory.ledger import LedgerStatistics


class HostTier:
    """A byte-bounded store of host parts, the least recently used ones leaving first.

    Thread-safe: ``_lock`` guards everything, and no method blocks on more than that. A part that
    was handed out lives as long as whoever has it; at most one for each loading thread is beyond
    the budget that way.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._lock = threading.Lock()
        self._budget_bytes = budget_bytes
        self._parts: Kept[HostPart] = Kept(budget_bytes)

    def find(self, key: str) -> HostPart | None:
        """The part with this key, which is then the most recently used."""
        with self._lock:
            return self._parts.get(key)

    def has(self, key: str) -> bool:
        """Whether it is there. Changes nothing."""
        with self._lock:
            return key in self._parts

    def keep(self, key: str, part: HostPart) -> None:
        """Keep ``part`` if it fits, dropping others; what costs no memory needs no keeping."""
        with self._lock:
            if part.host_bytes > 0 and key not in self._parts:
                self._parts.put(key, part, part.host_bytes)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._parts = Kept(self._budget_bytes)

    def statistics(self) -> LedgerStatistics:
        """The books."""
        budget_bytes = self._budget_bytes
        with self._lock:
            held_bytes = self._parts.size_bytes
        return LedgerStatistics(budget_bytes, budget_bytes, resident_bytes=held_bytes)

    def check_integrity(self) -> None:
        """Prove that the books are those of the parts."""
        with self._lock:
            self._parts.check_integrity()
