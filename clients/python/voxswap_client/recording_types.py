"""What is read off a recording: frozen values, free of protobuf and grpc."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prosody:
    """How something is spoken.

    Mean pitch, its standard deviation, pace without pauses, the standard deviation of the level of
    voiced sound, and the share of the time that is silent.
    """

    pitch_hertz: float
    pitch_range_semitones: float
    syllables_per_s: float
    stress_db: float
    pauses: float


@dataclass(frozen=True, slots=True)
class StyleShare:
    """A voice that has a style, and how much of it there is, from 0 to 1."""

    voice: str
    weight: float


@dataclass(frozen=True, slots=True)
class ReadStyle:
    """A style that was read off a recording, for ``voice`` and others of its model.

    ``style`` goes into a request as it is. ``similarity`` says how near to the recording a line is
    expected to come, from 0 to 1, ``similarity_without`` the same of the voice as it is; both are
    expected, and not measured. ``mixture`` is what the style was made of.
    """

    voice: str
    style: bytes
    similarity: float
    similarity_without: float
    heard: Prosody
    expected: Prosody
    mixture: tuple[StyleShare, ...]
    seconds: float
    level_dbfs: float
    noise_db: float
    clipped: float
