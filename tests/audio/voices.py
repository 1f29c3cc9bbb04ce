"""Made-up vowels whose pitch is known, and how high a vowel is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]

_FORMANTS = ((600, 120, 1.0), (1200, 150, 0.6), (2500, 250, 0.3))  # hertz, width, level


def vowel(
    hertz: float, *, rate_hertz: int = 22050, seconds: float = 0.6, vibrato: float = 0.0
) -> Audio:
    """``vibrato`` is how far its pitch goes up and down, as a share of it, three times a second."""
    times = np.arange(round(rate_hertz * seconds)) / rate_hertz
    phase = np.cumsum(hertz * (1 + vibrato * np.sin(2 * np.pi * 3 * times))) / rate_hertz
    sound = np.zeros(len(times))
    for n in range(1, int(rate_hertz / 2.2 / hertz)):
        level = sum(a / (1 + ((n * hertz - at) / width) ** 2) for at, width, a in _FORMANTS)
        sound += level * np.cos(2 * np.pi * n * phase + 0.1 * n * n)
    audio: Audio = (0.5 * sound / np.abs(sound).max()).astype(np.float32)
    return audio


def cents_from(audio: Audio, hertz: float, rate_hertz: int = 22050) -> float:
    """How far the mean pitch of a vowel is from ``hertz``, where it is within half an octave."""
    n = 1 << (2 * len(audio)).bit_length()
    alike = np.fft.irfft(np.abs(np.fft.rfft(audio * np.hanning(len(audio)), n)) ** 2)
    first, last = int(rate_hertz / hertz / 1.4), int(rate_hertz / hertz * 1.4) + 2
    at = first + int(np.argmax(alike[first:last]))
    before, here, after = alike[at - 1 : at + 2]
    period = at + 0.5 * (before - after) / (before - 2 * here + after)
    return float(1200 * np.log2(rate_hertz / period / hertz))
