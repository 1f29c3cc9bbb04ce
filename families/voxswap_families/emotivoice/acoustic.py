"""The acoustic model: symbols, a speaker and two styles to durations and mel frames, in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from voxswap_families.emotivoice.architecture import AcousticArchitecture
from voxswap_families.emotivoice.parts import EPSILON, by_rows
from voxswap_families.emotivoice.shapes import acoustic_shapes
from voxswap_families.emotivoice.transformer import Transformer
from voxswap_families.layers.rows import Linear, Named, Norm, beside, checked
from voxswap_families.work import Steps
from voxswap_registry.errors import EngineError

#: 32 s at 62.5 frames a second. A line that would be longer is spoken faster.
MOST_FRAMES: Final = 2_000
# A symbol longer than this is a predictor gone astray (5 s).
_MOST_SYMBOL_FRAMES = 320.0
# Of the Gaussian upsampling: how fast a symbol's share falls with the square of the distance.
_SHARPNESS = 0.1
# Pitch that is asked for stays what a voice may have.
_LEAST_HERTZ, _MOST_HERTZ = 50.0, 800.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a line is made of: ``ids`` ``(symbols,)`` int64, and three vectors, float32.

    ``speaker`` is ``(speaker_units,)``; ``style`` (the prompt's) and ``content`` (the sentence's)
    are ``(style_units,)``. ``rate`` divides durations; ``pitch_semitones`` are added to what is
    predicted, and ``pitch_range`` is a factor on its distance from the line's mean.
    """

    ids: Tensor
    speaker: Tensor
    style: Tensor
    content: Tensor
    rate: float = 1.0
    pitch_semitones: float = 0.0
    pitch_range: float = 1.0


@dataclass(frozen=True, slots=True)
class Predicted:
    """What is known of each symbol: ``(symbols, units)`` twice, then ``(symbols,)`` each."""

    encoded: Tensor
    projected: Tensor
    log_durations: Tensor
    pitch: Tensor
    energy: Tensor


@dataclass(frozen=True, slots=True)
class Line:
    """Frames of each symbol, and the ``(frames, mels)``."""

    durations: Sequence[int]
    mels: Tensor


class _Predictor:
    """One number for each symbol, from itself and its neighbours."""

    def __init__(self, named: Named, layers: int, kernel: int) -> None:
        self._kernel = kernel
        self._layers = [
            (Linear(named.at(f"conv.{i}.0")), Norm(named.at(f"conv.{i}.2"), EPSILON))
            for i in range(layers)
        ]
        self._out = Linear(named.at("linear"))

    def steps(self, x: Tensor) -> Steps[Tensor]:
        """``(symbols, units)`` to ``(symbols,)``."""
        for linear, norm in self._layers:
            seen = beside(x, self._kernel)
            rows, products = seen.shape[0], linear.weight.numel()
            x = yield from by_rows(_filtered(linear, norm, seen), rows, products)
        return self._out(x)[:, 0]


