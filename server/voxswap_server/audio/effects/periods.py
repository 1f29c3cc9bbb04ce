"""How long a period of a voice lasts, found in a few of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxswap_server.audio.encoding import Samples

# What voices have, children's and whispers' edges aside; what is beyond is taken for unvoiced.
_LEAST_HERTZ, _MOST_HERTZ = 58.0, 550.0
# Of the difference function. A voice that goes on is followed further than one that begins.
_BEGINS_BELOW, _GOES_ON_BELOW = 0.35, 0.55
# What a lag may be worse than the best one and be taken, being the shorter one: its multiples are
# as good as the period itself.
_SHORTER_MAY_COST = 0.1
# For each octave away from the period before.
_LEAP_COSTS = 0.3
# What is louder above it is breath, and no help.
_SMOOTHED_HERTZ = 1_500.0
# Of the power; of hiss there is less below.
_LEAST_SHARE = 0.08
_SILENCE_RMS = 10 ** (-60 / 20)


@dataclass(frozen=True, slots=True)
class Periods:
    """Finds periods in audio of one rate. Immutable."""

    shortest: int
    longest: int
    smoothing: Samples

    @classmethod
    def at(cls, rate_hertz: int) -> Periods:
        """Those of voices, in samples."""
        width = 2 * round(rate_hertz / _SMOOTHED_HERTZ) + 1
        window = np.hanning(width + 2)[1:-1].astype(np.float32)
        shortest, longest = (int(rate_hertz / hertz) for hertz in (_MOST_HERTZ, _LEAST_HERTZ))
        return cls(shortest, longest, window / window.sum())

    def find(self, around: Samples, before: float | None) -> float | None:
        """The period in the middle of ``around``, ``(2 * longest,)``, in samples; None: unvoiced.

        ``before`` is the one that came before it. By the cumulative mean normalised difference
        (de Cheveigné and Kawahara, "YIN", 2002).
        """
        longest = self.longest
        total = np.square(around, dtype=np.float64).sum()
        around = np.convolve(around, self.smoothing, "same")
        energy = np.square(around, dtype=np.float64)
        if energy.sum() < max(_LEAST_SHARE * total, _SILENCE_RMS**2 * len(energy)):
            return None
        summed = np.concatenate([[0.0], np.cumsum(energy)])
        products = np.correlate(around, around[:longest]).astype(np.float64)[: longest + 1]
        difference = summed[longest] + (summed[longest:] - summed[: longest + 1]) - 2 * products
        lags = np.arange(1, longest + 1)
        told = difference[1:].clip(min=0.0)
        means = np.cumsum(told) / lags
        normalised = np.ones(longest + 1)
        np.divide(told, means, out=normalised[1:], where=means > 0)
        inner = normalised[1:-1]
        (dips,) = np.nonzero((inner <= normalised[:-2]) & (inner < normalised[2:]))
        dips = dips[dips + 1 >= self.shortest] + 1
        if not len(dips):
            return None
        costs = normalised[dips]
        if before is not None:
            costs = costs + _LEAP_COSTS * np.abs(np.log2(dips / before))
        chosen = int(dips[np.argmax(costs <= costs.min() + _SHORTER_MAY_COST)])
        if before is not None:
            chosen = int(dips[np.argmin(costs)])
        if normalised[chosen] > (_BEGINS_BELOW if before is None else _GOES_ON_BELOW):
            return None
        return chosen + vertex(*normalised[chosen - 1 : chosen + 2])


def vertex(before: float, at: float, after: float) -> float:
    """Where a parabola through three neighbours has its extreme, from the middle one."""
    bend = before - 2 * at + after
    return 0.0 if bend == 0 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
