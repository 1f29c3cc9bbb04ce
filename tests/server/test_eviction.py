from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voxswap_server.residency.eviction import Candidate, plan_eviction


def candidate(key: str, size: int, last_use: float, load_ms: float = 1.0) -> Candidate:
    return Candidate(key, size, last_use, load_ms)


def test_the_least_recently_used_goes_first() -> None:
    idle = [candidate("new", 10, 3), candidate("old", 10, 1), candidate("mid", 10, 2)]
    assert plan_eviction(idle, 10) == ("old",)
    assert plan_eviction(idle, 11) == ("old", "mid")


def test_of_two_used_at_one_time_the_cheaper_to_load_goes() -> None:
    idle = [candidate("slow", 10, 1, load_ms=50), candidate("quick", 10, 1, load_ms=5)]
    assert plan_eviction(idle, 5) == ("quick",)


def test_a_victim_that_a_later_one_makes_needless_is_spared() -> None:
    idle = [candidate("small", 2, 1), candidate("large", 50, 2)]
    assert plan_eviction(idle, 40) == ("large",)


def test_too_little_is_none_and_nothing_is_nothing() -> None:
    assert plan_eviction([candidate("a", 10, 1)], 11) is None
    assert plan_eviction([], 0) == ()
    assert plan_eviction([candidate("a", 10, 1)], -3) == ()


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5), st.integers(0, 5)), max_size=12),
    st.integers(1, 200),
)
def test_plans_are_enough_and_minimal(sizes: list[tuple[int, int, int]], need: int) -> None:
    idle = [candidate(str(i), size, use, cost) for i, (size, use, cost) in enumerate(sizes)]
    plan = plan_eviction(idle, need)
    size_of = {c.key: c.size_bytes for c in idle}
    if plan is None:
        assert sum(size_of.values()) < need
        return
    gained = sum(size_of[key] for key in plan)
    assert gained >= need
    assert len(set(plan)) == len(plan)
    assert all(gained - size_of[key] < need for key in plan)
