"""The vocoder on native kernels: `generator.Generator`'s twin, with weights in bfloat16.

Pieces joined are the whole to the bit: of each sum the terms are added in one order. It must know
how long a line is when that begins. What a harmonic source adds is computed by torch, which takes a
hundredth of the time, and handed to each stage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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
# Of a step: what takes some 15 ms of a core.
_STEP_PRODUCTS: Final = 9 * 10**8


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

        Raises `EngineError` if they are not those of ``architecture``, or are no numbers, and for
        one that is not `handled`.
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
        # With what stages look back on of the source's signal.
        samples = 4 * architecture.hop_samples if architecture.has_source else 0
        self._state_bytes: int = functions.vxk_generator_state_bytes(self._structure)
        self.state_bytes = self._state_bytes + 4 * samples

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
        state = NativeGeneratorState(Block(self._state_bytes), frames, source)
        self._library.functions.vxk_generator_begin(self._structure, state.block.address, frames)
        return state

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
        most = max(1, _STEP_PRODUCTS // a.products)
        made = [np.zeros(0, np.float32)]
        for first in range(0, frames.shape[0], most):
            if first:
                yield None
            made.append(self._made(state, frames[first : first + most]))
        return torch.from_numpy(np.concatenate(made))

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

    def _filled(self, weights: Mapping[str, Tensor]) -> c.Generator:
        def product(name: str, rate: int, sized: c.Product) -> c.Product:
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            if rate > 1:
                return self._product(_lying(weight, rate), bias.repeat(rate), taps=sized.taps)
            return self._product(
                weight.transpose(1, 2).reshape(sized.outputs, -1), bias, taps=sized.taps
            )

        last = weights["conv_post.weight"][0].t().flatten()  # (taps, channels)
        g = _structure(self.architecture, product)
        g.post = self._keep(torch.cat([last, weights["conv_post.bias"]]))
        return g


def _lying(weight: Tensor, rate: int) -> Tensor:
    """A transposed convolution as a product: ``rate`` rows of an input and of those before it."""
    inputs, outputs, kernel = weight.shape
    taps = -(-kernel // rate)
    lying = torch.zeros(rate, outputs, taps, inputs)
    for row in range(rate):
        for tap in range(taps):
            if (place := row + (taps - 1 - tap) * rate) < kernel:
                lying[row, :, tap] = weight[:, :, place].t()
    return lying.view(rate * outputs, taps * inputs)


def _structure(
    a: GeneratorArchitecture, product: Callable[[str, int, c.Product], c.Product]
) -> c.Generator:
    """What the library takes; ``product`` fills in the weights of a layer, by rate and sizes."""

    def conv(name: str, outputs: int, channels: int, taps: int, rate: int = 1) -> c.Product:
        return product(name, rate, c.Product(None, None, outputs, taps, channels, 0))

    g = c.Generator(
        conv("conv_pre", a.channels, a.mels, a.kernel),
        post_taps=a.kernel,
        count=len(a.rates),
        blocks=len(a.resblock_kernels),
        kind=c.SINE | c.POST_BIAS | (c.CAUSAL if a.causal else 0),
    )
    channels = a.channels
    for i, rate in enumerate(a.rates):
        stage, (kernel, cut) = g.stages[i], a.upsampling(i)
        half = channels // 2
        stage.up = conv(f"ups.{i}", rate * half, channels, -(-kernel // rate), rate)
        stage.rate, stage.cut, channels = rate, cut, half
        for j, (taps, dilations) in enumerate(
            zip(a.resblock_kernels, a.resblock_dilations, strict=True)
        ):
            block, name = stage.blocks[j], f"blocks.{i * g.blocks + j}"
            for k, dilation in enumerate(dilations):
                for n, (branch, apart) in enumerate((("convs1", dilation), ("convs2", 1))):
                    block.convs[2 * k + n] = conv(f"{name}.{branch}.{k}", half, half, taps)
                    block.dilations[2 * k + n] = apart
            block.count, block.span = 2 * len(dilations), 2
    return g


def packed_bytes(a: GeneratorArchitecture) -> int:
    """An upper bound of what its weights take, packed, and of what packing takes beside them."""
    total, largest = 4 * (a.kernel * a.channels + 1), 0

    def counted(name: str, rate: int, sized: c.Product) -> c.Product:
        nonlocal total, largest
        columns = sized.taps * sized.channels
        total += 2 * padded(sized.outputs) * (columns + 1) + 4 * padded(sized.outputs)
        largest = max(largest, 8 * sized.outputs * columns)
        return sized

    _structure(a, counted)
    return total + largest


def step_bytes(a: GeneratorArchitecture, library: Library, frames: int) -> int:
    """An upper bound of what a step takes that gets so many ``frames``, its result included."""
    ahead = a.reach_frames[1]
    most = min(frames + ahead, max(1, _STEP_PRODUCTS // a.products))
    sized = _structure(a, lambda name, rate, sized: sized)
    scratch: int = library.functions.vxk_generator_bytes(sized, most)
    samples = 4 * (frames + 2 * ahead) * a.hop_samples
    # float64 of each harmonic, of phases and noise; and the source's signal at each stage.
    source = 8 * 5 * a.harmonics * most * a.hop_samples
    stages = 2 * sum(
        (a.channels >> stage + 1) * math.prod(a.rates[: stage + 1]) for stage in range(len(a.rates))
    )
    return scratch + 3 * samples + (source + 4 * stages * (most + ahead) if source else 0)
