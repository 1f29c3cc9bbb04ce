"""Controls: numbers that change how a line is spoken, each of which means one thing everywhere.

A family says which of them its voices carry out, and a manifest lists those of its voice. Some the
server carries out on the audio of any voice whose family does not: a request may ask for those, and
for its voice's own. To add one: a row here, a field of `Controls` in ``speech.proto``, and the
families that carry it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Control:
    """A number from ``least`` to ``most``.

    Its ``neutral`` value asks for nothing, so that any voice takes it; None if there is none.
    ``setting`` is its name among the ``defaults`` of a manifest, if a voice may have its own.
    """

    name: str
    least: float
    most: float
    neutral: float | None = None
    setting: str = ""


#: Bounds of a manifest's ``defaults``. Of a published voice these are 0.7 to 1.5, 0.3 to 1 and 0.6
#: to 1. A request may ask for a rate of a quarter to four times this.
DEFAULTS: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {"length_scale": (0.1, 10.0), "noise_scale": (0.0, 3.0), "noise_w": (0.0, 3.0)}
)

#: A factor on the voice's own speed. It divides ``length_scale``, and is a `Delivery`'s own field.
RATE: Final = Control("rate", 0.25, 4.0, neutral=1.0)

CONTROLS: Final[Mapping[str, Control]] = MappingProxyType(
    {
        control.name: control
        for control in (
            RATE,
            Control("pitch_semitones", -12.0, 12.0, neutral=0.0),
            Control("volume_db", -40.0, 12.0, neutral=0.0),
            Control("pitch_range", 0.0, 2.0, neutral=1.0),
            Control("pause_scale", 0.0, 4.0, neutral=1.0),
            # Standard deviations: of the acoustic prior, and of durations.
            Control("noise_scale", 0.0, 2.0, setting="noise_scale"),
            Control("duration_noise_scale", 0.0, 2.0, setting="noise_w"),
        )
    }
)

#: What the server does to the audio of any voice, where the voice's family does not do it itself.
#: Manifests need not list these.
ON_AUDIO: Final = ("pitch_semitones", "pitch_range", "volume_db", "pause_scale")
