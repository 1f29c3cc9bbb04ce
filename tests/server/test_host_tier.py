"""The host tier: never over its budget, the least recently used first, from any thread."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.fakes.family import FakeHostPart
from voxswap_server.residency.host_tier import HostTier


def test_what_was_used_least_recently_leaves_first() -> None:
    tier = HostTier(30)
    for name in "abc":
        tier.keep(name, FakeHostPart(10))
    assert tier.find("a") is not None
    assert tier.has("b"), "looking is not using"
    tier.keep("d", FakeHostPart(10))
    assert [name for name in "abcd" if tier.has(name)] == ["a", "c", "d"]
    tier.keep("e", FakeHostPart(25))
    assert [name for name in "abcde" if tier.has(name)] == ["e"]
    assert tier.statistics().resident_bytes == 25


def test_what_is_too_large_or_costs_nothing_pushes_nothing_out() -> None:
    tier = HostTier(30)
    tier.keep("a", FakeHostPart(30))
    tier.keep("b", FakeHostPart(31))
    tier.keep("c", FakeHostPart(0))
    tier.keep("d", FakeHostPart(-1))
    assert [name for name in "abcd" if tier.has(name)] == ["a"]
    assert tier.find("b") is None


def test_the_first_of_two_that_came_at_once_stays() -> None:
    tier = HostTier(30)
    first, second = FakeHostPart(10), FakeHostPart(20)
    tier.keep("a", first)
    tier.keep("a", second)
    assert tier.find("a") is first
    tier.check_integrity()


def test_what_leaves_is_dropped() -> None:
    tier = HostTier(10)
    part = FakeHostPart(10)
    seen = weakref.ref(part)
    tier.keep("a", part)
    del part
    tier.keep("b", FakeHostPart(10))
    assert seen() is None
    tier.clear()
    assert not tier.has("b")
    assert tier.statistics().free_bytes == 10


@examples(100)
@given(
    st.integers(1, 40),
    st.lists(
        st.tuples(
            st.sampled_from(["keep", "find", "has", "clear"]),
            st.sampled_from("abcdef"),
            st.integers(-1, 45),
        ),
        max_size=60,
    ),
)
def test_it_is_a_least_recently_used_cache_that_never_holds_more_than_its_budget(
    budget: int, moves: list[tuple[str, str, int]]
) -> None:
    tier = HostTier(budget)
    expected: dict[str, FakeHostPart] = {}  # the least recently used first
    for move, key, size in moves:
        match move:
            case "keep":
                part = FakeHostPart(size)
                tier.keep(key, part)
                if 0 < size <= budget and key not in expected:
                    while sum(p.host_bytes for p in expected.values()) + size > budget:
                        del expected[next(iter(expected))]
                    expected[key] = part
            case "find":
                found = tier.find(key)
                assert found is expected.get(key)
                if found is not None:
                    expected[key] = expected.pop(key)
            case "has":
                assert tier.has(key) == (key in expected)
            case "clear":
                tier.clear()
                expected.clear()
        tier.check_integrity()
        books = tier.statistics()
        assert books.resident_bytes == sum(p.host_bytes for p in expected.values())
        assert (books.reserved_bytes, books.evicting_bytes) == (0, 0)
        assert books.free_bytes >= 0


def test_threads_at_once_leave_the_books_in_order() -> None:
    tier = HostTier(100)
    together = threading.Barrier(4)

    def work(seed: int) -> int:
        together.wait(timeout=10)
        most = 0
        for n in range(300):
            key = f"k{(seed + n * 7) % 13}"
            if tier.find(key) is None:
                tier.keep(key, FakeHostPart(1 + (seed * n) % 40))
            books = tier.statistics()
            most = max(most, books.charged_bytes)
            if n % 97 == 0:
                tier.clear()
        return most

    with ThreadPoolExecutor(4) as executor:
        peaks = list(executor.map(work, range(4)))
    assert max(peaks) <= 100
    tier.check_integrity()
