"""What events of `Memory` cost, counted in looks and not in time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from voxswap_server.memory.actions import Free, Load, Loaded
from voxswap_server.memory.memory import Memory
from voxswap_server.memory.order import IdleOrder
from voxswap_server.memory.part import Part, State
from voxswap_server.memory.plans import Asker, Limits, PartPlan, Plan, Rank

STYLE = 512


def style(key: str) -> Plan:
    return Plan(key, (PartPlan(key, STYLE),))


def full(idle: int, *, spare: int = 0) -> Memory:
    """A memory with so many idle parts, and room for ``spare`` bytes more."""
    memory = Memory(idle * STYLE + spare, limits=Limits(wait_s=1e9, ageing_s=1e9))
    for i in range(idle):
        number = next(
            action.number
            for action in memory.ask(style(f"p{i}"), Asker(i, f"p{i}@1"), float(i))
            if isinstance(action, Load)
        )
        memory.loaded(number, Loaded(STYLE), float(i))
        memory.release(i, float(i))
    assert len(memory.holdings.idle) == idle
    return memory


def looks(memory: Memory) -> int:
    return memory.holdings.idle.looked_at


@pytest.mark.parametrize(("idle", "cast"), [(300, 256), (3_000, 256), (3_000, 32)])
def test_a_cast_is_forecast_in_one_pass(idle: int, cast: int) -> None:
    memory = full(idle)
    plans = [style(f"new{i}") for i in range(cast)]
    before = looks(memory)
    forecast = memory.forecast(plans, 1e6)
    assert forecast.leave[-1] == cast
    assert looks(memory) - before <= cast + 1, "it looks at more than what would leave"


def test_planning_does_not_grow_with_what_is_idle() -> None:
    counts = []
    for idle in (100, 3_000):
        memory = full(idle)
        before = looks(memory)
        actions = memory.ask(style("new"), Asker("new", "new@1"), 1e6)
        assert sum(isinstance(action, Free) for action in actions) == 1
        counts.append(looks(memory) - before)
    assert counts[0] == counts[1] <= 2


def test_a_hit_costs_nothing_while_others_wait() -> None:
    memory = full(1_000)
    for i in range(900):
        memory.ask(style(f"p{i}"), Asker(("held", i), f"p{i}@1"), 1e6)
    for i in range(50):  # 100 parts are idle, and each of these wants 101
        large = Plan(f"large{i}", (PartPlan(f"large{i}", STYLE * 101),))
        memory.ask(large, Asker(("waits", i), f"large{i}@1"), 1e6)
    assert len(memory.line) == 50
    walks, before = memory.walks, looks(memory)
    for i in range(500):
        memory.ask(style(f"p{900 + i % 100}"), Asker(("hit", i), "hit@1"), 1e6)
        memory.release(("hit", i), 1e6)
    assert (memory.walks, looks(memory)) == (walks, before)
    memory.release(("held", 0), 1e6)
    assert len(memory.line) < 50, "enough is idle, and nobody looks"


def test_many_who_wait_for_one_voice_cost_one_claim() -> None:
    memory = full(10)
    for i in range(8):
        memory.ask(style(f"p{i}"), Asker(("held", i), "held@1"), 1e3)
    large = Plan("large", (PartPlan("large", STYLE * 3),))
    for i in range(2_000):
        memory.ask(large, Asker(("waits", i), "large@1"), 1e3)
    assert len(memory.claims) == 1
    memory.check_integrity()


sizes = st.lists(
    st.tuples(st.integers(0, 20), st.floats(0, 50), st.floats(0, 80)), min_size=1, max_size=12
)


def made(found: list[tuple[int, float, float]]) -> tuple[IdleOrder, list[Part]]:
    order, parts = IdleOrder(), []
    for number, (size, used_s, protected_s) in enumerate(found):
        part = Part(number, PartPlan(str(number), size), state=State.RESIDENT, size_bytes=size)
        part.last_use_s, part.protected_until_s = used_s, protected_s
        order.add(part)
        parts.append(part)
    order.check_integrity()
    return order, parts


@given(found=sizes, need=st.integers(0, 120), spared=st.sets(st.integers(0, 11)))
@examples(300)
def test_victims_are_enough_and_none_is_needless(
    found: list[tuple[int, float, float]], need: int, spared: set[int]
) -> None:
    order, parts = made(found)
    keys = {str(number) for number in spared}
    victims = order.victims(need, keys)
    may_leave = sorted((p for p in parts if p.key not in keys), key=lambda p: (p.stamp_s, p.number))
    if victims is None:
        assert sum(part.size_bytes for part in may_leave) < need
        return
    gained = sum(part.size_bytes for part in victims)
    assert gained >= need
    assert not keys.intersection(part.key for part in victims)
    assert all(gained - part.size_bytes < need for part in victims)
    # Nobody who was used later than the first so many that are enough leaves.
    enough, prefix = 0, list[Part]()
    while enough < need:
        prefix.append(may_leave[len(prefix)])
        enough += prefix[-1].size_bytes
    assert set(victims) <= set(prefix)


@given(found=sizes, until_s=st.floats(0, 80))
@examples(100)
def test_what_was_used_later_is_left_alone(
    found: list[tuple[int, float, float]], until_s: float
) -> None:
    order, parts = made(found)
    old = {part for part in parts if part.stamp_s <= until_s}
    assert set(order.used_until(until_s)) == old
    victims = order.victims(1, until_s=until_s)
    assert victims is None or set(victims) <= old
    assert order.first_after(until_s) == min(
        (part.stamp_s for part in parts if part not in old), default=None
    )


def test_ranks_are_in_order() -> None:
    assert Rank.PLAYER < Rank.AHEAD
