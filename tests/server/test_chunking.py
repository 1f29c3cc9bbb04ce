"""How segments are cut into chunks, and chunks into steps."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from voxswap_server.speech.chunking import GRID_FRAMES, Chunking, StepSizes


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
    # What is no whole grid: the stream's first window, the next one, and then no more.
    odd = [i for i, (first, last) in enumerate(windows) if (last - first) % GRID_FRAMES]
    assert set(odd) <= {0, 1}


def test_little_at_first_then_twice_as_much() -> None:
    sizes = [b - a for a, b in Chunking(120, 1500).windows(1000, 10, 0)]
    assert sizes[:5] == [12, 28, 48, 96, 144]


def test_a_later_sentence_goes_on_with_the_size_reached() -> None:
    assert next(iter(Chunking(120, 1500).windows(1000, 10, 96))) == (0, 144)


@given(
    first=st.integers(0, 1000),
    length=st.integers(1, 2000),
    frame_s=st.floats(1e-6, 0.1),
    bound_s=st.floats(1e-3, 1.0),
)
def test_steps_cover_a_window_on_the_grid_and_in_time(
    first: int, length: int, frame_s: float, bound_s: float
) -> None:
    sizes = StepSizes(bound_s)
    for _ in range(3):
        sizes.record("kind", 16, 16 * frame_s)
    steps = list(sizes.cut("kind", first, first + length))
    assert steps[0][0] == first
    assert steps[-1][1] == first + length
    assert all(a[1] == b[0] for a, b in itertools.pairwise(steps))
    assert all((b - a) % GRID_FRAMES == 0 for a, b in steps[1:])
    slowest = max((b - a) * frame_s for a, b in steps)
    assert slowest <= max(bound_s, (3 * GRID_FRAMES - 1) * frame_s)


def test_steps_shrink_at_once_where_computing_is_slow_and_grow_slowly() -> None:
    sizes = StepSizes(0.02)

    def size(kind: str = "joe") -> int:
        first, last = next(iter(sizes.cut(kind, 0, 4096)))
        return last - first

    assert size() == 2 * GRID_FRAMES, "until something was measured"
    sizes.record("joe", 16, 16 * 0.0001)
    assert size() == 128
    sizes.record("joe", 128, 0.128)
    assert size() == 16
    for _ in range(10):
        sizes.record("joe", 16, 16 * 0.0001)
    assert size() == 32
    for _ in range(60):
        sizes.record("joe", 16, 16 * 0.0001)
    assert size() == 128
    assert size("another kind") == 2 * GRID_FRAMES
