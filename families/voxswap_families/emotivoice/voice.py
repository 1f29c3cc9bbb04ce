"""An EmotiVoice voice: a segment's frames as a whole, then audio as it is asked for.

How a line is said are two vectors: one of a prompt (a style in words, or an emotion's), one of the
sentence itself. Emotions are mixed in the space of prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from voxswap_families.contract import Delivery, Utterance
from voxswap_families.emotivoice.acoustic import MOST_FRAMES, Acoustic, Asked, Line
from voxswap_families.emotivoice.config import NEUTRAL, EmotiVoiceConfig
from voxswap_families.emotivoice.prompts import Prompts
from voxswap_families.emotivoice.vocoder import Audio, Vocoder
from voxswap_families.emotivoice.wordpiece import WordPiece
from voxswap_families.work import Steps, Work
from voxswap_registry.errors import EngineError, InvalidInputError

#: A sentence of 100 syllables; the whole of it comes before its first sound.
MOST_SYMBOLS: Final = 300
# A syllable has three symbols and 14 frames at rate 1, a pause more. Slow speech gets shorter
# segments, so that none that is spoken as it should be comes near the bound.
_FRAMES_A_SYMBOL, _LEAST_SYMBOLS = 6, 24


@dataclass(frozen=True, slots=True)
class Speaking:
    """What a voice computes with. ``speaker`` is ``(speaker_units,)``.

    ``guard`` is asked before each step.
    """

    acoustic: Acoustic
    vocoder: Vocoder
    prompts: Prompts
    words: WordPiece
    speaker: Tensor
    config: EmotiVoiceConfig
    guard: Callable[[], bool] | None = None


class EmotiVoice:
    """A voice. Immutable: any number of utterances may be made from it."""

    def __init__(self, speaking: Speaking) -> None:
        self._speaking = speaking

    def most_symbols(self, rate: float) -> int:
        """Fewer for slow speech, whose frames are bounded."""
        slow = max(_LEAST_SYMBOLS, int(MOST_FRAMES / _FRAMES_A_SYMBOL * rate))
        return min(MOST_SYMBOLS, slow)

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[Utterance]:
        """Read prompt and sentence, then make all frames: a piece of a layer at a time.

        Raises as `Voice.prepare`, and `InvalidInputError` for a style in words that are none of
        its style encoder's.
        """
        self._check(ids, delivery)
        return Work(
            self._utterance(ids, delivery),
            around=torch.inference_mode,
            guard=self._speaking.guard,
        )

    def _check(self, ids: Sequence[int], delivery: Delivery) -> None:
        """They become addresses."""
        n_symbols = self._speaking.config.acoustic.n_symbols
        if not len(ids) > 0 or min(ids) < 0 or max(ids) >= n_symbols:
            raise EngineError(
                f"{len(ids)} symbols, of which some are outside this model's 0 to "
                f"{n_symbols - 1}: the symbol table belongs to another voice"
            )
        if delivery.speaker:
            raise EngineError(
                f"the speaker {delivery.speaker} is none of this voice's, which has one; import "
                "the voice again"
            )
        if unknown := sorted(delivery.emotions.keys() - self._speaking.config.emotions.keys()):
            raise EngineError(
                f"the emotion {unknown[0]!r:.40} is none of this model's; import the voice again"
            )

    def _utterance(self, ids: Sequence[int], delivery: Delivery) -> Steps[Utterance]:
        s = self._speaking
        style = yield from self._felt(delivery)
        content = yield from s.prompts.steps(self._ids(delivery.text))
        line = yield from s.acoustic.steps(
            Asked(
                torch.tensor(ids, device=s.acoustic.device),
                s.speaker,
                style,
                content,
                rate=delivery.rate,
                pitch_semitones=delivery.controls.get("pitch_semitones", 0.0),
                pitch_range=delivery.controls.get("pitch_range", 1.0),
            )
        )
        return EmotiVoiceUtterance(s, line)

    def _felt(self, delivery: Delivery) -> Steps[Tensor]:
        """The vector of a mixture: neutral's, or that of a style in words, moved to emotions'.

        What is more than 1 of an emotion goes beyond it, as far as any prompt's vector may.
        """
        if prompt := delivery.style_prompt:
            base = yield from self._speaking.prompts.steps(self._prompt_ids(prompt))
        else:
            base = yield from self._said(NEUTRAL)
        felt = base
        # By name, lest the order in which they were asked for show in the last bits.
        for name, weight in sorted(delivery.emotions.items()):
            emotion = yield from self._said(name)
            felt = felt + weight * (emotion - base)
        # They are hyperbolic tangents: the model has never seen others.
        return felt if felt is base else felt.clamp(-1.0, 1.0)

    def _said(self, name: str) -> Steps[Tensor]:
        """The vector of an emotion's prompt."""
        prompt = self._speaking.config.emotions[name]
        return (yield from self._speaking.prompts.steps(self._ids(prompt)))

    def _prompt_ids(self, prompt: str) -> list[int]:
        # Marks are in every vocabulary, and are no words.
        letters = "".join(c if c.isalnum() else " " for c in prompt)
        if set(self._ids(letters)[1:-1]) <= {self._speaking.words.unknown}:
            raise InvalidInputError.one(
                "style_prompt",
                "has no word that this voice's style encoder knows; say it in Chinese, or in "
                "English words",
            )
        return self._ids(prompt)

    def _ids(self, text: str) -> list[int]:
        """The tokens of ``text``, as many as have a place; the last one is the end's."""
        ids = self._speaking.words.ids(text)
        most = self._speaking.config.style.positions
        return ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]


