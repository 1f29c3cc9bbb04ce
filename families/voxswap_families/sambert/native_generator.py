"""The vocoder on native kernels: `generator.Generator`'s twin, with weights in bfloat16.

Pieces joined are the whole to the bit: of each sum the terms are added in one order. It must know
how long a line is when that begins. What a harmonic source adds is computed by torch, which takes a
hundredth of the time, and handed to each stage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from voxswap_families.layers.native import generator as native
from voxswap_families.layers.native import structures as c
from voxswap_families.layers.native.generator import Floats, GeneratorShape, PackedGenerator
from voxswap_families.layers.native.library import Library
from voxswap_families.layers.native.memory import Block
from voxswap_families.layers.shapes import check_shapes
from voxswap_families.sambert.source import Draws, SeededDraws, Source
from voxswap_families.sambert.vocoder_architecture import (
    F0_COLUMNS,
    GeneratorArchitecture,
    stored_shapes,
)
from voxswap_families.work import Steps, Work, finished
from voxswap_registry.errors import EngineError


def shape_of(a: GeneratorArchitecture) -> GeneratorShape:
    """As kernels know it."""
    return GeneratorShape(
        mels=a.mels,
        channels=a.channels,
        kernel=a.kernel,
        rates=a.rates,
        upsamplings=[a.upsampling(stage) for stage in range(len(a.rates))],
        resblock_kernels=a.resblock_kernels,
        resblock_dilations=a.resblock_dilations,
        kind=c.SINE | (c.CAUSAL if a.causal else 0),
        blocks="blocks",
        ahead_frames=a.reach_frames[1],
        frame_products=a.products,
    )


def handled(a: GeneratorArchitecture) -> str:
    """Why native kernels do not compute such a vocoder, in words; empty if they do."""
    return native.handled(shape_of(a))


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

        Raises `EngineError` if they are not those of ``architecture``, or are no numbers, and for
        one that is not `handled`.
        """
        found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        check_shapes(stored_shapes(architecture), found)
        self.architecture = architecture
        self.look_behind_frames, self.look_ahead_frames = architecture.reach_frames
        self.hop_samples = architecture.hop_samples
        self.rate_hertz = architecture.sample_rate_hertz
        self._packed = PackedGenerator(weights, shape_of(architecture), library)
        self._mixture = torch.zeros(0), torch.zeros(0)
        self._downs = list[tuple[Tensor, Tensor]]()  # what brings the source down to each stage
        if architecture.has_source:
            self._mixture = weights["source.weight"].flatten(), weights["source.bias"]
            self._downs = [
                (weights[f"downs.{i}.weight"][:, 0].contiguous(), weights[f"downs.{i}.bias"])
                for i in range(len(architecture.rates))
            ]
        # With what stages look back on of the source's signal.
        samples = 4 * architecture.hop_samples if architecture.has_source else 0
        self.state_bytes = self._packed.state_bytes + 4 * samples

    @property
    def resident_bytes(self) -> int:
        """Of its packed weights."""
        return self._packed.resident_bytes

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
        return NativeGeneratorState(self._packed.begin(frames), frames, source)

    def step(self, state: NativeGeneratorState, frames: Tensor, is_last: bool) -> Tensor:  # noqa: FBT001
        """All of `steps` at once."""
        with torch.inference_mode():
            return finished(Work(self.steps(state, frames, is_last=is_last)))

    def steps(self, state: NativeGeneratorState, frames: Tensor, *, is_last: bool) -> Steps[Tensor]:
        """As `generator.Generator.steps`; a step is as many frames as others should wait for.

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
        if is_last:  # What was waited for is told once nothing has come for as long.
            frames = torch.nn.functional.pad(frames, (0, 0, 0, self.look_ahead_frames))
        most = self._packed.shape.step_frames
        made = [np.zeros(0, np.float32)]
        for first in range(0, frames.shape[0], most):
            if first:
                yield None
            made.append(self._made(state, frames[first : first + most]))
        return torch.from_numpy(np.concatenate(made))

    def _made(self, state: NativeGeneratorState, frames: Tensor) -> Floats:
        """What it tells of ``frames`` more, which may lie behind the end."""
        mels = frames[:, : self.architecture.mels]
        if state.source is None:
            state.seen += frames.shape[0]
            return self._packed.made(state.block, mels)
        source, kept = self._excited(state, frames)
        made = self._packed.made(state.block, mels, source)
        del kept
        return made

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


def packed_bytes(a: GeneratorArchitecture) -> int:
    """An upper bound of what its weights take, packed, and of what packing takes beside them."""
    return native.packed_bytes(shape_of(a))


def step_bytes(a: GeneratorArchitecture, library: Library, frames: int) -> int:
    """An upper bound of what a step takes that gets so many ``frames``, its result included."""
    shape = shape_of(a)
    most = min(frames + shape.ahead_frames, shape.step_frames)
    # float64 of each harmonic, of phases and noise; and the source's signal at each stage.
    source = 8 * 5 * a.harmonics * most * a.hop_samples
    stages = 2 * sum(
        (a.channels >> stage + 1) * math.prod(a.rates[: stage + 1]) for stage in range(len(a.rates))
    )
    beside = source + 4 * stages * (most + shape.ahead_frames) if source else 0
    return native.step_bytes(shape, library, frames) + beside
