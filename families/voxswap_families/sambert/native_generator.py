"""The vocoder on native kernels: `generator.Generator`'s twin, in bfloat16 products.

Pieces joined are the whole to the bit: of each sum the terms are added in one order. It must know how
long a line is when that begins. What a harmonic source adds is computed by torch, which takes a
hundredth of the time, and handed to each stage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxswap_families.layers.native import structures as c
from voxswap_families.layers.native.library import Library
from voxswap_families.layers.native.memory import Block, Scratch, address
from voxswap_families.layers.native.packing import native_packing, padded, panels_shape
from voxswap_families.layers.shapes import check_shapes
from voxswap_families.sambert.source import Draws, SeededDraws, Source
from voxswap_families.sambert.vocoder_architecture import (
    F0_COLUMNS,
    GeneratorArchitecture,
    stored_shapes,
)
from voxswap_families.work import Steps, Work, finished
from voxswap_registry.errors import EngineError

Floats = npt.NDArray[np.float32]

_SCRATCH: Final = Scratch()


def handled(a: GeneratorArchitecture) -> str:
    """Why native kernels do not compute such a vocoder, in words; empty if they do."""
    channels = [a.channels >> stage for stage in range(len(a.rates) + 1)]
    if any(width % c.PANEL for width in channels) or a.mels % 2:
        return f"its channels are not all multiples of {c.PANEL}, or its mels are odd"
    if len(a.rates) > c.MOST_STAGES or len(a.resblock_kernels) > c.MOST_BLOCKS:
        return "it has too many stages or blocks"
    if 2 * max(map(len, a.resblock_dilations)) > c.MOST_CONVS:
        return "a block of it has too many convolutions"
    return ""


class NativeGeneratorState:
    """One line on its way. Not thread-safe; dropping it frees what it holds."""

    def __init__(self, block: Block, frames: int, source: Source | None) -> None:
        self.block = block
        self.frames = frames
        self.source = source
        self.seen = 0  # frames that came, also those behind the end
        self.excitation = np.zeros(0, np.float32)  # of samples that a stage may still look back on
        self.excited = 0  # samples before it
        self.is_over = False

    @property
    def held_bytes(self) -> int:
        """What it remembers between steps."""
        return self.block.size_bytes + self.excitation.nbytes


class NativeGenerator:
    """A vocoder with its weights, packed. Immutable: any number of lines may be on their way."""

    def __init__(
        self, weights: Mapping[str, Tensor], architecture: GeneratorArchitecture, library: Library
    ) -> None:
        """``weights`` are as for `generator.Generator`; they are packed, which takes a moment.

        Raises `EngineError` if they are not those of ``architecture``, or what that does not handle.
        """
        found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        check_shapes(stored_shapes(architecture), found)
        if why_not := handled(architecture):
            raise EngineError(f"native kernels do not compute this vocoder: {why_not}")
        self.architecture = architecture
        self.look_behind_frames, self.look_ahead_frames = architecture.reach_frames
        self.hop_samples = architecture.hop_samples
        self.rate_hertz = architecture.sample_rate_hertz
        self._library = library
        self._pack = native_packing(library)
        self._kept: list[Tensor] = []  # what the addresses point to
        self._structure = self._filled(weights)
        self._mixture = torch.zeros(0), torch.zeros(0)
        self._downs = list[tuple[Tensor, Tensor]]()  # what brings the source down to each stage
        if architecture.has_source:
            self._mixture = weights["source.weight"].flatten(), weights["source.bias"]
            self._downs = [
                (weights[f"downs.{i}.weight"][:, 0].contiguous(), weights[f"downs.{i}.bias"])
                for i in range(len(architecture.rates))
            ]
        functions = library.functions
        self.state_bytes: int = functions.vxk_generator_state_bytes(self._structure)

    @property
    def resident_bytes(self) -> int:
        """Of its packed weights."""
        return sum(tensor.nbytes for tensor in self._kept)

    def begin(self, seed: int, draws: Draws | None = None, *, frames: int) -> NativeGeneratorState:
        """A line of so many ``frames``; else as `generator.Generator.begin`."""
        a, source = self.architecture, None
        if a.has_source:
            source = Source(
                draws or SeededDraws(seed, a.hop_samples),
                harmonics=a.harmonics,
                hop_samples=a.hop_samples,
                sample_rate_hertz=a.sample_rate_hertz,
            )
        state = NativeGeneratorState(Block(self.state_bytes), frames, source)
        self._library.functions.vxk_generator_begin(self._structure, state.block.address, frames)
        return state

    def step(self, state: NativeGeneratorState, frames: Tensor, is_last: bool) -> Tensor:  # noqa: FBT001
        """All of `steps` at once."""
        with torch.inference_mode():
            return finished(Work(self.steps(state, frames, is_last=is_last)))

    def steps(self, state: NativeGeneratorState, frames: Tensor, *, is_last: bool) -> Steps[Tensor]:
        """As `generator.Generator.steps`: one step, or with ``is_last`` two.

        Raises `EngineError` for frames of other columns, or more or fewer than were announced.
        """
        a, n = self.architecture, frames.shape[0]
        left = state.frames - state.seen
        if state.is_over or frames.dim() != 2 or frames.shape[1] != a.columns:
            fault = "come after the last" if state.is_over else f"have no {a.columns} columns"
            raise EngineError(f"the vocoder's frames {fault}; begin a line with another state")
        if n > left or (is_last and n < left):
            raise EngineError(f"{n} frames came where {left} are left; begin a line anew")
        state.is_over = is_last
        made = [self._made(state, frames)] if n else []
        if is_last and self.look_ahead_frames:
            if made:
                yield None
            made.append(self._made(state, frames.new_zeros(self.look_ahead_frames, a.columns)))
        return torch.from_numpy(np.concatenate(made)) if made else torch.zeros(0)

    def _made(self, state: NativeGeneratorState, frames: Tensor) -> Floats:
        """What it tells of ``frames`` more, which may lie behind the end."""
        a, call, n = self.architecture, self._library.functions, frames.shape[0]
        mels = np.ascontiguousarray(frames[:, : a.mels].float().cpu().numpy())
        audio = np.empty((n + self.look_ahead_frames) * a.hop_samples, np.float32)
        room = _SCRATCH.of(call.vxk_generator_bytes(self._structure, n))
        arguments = (self._structure, state.block.address, room, n, address(mels))
        if state.source is None:
            state.seen += n
            made = call.vxk_generate(*arguments, address(audio))
        else:
            source, kept = self._excited(state, frames)
            made = call.vxk_generate_with(*arguments, source, address(audio))
            del kept
        audio = audio[:made]
        # NaN and infinity survive a sum, and one sum is cheaper than a mask.
        if not math.isfinite(float(audio.sum())):
            raise EngineError("the vocoder gave NaN or infinity: the weights are damaged")
        return audio

    def step_bytes(self, frames: int) -> int:
        """An upper bound of what a step of so many ``frames`` takes."""
        a, most = self.architecture, max(frames, self.look_ahead_frames)
        scratch: int = self._library.functions.vxk_generator_bytes(self._structure, most)
        samples = 4 * (most + self.look_ahead_frames) * a.hop_samples
        # float64 of each harmonic, of phases and noise; and the source's signal at each stage.
        source = 4 * 8 * a.harmonics * most * a.hop_samples
        return scratch + 3 * samples + (source + 2 * samples * a.channels // 8 if source else 0)

    def _rows(self, stage: int, seen: int) -> int:
        """Rows that a stage has upsampled once ``seen`` frames came."""
        a = self.architecture
        rows = max(0, seen - (0 if a.causal else a.kernel // 2))
        for i in range(stage + 1):
            rows = max(0, rows * a.rates[i] - a.upsampling(i)[1])
            rows = max(0, rows - self._ahead) if i < stage else rows
        return rows

    @property
    def _ahead(self) -> int:
        """Rows of a stage that its residual blocks see ahead."""
        a = self.architecture
        if a.causal:
            return 0
        return max(
            sum((kernel - 1) // 2 * (dilation + 1) for dilation in dilations)
            for kernel, dilations in zip(a.resblock_kernels, a.resblock_dilations, strict=True)
        )

    def _excited(
        self, state: NativeGeneratorState, frames: Tensor
    ) -> tuple[c.Source, list[Tensor]]:
        """What the source adds to each stage for the rows that come now, and what holds it."""
        a, hop = self.architecture, self.architecture.hop_samples
        assert state.source is not None  # noqa: S101 - who asks has one
        there = max(0, min(frames.shape[0], state.frames - state.seen))
        if there:
            weight, bias = self._mixture
            sines = state.source.sines(frames[:there, -F0_COLUMNS], frames[:there, -1])
            signal = torch.tanh(weight @ sines + bias).numpy()
            state.excitation = np.concatenate([state.excitation, signal])
        before, state.seen = state.seen, state.seen + frames.shape[0]
        source, kept, oldest = c.Source(), list[Tensor](), state.excited + len(state.excitation)
        for stage, (taps, bias) in enumerate(self._downs):
            kernel, stride = a.source_down(stage)
            rows_before, total = self._rows(stage, before), state.frames * hop // stride
            first, last = min(rows_before, total), min(self._rows(stage, state.seen), total)
            pad = 0 if stride == 1 else kernel - 1 if a.causal else stride // 2
            begin = first * stride - pad - state.excited
            end = max(0, last - 1) * stride - pad + kernel - state.excited
            piece = torch.from_numpy(state.excitation[max(0, begin) : max(0, end)])
            lacking = max(0, -begin), max(0, end - len(state.excitation))
            piece = torch.nn.functional.pad(piece, lacking)
            rows = (
                torch.nn.functional.linear(piece.unfold(0, kernel, stride), taps, bias)
                if last > first
                else taps.new_zeros(1, len(bias))
            )
            kept.append(rows.contiguous())
            source.rows[stage], source.first[stage] = kept[-1].data_ptr(), first
            oldest = min(oldest, max(0, last * stride - pad))
        drop = max(0, oldest - state.excited)
        state.excitation, state.excited = state.excitation[drop:].copy(), state.excited + drop
        return source, kept

    def _keep(self, tensor: Tensor) -> int:
        self._kept.append(tensor)
        return tensor.data_ptr()

    def _product(self, rows: Tensor, bias: Tensor, *, taps: int) -> c.Product:
        """``(outputs, taps * channels)`` as panels, and its bias to whole panels."""
        panels = torch.zeros(panels_shape(*rows.shape), dtype=torch.bfloat16)
        if not self._pack(rows, panels):
            raise EngineError("the vocoder's weights hold what is no number; import it again")
        whole = torch.zeros(padded(len(bias)))
        whole[: len(bias)] = bias
        channels = rows.shape[1] // taps
        return c.Product(self._keep(panels), self._keep(whole), rows.shape[0], taps, channels, 0)

    def _conv(self, weights: Mapping[str, Tensor], name: str) -> c.Product:
        weight = weights[f"{name}.weight"]
        rows = weight.transpose(1, 2).reshape(weight.shape[0], -1)
        return self._product(rows, weights[f"{name}.bias"], taps=weight.shape[2])

    def _filled(self, weights: Mapping[str, Tensor]) -> c.Generator:
        a = self.architecture
        last = weights["conv_post.weight"][0].t().flatten()  # (taps, channels)
        post = torch.cat([last, weights["conv_post.bias"]])
        g = c.Generator(
            self._conv(weights, "conv_pre"),
            post=self._keep(post.contiguous()),
            post_taps=a.kernel,
            count=len(a.rates),
            blocks=len(a.resblock_kernels),
            kind=c.SINE | c.POST_BIAS | (c.CAUSAL if a.causal else 0),
        )
        for i, rate in enumerate(a.rates):
            stage = g.stages[i]
            stage.up = self._up(weights, i)
            stage.rate, stage.cut = rate, a.upsampling(i)[1]
            for j, dilations in enumerate(a.resblock_dilations):
                block, name = stage.blocks[j], f"blocks.{i * g.blocks + j}"
                for k, dilation in enumerate(dilations):
                    for n, (branch, apart) in enumerate((("convs1", dilation), ("convs2", 1))):
                        block.convs[2 * k + n] = self._conv(weights, f"{name}.{branch}.{k}")
                        block.dilations[2 * k + n] = apart
                block.count, block.span = 2 * len(dilations), 2
        return g

    def _up(self, weights: Mapping[str, Tensor], stage: int) -> c.Product:
        """A transposed convolution as a product: ``rate`` rows of an input and of those before."""
        weight, rate = weights[f"ups.{stage}.weight"], self.architecture.rates[stage]
        inputs, outputs, kernel = weight.shape
        taps = -(-kernel // rate)
        lying = torch.zeros(rate, outputs, taps, inputs)
        for row in range(rate):
            for tap in range(taps):
                if (place := row + (taps - 1 - tap) * rate) < kernel:
                    lying[row, :, tap] = weight[:, :, place].t()
        bias = weights[f"ups.{stage}.bias"].repeat(rate)
        return self._product(lying.view(rate * outputs, taps * inputs), bias, taps=taps)
