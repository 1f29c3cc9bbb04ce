"""The acoustic model: symbols to durations at once, then mel frames as they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from voxswap_families.layers.rows import checked
from voxswap_families.sambert.architecture import AcousticArchitecture
from voxswap_families.sambert.decoder import Decoder, DecoderState
from voxswap_families.sambert.encoder import TextEncoder, phone_positions
from voxswap_families.sambert.postnet import Postnet
from voxswap_families.sambert.shapes import acoustic_shapes
from voxswap_families.sambert.variance import VarianceAdaptor
from voxswap_families.work import Steps
from voxswap_registry.errors import EngineError

# Steps of the decoder between two pieces of the postnet, whatever is asked for: so a line's frames
# are the same bits for every way of cutting it. The first ones are for a first chunk; of longer
# ones a frame costs less.
_PIECES_STEPS: Final = (4, 4, 8, 16)
#: Those of all pieces that follow.
MOST_PIECE_STEPS: Final = _PIECES_STEPS[-1]
# So many are a step of compute, 6 ms.
_STEPS_AT_ONCE: Final = 4

# A symbol longer than this is a predictor gone astray (5 s at 16 kHz, hop 200).
_MOST_SYMBOL_FRAMES = 400.0
#: Two and a half minutes. A line that would be longer is spoken faster.
MOST_FRAMES: Final = 12_000
# What is less is no voice (KAN-TTS).
_VOICED = 0.6
_LEAST_HERTZ = 30.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a line is made of: rows of the four tables ``(symbols, 4)``, int64.

    ``speaker`` is ``(1, speaker_units)``, ``emotion`` ``(symbols, emotion_units)``, both float32.
    ``rate`` divides durations.
    """

    rows: Tensor
    speaker: Tensor
    emotion: Tensor
    rate: float = 1.0


class Acoustic:
    """Immutable: any number of lines may be made from it."""

    def __init__(self, weights: Mapping[str, Tensor], architecture: AcousticArchitecture) -> None:
        """``weights`` as a component stores them; nothing is copied.

        Raises `EngineError` for those of another architecture.
        """
        named = checked(weights, acoustic_shapes(architecture))
        self.architecture = a = architecture
        self.speakers = named["spk_tokenizer.weight"] if a.n_speakers else None
        self.emotions = named["emo_tokenizer.weight"]
        self.encoder = TextEncoder(named.at("text_encoder"), a)
        self.adaptor = VarianceAdaptor(named.at("variance_adaptor"), a)
        self.decoder = Decoder(named.at("mel_decoder.mel_dec"), a)
        self.postnet = Postnet(named.at("mel_postnet"), a)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.emotions.device

    def prepare(self, asked: Asked) -> Steps[Line]:
        """Encode the text and predict durations, a layer at a time.

        Raises `EngineError` if the arithmetic gives no speech.
        """
        text = yield from self.encoder.steps(asked.rows)
        condition = torch.cat([asked.speaker.expand(text.shape[0], -1), asked.emotion], dim=1)
        text, logarithms = yield from self.adaptor.steps(text, condition)
        durations = torch.expm1(logarithms.cpu().double())
        if not bool(torch.isfinite(durations).all()):
            raise EngineError(
                "the duration predictor gave NaN or infinity: the weights are damaged"
            )
        return Line(self, text, condition, durations / asked.rate)


def frames_of(durations: Tensor) -> Tensor:
    """Whole frames for ``durations``, ``(symbols,)``: one at least in all, not absurdly many."""
    frames = torch.floor(durations.clamp(max=_MOST_SYMBOL_FRAMES) + 0.5)
    total = float(frames.sum())
    if total > MOST_FRAMES:
        frames = torch.floor(frames * (MOST_FRAMES / total))
    elif not total:
        frames[-1] = 1
    return frames.long()


