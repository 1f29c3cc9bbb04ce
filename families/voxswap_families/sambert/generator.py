"""KAN-TTS's HiFi-GAN generator: mel frames to audio, in pieces of any length that join exactly.

It differs from Kong et al.'s (2020), which `layers.hifigan` has, in what a stage does before its
residual blocks: it adds the sine of its input, upsamples in two ways whose sum is taken, and may
add a harmonic source. It may also be causal throughout, and then nothing is waited for. So of the
layers it takes convolutions, residual blocks and their memory; the stages are its own. Each
convolution remembers its own context, where `layers.hifigan` computes a block's context anew: that
one is made for windows of half a second, and here a piece may be three frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxswap_families.layers.blocks import Conv, Upsample, modules_of
from voxswap_families.layers.carry import Carry, silenced
from voxswap_families.layers.hifigan import LAST_SLOPE, SLOPE, ResBlock1
from voxswap_families.layers.shapes import check_shapes
from voxswap_families.layers.skeletons import hung
from voxswap_families.sambert.source import Draws, SeededDraws, Source
from voxswap_families.sambert.vocoder_architecture import (
    F0_COLUMNS,
    GeneratorArchitecture,
    stored_shapes,
)
from voxswap_families.work import Steps, Work, finished
from voxswap_registry.errors import EngineError

# A line's last piece is filled up to a multiple of this: oneDNN compiles a kernel for each length
# of a signal, which takes as long as a frame of audio, and there are a hundred signals.
_LAST_FRAMES: Final = 8
# From this rate on a product is faster than a transposed convolution.
_PRODUCT_RATE: Final = 4
# Copies of a stage's widest signal that a step has at once: its input and that behind the
# activation, with context and as convolved, and what the blocks before gave.
_COPIES: Final = 12


class GeneratorState:
    """One line on its way. Not thread-safe; dropping it frees what it holds."""

    def __init__(self, source: Source | None) -> None:
        self.carry = Carry()
        self.source = source
        self.is_over = False

    @property
    def held_bytes(self) -> int:
        """What it remembers between steps."""
        return self.carry.kept_bytes


class Vocoder(Protocol):
    """What a voice needs of its vocoder: `Generator`, or `native_generator.NativeGenerator`."""

    look_ahead_frames: int
    hop_samples: int

    @property
    def state_bytes(self) -> int:
        """See `Generator`."""
        ...

    def begin(self, seed: int, *, frames: int) -> Any:
        """A line of so many ``frames``."""
        ...

    def steps(self, state: Any, frames: Tensor, *, is_last: bool) -> Steps[Tensor]:
        """See `Generator`."""
        ...


class Generator:
    """A vocoder with its weights. Immutable: any number of lines may be on their way."""

    def __init__(self, weights: Mapping[str, Tensor], architecture: GeneratorArchitecture) -> None:
        """``weights`` are `stored_shapes` in canonical shape: nothing of them is copied.

        Raises `EngineError` if they are not those of ``architecture``.
        """
        found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        check_shapes(stored_shapes(architecture), found)
        self.architecture = architecture
        self.look_behind_frames, self.look_ahead_frames = architecture.reach_frames
        self.hop_samples = architecture.hop_samples
        self.rate_hertz = architecture.sample_rate_hertz
        self._network = hung(_skeleton(architecture), weights)
        self._device = weights["conv_pre.weight"].device

    def begin(
        self, seed: int, draws: Draws | None = None, *, frames: int | None = None
    ) -> GeneratorState:
        """A line. What is random of it comes from ``seed``, or from ``draws`` in its place.

        How many ``frames`` it has need not be known.
        """
        del frames
        a = self.architecture
        if not a.harmonics:
            return GeneratorState(None)
        source = Source(
            draws or SeededDraws(seed, a.hop_samples),
            harmonics=a.harmonics,
            hop_samples=a.hop_samples,
            sample_rate_hertz=a.sample_rate_hertz,
        )
        return GeneratorState(source)

    def step(self, state: GeneratorState, frames: Tensor, is_last: bool) -> Tensor:  # noqa: FBT001
        """All of `steps` at once."""
        with torch.inference_mode():
            return finished(Work(self.steps(state, frames, is_last=is_last)))

    def steps(self, state: GeneratorState, frames: Tensor, *, is_last: bool) -> Steps[Tensor]:
        """The next ``frames``, ``(n, columns)`` float32, to ``(samples,)`` in [-1, 1].

        Columns are mels, and with a source F0 in Hertz and voicing from 0 to 1. There is as much
        audio as can be had by now: ``look_ahead_frames`` behind at the most, all with ``is_last``.
        Pieces joined are the whole. Few different lengths of pieces are computed fastest. A step is
        a stage's block. Raises `EngineError` for frames of other columns, or after the last ones.
        """
        a = self.architecture
        if state.is_over or frames.dim() != 2 or frames.shape[1] != a.columns:
            fault = "come after the last" if state.is_over else f"have no {a.columns} columns"
            raise EngineError(f"the vocoder's frames {fault}; begin a line with another state")
        state.is_over = is_last
        n = frames.shape[0]
        if not n and not (is_last and self.look_ahead_frames):
            return frames.new_empty(0)
        beyond = -n % _LAST_FRAMES if is_last else 0
        frames = functional.pad(frames.to(self._device), (0, 0, 0, beyond))
        audio = yield from self._network.carried(frames, state, last=is_last, beyond=beyond)
        return audio[: len(audio) - beyond * a.hop_samples]

    @property
    def state_bytes(self) -> int:
        """An upper bound of what a state remembers: contexts, and what waits for other branches."""
        return 4 * sum(_kept(self.architecture))

    def step_bytes(self, frames: int) -> int:
        """An upper bound of what a step of so many ``frames`` takes, its result included."""
        return step_bytes(self.architecture, frames)


def step_bytes(a: GeneratorArchitecture, frames: int) -> int:
    """See `Generator.step_bytes`."""
    # The last step gives all that was waited for as well.
    frames += _LAST_FRAMES + a.reach_frames[1]
    channels, rate, widest = a.channels, 1, 0
    for upsampled in a.rates:
        channels, rate = channels // 2, rate * upsampled
        context = max(a.resblock_kernels) * max(map(max, a.resblock_dilations))
        widest = max(widest, channels * (frames * rate + context))
    source = 4 * 2 * a.harmonics * frames * a.hop_samples  # float64, of phases and noise
    return 4 * (_COPIES * widest + source + 2 * frames * a.hop_samples)


def _kept(a: GeneratorArchitecture) -> list[int]:
    """Numbers that each memory of a line holds."""
    side = 0 if a.causal else a.kernel // 2
    lag, channels = side, a.channels
    kept = [(a.kernel - 1) * a.mels]
    for stage, rate in enumerate(a.rates):
        kernel, cut = a.upsampling(stage)
        kept.append(-(-kernel // rate) * channels)
        channels //= 2
        lag = lag * rate + cut
        if a.harmonics:
            kept += [a.source_down(stage)[0] + a.hop_samples, (lag + rate) * channels]
        ahead = []
        for k, dilations in zip(a.resblock_kernels, a.resblock_dilations, strict=True):
            spans = [(k - 1) * (d + 1) for d in dilations]
            kept.append(sum(spans) * channels)
            ahead.append(0 if a.causal else sum(spans) // 2)
            kept.append(ahead[-1] * channels)
        kept.append(len(ahead) * max(ahead) * channels)
        lag += max(ahead)
    return [*kept, (a.kernel - 1) * channels]


class _Up(Upsample):
    """An upsampling that is a matrix product where its rate is high.

    Its weights lie as that takes them, ``(in, kernel, out)``; what torch has for it would reorder
    them at each call, which takes 3 MB, and three times as long for three frames.
    """

    def _upsampled(self, x: Tensor, padding: tuple[int, int]) -> Tensor:
        rate, time = self.rate, x.shape[3]
        if rate < _PRODUCT_RATE or x.device.type != "cpu" or x.shape[0] > 1 or any(padding):
            return super()._upsampled(x, padding)
        channels_in, channels, kernel = self.weight.shape
        taps = x[0, :, 0].t() @ self.weight.transpose(1, 2).reshape(channels_in, -1)
        taps = taps.view(time, kernel, channels)
        overlapping = -(-kernel // rate)
        sums = self.bias.expand(time + overlapping - 1, rate, channels).clone()
        for i in range(overlapping):
            these = taps[:, i * rate : (i + 1) * rate]
            sums[i : i + time, : these.shape[1]] += these
        y = sums.view(1, 1, -1, channels).permute(0, 3, 1, 2)
        return y[..., : (time - 1) * rate + kernel]


class _Down(nn.Module):
    """A convolution with a stride, which brings the source down to the rate of a stage."""

    def __init__(self, channels: int, kernel: int, stride: int, *, causal: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, kernel))
        self.bias = nn.Parameter(torch.empty(channels))
        self.kernel, self.stride = kernel, stride
        self.before = 0 if stride == 1 else kernel - 1 if causal else stride // 2
        self.after = 0 if causal or stride == 1 else stride // 2

    def carried(self, x: Tensor, carry: Carry) -> Tensor:
        """``(1, 1, 1, samples)`` to ``(1, channels, 1, samples / stride)``."""
        whole = carry.with_strides(
            x, self.before, self.after, kernel=self.kernel, stride=self.stride
        )
        if whole.shape[3] < self.kernel:
            return x.new_empty(1, len(self.bias), 1, 0)
        windows = whole[0, 0, 0].unfold(0, self.kernel, self.stride)
        y = functional.linear(windows, self.weight[:, 0], self.bias)
        return y[None, None].permute(0, 3, 1, 2)


class _Network(nn.Module):
    """The layers; their names are those of a component's tensors."""

    def __init__(self, a: GeneratorArchitecture) -> None:
        super().__init__()
        self.hop_samples, self.n_parallel = a.hop_samples, len(a.resblock_kernels)
        self.harmonics = a.harmonics
        channels = a.channels
        self.conv_pre = Conv(a.mels, channels, a.kernel, causal=a.causal)
        self.ups, self.blocks, self.downs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for stage, rate in enumerate(a.rates):
            kernel, cut = a.upsampling(stage)
            self.ups.append(_Up(channels, channels // 2, kernel, rate, cut=cut))
            channels //= 2
            self.blocks.extend(
                ResBlock1(channels, k, d, causal=a.causal)
                for k, d in zip(a.resblock_kernels, a.resblock_dilations, strict=True)
            )
            if a.harmonics:
                self.downs.append(_Down(channels, *a.source_down(stage), causal=a.causal))
        self.conv_post = Conv(channels, 1, a.kernel, causal=a.causal)
        self.source = Conv(a.harmonics, 1) if a.harmonics else None

    def carried(
        self, frames: Tensor, state: GeneratorState, *, last: bool, beyond: int
    ) -> Steps[Tensor]:
        """A piece, whose last ``beyond`` frames are none of the line."""
        carry = state.carry
        carry.begin(last=last, beyond=beyond)
        excitation = self._excitation(frames, state, beyond)
        mels = frames[:, : frames.shape[1] - (F0_COLUMNS if self.harmonics else 0)]
        x = self.conv_pre.carried(mels.contiguous()[None, None].permute(0, 3, 1, 2), carry)
        x = silenced(x, carry.beyond)
        blocks, downs = modules_of(self.blocks, ResBlock1), modules_of(self.downs, _Down)
        for stage, up in enumerate(modules_of(self.ups, _Up)):
            x = up.carried(functional.leaky_relu_(torch.sin(x).add_(x), SLOPE), carry)
            if excitation is not None:
                x, e = carry.together([x, downs[stage].carried(excitation, carry)])
                x = silenced(x + e, carry.beyond)
            yield None
            ys = []
            for block in blocks[stage * self.n_parallel : (stage + 1) * self.n_parallel]:
                ys.append(block.carried(x, carry))
                yield None
            first, *others = carry.together(ys)
            x = first
            for y in others:
                x = x + y
            x = x / self.n_parallel
        x = self.conv_post.carried(functional.leaky_relu(x, LAST_SLOPE), carry)
        return torch.tanh(x).flatten().float()

    def _excitation(self, frames: Tensor, state: GeneratorState, beyond: int) -> Tensor | None:
        """The source's signal, ``(1, 1, 1, samples)``."""
        if self.source is None or state.source is None:
            return None
        if not len(frames):
            return frames.new_empty(1, 1, 1, 0)
        sines = state.source.sines(frames[:, -2], frames[:, -1])
        signal = torch.tanh(self.source(sines[None, :, None]))
        return silenced(signal, beyond * self.hop_samples)


@lru_cache(maxsize=16)
def _skeleton(architecture: GeneratorArchitecture) -> _Network:
    """A network without weights."""
    with torch.device("meta"):
        network = _Network(architecture)
    return network.eval().requires_grad_(requires_grad=False)
