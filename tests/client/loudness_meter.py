"""ITU-R BS.1770-5 once more: by the coefficients that it prints, in the frequency domain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

_RATE_HERTZ = 48_000  # what the printed coefficients are for
# Annex 1, tables 1 and 2: the head's shelf, then the high-pass.
_STAGES = (
    (
        (1.53512485958697, -2.69169618940638, 1.19839281085285),
        (-1.69065929318241, 0.73248077421585),
    ),
    ((1.0, -2.0, 1.0), (-1.99004745483398, 0.99007225036621)),
)
_BLOCK, _STEP = round(0.4 * _RATE_HERTZ), round(0.1 * _RATE_HERTZ)


def lufs(samples: npt.NDArray[np.float64], rate: int) -> float:
    """Integrated loudness of ``(n,)`` samples, at least 400 ms of them."""
    at_48k = soxr.resample(samples, rate, _RATE_HERTZ, quality="VHQ")
    size = len(at_48k) + _RATE_HERTZ  # a second of silence for what the filters ring on
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    spectrum = np.fft.rfft(at_48k, size)
    for (b0, b1, b2), (a1, a2) in _STAGES:
        spectrum *= (b0 + b1 * z + b2 * z**2) / (1 + a1 * z + a2 * z**2)
    weighted = np.fft.irfft(spectrum, size)[: len(at_48k)]
    starts = range(0, len(weighted) - _BLOCK + 1, _STEP)
    powers = np.array([np.mean(weighted[at : at + _BLOCK] ** 2) for at in starts])
    loud = powers[_level(powers) > -70]
    return float(_level(np.mean(loud[_level(loud) > _level(np.mean(loud)) - 10])))


def _level(power: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-20))
