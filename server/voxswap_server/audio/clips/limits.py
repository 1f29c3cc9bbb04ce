"""What a clip may be, and the one error that says what it is instead."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from voxswap_registry.errors import FieldViolation, InvalidInputError


@dataclass(frozen=True, slots=True)
class ClipLimits:
    """``most_bytes`` before anything is decoded; the others of what it says and comes to.

    A codec may add ``grace_s`` at the ends of what was recorded: that much is forgiven.
    """

    least_s: float = 3.0
    most_s: float = 10.0
    most_bytes: int = 2_000_000
    most_channels: int = 2
    least_hertz: int = 8_000
    most_hertz: int = 48_000
    grace_s: float = 0.1

    def most_frames(self, rate_hertz: int) -> int:
        """Samples of each channel that are decoded at the most; one more, and it is too long."""
        return round((self.most_s + self.grace_s) * rate_hertz)

    @property
    def most_decoded_bytes(self) -> int:
        """As float32."""
        return 4 * self.most_channels * (self.most_frames(self.most_hertz) + 1)


class ClipFault(enum.Enum):
    """Why a clip is of no use; clients may match on the values."""

    NOT_AUDIO = "not_audio"
    DAMAGED = "damaged"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    CHANNELS = "channels"
    SAMPLE_RATE = "sample_rate"
    SILENT = "silent"
    CLIPPED = "clipped"
    NO_VOICE = "no_voice"
    TOO_NOISY = "too_noisy"
    SEVERAL_SPEAKERS = "several_speakers"


class UnusableClipError(InvalidInputError):
    """A clip that is refused; ``metadata["fault"]`` has the `ClipFault`."""

    reason = "CLIP_UNUSABLE"

    def __init__(self, fault: ClipFault, description: str, *, field: str = "audio") -> None:
        super().__init__([FieldViolation(field, description)])
        self.fault = fault
        self.metadata["fault"] = fault.value
