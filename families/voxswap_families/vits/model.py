"""A VITS model's inference half: its skeleton, and how verified tensors become its weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn

from voxswap_families.layers.blocks import Table
from voxswap_families.layers.hifigan import Generator
from voxswap_families.layers.skeletons import hung
from voxswap_families.vits.architecture import VitsArchitecture, stored_channels_last
from voxswap_families.vits.duration import StochasticDurationPredictor
from voxswap_families.vits.encoder import TextEncoder
from voxswap_families.vits.flow import PriorFlow
from voxswap_families.vits.shapes import expected_shapes
from voxswap_registry.errors import EngineError


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


def check_shapes(architecture: VitsArchitecture, found: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `EngineError` unless ``found`` are just the tensors of ``architecture``.

    Names and shapes alone, so what does not fit costs neither weights nor a skeleton: past this
    check, the model is as large as the file.
    """
    expected = expected_shapes(architecture)
    faults = [
        f"{len(names)} tensors {what} ({some_names(names)})"
        for what, names in (
            ("are missing", expected.keys() - found.keys()),
            ("are unknown", found.keys() - expected.keys()),
            (
                "have another shape",
                {n for n, s in expected.items() if n in found and found[n] != s},
            ),
        )
        if names
    ]
    if faults:
        raise EngineError(
            "the weights do not fit their manifest's architecture: "
            f"{'; '.join(faults)}; import the voice again"
        )


def some_names(names: Collection[str]) -> str:
    """The first few; a stranger made them, and they may be of any length."""
    return ", ".join(ascii(name)[:48] for name in sorted(names)[:2])


def in_canonical_shape(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as a component stores them, seen in the shapes that the layers know."""
    return {
        name: tensor.transpose(1, 2) if stored_channels_last(name, tensor.dim()) else tensor
        for name, tensor in stored.items()
    }
