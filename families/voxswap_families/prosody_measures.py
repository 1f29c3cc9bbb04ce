"""What is heard of how somebody speaks: pitch, its range, pace, stress and pauses, by numpy alone.

Pitch is the autocorrelation of a window divided by that of the window itself (Boersma, "Accurate
short-term analysis of the fundamental frequency", 1993), and of a frame's candidates the ones are
taken whose path costs least. Pace is the peaks of intensity that are voiced and have a dip before
them (de Jong and Wempe, "Praat script to detect syllable nuclei", 2009).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

RATE_HERTZ: Final = 16_000
"""All samples here have this rate."""

HOP_S: Final = 0.01
_HOP: Final = 160
_WINDOW: Final = 768  # 48 ms: three periods of the lowest pitch
_FFT: Final = 2048
_LEAST_HERTZ, _MOST_HERTZ = 60.0, 550.0
_CANDIDATES: Final = 6
_VOICED: Final = 0.45  # of the autocorrelation: below it nobody sings
_OCTAVE_COST, _JUMP_COST, _CHANGE_COST = 0.01, 0.35, 0.14
_BLOCK: Final = 50  # frames of one step: half a second of sound, some 2 ms
_FRAMES_OF_PATH: Final = 100

_PAUSE_DB: Final = 25.0  # below speech: a pause
_LEAST_PAUSE: Final = 15  # frames; shorter ones are of a plosive
_DIP_DB: Final = 2.0


@dataclass(frozen=True, slots=True)
class Frames:
    """A clip every `HOP_S`: level in dB of full scale, pitch in Hz (0: none), and strength 0..1."""

    level_db: Floats
    pitch_hertz: Floats

    @property
    def is_voiced(self) -> npt.NDArray[np.bool_]:
        """Where there is a pitch."""
        return self.pitch_hertz > 0


@dataclass(frozen=True, slots=True)
class Prosody:
    """How a clip is spoken.

    ``pitch_hertz`` is the mean on a scale of semitones, ``range_semitones`` the standard deviation
    around it; ``syllables_per_s`` counts without pauses; ``stress_db`` is the standard deviation of
    the level of voiced frames; ``pauses`` is the share of time between first and last sound that is
    silent. ``speech_s`` is how long there is sound, ``voiced`` the share of that with a pitch; 0
    where that is not known.
    """

    pitch_hertz: float
    range_semitones: float
    syllables_per_s: float
    stress_db: float
    pauses: float
    speech_s: float = 0.0
    voiced: float = 0.0


def frames_of(samples: Samples) -> Generator[None, Any, Frames]:
    """Level and pitch of ``(samples,)``; yields every few milliseconds of computing."""
    padded = np.pad(samples.astype(np.float64), _WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    hann = np.hanning(_WINDOW)
    of_window = np.fft.irfft(np.abs(np.fft.rfft(hann, _FFT)) ** 2)[: _WINDOW // 2]
    of_window /= of_window[0]
    levels, hertz, strengths = [], [], []
    for start in range(0, len(windows), _BLOCK):
        block = windows[start : start + _BLOCK]
        levels.append(
            10 * np.log10(np.mean(block[:, _WINDOW // 4 : -_WINDOW // 4] ** 2, axis=1) + 1e-12)
        )
        found, strength = _candidates(block, hann, of_window)
        hertz.append(found)
        strengths.append(strength)
        yield
    level = np.concatenate(levels)
    pitch = yield from _path(np.concatenate(hertz), np.concatenate(strengths))
    # What is far below the rest is no voice, however periodic.
    pitch[level < np.percentile(level, 95) - 35] = 0.0
    yield
    return Frames(level, pitch)


def _candidates(block: Floats, hann: Floats, of_window: Floats) -> tuple[Floats, Floats]:
    """``(frames, candidates)``: pitches in Hz and how strong each is; 0 where there is none."""
    centred = (block - block.mean(axis=1, keepdims=True)) * hann
    power = np.abs(np.fft.rfft(centred, _FFT, axis=1)) ** 2
    auto = np.fft.irfft(power, axis=1)[:, : _WINDOW // 2]
    auto = auto / (auto[:, :1] + 1e-9) / of_window
    first, last = int(RATE_HERTZ / _MOST_HERTZ), int(RATE_HERTZ / _LEAST_HERTZ)
    left, here, right = (
        auto[:, first - 1 : last - 1],
        auto[:, first:last],
        auto[:, first + 1 : last + 1],
    )
    is_peak = (here > left) & (here >= right) & (here > 0.25)
    score = np.where(is_peak, here, 0.0)
    lags = np.arange(first, last)
    score = np.where(is_peak, score - _OCTAVE_COST * np.log2(lags / first), 0.0)
    order = np.argsort(-score, axis=1)[:, :_CANDIDATES]
    take = np.take_along_axis
    a, b, c = (take(x, order, axis=1) for x in (left, here, right))
    curve = a - 2 * b + c
    shift = np.where(np.abs(curve) > 1e-9, 0.5 * (a - c) / np.where(curve == 0, 1, curve), 0.0)
    strength = take(score, order, axis=1)
    hertz = np.where(strength > 0, RATE_HERTZ / (lags[order] + shift), 0.0)
    return hertz, np.minimum(strength, 1.0)


def _path(hertz: Floats, strength: Floats) -> Generator[None, Any, Floats]:
    """The pitch of each frame, 0 where there is none: the cheapest way through its candidates."""
    n = len(hertz)
    # The first candidate is that there is no pitch.
    octaves = np.log2(np.maximum(np.concatenate([np.ones((n, 1)), hertz], axis=1), 1.0))
    gain = np.concatenate([np.full((n, 1), _VOICED), np.where(hertz > 0, strength, -1.0)], axis=1)
    is_silent = np.zeros(_CANDIDATES + 1, bool)
    is_silent[0] = True
    change = np.where(is_silent[:, None] != is_silent[None], _CHANGE_COST, 0.0)
    both = ~is_silent[:, None] & ~is_silent[None]
    best = gain[0]
    back = np.zeros((n, _CANDIDATES + 1), np.intp)
    for frame in range(1, n):
        jump = np.abs(octaves[frame - 1][:, None] - octaves[frame][None]) * _JUMP_COST
        total = best[:, None] - np.where(both, jump, change)
        back[frame] = total.argmax(axis=0)
        best = total.max(axis=0) + gain[frame]
        if frame % _FRAMES_OF_PATH == 0:
            yield
    place = int(best.argmax())
    found = np.zeros(n)
    for frame in range(n - 1, -1, -1):
        found[frame] = hertz[frame, place - 1] if place else 0.0
        place = back[frame, place]
    return found


def prosody_of(frames: Frames) -> Prosody:
    """How they are spoken; all is 0 where there is no voice."""
    level, voiced = frames.level_db, frames.is_voiced
    if voiced.sum() < 5:
        return Prosody(0.0, 0.0, 0.0, 0.0, 0.0)
    loud = float(np.percentile(level[voiced], 75))
    sounds = level > loud - _PAUSE_DB
    first, last = np.flatnonzero(sounds)[[0, -1]]
    inside = sounds[first : last + 1]
    paused = _long_runs(~inside)
    speech_s = float((~paused).sum() * HOP_S)
    semitones = 12 * np.log2(frames.pitch_hertz[voiced])
    # An octave that was mistaken is no range.
    middle = np.median(semitones)
    kept = semitones[np.abs(semitones - middle) < 11]
    return Prosody(
        pitch_hertz=float(2 ** (kept.mean() / 12)),
        range_semitones=float(kept.std()),
        syllables_per_s=_nuclei(level, voiced, loud) / speech_s,
        stress_db=float(level[voiced & (level > loud - _PAUSE_DB)].std()),
        pauses=float(paused.mean()),
        speech_s=speech_s,
        voiced=float(voiced[first : last + 1].sum() * HOP_S / speech_s),
    )


def _long_runs(silent: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], silent.view(np.int8), [0]])))
    found = np.zeros(len(silent), bool)
    for start, end in edges.reshape(-1, 2):
        if end - start >= _LEAST_PAUSE:
            found[start:end] = True
    return found


def _nuclei(level: Floats, voiced: npt.NDArray[np.bool_], loud: float) -> int:
    """Peaks of level that are voiced, loud enough, and have a dip between them and the last one."""
    smooth = np.convolve(
        np.pad(level, 3, mode="edge"), np.hanning(9)[1:-1] / np.hanning(9).sum(), "valid"
    )
    peaks = np.flatnonzero((smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:])) + 1
    count, last = 0, -1
    for peak in map(int, peaks):
        if not voiced[peak] or smooth[peak] < loud - _PAUSE_DB:
            continue
        if last >= 0:
            dip = smooth[last:peak].min()
            if min(smooth[peak], smooth[last]) - dip < _DIP_DB:
                if smooth[peak] > smooth[last]:
                    last = peak
                continue
        count, last = count + 1, peak
    return count
