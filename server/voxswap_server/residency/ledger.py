"""The ledger: byte accounting that cannot lose a byte.

``free + reserved + resident + evicting == budget`` holds between any two calls, because ``free`` is
not stored but derived, and every movement is checked before it is made.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LedgerStatistics:
    """The ledger at one instant, in bytes."""

    budget_bytes: int
    reserved_bytes: int
    resident_bytes: int
    evicting_bytes: int

    @property
    def free_bytes(self) -> int:
        """What is charged to nothing."""
        return self.budget_bytes - self.reserved_bytes - self.resident_bytes - self.evicting_bytes


class LedgerError(AssertionError):
    """A movement that would break the books: a defect of the caller, never of the input."""


class Ledger:
    """Books for one device. Not thread-safe; never blocks.

    A load moves bytes ``free -> reserved -> resident``, an eviction ``resident -> evicting ->
    free``. Bytes that are being evicted stay charged until whoever frees them says that they are
    free.
    """

    def __init__(self, budget_bytes: int) -> None:
        if budget_bytes <= 0:
            raise ValueError(f"a budget of {budget_bytes} bytes; it must be above 0")
        self._budget = budget_bytes
        self._reserved = self._resident = self._evicting = 0

    @property
    def budget_bytes(self) -> int:
        """The cap."""
        return self._budget

    @property
    def free_bytes(self) -> int:
        """What may still be reserved."""
        return self.statistics().free_bytes

    @property
    def evicting_bytes(self) -> int:
        """What will be free soon."""
        return self._evicting

    def statistics(self) -> LedgerStatistics:
        """A frozen copy of the books."""
        return LedgerStatistics(self._budget, self._reserved, self._resident, self._evicting)

    def reserve(self, size: int) -> None:
        """``free -> reserved``: before a load begins."""
        self._take("free", self.free_bytes, size)
        self._reserved += size

    def release(self, size: int) -> None:
        """``reserved -> free``: the load came to nothing."""
        self._take("reserved", self._reserved, size)
        self._reserved -= size

    def commit(self, reserved: int, measured: int) -> None:
        """``reserved -> resident`` for the measured bytes; the rest of the reservation is freed."""
        self._take("reserved", self._reserved, reserved)
        self._take("reservation", reserved, measured)
        self._reserved -= reserved
        self._resident += measured

    def begin_eviction(self, size: int) -> None:
        """``resident -> evicting``: still charged, no longer usable."""
        self._take("resident", self._resident, size)
        self._resident -= size
        self._evicting += size

    def end_eviction(self, size: int) -> None:
        """``evicting -> free``: the bytes have been given back."""
        self._take("evicting", self._evicting, size)
        self._evicting -= size

    @staticmethod
    def _take(account: str, held: int, size: int) -> None:
        if not 0 <= size <= held:
            raise LedgerError(f"{size} bytes asked of '{account}', which holds {held}")

    def __repr__(self) -> str:
        return f"Ledger({self.statistics()})"
