"""A pitch shifter that keeps a voice's own colour, for audio that comes in chunks.

Pitch-synchronous overlap-add (Moulines and Charpentier, 1990): pieces of two periods each are set
nearer to each other, or further apart. What the mouth makes of the voice, its formants, stays where
it is, and so does every sound: nothing is stretched. What has no pitch is left as it is.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from voxswap_server.audio.effects.periods import Periods, vertex
from voxswap_server.audio.encoding import Samples

_UNVOICED_S = 0.005  # between marks where there is no period
_LEAST_RATIO, _MOST_RATIO = 0.4, 2.5
# The mean pitch, from which a range is counted, is that of about so much voice.
_REMEMBERED_S = 4.0
# A period is looked for within this share of itself around where it should end.
_SEARCHED = 0.2
_TAPS, _PHASES = 16, 64
# A piece begins so many lengths of the one before it ahead of its middle at the most: what lies
# further back may be given out.
_LEFT = 1.25


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a period begins, in samples; the next one comes ``length`` later."""

    at: float
    length: float
    ratio: float


class PitchShifter:
    """Chunks in, chunks out; joined, they are the shifting of the whole, as long as that is.

    The same for any cut. Some 25 ms are held back. Not thread-safe; one for each stream, whose
    segments follow each other, each with a `finish`, and may each have a pitch of their own.
    """

    def __init__(self, rate_hertz: int) -> None:
        self._factor = self._spread = 1.0
        self._rate = rate_hertz
        self._periods = Periods.at(rate_hertz)
        self._unvoiced = _UNVOICED_S * rate_hertz
        self._mean_hertz = self._below_hertz = self._voiced_s = 0.0
        self._begin()

    def begin(self, semitones: float, spread: float = 1.0) -> None:
        """A segment comes; of one that has not ended no more is known.

        ``spread`` is a factor on how far the pitch goes from its mean, which is that of the stream
        so far: there is none when it begins.
        """
        self._factor, self._spread = 2 ** (semitones / 12), spread
        self._begin()

    def _begin(self) -> None:
        """Before a segment there is silence."""
        self._pad = 2 * self._periods.longest + _TAPS
        self._input = np.zeros(self._pad, np.float32)
        self._first = -self._pad  # of the input that is kept
        self._output = np.zeros(0)
        self._given = 0
        self._end = 0  # of the input that came
        self._marks: deque[_Mark] = deque()
        self._mark = 0.0
        self._period: float | None = None
        self._next = 0.0  # where the next piece goes
        self._settled = -self._unvoiced  # before it no piece begins any more
        self._before = self._unvoiced  # the length of the mark before the first that is kept

    def push(self, samples: Samples) -> Samples:
        """The output that ``samples``, ``(n,)`` float32, make certain."""
        self._input = np.concatenate([self._input, samples])
        self._end += len(samples)
        return self._made()

    def finish(self, samples: Samples) -> Samples:
        """The output of the last ``samples`` of a segment and of all that was held back."""
        end = self._end + len(samples)
        made = [self.push(samples)]
        while self._given < end:
            made.append(self.push(np.zeros(4 * self._periods.longest, np.float32)))
        rest = np.concatenate(made)
        rest = rest[: len(rest) - (self._given - end)]
        self._begin()
        return rest

    def _made(self) -> Samples:
        while self._find_mark():
            pass
        while self._marks and self._marks[-1].at >= self._next:
            self._place()
        certain = max(self._given, math.floor(self._settled))
        n = certain - self._given
        made, self._output = self._output[:n], self._output[n:]
        self._given = certain
        kept = int(self._marks[0].at if self._marks else self._mark) - self._pad
        self._input = self._input[max(0, kept - self._first) :]
        self._first = max(self._first, kept)
        return np.pad(made, (0, n - len(made))).astype(np.float32)

    def _at(self, first: int, last: int) -> Samples:
        return self._input[first - self._first : last - self._first]

    def _find_mark(self) -> bool:
        """One mark more, where the period that begins at the last one ends, if that is known."""
        longest, middle = self._periods.longest, round(self._mark)
        if middle + longest + _TAPS > self._end:
            return False
        before = self._period
        period = self._periods.find(self._at(middle - longest, middle + longest), before)
        ratio = 1.0
        if middle + round((1.5 + 2 * _SEARCHED) * (period or self._unvoiced)) + _TAPS > self._end:
            return False
        if period is None:
            length = self._unvoiced
        elif before is None:
            # A voice begins: from here on marks are where it is loudest.
            first = middle + round(0.5 * period)
            loud = np.abs(self._at(first, first + round(period)))
            length = first + int(np.argmax(loud)) - self._mark
            ratio = self._ratio(period)
        else:
            length = self._refined(middle, period) - self._mark
            ratio = self._ratio(length)
        self._marks.append(_Mark(self._mark, length, ratio))
        self._mark += length
        self._period = period
        return True

    def _refined(self, middle: int, period: float) -> float:
        """The mark a period after ``middle``: what is around it is most alike."""
        half, search = round(period / 2), max(2, round(_SEARCHED * period))
        around = self._at(middle - half, middle + half)
        first = middle + round(period) - search
        candidates = self._at(first - half, first + half + 2 * search)
        alike = np.correlate(candidates, around).astype(np.float64)
        squares = np.concatenate([[0.0], np.cumsum(np.square(candidates, dtype=np.float64))])
        energy = squares[2 * half :] - squares[: -2 * half]
        alike /= np.sqrt(energy + 1e-9)
        best = int(np.argmax(alike))
        offset = 0.0
        if 0 < best < len(alike) - 1:
            offset = vertex(*alike[best - 1 : best + 2])
        return first + best + offset + (self._mark - middle)

    def _ratio(self, period: float) -> float:
        """How much higher a period is to be."""
        hertz, lasts_s = self._rate / period, period / self._rate
        self._voiced_s = min(self._voiced_s + lasts_s, _REMEMBERED_S)
        share = lasts_s / self._voiced_s
        self._mean_hertz += (hertz - self._mean_hertz) * share
        # Lines fall, so that they are below the mean so far: on the whole a range moves no pitch.
        self._below_hertz += (self._mean_hertz - hertz - self._below_hertz) * share
        mean_hertz = self._mean_hertz - self._below_hertz
        wanted = mean_hertz + (hertz - mean_hertz) * self._spread
        return float(np.clip(self._factor * wanted / hertz, _LEAST_RATIO, _MOST_RATIO))

    def _place(self) -> None:
        """Set the piece around the nearest mark where the next one goes."""
        marks = self._marks
        while len(marks) > 1 and marks[1].at - self._next <= self._next - marks[0].at:
            self._before = marks.popleft().length
        mark = marks[0]
        left = min(self._before, self._next - self._settled)
        whole, phase = divmod(round((self._next - mark.at) * _PHASES), _PHASES)
        first, last = math.ceil(mark.at - left), math.floor(mark.at + mark.length)
        piece = self._at(first - _TAPS // 2, last + _TAPS // 2 + 1)
        delayed = np.convolve(piece, _DELAYS[phase], "valid")
        # Halves of cosines: those of neighbours sum to 1 where nothing is moved.
        times = np.arange(first, last + 1) - mark.at
        times /= np.where(times < 0, left, mark.length)
        window = 0.5 + 0.5 * np.cos(np.pi * times)
        begin = first + whole - self._given
        delayed = (delayed * window / np.sqrt(mark.ratio))[max(0, -begin) :]
        begin = max(0, begin)
        lacking = begin + len(delayed) - len(self._output)
        if lacking > 0:
            self._output = np.concatenate([self._output, np.zeros(lacking + self._pad)])
        self._output[begin : begin + len(delayed)] += delayed
        self._next += mark.length / mark.ratio
        self._settled = max(self._settled, self._next - _LEFT * mark.length)


def _delays() -> list[Samples]:
    """Filters that delay by a fraction of a sample, ``_TAPS + 1`` long."""
    taps = np.arange(_TAPS + 1) - _TAPS // 2
    found = []
    for phase in range(_PHASES):
        at = taps - phase / _PHASES
        window = np.cos(np.pi * at / (_TAPS + 2)) ** 2
        found.append((np.sinc(at) * window).astype(np.float32))
    return found


_DELAYS = _delays()
