"""An EmotiVoice voice: a segment's frames as a whole, then audio as it is asked for.

How a line is said are two vectors: one of a prompt (a style in words, or an emotion's), one of the
sentence itself. Emotions are mixed in the space of prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from voxswap_families.contract import Delivery, Utterance
from voxswap_families.emotivoice.acoustic import MOST_FRAMES, Acoustic, Asked, Line
from voxswap_families.emotivoice.config import NEUTRAL, EmotiVoiceConfig
from voxswap_families.emotivoice.prompts import Prompts
from voxswap_families.emotivoice.wordpiece import WordPiece
from voxswap_families.layers.carry import Carry
from voxswap_families.layers.hifigan import Generator
from voxswap_families.layers.kernels import GRID
from voxswap_families.work import Steps, Work
from voxswap_registry.errors import EngineError, InvalidInputError

#: A sentence of 130 syllables; the whole of it comes before its first sound.
MOST_SYMBOLS: Final = 400
# A syllable has three symbols and 14 frames at rate 1, a pause more. Slow speech gets shorter
# segments, so that none that is spoken as it should be comes near the bound.
_FRAMES_A_SYMBOL, _LEAST_SYMBOLS = 6, 24
#: Frames that the vocoder gets at a time: its steps are as long as others should wait.
MOST_VOCODER_FRAMES: Final = 64

_Audio = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Speaking:
    """What a voice computes with. ``speaker`` is ``(speaker_units,)``.

    ``guard`` is asked before each step.
    """

    acoustic: Acoustic
    generator: Generator
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
        ids = self._ids(prompt)
        if set(ids[1:-1]) <= {self._speaking.words.unknown}:
            raise InvalidInputError.one(
                "style_prompt",
                "has no word that this voice's style encoder knows; say it in Chinese, or in "
                "English words",
            )
        return ids

    def _ids(self, text: str) -> list[int]:
        """The tokens of ``text``, as many as have a place; the last one is the end's."""
        ids = self._speaking.words.ids(text)
        most = self._speaking.config.style.positions
        return ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]


class EmotiVoiceUtterance:
    """A prepared segment: its frames are there, its audio is made as it is asked for."""

    def __init__(self, speaking: Speaking, line: Line) -> None:
        self._generator, self._guard = speaking.generator, speaking.guard
        self._vocoder = speaking.config.vocoder
        self._mels = line.mels
        self._durations = line.durations
        self._carry = Carry()
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
        a = self._vocoder
        ahead = a.reach_frames + GRID
        return self._mels.nbytes + a.state_bytes + 4 * ahead * a.hop_samples

    def decode(self, first_frame: int, last_frame: int) -> Work[_Audio]:
        """Audio of a piece, once the vocoder has seen as far beyond it as it reaches.

        Raises ValueError for frames that it has not.
        """
        if not self._emitted == first_frame < last_frame <= self.frames:
            raise ValueError(f"frames {first_frame}:{last_frame} of {self.frames}")
        self._emitted = last_frame
        wanted = (last_frame - first_frame) * self._vocoder.hop_samples
        steps = self._decoding(last_frame, wanted)
        return Work(steps, around=torch.inference_mode, guard=self._guard)

    def _decoding(self, last_frame: int, wanted: int) -> Steps[_Audio]:
        end = min(self.frames, last_frame + self._generator.reach_frames)
        audio = [self._audio]
        while (left := end - self._seen) > 0:
            # A short tail goes along with the piece before it.
            n = left if left < 1.5 * MOST_VOCODER_FRAMES else MOST_VOCODER_FRAMES
            audio.append((yield from self._voiced(_on_grid(n))))
        made = np.concatenate(audio)
        # What is left is little, and the rest must not live as long.
        self._audio = made[wanted:].copy()
        return made[:wanted]

    def _voiced(self, n: int) -> Steps[_Audio]:
        """What the vocoder can tell, once it has seen ``n`` frames more, or the last ones."""
        beyond = max(0, self._seen + n - self.frames)
        frames = functional.pad(self._mels[self._seen : self._seen + n], (0, 0, 0, beyond))
        self._seen += n - beyond
        self._carry.begin(last=self._seen == self.frames, beyond=beyond)
        signal = frames[None, None].permute(0, 3, 1, 2)
        made = yield from self._generator.carried(signal, self._carry)
        made = made[0, 0, 0, : made.shape[3] - beyond * self._vocoder.hop_samples]
        samples: _Audio = made.cpu().numpy()
        # NaN and infinity survive a sum, and one sum is cheaper than a mask.
        if not np.isfinite(samples.sum()):
            raise EngineError("the vocoder gave NaN or infinity: the weights are damaged")
        return samples


def _on_grid(frames: int) -> int:
    """At least as many: the vocoder's pieces have few lengths, and small ones are exact."""
    grid = GRID if frames > 2 * GRID else GRID // 4
    return -(-frames // grid) * grid