class Line:
    """A text whose durations are known. Its frames come in order, a piece at a time.

    Not thread-safe. The decoder runs ahead of what is told by `postnet_ahead_frames`.
    """

    def __init__(
        self, acoustic: Acoustic, text: Tensor, condition: Tensor, durations: Tensor
    ) -> None:
        """``(symbols, text_units)``, and speaker and emotion of each; ``durations`` in frames."""
        a = acoustic.architecture
        self._acoustic, self._text, self._condition = acoustic, text, condition
        frames = frames_of(durations)
        self.durations: Sequence[int] = tuple(frames.tolist())
        self.frames = sum(self.durations)
        longest = max(self.durations)
        steps = -(-self.frames // a.step_frames)
        # Of each frame, and of those that fill up the last step: its symbol, or none's.
        symbols = torch.repeat_interleave(frames)
        begins = torch.repeat_interleave(frames.cumsum(0) - frames, frames)
        places = torch.arange(1, self.frames + 1) - begins
        padding = (0, steps * a.step_frames - self.frames)
        self._symbols = functional.pad(symbols, padding, value=text.shape[0]).to(text.device)
        self._places = functional.pad(places, padding).to(text.device)
        self._positions = phone_positions(longest, a.text_units).to(text)
        # Nothing is said in what fills up.
        self._said = functional.pad(text, (0, 0, 0, 1))
        longest_exact = float(durations.max().clamp(max=_MOST_SYMBOL_FRAMES))
        band = int(longest_exact / a.step_frames + 0.5)
        self._decoding = DecoderState(a, self._memory, steps, band)
        self._refining = acoustic.postnet.start(text)
        self._pieces = iter(_PIECES_STEPS)
        self._piece = 0  # the length of the last one, which is that of all that follow

    @property
    def held_bytes(self) -> int:
        """What it keeps between steps."""
        kept = (self._said, self._condition, self._symbols, self._places, self._positions)
        states = self._decoding.size_bytes + self._acoustic.postnet.state_bytes
        return sum(t.nbytes for t in kept) + states

    @property
    def band(self) -> int:
        """How many steps the decoder attends to beside its own, on either side."""
        return self._decoding.band

    def expanded(self, first: int, last: int) -> Tensor:
        """The text of frames ``[first, last)`` and their places: ``(frames, text_units)``."""
        within = slice(first, last)
        return self._said[self._symbols[within]] + self._positions[self._places[within]]

    def _memory(self, first: int, last: int) -> Tensor:
        """What the decoder's steps ``[first, last)`` attend to."""
        n = self._acoustic.architecture.step_frames
        text = self.expanded(first * n, last * n).view(last - first, -1)
        # A step has the speaker and the emotion of its first frame, which is never filled up.
        return torch.cat([text, self._condition[self._symbols[first * n : last * n : n]]], dim=1)

    def piece(self) -> Steps[Tensor]:
        """Frames that are ready after a few more steps: ``(frames, mels)``, none at first.

        Those of a voice with a source have pitch in hertz, and 0 or 1 for voiced. To be called
        until `frames` have come.
        """
        state, decoder = self._decoding, self._acoustic.decoder
        self._piece = next(self._pieces, self._piece)
        made = list[Tensor]()
        while len(made) < self._piece and state.done < state.steps:
            made.append(decoder.step(state))
            if len(made) % _STEPS_AT_ONCE == 0:
                yield None
        n = self._acoustic.architecture.step_frames
        is_last, first = state.done == state.steps, (state.done - len(made)) * n
        frames = torch.cat(made)[: self.frames - first]
        refined = self._acoustic.postnet.piece(self._refining, frames, is_last=is_last)
        return sounding(refined, self._acoustic.architecture)


def sounding(frames: Tensor, a: AcousticArchitecture) -> Tensor:
    """``(frames, mels)`` as a vocoder takes them: of those with a source, pitch in hertz."""
    if not a.has_source:
        return frames
    mels, pitch, voiced = frames[:, :-2], frames[:, -2:-1], frames[:, -1:]
    hertz = (pitch * a.f0_scale_hertz + a.f0_offset_hertz).clamp(min=_LEAST_HERTZ)
    return torch.cat([mels, hertz, (voiced >= _VOICED).to(mels)], dim=1)
