"""What may be changed while a pipeline runs, by `TTSUpdateSettingsFrame`."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipecat.services.settings import TTSSettings
from pipecat.utils.types import NOT_GIVEN, NotGiven


@dataclass
class VoxswapTTSSettings(TTSSettings):
    """``voice`` is an id, or ``id@version``; the rest are those of a line, None for its own.

    ``model`` and ``language`` are of no account: a voice has its own.
    """

    speaker: str | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)
    rate: float | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)
    seed: int | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)


def defaults() -> VoxswapTTSSettings:
    """Before anybody has said anything."""
    return VoxswapTTSSettings(
        model=None, voice=None, language=None, speaker=None, rate=None, seed=None
    )
