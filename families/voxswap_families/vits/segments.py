"""What is true of a VITS segment, whatever computes it: its bounds in symbols and frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_registry.errors import EngineError

#: A segment of 400 characters has about 900.
MOST_SYMBOLS: Final = 1_200

# A symbol longer than this is a predictor gone astray (4.6 s at 22.05 kHz, hop 256).
_MAX_SYMBOL_FRAMES = 400.0
# Over two minutes. A segment that would be longer than this and a frame for each symbol is spoken
# faster.
_MOST_FRAMES = 12_000
# English has 2.1 to 2.5 frames a symbol at rate 1; a voice of 48 kHz may have twice as many. Slow
# speech gets shorter segments, so that none that is spoken as it should be comes near the bound.
_FRAMES_A_SYMBOL, _LEAST_SYMBOLS = 5, 24


def most_symbols(rate: float) -> int:
    """Beyond it the memory of attention, which grows with the square, would pass its bound.

    At less than half the usual speed, so would the length of the segment.
    """
    slow = max(_LEAST_SYMBOLS, int(_MOST_FRAMES / _FRAMES_A_SYMBOL * rate))
    return min(MOST_SYMBOLS, slow)


def check_asked(architecture: VitsArchitecture, ids: Sequence[int], speaker: int) -> None:
    """Raise `EngineError` for ids or a speaker that the model has not: they become addresses."""
    if not len(ids) > 0 or min(ids) < 0 or max(ids) >= architecture.n_symbols:
        raise EngineError(
            f"{len(ids)} symbols, of which some are outside this model's 0 to "
            f"{architecture.n_symbols - 1}: the symbol table belongs to another voice"
        )
    if not 0 <= speaker < max(1, architecture.n_speakers):
        raise EngineError(
            f"the speaker {speaker} is none of this model's {architecture.n_speakers}; import the "
            "voice again"
        )


def bounded(durations: Tensor) -> Tensor:
    """Whole frames for ``durations``, ``(symbols,)``: one at least, and not absurdly many."""
    frames = torch.ceil(durations).clamp(max=_MAX_SYMBOL_FRAMES)
    total = float(frames.sum())
    if total > _MOST_FRAMES:
        frames = torch.floor(frames * (_MOST_FRAMES / total)).clamp(min=1)
    elif not total:
        frames[-1] = 1
    return frames.long()
