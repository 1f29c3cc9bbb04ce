"""Places are refused when they are taken; rows let go of who has waited longest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxswap_server.doors.errors import TooManyCallsError
from voxswap_server.doors.places import Places, Row


def full(most: int) -> TooManyCallsError:
    return TooManyCallsError(f"{most} are there")


def test_who_finds_no_place_is_refused_and_takes_none() -> None:
    places = Places(2, full)
    with places.one(), places.one():
        for _ in range(2):
            with pytest.raises(TooManyCallsError, match="2 are there"), places.one():
                raise AssertionError("it was let in")
        assert places.taken == 2
    assert places.taken == 0


def test_a_place_is_given_back_whatever_happens() -> None:
    places = Places(1, full)
    with pytest.raises(ZeroDivisionError), places.one():
        raise ZeroDivisionError
    with places.one():
        assert places.taken == 1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60), st.integers(1, 4))
def test_a_row_holds_the_latest_who_have_not_left(moves: list[tuple[bool, int]], most: int) -> None:
    gone: list[int] = []
    row = Row(most, gone.append)
    waiting: list[int] = []
    for joins, who in moves:
        if joins and who not in waiting:
            row.join(who)
            waiting.append(who)
            if len(waiting) > most:
                assert gone.pop() == waiting.pop(0), "who has waited longest goes"
        elif not joins:
            row.leave(who)
            waiting = [other for other in waiting if other != who]
        assert len(row) == len(waiting) <= most
        assert not gone
