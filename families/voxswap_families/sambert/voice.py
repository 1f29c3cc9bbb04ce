"""A Sambert voice: durations for a segment as a whole, then frames and audio as they are asked for.

The decoder makes a few frames at a time, which go through the postnet into the vocoder; each keeps
what it has to remember. So the first audio takes as many frames as the two look ahead, however long
the segment is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxswap_families.contract import Delivery, Utterance
from voxswap_families.layers.rows import joined
from voxswap_families.sambert.acoustic import MOST_FRAMES, MOST_PIECE_STEPS, Acoustic, Asked, Line
from voxswap_families.sambert.config import SambertConfig
from voxswap_families.sambert.generator import Vocoder
from voxswap_families.work import Steps, Work
from voxswap_registry.errors import EngineError

#: A sentence of 300 syllables; attention takes memory with the square of it.
MOST_SYMBOLS: Final = 800
# A syllable has two symbols and 16 frames at rate 1; pauses are longer. Slow speech gets shorter
# segments, so that none that is spoken as it should be comes near the bound.
_FRAMES_A_SYMBOL, _LEAST_SYMBOLS = 12, 24
#: Frames that the vocoder gets at a time: its steps are as long as others should wait.
MOST_VOCODER_FRAMES: Final = 48
# Its pieces are multiples of this: few lengths are computed fastest.
_GRID_FRAMES = 8

_Audio = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Speaking:
    """What a voice computes with: its parts, and what its manifest says of their rows.

    ``vector`` is ``(1, speaker_units)``, of a voice whose speaker is in no table. ``guard`` is
    asked before each step.
    """

    acoustic: Acoustic
    generator: Vocoder
    config: SambertConfig
    vector: Tensor | None
    guard: Callable[[], bool] | None = None


class SambertVoice:
    """A voice. Immutable: any number of utterances may be made from it."""

    def __init__(self, speaking: Speaking) -> None:
        self._speaking = speaking
        device = speaking.acoustic.device
        self._pauses = torch.tensor(speaking.config.pauses, dtype=torch.int64, device=device)

    def most_symbols(self, rate: float) -> int:
        """Fewer for slow speech, whose frames are bounded."""
        slow = max(_LEAST_SYMBOLS, int(MOST_FRAMES / _FRAMES_A_SYMBOL * rate))
        return min(MOST_SYMBOLS, slow)

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[Utterance]:
        """Encode the text and predict durations, a layer or two at a time.

        Raises as `Voice.prepare`.
        """
        self._check(ids, delivery)
        return Work(
            self._utterance(ids, delivery),
            around=torch.inference_mode,
            guard=self._speaking.guard,
        )

    def _check(self, ids: Sequence[int], delivery: Delivery) -> None:
        """They become addresses."""
        s = self._speaking
        n_symbols, n_speakers = s.config.acoustic.n_symbols, s.config.acoustic.n_speakers
        if not len(ids) > 0 or min(ids) < 0 or max(ids) >= n_symbols:
            raise EngineError(
                f"{len(ids)} symbols, of which some are outside this model's 0 to "
                f"{n_symbols - 1}: the symbol table belongs to another voice"
            )
        if not 0 <= delivery.speaker < max(1, n_speakers):
            raise EngineError(
                f"the speaker {delivery.speaker} is none of this model's {n_speakers}; import the "
                "voice again"
            )
        if unknown := sorted(delivery.emotions.keys() - s.config.emotions.keys()):
            raise EngineError(
                f"the emotion {unknown[0]!r:.40} is none of this model's; import the voice again"
            )

    def _utterance(self, ids: Sequence[int], delivery: Delivery) -> Steps[Utterance]:
        acoustic = self._speaking.acoustic
        rows = self._rows(ids)
        asked = Asked(
            rows,
            self._speaker(delivery.speaker),
            self._emotion(rows, delivery.emotions),
            delivery.rate,
        )
        line = yield from acoustic.prepare(asked)
        return SambertUtterance(self._speaking, line, delivery.seed)

    def _rows(self, ids: Sequence[int]) -> Tensor:
        """``(symbols, 4)``: the row of each table that an id stands for."""
        a = self._speaking.config.acoustic
        left, rows = torch.tensor(ids, dtype=torch.int64), []
        for n in (a.n_sy, a.n_tone, a.n_syllable_flag, a.n_word_segment):
            rows.append(left % n)
            left = left // n
        return torch.stack(rows, dim=1).to(self._speaking.acoustic.device)

    def _speaker(self, row: int) -> Tensor:
        table, vector = self._speaking.acoustic.speakers, self._speaking.vector
        if table is not None:
            return table[row : row + 1]
        assert vector is not None  # noqa: S101 - `SambertConfig.faults`
        return vector

    def _emotion(self, rows: Tensor, weights: Mapping[str, float]) -> Tensor:
        """``(symbols, emotion_units)``: a mixture, but for pauses, which nobody feels."""
        table, config = self._speaking.acoustic.emotions, self._speaking.config
        neutral = felt = table[config.neutral]
        # By name, lest the order in which they were asked for show in the last bits.
        for name, weight in sorted(weights.items()):
            felt = felt + weight * (table[config.emotions[name]] - neutral)
        is_pause = torch.isin(rows[:, 0], self._pauses)
        return torch.where(is_pause[:, None], table[config.pausing], felt)


class SambertUtterance:
    """A prepared segment on its way from text to audio."""

    def __init__(self, speaking: Speaking, line: Line, seed: int) -> None:
        self._generator, self._guard = speaking.generator, speaking.guard
        self._line = line
        self._vocoding = speaking.generator.begin(seed, frames=line.frames)
        self._architecture = speaking.config.acoustic
        self._ready: list[Tensor] = []  # frames that the vocoder has not seen
        self._made = 0  # frames that the line has given
        self._seen = 0  # of these, those that the vocoder has seen
        self._emitted = 0  # frames whose audio was asked for
        self._audio = np.zeros(0, np.float32)  # made, and not asked for yet

    @property
    def durations_frames(self) -> Sequence[int]:
        """Frames of each symbol."""
        return self._line.durations

    @property
    def frames(self) -> int:
        """Frames of the segment."""
        return self._line.frames

    @property
    def held_bytes(self) -> int:
        """What line and vocoder remember, and what is between them and behind."""
        a = self._architecture
        # The last piece gives what the postnet held back as well.
        piece = MOST_PIECE_STEPS * a.step_frames + a.postnet_ahead_frames
        frames = 2 * MOST_VOCODER_FRAMES + piece
        ahead = self._generator.look_ahead_frames + _GRID_FRAMES
        between = 4 * (frames * a.mels + ahead * self._generator.hop_samples)
        return self._line.held_bytes + self._generator.state_bytes + between

    def decode(self, first_frame: int, last_frame: int) -> Work[_Audio]:
        """Audio of a piece, once the vocoder has seen as far beyond it as it must.

        Raises ValueError for frames that it has not.
        """
        if not self._emitted == first_frame < last_frame <= self.frames:
            raise ValueError(f"frames {first_frame}:{last_frame} of {self.frames}")
        self._emitted = last_frame
        wanted = (last_frame - first_frame) * self._generator.hop_samples
        steps = self._decoding(last_frame, wanted)
        return Work(steps, around=torch.inference_mode, guard=self._guard)

    def _decoding(self, last_frame: int, wanted: int) -> Steps[_Audio]:
        end = min(self.frames, last_frame + self._generator.look_ahead_frames)
        audio = [self._audio]
        while (left := end - self._seen) > 0:
            n = self._next_frames(left)
            while self._made < self._seen + n:
                more = yield from self._line.piece()
                self._made += more.shape[0]
                self._ready.append(more)
            audio.append((yield from self._voiced(n)))
        made = np.concatenate(audio)
        # What is left is little, and the rest must not live as long.
        self._audio = made[wanted:].copy()
        return made[:wanted]

    def _next_frames(self, left: int) -> int:
        """How many the vocoder gets next, of ``left`` that it must see for what was asked."""
        if not self._seen and left <= MOST_VOCODER_FRAMES:
            return left  # Somebody waits for it.
        # A short tail goes along with the piece before it.
        n = left if left < 1.5 * MOST_VOCODER_FRAMES else MOST_VOCODER_FRAMES
        return min(-(-n // _GRID_FRAMES) * _GRID_FRAMES, self.frames - self._seen)

    def _voiced(self, n: int) -> Steps[_Audio]:
        """What the vocoder can tell, once it has seen ``n`` frames more."""
        ready = joined(self._ready)
        frames, self._ready = ready[:n], [ready[n:]]
        is_last = self._seen + n == self.frames
        made = yield from self._generator.steps(self._vocoding, frames, is_last=is_last)
        self._seen += n
        samples: _Audio = made.float().cpu().numpy()
        # NaN and infinity survive a sum, and one sum is cheaper than a mask.
        if not np.isfinite(samples.sum()):
            raise EngineError("the model gave NaN or infinity: the weights are damaged")
        return samples
