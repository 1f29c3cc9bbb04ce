"""A VITS model's inference half: its skeleton, and how verified tensors become its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from voxswap_registry.errors import EngineError
from voxswap_registry.vits import VitsArchitecture, stored_channels_last
from voxswap_server.engines.blocks import Table
from voxswap_server.engines.hifigan import Generator
from voxswap_server.engines.vits.duration import StochasticDurationPredictor
from voxswap_server.engines.vits.encoder import TextEncoder
from voxswap_server.engines.vits.flow import PriorFlow


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
    with torch.device("meta"):
        model = VitsModel(architecture)
    try:
        model.load_state_dict(dict(tensors), strict=True, assign=True)
    except RuntimeError as error:
        raise EngineError(
            f"the weights do not fit their manifest's architecture: {error}; import the voice again"
        ) from error
    return model.eval().requires_grad_(requires_grad=False)


def read_tensors(path: Path, device: str) -> dict[str, Tensor]:
    """Tensors of a VITS component, in canonical shape; on a CPU they are views of the mapped file.

    Blocks on disk when pages are touched. Raises `EngineError` if the file is no safetensors file.
    """
    try:
        with safe_open(path, framework="pt", device=device) as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise EngineError(
            f"{path.name}: not a readable safetensors file ({error}); import the voice again"
        ) from error
    return {
        name: tensor.transpose(1, 2) if stored_channels_last(name, tensor.dim()) else tensor
        for name, tensor in stored.items()
    }
