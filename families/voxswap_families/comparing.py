"""How far two ways of speaking with one voice are from each other, on the same lines.

SNR is that of the difference. The log-spectral distance is Gray and Markel's (1976): the root mean
square difference of log power spectra, averaged over frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_WINDOW, _HOP = 1024, 256
_FLOOR = 1e-4  # of a magnitude: below it nothing is heard
_MOST_DB = 200.0  # of what is the same in every bit

Array: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A line: frames of each symbol, ``(samples,)`` of audio, and what came between, by name."""

    durations: tuple[int, ...]
    audio: Array
    parts: Mapping[str, Array]


#: Speaks symbol ids, with the frames of each symbol given or else its own; the same noise always.
Speak: TypeAlias = Callable[[Sequence[int], Sequence[int] | None], Spoken]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found. ``snr_db`` has the parts in the order in which they are computed, and audio.

    Of what is the same in every bit, the SNR is 200. ``moved`` of ``durations`` were another.
    """

    snr_db: Mapping[str, float]
    log_spectral_distance_db: float
    moved: int
    durations: int


def compared(reference: Speak, other: Speak, lines: Iterable[Sequence[int]]) -> Comparison:
    """Let both speak ``lines``, of which there is one at least; blocks.

    Audio is compared with the reference's durations in both, or frames would not lie over each
    other.
    """
    power: dict[str, float] = {}
    noise: dict[str, float] = {}
    distances, moved, durations = list[float](), 0, 0
    for ids in lines:
        expected = reference(ids, None)
        moved += sum(
            a != b for a, b in zip(expected.durations, other(ids, None).durations, strict=True)
        )
        durations += len(expected.durations)
        found = other(ids, expected.durations)
        distances.append(log_spectral_distance(expected.audio, found.audio))
        parts = {**expected.parts, "audio": expected.audio}
        for name, part in parts.items():
            difference = {**found.parts, "audio": found.audio}[name].astype(np.float64) - part
            power[name] = power.get(name, 0.0) + float(np.square(part, dtype=np.float64).sum())
            noise[name] = noise.get(name, 0.0) + float(np.square(difference).sum())
    snr_db = {name: _ratio_db(power[name], noise[name]) for name in power}
    return Comparison(snr_db, float(np.mean(distances)), moved, durations)


def _ratio_db(power: float, noise: float) -> float:
    if not noise:
        return _MOST_DB
    return min(_MOST_DB, 10 * math.log10(power / noise)) if power else -_MOST_DB


def log_spectral_distance(a: Array, b: Array) -> float:
    """In dB, of signals of one length."""
    first, second = (20 * np.log10(np.maximum(_magnitudes(signal), _FLOOR)) for signal in (a, b))
    return float(np.sqrt(np.square(first - second).mean(axis=1)).mean())


def _magnitudes(signal: Array) -> npt.NDArray[np.float64]:
    """Of windows, ``(frames, frequencies)``; a short signal is one window."""
    padded = np.pad(signal, (0, max(0, _WINDOW - len(signal))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    magnitudes: npt.NDArray[np.float64] = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1))
    return magnitudes
