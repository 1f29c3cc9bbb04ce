"""A VITS model's inference half: its skeleton, and how verified tensors become its weights."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from voxswap_registry.errors import EngineError
from voxswap_registry.vits import VitsArchitecture, stored_channels_last
from voxswap_registry.vits_shapes import expected_shapes
from voxswap_server.engines.blocks import Table
from voxswap_server.engines.hifigan import Generator
from voxswap_server.engines.vits.duration import StochasticDurationPredictor
from voxswap_server.engines.vits.encoder import TextEncoder
from voxswap_server.engines.vits.flow import PriorFlow

_MAX_CAUSE = 300  # characters of a foreign error that are passed on
# The names of a published voice take 60 KB; the reader of safetensors believes 100 MB.
_MAX_HEADER_BYTES = 16 << 20


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
            "the weights do not fit their manifest's architecture: "
            f"{str(error)[:_MAX_CAUSE]}; import the voice again"
        ) from error
    return model.eval().requires_grad_(requires_grad=False)


def check_header(architecture: VitsArchitecture, path: Path) -> None:
    """Raise `EngineError` unless a component holds just the tensors of ``architecture``.

    Reads names and shapes alone, so what does not fit costs neither weights nor a skeleton: past
    this check, the model is as large as the file. Blocks on disk.
    """
    expected = expected_shapes(architecture)
    with _opened(path) as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    for name, shape in found.items():
        if stored_channels_last(name, len(shape)):
            found[name] = (shape[0], shape[2], shape[1])
    faults = [
        f"{len(names)} tensors {what} ({_some(names)})"
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


def _some(names: Collection[str]) -> str:
    """The first few; a stranger made them, and they may be of any length."""
    return ", ".join(ascii(name)[:48] for name in sorted(names)[:2])


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a VITS component as they are stored: views of the mapped file.

    Blocks on disk when pages are touched. Raises `EngineError` if the file is no safetensors file.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def in_canonical_shape(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as a component stores them, seen in the shapes that the layers know."""
    return {
        name: tensor.transpose(1, 2) if stored_channels_last(name, tensor.dim()) else tensor
        for name, tensor in stored.items()
    }


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A safetensors file whose header is of bounded size. Raises `EngineError` for another."""
    try:
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
        if header_bytes > _MAX_HEADER_BYTES:
            raise EngineError(
                f"{path.name}: a header of {header_bytes} bytes, more than the {_MAX_HEADER_BYTES} "
                "that are read; import the voice again"
            )
        with safe_open(path, framework="pt") as tensors:
            yield tensors
    except (SafetensorError, OSError) as error:
        raise EngineError(
            f"{path.name}: not a readable safetensors file ({str(error)[:_MAX_CAUSE]}); import the "
            "voice again"
        ) from error
