from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from voxswap_server.residency.eviction import Candidate, Policy, plan_eviction


def candidate(key: str, size: int, last_use: float, load_ms: float = 1.0, **more: Any) -> Candidate:
    return Candidate(key, size, last_use, load_ms, **more)


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


def test_what_is_protected_goes_only_if_nothing_else_can() -> None:
    idle = [
        candidate("old", 10, 1, protected=True),
        candidate("mid", 10, 2),
        candidate("new", 10, 3),
    ]
    assert plan_eviction(idle, 20) == ("mid", "new")
    assert plan_eviction(idle, 21) == ("mid", "new", "old")
    large = [candidate("old", 50, 1, protected=True), candidate("new", 5, 3)]
    assert plan_eviction(large, 6) == ("old",), "and what it makes needless is spared"


def test_gdsf_weighs_uses_and_cost_against_size() -> None:
    def first(*idle: Candidate) -> str:
        plan = plan_eviction(idle, 1, Policy.GDSF)
        assert plan is not None
        return plan[0]

    assert first(candidate("large", 100, 9), candidate("small", 10, 1)) == "large"
    assert first(candidate("rare", 10, 9), candidate("often", 10, 1, uses=5)) == "rare"
    assert first(candidate("quick", 10, 9, load_ms=1), candidate("slow", 10, 1, 50)) == "quick"
    # What was popular long ago has an old inflation.
    then, now = (
        candidate("then", 10, 1, uses=5, inflation=0.0),
        candidate("now", 10, 1, inflation=1),
    )
    assert first(then, now) == "then"
    assert first(candidate("empty", 0, 1, load_ms=0.5), candidate("b", 10, 1)) == "b"


def test_a_workspace_that_shrinks_comes_free_as_well() -> None:
    idle = [
        candidate("old", 10, 1),
        candidate("base", 10, 2, workspace_bytes=70),
        candidate("new", 10, 3, workspace_bytes=50),
    ]
    assert plan_eviction(idle, 40) == ("old", "base"), "20 of it, and the parts"
    assert plan_eviction(idle, 40, workspace_bytes=65) is None, "5 of it, and 30 of parts"
    assert plan_eviction(idle, 35, workspace_bytes=65) == ("old", "base", "new")
    assert plan_eviction(idle, 60) == ("base", "new")
    assert plan_eviction(idle, 100) == ("old", "base", "new")


@given(
    st.lists(
        st.tuples(
            st.integers(0, 50), st.integers(0, 5), st.integers(0, 5), st.sampled_from((0, 5, 90))
        ),
        max_size=12,
    ),
    st.integers(1, 200),
    st.sampled_from(Policy),
    st.sets(st.integers(0, 11)),
    st.integers(0, 100),
)
def test_plans_are_enough_and_minimal(
    sizes: list[tuple[int, int, int, int]],
    need: int,
    policy: Policy,
    protected: set[int],
    others: int,
) -> None:
    idle = [
        candidate(str(i), size, use, cost, protected=i in protected, workspace_bytes=workspace)
        for i, (size, use, cost, workspace) in enumerate(sizes)
    ]

    def taken(gone: set[str]) -> int:
        staying = [c for c in idle if c.key not in gone]
        workspace = max([others, *(c.workspace_bytes for c in staying)])
        return workspace + sum(c.size_bytes for c in staying)

    def gained(gone: set[str]) -> int:
        return taken(set()) - taken(gone)

    plan = plan_eviction(idle, need, policy, workspace_bytes=others)
    again = plan_eviction(idle[::-1], need, policy, workspace_bytes=others)
    assert plan == again, "whatever order they are found in"
    if plan is None:
        assert gained({c.key for c in idle}) < need
        return
    assert gained(set(plan)) >= need
    assert len(set(plan)) == len(plan)
    assert all(gained(set(plan) - {key}) < need for key in plan)
    # Nothing protected goes that could be spared.
    if any(int(key) in protected for key in plan):
        assert gained({c.key for c in idle if not c.protected}) < need
