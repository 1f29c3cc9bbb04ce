"""The vocoder of EmotiVoice voices, HiFi-GAN as it was published: by torch, or native kernels.

Both take frames as they come and give the audio that is certain by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from voxswap_families.emotivoice.architecture import VocoderArchitecture
from voxswap_families.emotivoice.shapes import vocoder_shapes
from voxswap_families.layers.carry import Carry
from voxswap_families.layers.hifigan import Generator
from voxswap_families.layers.kernels import GRID
from voxswap_families.layers.native.generator import GeneratorShape, PackedGenerator
from voxswap_families.layers.native.library import Library
from voxswap_families.layers.native.memory import Block
from voxswap_families.layers.shapes import check_shapes
from voxswap_families.layers.skeletons import hung
from voxswap_families.layers.stored import in_canonical_shape
from voxswap_families.work import Steps
from voxswap_registry.errors import EngineError

_PREFIX: Final = "generator."
_END_KERNEL: Final = 7
# Of a native step: four frames of published voices, some 20 ms of a core. Each step widens all
# weights anew: two frames at a time take a tenth more.
_STEP_PRODUCTS: Final = 13 * 10**8

Audio = npt.NDArray[np.float32]


class Vocoder(Protocol):
    """Immutable: any number of lines may be on their way.

    ``look_ahead_frames`` must have come before a frame can be told. A line gets ``piece_frames`` at
    a time, or fewer; ``grid_frames`` divides what it gets, but at its end. ``state_bytes`` bounds
    what a line is remembered by.
    """

    look_ahead_frames: int
    piece_frames: int
    grid_frames: int
    state_bytes: int

    def begin(self, frames: int) -> Any:
        """The state of a line of so many frames."""
        ...

    def steps(self, state: Any, mels: Tensor, *, is_last: bool) -> Steps[Audio]:
        """``(frames, mels)`` more, of which one comes at least, to what can be told by now."""
        ...


class TorchVocoder:
    """On any device, in float32."""

    # A step is a residual block: as long as others should wait.
    piece_frames, grid_frames = 32, GRID

    def __init__(self, weights: Mapping[str, Tensor], architecture: VocoderArchitecture) -> None:
        """``weights`` as a component stores them; nothing is copied.

        Raises `EngineError` for those of another architecture.
        """
        self._generator = load_vocoder(weights, architecture)
        self._hop = architecture.hop_samples
        self.look_ahead_frames = self._generator.reach_frames
        self.state_bytes = architecture.state_bytes

    def begin(self, frames: int) -> Carry:
        """See `Vocoder`."""
        del frames
        return Carry()

    def steps(self, state: Carry, mels: Tensor, *, is_last: bool) -> Steps[Audio]:
        """See `Vocoder`. Few lengths are computed fastest, so a last piece is made longer."""
        beyond = -mels.shape[0] % self.grid_frames if is_last else 0
        state.begin(last=is_last, beyond=beyond)
        signal = functional.pad(mels, (0, 0, 0, beyond))[None, None].permute(0, 3, 1, 2)
        made = yield from self._generator.carried(signal, state)
        audio: Audio = made[0, 0, 0, : made.shape[3] - beyond * self._hop].cpu().numpy()
        # NaN and infinity survive a sum, and one sum is cheaper than a mask.
        if not np.isfinite(audio.sum()):
            raise EngineError("the vocoder gave NaN or infinity: the weights are damaged")
        return audio


class NativeVocoder:
    """On a CPU, with weights in bfloat16."""

    # A step is as many frames as others should wait for.
    piece_frames, grid_frames = 64, 1

    def __init__(
        self, weights: Mapping[str, Tensor], architecture: VocoderArchitecture, library: Library
    ) -> None:
        """``weights`` as a component stores them are packed, which takes a moment.

        Raises `EngineError` as `PackedGenerator`, and for those of another architecture.
        """
        canonical = _checked(weights, architecture)
        named = {name.removeprefix(_PREFIX): tensor for name, tensor in canonical.items()}
        self._packed = PackedGenerator(named, shape_of(architecture), library)
        self.look_ahead_frames = self._packed.shape.ahead_frames
        self.state_bytes = self._packed.state_bytes

    @property
    def resident_bytes(self) -> int:
        """Of its packed weights."""
        return self._packed.resident_bytes

    def begin(self, frames: int) -> Block:
        """See `Vocoder`."""
        return self._packed.begin(frames)

    def steps(self, state: Block, mels: Tensor, *, is_last: bool) -> Steps[Audio]:
        """See `Vocoder`."""
        if is_last:  # What was waited for is told once nothing has come for as long.
            mels = functional.pad(mels, (0, 0, 0, self.look_ahead_frames))
        made, most = list[Audio](), self._packed.shape.step_frames
        for first in range(0, mels.shape[0], most):
            if first:
                yield None
            made.append(self._packed.made(state, mels[first : first + most]))
        return np.concatenate(made)


def shape_of(a: VocoderArchitecture) -> GeneratorShape:
    """As kernels know it."""
    return GeneratorShape(
        mels=a.mels,
        channels=a.channels,
        kernel=_END_KERNEL,
        rates=a.rates,
        upsamplings=[(k, (k - rate) // 2) for k, rate in zip(a.kernels, a.rates, strict=True)],
        resblock_kernels=a.resblock_kernels,
        resblock_dilations=a.resblock_dilations,
        kind=0,
        blocks="resblocks",
        ahead_frames=a.reach_frames,
        frame_products=a.frame_products,
        step_products=_STEP_PRODUCTS,
    )


def load_vocoder(weights: Mapping[str, Tensor], architecture: VocoderArchitecture) -> Generator:
    """A generator whose parameters *are* ``weights``, as a component stores them.

    Raises `EngineError` for those of another architecture.
    """
    return hung(_skeleton(architecture), _checked(weights, architecture), _PREFIX)


def _checked(weights: Mapping[str, Tensor], a: VocoderArchitecture) -> dict[str, Tensor]:
    canonical = in_canonical_shape(weights)
    check_shapes(vocoder_shapes(a), {name: tuple(t.shape) for name, t in canonical.items()})
    return canonical


@lru_cache(maxsize=16)
def _skeleton(a: VocoderArchitecture) -> Generator:
    with torch.device("meta"):
        generator = Generator(
            channels_in=a.mels,
            channels=a.channels,
            rates=a.rates,
            kernels=a.kernels,
            resblock=1,
            resblock_kernels=a.resblock_kernels,
            resblock_dilations=a.resblock_dilations,
            last_bias=True,
        )
    return generator.eval().requires_grad_(requires_grad=False)
