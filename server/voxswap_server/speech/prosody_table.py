"""PROSODY's table: how an emotion is spoken by rate, pitch, volume and pauses alone.

Each row is what an intensity of 1 makes of a voice. Other intensities and mixtures are between the
rows and beyond: factors by powers, semitones and decibels in proportion.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

#: The controls that it uses, and those of them that are factors; the others add up.
PARTS: Final = ("rate", "pitch_semitones", "pitch_range", "volume_db", "pause_scale")
FACTORS: Final = frozenset({"rate", "pitch_range", "pause_scale"})


def _row(
    rate: float, pitch_semitones: float, pitch_range: float, volume_db: float, pause_scale: float
) -> Mapping[str, float]:
    values = (rate, pitch_semitones, pitch_range, volume_db, pause_scale)
    return MappingProxyType(dict(zip(PARTS, values, strict=True)))


#: By the names of `voxswap_registry.emotions`.
PROSODY: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "happy": _row(1.06, 1.5, 1.3, 1.5, 0.85),
        "sad": _row(0.86, -1.0, 0.7, -3.0, 1.35),
        "angry": _row(1.08, 1.0, 1.35, 3.0, 0.8),
        "fearful": _row(1.12, 2.0, 1.1, -1.0, 1.1),
        "surprised": _row(1.02, 2.5, 1.5, 2.0, 1.0),
        "disgusted": _row(0.9, -1.0, 0.85, -0.5, 1.15),
    }
)
