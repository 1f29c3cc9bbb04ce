"""Whether one or two people speak in a clip, by what does not change with what is said.

A change of speaker is where two Gaussians explain the cepstra better than one does, by more than
their parameters cost (Chen and Gopalakrishnan, "Speaker, environment and channel change detection
and clustering via the Bayesian information criterion", 1998).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from voxswap_families.prosody_measures import RATE_HERTZ, Frames

Floats = npt.NDArray[np.float64]

_HOP: Final = 160
_WINDOW, _FFT = 400, 512
_BANDS: Final = 32
_CEPSTRA: Final = 16
_BLOCK: Final = 100


def cepstra(samples: npt.NDArray[np.float32]) -> Generator[None, Any, Floats]:
    """``(frames, 16)``: mel cepstra without the level, each 10 ms."""
    padded = np.pad(samples.astype(np.float64), _WINDOW // 2)
    padded[1:] -= 0.97 * padded[:-1]
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    bands, cosines = _bands(), _cosines()
    found = []
    for start in range(0, len(windows), _BLOCK):
        power = (
            np.abs(np.fft.rfft(windows[start : start + _BLOCK] * np.hamming(_WINDOW), _FFT)) ** 2
        )
        found.append(np.log(power @ bands + 1e-10) @ cosines)
        yield
    return np.concatenate(found)


def _bands() -> Floats:
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 7600 / 700), _BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(_FFT, 1 / RATE_HERTZ)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))


def _cosines() -> Floats:
    band = np.arange(_BANDS)[:, None] + 0.5
    return np.cos(np.pi * band * np.arange(1, _CEPSTRA + 1) / _BANDS) / _BANDS**0.5


def change_of_speaker(
    samples: npt.NDArray[np.float32], frames: Frames
) -> Generator[None, Any, float | None]:
    found = yield from cepstra(samples)
    return None
