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


def test_a_smaller_budget_is_reached_as_bytes_come_free() -> None:
    ledger = Ledger(10)
    ledger.reserve(8)
    ledger.resize(5)
    books = ledger.statistics()
    assert (books.budget_bytes, books.target_bytes, books.free_bytes) == (8, 5, 0)
    ledger.commit(8, 6)
    assert ledger.statistics().budget_bytes == 6
    ledger.begin_eviction(3)
    assert ledger.statistics().budget_bytes == 6, "not before they are free"
    ledger.end_eviction(3)
    books = ledger.statistics()
    assert (books.budget_bytes, books.free_bytes) == (5, 2)
    ledger.resize(20)
    assert ledger.free_bytes == 17


def test_the_workspace_is_reserved_and_no_load_gives_it_back() -> None:
    ledger = Ledger(10)
    ledger.set_workspace(4)
    ledger.reserve(5)
    with pytest.raises(LedgerError, match="'free', which holds 1"):
        ledger.set_workspace(6)
    with pytest.raises(LedgerError, match="'reserved', which holds 5"):
        ledger.release(6)
    ledger.set_workspace(1)
    books = ledger.statistics()
    assert (books.reserved_bytes, books.workspace_bytes, books.free_bytes) == (6, 1, 4)


class LedgerMachine(RuleBasedStateMachine):
    """Whatever is done, the four accounts make the budget, and none is negative."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(100)
        self.target = 100
        self.workspace = 0
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

    @rule(budget=st.integers(1, 150))
    def resize(self, budget: int) -> None:
        self.ledger.resize(budget)
        self.target = budget

    @rule(size=st.integers(0, 120))
    def set_workspace(self, size: int) -> None:
        if size - self.workspace <= self.ledger.free_bytes:
            self.ledger.set_workspace(size)
            self.workspace = size
        else:
            with pytest.raises(LedgerError):
                self.ledger.set_workspace(size)

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
        assert books.reserved_bytes == sum(self.reserved) + self.workspace
        assert books.workspace_bytes == self.workspace
        assert books.target_bytes == self.target
        assert books.budget_bytes == max(self.target, books.charged_bytes)
        assert books.resident_bytes == sum(self.resident)
        assert books.evicting_bytes == sum(self.evicting)
        assert books.free_bytes >= 0
        assert (
            books.free_bytes + books.reserved_bytes + books.resident_bytes + books.evicting_bytes
            == books.budget_bytes
        )


TestLedgerMachine = LedgerMachine.TestCase
