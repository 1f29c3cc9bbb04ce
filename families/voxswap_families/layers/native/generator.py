"""HiFi-GAN generators on native kernels, whatever family's: packed weights, and frames to audio.

Pieces joined are the whole to the bit: of each sum the terms are added in one order. A generator
must know how long a line is when that begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxswap_families.layers.native import structures as c
from voxswap_families.layers.native.library import Library
from voxswap_families.layers.native.memory import Block, Scratch, address
from voxswap_families.layers.native.packing import native_packing, padded, panels_shape
from voxswap_registry.errors import EngineError

Floats = npt.NDArray[np.float32]

_SCRATCH: Final = Scratch()
#: Of a step: what takes some 15 ms of a core.
STEP_PRODUCTS: Final = 9 * 10**8


@dataclass(frozen=True, slots=True)
class GeneratorShape:
    """What a generator is made of, as far as kernels are concerned.

    ``upsamplings`` are kernel and cut of each stage's transposed convolution, ``kernel`` is that of
    the first and the last convolution; ``kind`` are flags of `structures`. ``blocks`` is what
    residual blocks are called. ``ahead_frames`` must come before a frame can be told, at the most;
    ``frame_products`` is what one takes. A step has ``step_products`` at the most, or one frame.
    """

    mels: int
    channels: int
    kernel: int
    rates: Sequence[int]
    upsamplings: Sequence[tuple[int, int]]
    resblock_kernels: Sequence[int]
    resblock_dilations: Sequence[Sequence[int]]
    kind: int
    blocks: str
    ahead_frames: int
    frame_products: int
    step_products: int = STEP_PRODUCTS

    @property
    def hop_samples(self) -> int:
        """Samples of audio for a frame."""
        return math.prod(self.rates)

    @property
    def step_frames(self) -> int:
        """So many are a step of compute."""
        return max(1, self.step_products // self.frame_products)


def handled(shape: GeneratorShape) -> str:
    """Why native kernels do not compute such a generator, in words; empty if they do."""
    channels = [shape.channels >> stage for stage in range(len(shape.rates) + 1)]
    if any(width % c.PANEL for width in channels) or shape.mels % 2:
        return f"its channels are not all multiples of {c.PANEL}, or its mels are odd"
    if len(shape.rates) > c.MOST_STAGES or len(shape.resblock_kernels) > c.MOST_BLOCKS:
        return "it has too many stages or blocks"
    if 2 * max(map(len, shape.resblock_dilations)) > c.MOST_CONVS:
        return "a block of it has too many convolutions"
    return ""


class PackedGenerator:
    """A generator's weights, packed. Immutable: any number of lines may be on their way."""

    def __init__(
        self, weights: Mapping[str, Tensor], shape: GeneratorShape, library: Library
    ) -> None:
        """``weights`` are folded, by HiFi-GAN's names; they are packed, which takes a moment.

        They have been checked. Raises `EngineError` if they are no numbers, and for a generator
        that is not `handled`.
        """
        if why_not := handled(shape):
            raise EngineError(f"native kernels do not compute this vocoder: {why_not}")
        self.shape = shape
        self._library = library
        self._pack = native_packing(library)
        self._kept: list[Tensor] = []  # what the addresses point to
        self._structure = self._filled(weights)
        functions = library.functions
        self.state_bytes: int = functions.vxk_generator_state_bytes(self._structure)

    @property
    def resident_bytes(self) -> int:
        """Of its packed weights."""
        return sum(tensor.nbytes for tensor in self._kept)

    def begin(self, frames: int) -> Block:
        """What a line of so many ``frames`` is remembered by."""
        block = Block(self.state_bytes)
        self._library.functions.vxk_generator_begin(self._structure, block.address, frames)
        return block

    def made(self, block: Block, mels: Tensor, source: c.Source | None = None) -> Floats:
        """What it tells of ``(frames, mels)`` more, which may lie behind the end.

        ``source`` is what is added to each stage. Raises `EngineError` for what is no audio.
        """
        call, n = self._library.functions, mels.shape[0]
        frames = np.ascontiguousarray(mels.float().cpu().numpy())
        audio = np.empty((n + self.shape.ahead_frames) * self.shape.hop_samples, np.float32)
        room = _SCRATCH.of(call.vxk_generator_bytes(self._structure, n))
        arguments = (self._structure, block.address, room, n, address(frames))
        if source is None:
            made = call.vxk_generate(*arguments, address(audio))
        else:
            made = call.vxk_generate_with(*arguments, source, address(audio))
        audio = audio[:made]
        # NaN and infinity survive a sum, and one sum is cheaper than a mask.
        if not math.isfinite(float(audio.sum())):
            raise EngineError("the vocoder gave NaN or infinity: the weights are damaged")
        return audio

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
        g = _structure(self.shape, product)
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
    shape: GeneratorShape, product: Callable[[str, int, c.Product], c.Product]
) -> c.Generator:
    """What the library takes; ``product`` fills in the weights of a layer, by rate and sizes."""

    def conv(name: str, outputs: int, channels: int, taps: int, rate: int = 1) -> c.Product:
        return product(name, rate, c.Product(None, None, outputs, taps, channels, 0))

    g = c.Generator(
        conv("conv_pre", shape.channels, shape.mels, shape.kernel),
        post_taps=shape.kernel,
        count=len(shape.rates),
        blocks=len(shape.resblock_kernels),
        kind=shape.kind | c.POST_BIAS,
    )
    channels = shape.channels
    for i, (rate, (kernel, cut)) in enumerate(zip(shape.rates, shape.upsamplings, strict=True)):
        stage, half = g.stages[i], channels // 2
        stage.up = conv(f"ups.{i}", rate * half, channels, -(-kernel // rate), rate)
        stage.rate, stage.cut, channels = rate, cut, half
        for j, (taps, dilations) in enumerate(
            zip(shape.resblock_kernels, shape.resblock_dilations, strict=True)
        ):
            block, name = stage.blocks[j], f"{shape.blocks}.{i * g.blocks + j}"
            for k, dilation in enumerate(dilations):
                for n, (branch, apart) in enumerate((("convs1", dilation), ("convs2", 1))):
                    block.convs[2 * k + n] = conv(f"{name}.{branch}.{k}", half, half, taps)
                    block.dilations[2 * k + n] = apart
            block.count, block.span = 2 * len(dilations), 2
    return g


def packed_bytes(shape: GeneratorShape) -> int:
    """An upper bound of what its weights take, packed, and of what packing takes beside them."""
    total, largest = 4 * (shape.kernel * shape.channels + 1), 0

    def counted(name: str, rate: int, sized: c.Product) -> c.Product:
        nonlocal total, largest
        columns = sized.taps * sized.channels
        total += 2 * padded(sized.outputs) * (columns + 1) + 4 * padded(sized.outputs)
        largest = max(largest, 8 * sized.outputs * columns)
        return sized

    _structure(shape, counted)
    return total + largest


def step_bytes(shape: GeneratorShape, library: Library, frames: int) -> int:
    """An upper bound of what a step takes that gets so many ``frames``, its result included."""
    most = min(frames + shape.ahead_frames, shape.step_frames)
    sized = _structure(shape, lambda name, rate, sized: sized)
    scratch: int = library.functions.vxk_generator_bytes(sized, most)
    return scratch + 3 * 4 * (frames + 2 * shape.ahead_frames) * shape.hop_samples
