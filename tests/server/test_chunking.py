"""How segments are cut into chunks."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from voxswap_server.speech.chunking import Chunking


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
