"""How far apart two renderings of a line are, and how good each of them sounds."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import soxr

from bench.peers import ask_peer

Audio = npt.NDArray[np.float32]

_DNSMOS_RATE = 16_000
_WINDOW, _HOP, _FLOOR_DB = 1024, 256, -100.0


def signal_to_noise_db(wanted: Audio, found: Audio) -> float:
    """The energy of a signal by that of what another one differs from it; infinite for the same."""
    noise = float(np.square(found - wanted, dtype=np.float64).sum())
    signal = float(np.square(wanted, dtype=np.float64).sum())
    return 10 * math.log10(signal / noise) if noise else math.inf


def log_spectral_distance(a: Audio, b: Audio) -> float:
    """In dB, of signals of one length, in [-1, 1].

    The mean over frames of the root mean square over bins of the difference of 20 log10 |STFT|, of
    1024 samples each 256 by a Hann window, no level below -100 dB (Gray and Markel, 1976).
    """
    least = 10 ** (_FLOOR_DB / 20)
    levels = [20 * np.log10(np.maximum(_magnitudes(signal), least)) for signal in (a, b)]
    return float(np.sqrt(((levels[0] - levels[1]) ** 2).mean(axis=1)).mean())


def _magnitudes(signal: Audio) -> Audio:
    frames = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)[::_HOP]
    magnitudes: Audio = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1))
    return magnitudes


def dnsmos(audios: Sequence[Audio], sample_rate_hertz: int) -> dict[str, float]:
    """Mean scores; see `dnsmos_each`."""
    scores = dnsmos_each(audios, sample_rate_hertz)
    return {name: float(found.mean()) for name, found in scores.items()}


def dnsmos_each(
    audios: Sequence[Audio], sample_rate_hertz: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Scores of each clip, by a Python that has the model.

    Reddy et al., "DNSMOS P.835" (2022), as the package speechmos runs it.
    """
    clips = []
    for audio in audios:
        clip = soxr.resample(audio, sample_rate_hertz, _DNSMOS_RATE).clip(-1, 1).astype("<f4")
        clips.append(base64.b64encode(clip.tobytes()).decode())
    scores = ask_peer("dnsmos", "dnsmos.py", {"clips": clips})
    return {name: np.array(found) for name, found in scores.items()}
