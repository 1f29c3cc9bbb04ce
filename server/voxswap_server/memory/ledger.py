"""The ledger: byte accounting that cannot lose a byte.

``free + carved + reserved + resident + evicting == budget`` holds between any two calls, because
``free`` is not stored but derived, and every movement is checked before it is made.

A budget may change while bytes are charged. Where the new one is too small for them, it is reached
as they come free: until then the budget is what is charged, and nothing is free.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LedgerStatistics:
    """The ledger at one instant, in bytes.

    ``carved_bytes`` are kept for other things than parts: what lanes compute in, processes, what
    streams hold. Of these, ``for_streams_bytes`` are the carve-out ``streams``, and
    ``streams_bytes`` what they have taken of that. ``reserved_bytes`` are of loads under way.
    ``target_bytes`` is below ``budget_bytes`` while
    a budget shrinks.
    """

    budget_bytes: int
    target_bytes: int
    carved_bytes: int = 0
    reserved_bytes: int = 0
    resident_bytes: int = 0
    evicting_bytes: int = 0
    for_streams_bytes: int = 0
    streams_bytes: int = 0

    @property
    def free_bytes(self) -> int:
        """What is charged to nothing."""
        return self.budget_bytes - self.charged_bytes

    @property
    def charged_bytes(self) -> int:
        """What is charged to anything."""
        return self.carved_bytes + self.reserved_bytes + self.resident_bytes + self.evicting_bytes


class LedgerError(AssertionError):
    """A movement that would break the books: a defect of the caller, never of the input."""


STREAMS = "streams"


class Ledger:
    """Books for one device. Not thread-safe but for `statistics`; never blocks.

    A load moves bytes ``free -> reserved -> resident``, an eviction ``resident -> evicting ->
    free``. Bytes that are being evicted stay charged until whoever frees them says that they are
    free. A carve-out has a name, a size, and no part in either.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._books = LedgerStatistics(_checked(budget_bytes), target_bytes=budget_bytes)
        self._carved: dict[str, int] = {}

    @property
    def free_bytes(self) -> int:
        """What may still be reserved."""
        return self._books.free_bytes

    def statistics(self) -> LedgerStatistics:
        """The books, frozen. May be called from any thread: they are replaced, never changed."""
        return self._books

    def resize(self, budget_bytes: int) -> None:
        """Change the budget: at once, or as charged bytes come free."""
        self._books = dataclasses.replace(self._books, target_bytes=_checked(budget_bytes))
        self._move()

    def carved(self, name: str) -> int:
        """How large that carve-out is."""
        return self._carved.get(name, 0)

    def carve(self, name: str, size: int) -> None:
        """``free <-> carved``: make the carve-out ``name`` so large."""
        if size < 0:
            raise LedgerError(f"a carve-out of {size} bytes for {name}")
        if name == STREAMS and size < self._books.streams_bytes:
            raise LedgerError(f"streams hold more than {size} bytes")
        growth = size - self.carved(name)
        self._take("free", self.free_bytes, max(0, growth))
        self._carved[name] = size
        self._move(carved_bytes=growth, for_streams_bytes=growth if name == STREAMS else 0)

    def reserve(self, size: int) -> None:
        """``free -> reserved``: before a load begins."""
        self._take("free", self.free_bytes, size)
        self._move(reserved_bytes=size)

    def release(self, size: int) -> None:
        """``reserved -> free``: the load came to nothing."""
        self._take("reserved", self._books.reserved_bytes, size)
        self._move(reserved_bytes=-size)

    def commit(self, reserved: int, measured: int) -> None:
        """``reserved -> resident`` for the measured bytes; the rest of the reservation is freed."""
        self._take("reserved", self._books.reserved_bytes, reserved)
        self._take("reservation", reserved, measured)
        self._move(reserved_bytes=-reserved, resident_bytes=measured)

    def begin_eviction(self, size: int) -> None:
        """``resident -> evicting``: still charged, no longer usable."""
        self._take("resident", self._books.resident_bytes, size)
        self._move(resident_bytes=-size, evicting_bytes=size)

    def end_eviction(self, size: int) -> None:
        """``evicting -> free``: the bytes have been given back."""
        self._take("evicting", self._books.evicting_bytes, size)
        self._move(evicting_bytes=-size)

    def take_for_stream(self, size: int) -> bool:
        """Whether the carve-out `STREAMS` has ``size`` more for a stream; then it holds them."""
        if size < 0:
            raise LedgerError(f"a stream asks for {size} bytes")
        if size > self.carved(STREAMS) - self._books.streams_bytes:
            return False
        self._move(streams_bytes=size)
        return True

    def give_for_stream(self, size: int) -> None:
        """A stream holds ``size`` bytes less."""
        self._take("streams", self._books.streams_bytes, size)
        self._move(streams_bytes=-size)

    def _move(self, **sizes: int) -> None:
        """All accounts of one movement change at once, also for readers on other threads."""
        old = self._books
        grown = {name: getattr(old, name) + size for name, size in sizes.items()}
        moved = dataclasses.replace(old, **grown)
        budget = max(old.target_bytes, moved.charged_bytes)
        self._books = dataclasses.replace(moved, budget_bytes=budget)

    @staticmethod
    def _take(account: str, held: int, size: int) -> None:
        if not 0 <= size <= held:
            raise LedgerError(f"{size} bytes asked of '{account}', which holds {held}")

    def __repr__(self) -> str:
        return f"Ledger({self.statistics()})"


def _checked(budget_bytes: int) -> int:
    if budget_bytes <= 0:
        raise ValueError(f"a budget of {budget_bytes} bytes; it must be above 0")
    return budget_bytes
