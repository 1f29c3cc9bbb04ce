"""Whether one or two people speak in a clip, by what does not change with what is said.

A stretch of speech is summed up by the mean and spread of its mel cepstra and by its pitch, and
seen in the few directions in which speakers differ most by the measure of how one speaker's
stretches differ (Fisher's linear discriminants). Where two stretches are far apart there, two
people speak. The directions were found on 54 made-up speakers, the style packs of Kokoro
(`speaker_space`).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from voxswap_families.prosody_measures import HOP_S, RATE_HERTZ, Frames
from voxswap_server.audio.clips.speaker_space import SPEAKER_SPACE

Floats = npt.NDArray[np.float64]

_HOP: Final = 160
_WINDOW, _FFT = 400, 512
_BANDS: Final = 32
_CEPSTRA: Final = 16
_BLOCK: Final = 100

_PITCH_SCALE: Final = 3.0  # semitones
_LEAST_FRAMES: Final = 80  # of voiced sound on either side, each 10 ms
_SURE_FRAMES: Final = 300
_CUT_FRAMES, _CUTS_OF_STEP = 15, 16
# Measured (`python -m bench style --speakers`): see docs/recordings.md.
_FAR: Final = 7.0


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
    rises, falls = (bins - low) / (middle - low), (high - bins) / (high - middle)
    found: Floats = np.maximum(0, np.minimum(rises, falls))
    return found


def _cosines() -> Floats:
    band = np.arange(_BANDS)[:, None] + 0.5
    found: Floats = np.cos(np.pi * band * np.arange(1, _CEPSTRA + 1) / _BANDS) / _BANDS**0.5
    return found


def summed_up(cepstra: Floats, pitch_hertz: Floats) -> Floats:
    """``(33,)``: what voiced frames are on average, how they vary, and their pitch."""
    pitch = np.median(12 * np.log2(pitch_hertz)) / _PITCH_SCALE
    return np.concatenate([cepstra.mean(axis=0), cepstra.std(axis=0), [pitch]])


def change_of_speaker(
    samples: npt.NDArray[np.float32], frames: Frames
) -> Generator[None, Any, float | None]:
    """Where, in seconds, another one begins to speak; None where one speaks alone."""
    found = yield from cepstra(samples)
    n = min(len(found), len(frames.pitch_hertz))
    at = np.flatnonzero(frames.is_voiced[:n])
    voiced, pitch = found[at], frames.pitch_hertz[at]
    furthest, place = 0.0, 0
    for cut in range(_LEAST_FRAMES, len(at) - _LEAST_FRAMES + 1, _CUT_FRAMES):
        apart = summed_up(voiced[:cut], pitch[:cut]) - summed_up(voiced[cut:], pitch[cut:])
        # A short stretch is far from any other, by what happens to be said in it.
        trust = min(1.0, min(cut, len(at) - cut) / _SURE_FRAMES) ** 0.5
        distance = float(np.linalg.norm(apart @ SPEAKER_SPACE)) * trust
        if distance > furthest:
            furthest, place = distance, cut
        if cut // _CUT_FRAMES % _CUTS_OF_STEP == 0:
            yield
    return float(at[place]) * HOP_S if furthest > _FAR else None
