from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from voxswap_server.memory.ledger import Ledger, LedgerError


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


def test_what_is_carved_out_no_load_gives_back() -> None:
    ledger = Ledger(10)
    ledger.carve("vits", 4)
    ledger.reserve(5)
    with pytest.raises(LedgerError, match="'free', which holds 1"):
        ledger.carve("vits", 6)
    with pytest.raises(LedgerError, match="'reserved', which holds 5"):
        ledger.release(6)
    ledger.carve("vits", 1)
    books = ledger.statistics()
    assert (books.reserved_bytes, books.carved_bytes, books.free_bytes) == (5, 1, 4)


def test_streams_hold_what_was_carved_out_for_them() -> None:
    ledger = Ledger(10)
    ledger.carve("streams", 4)
    assert ledger.take_for_stream(3)
    assert not ledger.take_for_stream(2)
    with pytest.raises(LedgerError, match="streams hold more than 2"):
        ledger.carve("streams", 2)
    with pytest.raises(LedgerError, match="'streams', which holds 3"):
        ledger.give_for_stream(4)
    ledger.give_for_stream(3)
    assert ledger.free_bytes == 6


class LedgerMachine(RuleBasedStateMachine):
    """Whatever is done, the five accounts make the budget, and none is negative."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(100)
        self.target = 100
        self.carved = {"vits": 0, "kokoro": 0}
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

    @rule(size=st.integers(0, 120), lane=st.sampled_from(["vits", "kokoro"]))
    def carve(self, size: int, lane: str) -> None:
        if size - self.carved[lane] <= self.ledger.free_bytes:
            self.ledger.carve(lane, size)
            self.carved[lane] = size
        else:
            with pytest.raises(LedgerError):
                self.ledger.carve(lane, size)

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
        assert books.carved_bytes == sum(self.carved.values())
        assert books.target_bytes == self.target
        assert books.budget_bytes == max(self.target, books.charged_bytes)
        assert books.resident_bytes == sum(self.resident)
        assert books.evicting_bytes == sum(self.evicting)
        assert books.free_bytes >= 0
        assert books.free_bytes + books.charged_bytes == books.budget_bytes


TestLedgerMachine = LedgerMachine.TestCase
