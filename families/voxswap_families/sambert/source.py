"""The harmonic source of an NSF vocoder: F0 to the sines that its filters shape.

Wang et al., "Neural source-filter-based waveform model for statistical parametric speech synthesis"
(2019); the mixture of sines and noise is KAN-TTS's. A phase depends on all of F0 before it, and a
draw on how many came before: both go on from piece to piece.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

import torch
from torch import Tensor

# As the vocoders were trained: how loud sines are, and the deviation of noise where they sound.
_SINES: Final = 0.1
_NOISE: Final = 0.003
# Where no sine sounds, noise is as loud as a third of one.
_NOISE_ALONE: Final = _SINES / 3 / _NOISE
_VOICED: Final = 0.6


class Draws(Protocol):
    """What is drawn for one line."""

    def phases(self, harmonics: int) -> Tensor:
        """Where each sine begins, ``(harmonics,)`` in radians; the fundamental at 0."""
        ...

    def noise(self, harmonics: int, samples: int) -> Tensor:
        """Of the frames that come now, ``(harmonics, samples)``."""
        ...


class SeededDraws:
    """What a seed gives: the same on every device, and for every way to cut a line.

    Not thread-safe. ``hop_samples`` is the length of a frame: torch draws another sequence for each
    length that is asked for, so each frame is drawn by itself.
    """

    def __init__(self, seed: int, hop_samples: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._hop_samples = hop_samples

    def phases(self, harmonics: int) -> Tensor:
        """See `Draws`."""
        drawn = torch.rand(harmonics, generator=self._generator) * (2 * math.pi) - math.pi
        drawn[0] = 0.0
        return drawn

    def noise(self, harmonics: int, samples: int) -> Tensor:
        """See `Draws`."""
        shape = harmonics, self._hop_samples
        frames = samples // self._hop_samples
        drawn = [torch.randn(shape, generator=self._generator) for _ in range(frames)]
        return torch.cat(drawn, dim=1).mul_(_NOISE) if drawn else torch.zeros(harmonics, 0)


class Source:
    """One line's source on its way. Not thread-safe: its pieces come one after the other."""

    def __init__(
        self, draws: Draws, *, harmonics: int, hop_samples: int, sample_rate_hertz: int
    ) -> None:
        self._draws = draws
        self._hop_samples = hop_samples
        # In float64, and turns instead of radians: after an hour it is as exact as at first.
        self._turns = torch.zeros(harmonics, 1, dtype=torch.float64)
        self._per_hertz = torch.arange(1, harmonics + 1, dtype=torch.float64) / sample_rate_hertz
        self._phases: Tensor | None = None

    def sines(self, f0_hertz: Tensor, voicing: Tensor) -> Tensor:
        """Of the frames that come now: both ``(frames,)`` to ``(harmonics, samples)`` float32."""
        harmonics, device = len(self._per_hertz), f0_hertz.device
        if self._phases is None:
            self._phases = self._draws.phases(harmonics)[:, None].to(device)
            self._turns = self._turns.to(device)
            self._per_hertz = self._per_hertz.to(device)
        step = self._per_hertz[:, None] * f0_hertz.double()
        ends = self._turns + torch.cumsum(step * self._hop_samples, dim=1)
        within = torch.arange(1, self._hop_samples + 1, device=device, dtype=torch.float64)
        begins = torch.cat([self._turns, ends[:, :-1]], dim=1)
        turns = (begins[:, :, None] + step[:, :, None] * within).flatten(1) % 1
        self._turns = ends[:, -1:] % 1
        sines = torch.sin(turns.float().mul_(2 * math.pi).add_(self._phases)).mul_(_SINES)
        noise = self._draws.noise(harmonics, sines.shape[1]).to(device)
        is_voiced = (voicing >= _VOICED).repeat_interleave(self._hop_samples)
        return torch.where(is_voiced, sines + noise, _NOISE_ALONE * noise)
