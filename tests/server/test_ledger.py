from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from voxswap_server.residency.ledger import Ledger, LedgerError


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_is_above_zero(budget: int) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Ledger(budget)


def test_nothing_is_taken_that_is_not_there() -> None:
    ledger = Ledger(10)
    with pytest.raises(LedgerError, match="'free', which holds 10"):
        ledger.reserve(11)
    ledger.reserve(6)
    for move in (ledger.begin_eviction, ledger.end_eviction):
        with pytest.raises(LedgerError):
            move(1)
    with pytest.raises(LedgerError, match="'reservation', which holds 6"):
        ledger.commit(6, 7)
    assert ledger.statistics().free_bytes == 4


class LedgerMachine(RuleBasedStateMachine):
    """Whatever is done, the four accounts make the budget, and none is negative."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(100)
        self.reserved: list[int] = []
        self.resident: list[int] = []
        self.evicting: list[int] = []

    @rule(size=st.integers(-5, 120))
    def reserve(self, size: int) -> None:
        if 0 <= size <= self.ledger.free_bytes:
            self.ledger.reserve(size)
            self.reserved.append(size)
        else:
            with pytest.raises(LedgerError):
                self.ledger.reserve(size)

    @precondition(lambda self: self.reserved)
    @rule(share=st.floats(0, 1))
    def commit(self, share: float) -> None:
        size = self.reserved.pop()
        self.ledger.commit(size, int(size * share))
        self.resident.append(int(size * share))

    @precondition(lambda self: self.reserved)
    @rule()
    def release(self) -> None:
        self.ledger.release(self.reserved.pop())

    @precondition(lambda self: self.resident)
    @rule()
    def begin_eviction(self) -> None:
        self.evicting.append(self.resident.pop())
        self.ledger.begin_eviction(self.evicting[-1])

    @precondition(lambda self: self.evicting)
    @rule()
    def end_eviction(self) -> None:
        self.ledger.end_eviction(self.evicting.pop())

    @invariant()
    def books_balance(self) -> None:
        books = self.ledger.statistics()
        assert books.reserved_bytes == sum(self.reserved)
        assert books.resident_bytes == sum(self.resident)
        assert books.evicting_bytes == sum(self.evicting)
        assert books.free_bytes >= 0
        assert (
            books.free_bytes + books.reserved_bytes + books.resident_bytes + books.evicting_bytes
            == books.budget_bytes
        )


TestLedgerMachine = LedgerMachine.TestCase
