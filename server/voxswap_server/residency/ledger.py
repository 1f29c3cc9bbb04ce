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
    """Books for one device. Not thread-safe but for `statistics`; never blocks.

    A load moves bytes ``free -> reserved -> resident``, an eviction ``resident -> evicting ->
    free``. Bytes that are being evicted stay charged until whoever frees them says that they are
    free.
    """

    def __init__(self, budget_bytes: int) -> None:
        if budget_bytes <= 0:
            raise ValueError(f"a budget of {budget_bytes} bytes; it must be above 0")
        self._books = LedgerStatistics(budget_bytes, 0, 0, 0)

    @property
    def budget_bytes(self) -> int:
        """The cap."""
        return self._books.budget_bytes

    @property
    def free_bytes(self) -> int:
        """What may still be reserved."""
        return self._books.free_bytes

    @property
    def evicting_bytes(self) -> int:
        """What will be free soon."""
        return self._books.evicting_bytes

    def statistics(self) -> LedgerStatistics:
        """The books, frozen. May be called from any thread: they are replaced, never changed."""
        return self._books

    def reserve(self, size: int) -> None:
        """``free -> reserved``: before a load begins."""
        self._take("free", self.free_bytes, size)
        self._move(reserved=size)

    def release(self, size: int) -> None:
        """``reserved -> free``: the load came to nothing."""
        self._take("reserved", self._books.reserved_bytes, size)
        self._move(reserved=-size)

    def commit(self, reserved: int, measured: int) -> None:
        """``reserved -> resident`` for the measured bytes; the rest of the reservation is freed."""
        self._take("reserved", self._books.reserved_bytes, reserved)
        self._take("reservation", reserved, measured)
        self._move(reserved=-reserved, resident=measured)

    def begin_eviction(self, size: int) -> None:
        """``resident -> evicting``: still charged, no longer usable."""
        self._take("resident", self._books.resident_bytes, size)
        self._move(resident=-size, evicting=size)

    def end_eviction(self, size: int) -> None:
        """``evicting -> free``: the bytes have been given back."""
        self._take("evicting", self._books.evicting_bytes, size)
        self._move(evicting=-size)

    def _move(self, *, reserved: int = 0, resident: int = 0, evicting: int = 0) -> None:
        """All accounts of one movement change at once, also for readers on other threads."""
        old = self._books
        self._books = LedgerStatistics(
            old.budget_bytes,
            old.reserved_bytes + reserved,
            old.resident_bytes + resident,
            old.evicting_bytes + evicting,
        )

    @staticmethod
    def _take(account: str, held: int, size: int) -> None:
        if not 0 <= size <= held:
            raise LedgerError(f"{size} bytes asked of '{account}', which holds {held}")

    def __repr__(self) -> str:
        return f"Ledger({self.statistics()})"
