"""The vocoder of EmotiVoice voices: HiFi-GAN as it was published, on the shared layers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

from voxswap_families.emotivoice.architecture import VocoderArchitecture
from voxswap_families.emotivoice.shapes import vocoder_shapes
from voxswap_families.layers.hifigan import Generator
from voxswap_families.layers.shapes import check_shapes
from voxswap_families.layers.skeletons import hung
from voxswap_families.layers.stored import in_canonical_shape


def load_vocoder(weights: Mapping[str, Tensor], architecture: VocoderArchitecture) -> Generator:
    """A generator whose parameters *are* ``weights``, as a component stores them.

    Raises `EngineError` for those of another architecture.
    """
    canonical = in_canonical_shape(weights)
    found = {name: tuple(tensor.shape) for name, tensor in canonical.items()}
    check_shapes(vocoder_shapes(architecture), found)
    return hung(_skeleton(architecture), canonical, "generator.")


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
