"""Louder or softer, and never beyond a ceiling: a limiter that looks 6 ms ahead."""

from __future__ import annotations

from collections import deque
from itertools import islice

import numpy as np

from voxswap_server.audio.encoding import Samples

#: No sample comes near 1, and neither does what a converter makes between two of them (EBU R 128).
CEILING_DB = -1.0

# What is kept below the ceiling: a gain that moves makes a little of its own between samples, and
# what is between them near the highest frequency depends on who looks.
_MARGIN_DB = 0.3
_BLOCK = 32  # samples of one gain
_BLOCKS_AHEAD = 4
_RELEASE_S = 0.08
_TAPS, _TIMES = 24, 4


class Limiter:
    """Chunks in, chunks out; joined, they are as long as the whole, each sample in its place.

    Gains go along straight lines from block to block and are never more than the peaks of any
    block allow, as they are between samples as well (ITU-R BS.1770: four times oversampled). The
    same for any cut. Not thread-safe; one for each stream.
    """

    def __init__(self, rate_hertz: int) -> None:
        self._gain = 1.0
        self._most = 10 ** ((CEILING_DB - _MARGIN_DB) / 20)
        self._release = 1 - np.exp(-_BLOCK / rate_hertz / _RELEASE_S)
        self._begin()

    def begin(self, volume_db: float) -> None:
        """A segment comes; of one that has not ended no more is known."""
        self._gain = 10 ** (volume_db / 20)
        self._begin()

    def _begin(self) -> None:
        self._input = np.zeros(_TAPS, np.float32)  # from the first block whose peak is not known
        self._waiting = np.zeros(0, np.float32)  # whose gain is not known
        # Of blocks: the most that each allows, and what follows of those before.
        self._allowed: deque[float] = deque()
        self._smoothed: deque[float] = deque(maxlen=_BLOCKS_AHEAD)
        self._reached = 1.0

    def push(self, samples: Samples) -> Samples:
        """The output that ``samples``, ``(n,)`` float32, make certain."""
        self._waiting = np.concatenate([self._waiting, samples])
        self._input = np.concatenate([self._input, samples])
        blocks = max(0, len(self._input) - 2 * _TAPS) // _BLOCK
        if blocks:
            n = blocks * _BLOCK
            peaks = _true_peaks(self._input[: n + 2 * _TAPS]).reshape(blocks, _BLOCK).max(axis=1)
            self._allowed.extend(np.minimum(1.0, self._most / np.maximum(peaks * self._gain, 1e-9)))
            self._input = self._input[n:]
        return self._made()

    def finish(self, samples: Samples) -> Samples:
        """The output of the last ``samples`` of a segment and of all that was held back."""
        left = len(self._waiting) + len(samples)
        silence = np.zeros((_BLOCKS_AHEAD + 2) * _BLOCK + 2 * _TAPS, np.float32)
        made = np.concatenate([self.push(samples), self.push(silence)])[:left]
        self._begin()
        return made

    def _made(self) -> Samples:
        gains = [sum(self._smoothed) / _BLOCKS_AHEAD]
        while len(self._allowed) > _BLOCKS_AHEAD:
            lowest = min(islice(self._allowed, _BLOCKS_AHEAD + 1))
            if not self._smoothed:  # a segment begins as softly as its first blocks must be
                self._smoothed.extend([lowest] * _BLOCKS_AHEAD)
                gains, self._reached = [lowest], lowest
            self._reached = min(lowest, self._reached + (1 - self._reached) * self._release)
            self._smoothed.append(self._reached)
            gains.append(sum(self._smoothed) / _BLOCKS_AHEAD)
            self._allowed.popleft()
        begins, n = np.array(gains), (len(gains) - 1) * _BLOCK
        along = np.arange(_BLOCK) / _BLOCK
        curve = begins[:-1, None] + np.diff(begins)[:, None] * along
        made, self._waiting = self._waiting[:n], self._waiting[n:]
        return (made * (curve.ravel() * self._gain)).astype(np.float32)


def _true_peaks(samples: Samples) -> Samples:
    """The peak of each sample and of what follows it, ``(n - 2 * _TAPS,)``.

    Elements alone are multiplied, so that they are the same bits for any cut.
    """
    n = len(samples) - 2 * _TAPS
    between = np.zeros((_TIMES, n), np.float32)
    for tap in range(_TAPS):
        first = _TAPS - _TAPS // 2 + 1 + tap
        between += _BETWEEN[:, tap, None] * samples[first : first + n]
    peaks: Samples = np.abs(between).max(axis=0)
    return peaks


def _between() -> Samples:
    """``(_TIMES, _TAPS)``: what a signal is a quarter, a half, … after a sample."""
    at = np.arange(_TIMES)[:, None] / _TIMES
    taps = np.arange(_TAPS) - _TAPS // 2 + 1 - at
    window = np.cos(np.pi * taps / (_TAPS + 2)) ** 2
    found: Samples = (np.sinc(taps) * window).astype(np.float32)
    return found


_BETWEEN = _between()
