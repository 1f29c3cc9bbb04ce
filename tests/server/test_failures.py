"""Failures: how long each bars the next try, what forgets it, and that they are bounded."""

from __future__ import annotations

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.clocks import FakeClock
from voxswap_registry.errors import (
    ComponentMissingError,
    DigestMismatchError,
    EngineError,
    VoxswapError,
)
from voxswap_server.residency.failures import Failures

WAITS_S = [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def barred_s(failures: Failures, key: str = "a") -> float:
    """How long ``key`` is still barred."""
    try:
        failures.check([key])
    except VoxswapError as error:
        return error.retry_s or 0.0
    return 0.0


def test_each_failure_in_a_row_bars_for_twice_as_long_up_to_a_minute() -> None:
    clock = FakeClock()
    failures = Failures(clock)
    for times, wait_s in enumerate(WAITS_S, 1):
        failures.record("a", "a@1", EngineError("broken"))
        assert barred_s(failures) == wait_s
        clock.now_s += wait_s
        assert barred_s(failures) == 0
        (failure,) = failures
        assert (failure.times, failure.failed_s) == (times, clock.now_s - wait_s)


def test_ten_thousand_failures_are_as_many_as_ten() -> None:
    failures = Failures(FakeClock())
    for _ in range(10_000):
        failures.record("a", "a@1", EngineError("broken"))
    assert barred_s(failures) == 60


def test_what_is_told_again_says_how_often_and_when() -> None:
    clock = FakeClock()
    failures = Failures(clock)
    first = EngineError("the weights are damaged", metadata={"voice": "a@1"})
    failures.record("a", "a@1", first)
    with pytest.raises(
        EngineError, match=r"^the weights are damaged \(it failed, and is tried again in 0\.5 s\)$"
    ) as raised:
        failures.check(["x", "a"])
    assert raised.value is not first
    assert (raised.value.reason, raised.value.metadata) == (first.reason, first.metadata)
    failures.record("a", "a@1", first)
    clock.now_s += 0.25
    with pytest.raises(EngineError, match=r"failed 2 times in a row.* again in 0\.8 s") as raised:
        failures.check(["a"])
    assert raised.value.retry_s == 0.75
    assert first.message == "the weights are damaged"
    assert first.retry_s is None


@pytest.mark.parametrize("kind", [DigestMismatchError, ComponentMissingError])
def test_what_the_registry_refuses_by_itself_is_not_barred(kind: type[VoxswapError]) -> None:
    failures = Failures(FakeClock())
    for _ in range(5):
        failures.record("a", "a@1", kind("of the store"))
    assert barred_s(failures) == 0
    (failure,) = failures
    assert failure.times == 5, "it is shown all the same"


def test_success_forgets_and_so_does_insisting() -> None:
    failures = Failures(FakeClock())
    for key in "abc":
        failures.record(key, f"{key}@1", EngineError("broken"))
    failures.forget(["a", "b", "unknown"])
    assert [failure.key for failure in failures] == ["c"]
    failures.record("a", "a@1", EngineError("broken"))
    assert barred_s(failures) == 0.5
    assert [failure.key for failure in failures] == ["c", "a"], "the latest last"


def test_so_many_are_remembered_the_latest_of_them() -> None:
    failures = Failures(FakeClock())
    failures.record("first", "first@1", EngineError("broken"))
    failures.record("second", "second@1", EngineError("broken"))
    for n in range(1022):
        failures.record(f"n{n}", "n@1", EngineError("broken"))
    failures.record("first", "first@1", EngineError("broken"))
    failures.record("new", "new@1", EngineError("broken"))
    assert len(failures) == 1024
    assert barred_s(failures, "first") == 1.0, "failed again: it is among the latest"
    assert barred_s(failures, "second") == 0


def test_a_failure_keeps_nothing_of_what_failed() -> None:
    class Weights:
        pass

    def load() -> None:
        weights = Weights()
        seen.append(weakref.ref(weights))
        try:
            raise MemoryError("inner")
        except MemoryError as inner:
            raise EngineError("broken") from inner

    seen: list[weakref.ref[Weights]] = []
    failures = Failures(FakeClock())
    try:
        load()
    except EngineError as error:
        failures.record("a", "a@1", error)
    gc.collect()
    assert seen[0]() is None
    (failure,) = failures
    assert failure.error.__traceback__ is failure.error.__cause__ is failure.error.__context__
    for _ in range(2):
        with pytest.raises(EngineError):
            failures.check(["a"])
        assert failure.error.__traceback__ is None, "another is raised each time"


@given(st.lists(st.one_of(st.sampled_from("abc"), st.floats(0, 100)), max_size=60))
def test_the_next_try_never_waits_longer_than_a_minute_and_a_first_one_not_at_all(
    moves: list[str | float],
) -> None:
    clock = FakeClock()
    failures = Failures(clock)
    failed: set[str] = set()
    for move in moves:
        if isinstance(move, str):
            failures.record(move, f"{move}@1", EngineError("broken"))
            failed.add(move)
        else:
            clock.now_s += move
        for key in "abc":
            assert 0 <= barred_s(failures, key) <= 60 + 1e-6
            assert key in failed or not barred_s(failures, key)