class EmotiVoiceUtterance:
    """A prepared segment: its frames are there, its audio is made as it is asked for."""

    def __init__(self, speaking: Speaking, line: Line) -> None:
        self._vocoder, self._guard = speaking.vocoder, speaking.guard
        self._hop_samples = speaking.config.vocoder.hop_samples
        self._mels = line.mels
        self._durations = line.durations
        self._state = speaking.vocoder.begin(self.frames)
        self._seen = 0  # frames that the vocoder has seen
        self._emitted = 0  # frames whose audio was asked for
        self._audio = np.zeros(0, np.float32)  # made, and not asked for yet

    @property
    def durations_frames(self) -> Sequence[int]:
        """Frames of each symbol."""
        return self._durations

    @property
    def frames(self) -> int:
        """Frames of the segment."""
        return self._mels.shape[0]

    @property
    def held_bytes(self) -> int:
        """The frames, what the vocoder remembers, and audio that was not asked for yet."""
        ahead = self._vocoder.look_ahead_frames + self._vocoder.grid_frames
        return self._mels.nbytes + self._vocoder.state_bytes + 4 * ahead * self._hop_samples

    def decode(self, first_frame: int, last_frame: int) -> Work[Audio]:
        """Audio of a piece, once the vocoder has seen as far beyond it as it reaches.

        Raises ValueError for frames that it has not.
        """
        if not self._emitted == first_frame < last_frame <= self.frames:
            raise ValueError(f"frames {first_frame}:{last_frame} of {self.frames}")
        self._emitted = last_frame
        wanted = (last_frame - first_frame) * self._hop_samples
        steps = self._decoding(last_frame, wanted)
        return Work(steps, around=torch.inference_mode, guard=self._guard)

    def _decoding(self, last_frame: int, wanted: int) -> Steps[Audio]:
        end = min(self.frames, last_frame + self._vocoder.look_ahead_frames)
        audio = [self._audio]
        while self._seen < end:
            last = min(self.frames, self._seen + self._piece(end - self._seen))
            mels, is_last = self._mels[self._seen : last], last == self.frames
            self._seen = last
            audio.append((yield from self._vocoder.steps(self._state, mels, is_last=is_last)))
            if last < end:
                yield None
        made = np.concatenate(audio)
        # What is left is little, and the rest must not live as long.
        self._audio = made[wanted:].copy()
        return made[:wanted]

    def _piece(self, left: int) -> int:
        """How many frames the vocoder gets next, of ``left`` that it must see."""
        grid = self._vocoder.grid_frames
        return min(self._vocoder.piece_frames, -(-left // grid) * grid)