class Acoustic:
    """Immutable: any number of lines may be made from it."""

    def __init__(self, weights: Mapping[str, Tensor], architecture: AcousticArchitecture) -> None:
        """``weights`` as a component stores them; nothing is copied.

        Raises `EngineError` for those of another architecture.
        """
        self.architecture = a = architecture
        named = checked(weights, acoustic_shapes(a), "am.")
        self._symbols = named["src_word_emb.weight"]
        self._encoder = Transformer(
            named.at("encoder"),
            layers=a.encoder_layers,
            heads=a.encoder_heads,
            kernel=a.encoder_kernel,
        )
        self._decoder = Transformer(
            named.at("decoder"),
            layers=a.decoder_layers,
            heads=a.decoder_heads,
            kernel=a.decoder_kernel,
        )
        joined = named.at("embed_projection1")
        self._own, self._shared = joined["weight"].tensor_split([a.units], dim=1)
        self._bias = joined["bias"]
        self._duration, self._pitch, self._energy = (
            _Predictor(named.at(f"{what}_predictor"), layers, kernel)
            for what, layers, kernel in (
                ("duration", a.duration_layers, a.duration_kernel),
                ("pitch", a.pitch_layers, a.pitch_kernel),
                ("energy", a.energy_layers, a.energy_kernel),
            )
        )
        self._pitch_in = Linear(named.at("pitch_embed.0"))
        self._energy_in = Linear(named.at("energy_embed.0"))
        self._mels = Linear(named.at("to_mel"))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._symbols.device

    def steps(self, asked: Asked) -> Steps[Line]:
        """Everything, a piece of a layer at a time.

        Raises `EngineError` if the arithmetic gives no speech.
        """
        found = yield from self.predicted(asked)
        durations = torch.expm1(found.log_durations.double().cpu())
        if not bool(torch.isfinite(durations).all()):
            raise EngineError(
                "the duration predictor gave NaN or infinity: the weights are damaged"
            )
        frames = frames_of(durations, asked.rate)
        text = self._coloured(found, self._intoned(found.pitch, frames, asked))
        x = yield from upsampled(text, frames)
        x = yield from self._decoder.steps(x)
        return Line(tuple(frames.tolist()), self._mels(x))

    def predicted(self, asked: Asked) -> Steps[Predicted]:
        """What precedes the frames."""
        encoded = yield from self._encoder.steps(self._symbols[asked.ids])
        # Speaker and styles are the same for all symbols, so they are projected once.
        shared = torch.cat([asked.speaker, asked.style, asked.content])
        projected = encoded @ self._own.t() + (self._shared @ shared + self._bias)
        yield None
        pitch = yield from self._pitch.steps(projected)
        energy = yield from self._energy.steps(projected)
        log_durations = yield from self._duration.steps(projected)
        return Predicted(encoded, projected, log_durations, pitch, energy)

    def _coloured(self, found: Predicted, pitch: Tensor) -> Tensor:
        """``(symbols, units)`` with pitch and energy in it."""
        kernel = self.architecture.embedding_kernel
        pitched = self._pitch_in(beside(pitch[:, None], kernel))
        return found.projected + pitched + self._energy_in(beside(found.energy[:, None], kernel))

    def _intoned(self, pitch: Tensor, frames: Tensor, asked: Asked) -> Tensor:
        """``(symbols,)`` pitch as it was asked for; what was predicted if nothing was."""
        if not asked.pitch_semitones and asked.pitch_range == 1.0:
            return pitch
        a = self.architecture
        hertz = a.f0_mean_hertz + a.f0_deviation_hertz * pitch.double()
        octaves = torch.log2(hertz.clamp(_LEAST_HERTZ, _MOST_HERTZ))
        mean = (octaves * frames.to(octaves)).sum() / frames.sum()
        moved = mean + asked.pitch_range * (octaves - mean) + asked.pitch_semitones / 12
        hertz = torch.exp2(moved).clamp(_LEAST_HERTZ, _MOST_HERTZ)
        return ((hertz - a.f0_mean_hertz) / a.f0_deviation_hertz).to(pitch)


def _filtered(linear: Linear, norm: Norm, seen: Tensor) -> Callable[[int, int], Tensor]:
    return lambda first, last: norm(torch.relu(linear(seen[first:last])))


def frames_of(durations: Tensor, rate: float) -> Tensor:
    """``(symbols,)`` whole frames: one at least in all, not absurdly many.

    Of exact ``durations`` at rate 1. Those are rounded as the reference does; at another rate the
    ends of symbols are, so that a line is as much shorter as was asked for.
    """
    usual = torch.round(durations.clamp(0.0, _MOST_SYMBOL_FRAMES))
    ends = usual.cumsum(0) / rate
    if (total := float(ends[-1])) > MOST_FRAMES:
        ends = ends * (MOST_FRAMES / total)
    frames = torch.diff(torch.round(ends), prepend=ends.new_zeros(1)).long()
    if not int(frames.sum()):  # As the reference has it.
        frames = torch.ones_like(frames)
    return frames


def upsampled(text: Tensor, frames: Tensor) -> Steps[Tensor]:
    """``(symbols, units)`` to ``(frames, units)``: of each frame a mixture of what is near it."""
    lasting = frames.to(text)
    centres = lasting.cumsum(0) - lasting / 2

    def mixed(first: int, last: int) -> Tensor:
        places = torch.arange(first, last, device=text.device, dtype=text.dtype)
        distances = places[:, None] - centres
        return functional.softmax(-_SHARPNESS * distances**2, dim=1) @ text

    return (yield from by_rows(mixed, int(frames.sum()), text.numel()))
