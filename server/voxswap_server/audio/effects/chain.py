"""What is done to a stream's audio, whoever speaks: pitch, then level; nothing where none is asked.

Each segment may be asked for something else. What an effect holds back is given out with the end of
the segment, so that a segment is as long as it was, and each sample in its place.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from voxswap_registry.controls import CONTROLS
from voxswap_server.audio.effects.limiter import Limiter
from voxswap_server.audio.effects.pitch import PitchShifter
from voxswap_server.audio.encoding import Samples

# Seconds that a second of audio takes; measured at 24 kHz.
_PITCH_RTF, _LEVEL_RTF = 0.025, 0.004


class Effects:
    """The effects of one stream. Not thread-safe."""

    def __init__(self, rate_hertz: int) -> None:
        self._rate = rate_hertz
        self._shifter: PitchShifter | None = None
        self._limiter: Limiter | None = None
        self._shifts = self._limits = False

    def begin(self, controls: Mapping[str, float]) -> None:
        """A segment comes, of which these are asked; of one that has not ended no more is known."""
        asked = {name: value for name, value in controls.items() if value != CONTROLS[name].neutral}
        self._shifts = not asked.keys().isdisjoint(("pitch_semitones", "pitch_range"))
        if self._shifts:
            self._shifter = self._shifter or PitchShifter(self._rate)
            self._shifter.begin(asked.get("pitch_semitones", 0.0), asked.get("pitch_range", 1.0))
        # Periods that are set anew may be louder together than they were.
        self._limits = self._shifts or "volume_db" in asked
        if self._limits:
            self._limiter = self._limiter or Limiter(self._rate)
            self._limiter.begin(asked.get("volume_db", 0.0))

    def run(self, samples: Samples, *, is_last: bool) -> Samples:
        """What ``samples``, ``(n,)`` float32, make certain; all that is left if they end it."""
        if not (self._shifts or self._limits):
            return samples
        samples = np.nan_to_num(samples, posinf=1.0, neginf=-1.0)
        for effect in (self._shifts and self._shifter, self._limits and self._limiter):
            if effect:
                samples = effect.finish(samples) if is_last else effect.push(samples)
        return samples

    @property
    def rtf(self) -> float:
        """About how many seconds a second of the segment takes."""
        return self._shifts * _PITCH_RTF + self._limits * _LEVEL_RTF
