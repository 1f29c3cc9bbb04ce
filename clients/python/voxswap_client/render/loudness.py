"""Loudness after ITU-R BS.1770-5: measured, and brought to a target without passing a peak."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from pyloudnorm import Meter
from scipy.signal import resample_poly

from voxswap_client.render.results import Loudness

Samples: TypeAlias = npt.NDArray[np.float64]

PEAK_DBTP = -1.0
_RATE_HERTZ = 48_000
_BLOCK_S = 0.4
_OVERSAMPLING = 4  # BS.1770-5, annex 2
_SILENCE_LUFS = -70.0  # the absolute gate: below it nothing counts
_CLOSE_LU = 0.05


def as_samples(pcm_f32le: bytes) -> Samples:
    """What 32-bit floats say: ``(n,)``."""
    return np.frombuffer(pcm_f32le, "<f4").astype(np.float64)


def integrated_lufs(samples: Samples, sample_rate_hertz: int) -> float:
    """The integrated loudness of ``(n,)`` mono samples; ``-inf`` if all of it is below the gate.

    It is measured at 48000 Hz, which the standard's filters are made for: at the rates of
    telephones they bend by some tenths of a unit.

    A line shorter than a gating block (400 ms) is one block as long as itself. Not for two threads
    at a time: the meter changes what warnings are shown.
    """
    if not samples.any():
        return -math.inf
    common = math.gcd(_RATE_HERTZ, sample_rate_hertz)
    at_48k = resample_poly(samples, _RATE_HERTZ // common, sample_rate_hertz // common)
    block_s = min(_BLOCK_S, len(at_48k) / _RATE_HERTZ)
    # "DeMan" has the coefficients that the standard prints; "K-weighting" is near to them.
    meter = Meter(_RATE_HERTZ, filter_class="DeMan", block_size=block_s)
    return float(meter.integrated_loudness(at_48k))


def true_peak_db(samples: Samples) -> float:
    """The largest level that a converter would make of the samples; ``-inf`` for silence."""
    if not len(samples):
        return -math.inf
    peak = max(np.abs(resample_poly(samples, _OVERSAMPLING, 1)).max(), np.abs(samples).max())
    return 20 * math.log10(peak) if peak > 0 else -math.inf


def to_target(
    samples: Samples, sample_rate_hertz: int, target_lufs: float
) -> tuple[Samples, Loudness]:
    """``samples`` with one gain for all, so that they are as loud as asked for, or nearly.

    No gain lifts a true peak above -1 dBTP: the line then stays quieter.
    """
    lufs, peak = integrated_lufs(samples, sample_rate_hertz), true_peak_db(samples)
    if lufs <= _SILENCE_LUFS:
        shown = peak if math.isfinite(peak) else None
        return samples, Loudness(target_lufs, None, 0.0, shown, reached=False)
    gain = min(target_lufs - lufs, PEAK_DBTP - peak)
    found = Loudness(
        target_lufs,
        round(lufs + gain, 2),
        round(gain, 2),
        round(peak + gain, 2),
        reached=lufs + gain > target_lufs - _CLOSE_LU,
    )
    return samples * 10 ** (gain / 20), found
