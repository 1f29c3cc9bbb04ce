"""The host tier: verified components in host memory, between the disk and a device of its own.

Only devices with memory of their own have one. On a CPU the weights are pages of the system's
cache: leaving the device tier leaves them there, and the system keeps or drops them as it sees fit.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from voxswap_families.contract import HostPart
from voxswap_server.memory.ledger import Ledger, LedgerStatistics


class HostTier:
    """A byte-bounded store of host parts, the least recently used ones leaving first.

    Thread-safe: ``_lock`` guards everything, and no method blocks on more than that. A part that
    was handed out lives as long as whoever has it; at most one for each loading thread is beyond
    the budget that way.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._lock = threading.Lock()
        self._ledger = Ledger(budget_bytes)
        self._parts: OrderedDict[str, HostPart] = OrderedDict()

    def find(self, key: str) -> HostPart | None:
        """The part with this key, which is then the most recently used."""
        with self._lock:
            part = self._parts.get(key)
            if part is not None:
                self._parts.move_to_end(key)
            return part

    def has(self, key: str) -> bool:
        """Whether it is there. Changes nothing."""
        with self._lock:
            return key in self._parts

    def keep(self, key: str, part: HostPart) -> None:
        """Keep ``part`` if it fits, dropping others; what costs no memory needs no keeping."""
        size = part.host_bytes
        with self._lock:
            if not 0 < size <= self._ledger.statistics().budget_bytes or key in self._parts:
                return
            while self._ledger.free_bytes < size:
                _, dropped = self._parts.popitem(last=False)
                self._ledger.begin_eviction(dropped.host_bytes)
                self._ledger.end_eviction(dropped.host_bytes)
            self._ledger.reserve(size)
            self._ledger.commit(size, size)
            self._parts[key] = part

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            while self._parts:
                _, dropped = self._parts.popitem()
                self._ledger.begin_eviction(dropped.host_bytes)
                self._ledger.end_eviction(dropped.host_bytes)

    def statistics(self) -> LedgerStatistics:
        """The books."""
        return self._ledger.statistics()

    def check_integrity(self) -> None:
        """Prove that the books are those of the parts."""
        with self._lock:
            held = sum(part.host_bytes for part in self._parts.values())
            if held != self._ledger.statistics().resident_bytes:
                raise AssertionError(f"{held} bytes are kept, {self._ledger} says otherwise")
