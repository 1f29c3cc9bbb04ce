"""A VITS model's inference half: its skeleton, and how verified tensors become its weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn

from voxswap_families.layers import shapes
from voxswap_families.layers.blocks import Table
from voxswap_families.layers.hifigan import Generator
from voxswap_families.layers.shapes import Shapes
from voxswap_families.layers.skeletons import hung
from voxswap_families.vits.architecture import VitsArchitecture, stored_channels_last
from voxswap_families.vits.duration import StochasticDurationPredictor
from voxswap_families.vits.encoder import TextEncoder
from voxswap_families.vits.flow import PriorFlow
from voxswap_families.vits.shapes import expected_shapes


class VitsModel(nn.Module):
    """The four parts that speaking needs; names are those of the original checkpoints."""

    def __init__(self, architecture: VitsArchitecture) -> None:
        super().__init__()
        a = architecture
        self.enc_p = TextEncoder(
            n_symbols=a.n_symbols,
            hidden=a.hidden,
            inter=a.inter,
            filter_hidden=a.filter_hidden,
            heads=a.n_heads,
            layers=a.n_layers,
            kernel=a.kernel_size,
            window=a.attention_window,
        )
        self.dp = StochasticDurationPredictor(
            hidden=a.hidden,
            channels=a.dp_hidden,
            kernel=a.dp_kernel_size,
            layers=a.dp_dds_layers,
            flows=a.dp_flows,
            bins=a.dp_bins,
            gin=a.gin,
        )
        self.flow = PriorFlow(
            inter=a.inter,
            hidden=a.hidden,
            kernel=a.flow_kernel_size,
            wavenet_layers=a.flow_wavenet_layers,
            couplings=a.flow_layers,
            gin=a.gin,
        )
        self.dec = Generator(
            channels_in=a.inter,
            channels=a.upsample_initial,
            rates=a.upsample_rates,
            kernels=a.upsample_kernels,
            resblock=a.resblock,
            resblock_kernels=a.resblock_kernels,
            resblock_dilations=a.resblock_dilations,
            gin=a.gin,
        )
        self.emb_g = Table(a.n_speakers, a.gin) if a.n_speakers else None


def load_model(architecture: VitsArchitecture, tensors: Mapping[str, Tensor]) -> VitsModel:
    """A model whose parameters *are* ``tensors``: nothing is initialised, nothing is copied.

    Raises `EngineError` if a tensor is missing, left over or of the wrong shape.
    """
    check_shapes(architecture, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    return hung(_skeleton(architecture), tensors)


@lru_cache(maxsize=16)
def _skeleton(architecture: VitsArchitecture) -> VitsModel:
    """A model without weights. Making one takes 5 ms, and voices have few architectures."""
    with torch.device("meta"):
        model = VitsModel(architecture)
    return model.eval().requires_grad_(requires_grad=False)


def check_shapes(architecture: VitsArchitecture, found: Shapes) -> None:
    """Raise `EngineError` unless ``found`` are just the tensors of ``architecture``."""
    shapes.check_shapes(expected_shapes(architecture), found)


def in_canonical_shape(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as a component stores them, seen in the shapes that the layers know."""
    return {
        name: tensor.transpose(1, 2) if stored_channels_last(name, tensor.dim()) else tensor
        for name, tensor in stored.items()
    }
