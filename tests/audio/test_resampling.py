from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from voxswap_server.audio.encoding import Samples
from voxswap_server.audio.resampling import Resampler


def sweep(n: int, rate: int) -> Samples:
    t = np.arange(n) / rate
    return (0.5 * np.sin(2 * np.pi * (100 + 1500 * t) * t)).astype(np.float32)


def in_chunks(signal: Samples, rate_in: int, rate_out: int, sizes: list[int]) -> Samples:
    resampler = Resampler(rate_in, rate_out)
    out, position = [], 0
    for size in sizes:
        out.append(resampler.push(signal[position : position + size]))
        position += size
    out.append(resampler.finish(signal[position:]))
    return np.concatenate(out)


@examples(40)
@given(
    st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000]),
    st.lists(st.integers(0, 4000), max_size=8),
)
def test_chunks_joined_are_the_whole(rate_out: int, sizes: list[int]) -> None:
    signal = sweep(12_000, 22050)
    whole = soxr.resample(signal, 22050, rate_out, quality="HQ")
    joined = in_chunks(signal, 22050, rate_out, sizes)
    assert abs(len(joined) - len(whole)) <= 1
    n = min(len(joined), len(whole))
    assert np.abs(joined[:n] - whole[:n]).max() < 1e-5


def test_one_rate_is_left_alone() -> None:
    signal = sweep(1000, 22050)
    assert np.array_equal(in_chunks(signal, 22050, 22050, [100, 1, 0]), signal)


@pytest.mark.parametrize("rate_out", [8000, 48000])
def test_time_is_kept(rate_out: int) -> None:
    """An impulse comes out where it went in: the filter's delay is taken out."""
    signal = np.zeros(22050, np.float32)
    signal[11025] = 1.0
    out = in_chunks(signal, 22050, rate_out, [5000, 5000, 5000])
    assert abs(int(np.abs(out).argmax()) - rate_out // 2) <= 1


def test_first_audio_is_not_held_back_for_long() -> None:
    """Of 120 ms, the usual first chunk, at least half comes out at once at every rate."""
    for rate_out in (8000, 16000, 24000, 48000):
        out = Resampler(22050, rate_out).push(sweep(2646, 22050))
        assert len(out) / rate_out > 0.06
