"""How segments are cut into chunks, and chunks into steps."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from voxswap_server.speech.chunking import Chunking, StepSizes


@given(
    frames=st.integers(1, 5000),
    frame_ms=st.floats(1, 50),
    before=st.integers(0, 300),
    first_ms=st.floats(10, 500),
)
def test_windows_cover_everything_once_and_are_bounded(
    frames: int, frame_ms: float, before: int, first_ms: float
) -> None:
    chunking = Chunking(first_ms, 1500.0)
    windows = list(chunking.windows(frames, frame_ms, before))
    assert windows[0][0] == 0
    assert windows[-1][1] == frames
    assert all(a[1] == b[0] for a, b in itertools.pairwise(windows))
    assert all(last - first <= 1.5 * max(1, round(1500 / frame_ms)) for first, last in windows)
    # None is less than half of the one before it: small ones cost more than they give.
    sizes = [last - first for first, last in windows]
    assert all(2 * b >= a - 1 for a, b in itertools.pairwise(sizes))


def test_little_at_first_then_twice_as_much() -> None:
    sizes = [b - a for a, b in Chunking(120, 1500).windows(1000, 10, 0)]
    assert sizes[:5] == [12, 24, 48, 96, 150]


def test_a_later_sentence_goes_on_with_the_size_reached() -> None:
    assert next(iter(Chunking(120, 1500).windows(1000, 10, 96))) == (0, 150)


@given(first=st.integers(0, 1000), length=st.integers(1, 2000), frame_s=st.floats(1e-6, 0.1))
def test_pieces_cover_a_window(first: int, length: int, frame_s: float) -> None:
    sizes = StepSizes(0.02)
    for _ in range(100):
        sizes.record("kind", sizes.size("kind"), sizes.size("kind") * frame_s)
    pieces = list(sizes.cut("kind", first, first + length))
    assert pieces[0][0] == first
    assert pieces[-1][1] == first + length
    assert all(a[1] == b[0] for a, b in itertools.pairwise(pieces))
    size = sizes.size("kind")
    assert all(b - a == size for a, b in pieces[:-1])
    assert pieces[-1][1] - pieces[-1][0] < 1.5 * size


@given(
    frame_s=st.floats(1e-6, 0.01),
    bound_s=st.floats(0.005, 0.1),
    disturbed=st.lists(st.booleans(), min_size=400, max_size=400),
)
def test_the_size_is_what_ends_in_time_whoever_else_computes(
    frame_s: float, bound_s: float, disturbed: list[bool]
) -> None:
    """Steps take what they take, and now and then much longer, but not four times in a row."""
    sizes = StepSizes(bound_s)
    for i, is_disturbed in enumerate(disturbed):
        size = sizes.size("kind")
        noise_s = 0.5 if is_disturbed and i % 4 else 0.0
        sizes.record("kind", size, size * frame_s + noise_s)
    size = sizes.size("kind")
    assert size * frame_s <= bound_s or size == 8
    assert 4 * size * frame_s > 0.6 * bound_s or size == 512


def test_small_pieces_say_nothing_unless_they_were_too_long() -> None:
    sizes = StepSizes(0.02)
    before = sizes.size("kind")
    for _ in range(20):
        sizes.record("kind", 7, 0.001)
    assert sizes.size("kind") == before
    for _ in range(4):
        sizes.record("kind", 7, 0.03)
    assert sizes.size("kind") == before // 2


def test_kinds_are_learnt_apart() -> None:
    sizes = StepSizes(0.02)
    for _ in range(8):
        sizes.record("slow", sizes.size("slow"), 1.0)
    assert sizes.size("slow") < sizes.size("quick")
