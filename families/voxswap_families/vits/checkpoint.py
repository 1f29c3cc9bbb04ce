"""The tensors of a VITS voice in their canonical form: names, folded weight norm, bytes on disk.

The names are those of the original VITS code and of Piper (see `architecture`). What only training
needs is dropped, everything else must be there, and nothing else may be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from voxswap_families.arithmetic import Dtype
from voxswap_families.vits.architecture import (
    VitsArchitecture,
    infer_architecture,
    may_be_rounded,
    stored_channels_last,
)
from voxswap_families.vits.shapes import expected_shapes
from voxswap_registry.errors import ImportSourceError
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.progress import Progress

if TYPE_CHECKING:
    import torch

# The posterior encoder and the forward half of the duration predictor. Its first ConvFlow
# (flows.1) is skipped by the reverse pass, and its flips (flows.2, 4, ...) hold no tensors.
_TRAINING_ONLY = re.compile(r"(?:enc_q|dp\.post_\w+|dp\.flows\.1|net_dur_disc)\.")
_WEIGHT_NORM = {
    ".weight_g": ".weight_v",
    ".parametrizations.weight.original0": ".parametrizations.weight.original1",
}
MAX_PARAMETERS = 1 << 28  # the largest published VITS voices have a sixth of this
# A cache line, and what vector instructions like best. safetensors itself asks for 8.
_ALIGNMENT_BYTES = 64


def strip_module(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names without the ``module.`` that data-parallel training leaves before them."""
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def fold_weight_norm(tensors: Mapping[str, torch.Tensor], *, where: str) -> dict[str, torch.Tensor]:
    """Replace each pair of length ``g`` and direction ``v`` by the weight ``g * v / |v|``.

    The norm runs over dimensions 1 and 2 (Salimans and Kingma 2016, as torch's ``weight_norm`` with
    ``dim=0``). For a ConvTranspose, whose weight is ``(in, out, kernel)``, that leaves one length
    for each input channel. Raises `ImportSourceError` for half a pair.
    """
    folded = dict(tensors)
    for g_suffix, v_suffix in _WEIGHT_NORM.items():
        for g_name in [name for name in tensors if name.endswith(g_suffix)]:
            layer = g_name.removesuffix(g_suffix)
            g, v = folded.pop(g_name).double(), folded.pop(layer + v_suffix, None)
            if v is None or v.dim() != 3 or g.shape != (v.shape[0], 1, 1):
                raise ImportSourceError(
                    f"{where}: the weight norm of {layer} is torn: {g_name} does not fit its other "
                    "half; fetch the checkpoint again"
                )
            v = v.double()
            folded[f"{layer}.weight"] = (g * v / v.norm(dim=(1, 2), keepdim=True)).float()
    return folded


def canonical_tensors(
    tensors: Mapping[str, torch.Tensor], *, where: str
) -> tuple[dict[str, torch.Tensor], VitsArchitecture]:
    """Fold, drop, convert to float32 and check a checkpoint whose names are the original ones.

    Raises `ImportSourceError` naming the tensors that are missing, unknown, of the wrong shape, or
    not finite.
    """
    import torch

    kept = {name: tensor for name, tensor in tensors.items() if not _TRAINING_ONLY.match(name)}
    # Before anything is allocated: a tensor may claim more elements than its file has bytes.
    if sum(tensor.numel() for tensor in kept.values()) > MAX_PARAMETERS:
        raise ImportSourceError(
            f"{where} claims more than {MAX_PARAMETERS} parameters; no VITS voice is that large"
        )
    for name, tensor in kept.items():
        if tensor.layout != torch.strided or not tensor.is_floating_point():
            raise ImportSourceError(
                f"{where}: {name} holds {tensor.dtype} ({tensor.layout}); quantised checkpoints "
                "are not taken, import the float one they were made from"
            )
    kept = {name: tensor.float() for name, tensor in fold_weight_norm(kept, where=where).items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in kept.items()}
    try:
        architecture = infer_architecture(shapes)
        expected = expected_shapes(architecture)
    except (ValueError, ZeroDivisionError) as error:
        raise ImportSourceError(
            f"{where}: {error}; this is no VITS checkpoint that voxswap knows"
        ) from error
    _check_names(expected, shapes, where=where)
    for name, tensor in kept.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ImportSourceError(
                f"{where}: {name} holds NaN or infinity; the training of this voice diverged or "
                "the file is damaged. Fetch or train it again"
            )
    return kept, architecture


def _check_names(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], *, where: str
) -> None:
    faults = []
    if missing := sorted(expected.keys() - found.keys()):
        faults.append(f"{len(missing)} tensors are missing ({_some(missing)})")
    if unknown := sorted(found.keys() - expected.keys()):
        faults.append(f"{len(unknown)} tensors are unknown ({_some(unknown)})")
    wrong = [
        f"{name} is {list(found[name])}, not {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if wrong:
        faults.append(f"{len(wrong)} tensors have another shape ({_some(wrong)})")
    if faults:
        raise ImportSourceError(
            f"{where}: {'; '.join(faults)}. The model is no VITS that voxswap knows, or its export "
            "renamed what it holds; import the original checkpoint"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def round_tensors(tensors: Mapping[str, torch.Tensor], dtype: Dtype) -> dict[str, torch.Tensor]:
    """Store what `may_be_rounded` as ``dtype``; everything else stays float32."""
    import torch

    if dtype == "float32":
        return dict(tensors)
    return {
        name: tensor.to(torch.bfloat16) if may_be_rounded(name) else tensor
        for name, tensor in tensors.items()
    }


def as_stored(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors as a component holds them: see `stored_channels_last`."""
    import torch

    return {
        name: tensor.transpose(1, 2).clone(memory_format=torch.contiguous_format)
        if stored_channels_last(name, tensor.dim())
        else tensor
        for name, tensor in tensors.items()
    }


def write_safetensors(
    tensors: Mapping[str, torch.Tensor], path: Path, *, progress: Progress
) -> None:
    """Write ``tensors`` so that the same tensors always give the same bytes. Blocks.

    The layout is fixed here rather than left to the safetensors package, whose choices may change
    with its version: a digest names a component for years. Tensors whose size is a multiple of 64
    bytes come first, and the header is padded, so that a memory map finds them 64-byte aligned.
    Raises `RegistryError` if the disk refuses.
    """
    import torch

    names = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int8: "I8"}

    def order(item: tuple[str, torch.Tensor]) -> tuple[bool, int, str]:
        name, tensor = item
        return tensor.nbytes % _ALIGNMENT_BYTES != 0, -tensor.element_size(), name

    laid_out = sorted(tensors.items(), key=order)
    header: dict[str, object] = {}
    offset = 0
    for name, tensor in laid_out:
        header[name] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-(8 + len(encoded)) % _ALIGNMENT_BYTES)
    progress.start(f"write {path.name}", offset)
    try:
        with as_registry_errors("write", path), path.open("xb") as file:
            file.write(len(encoded).to_bytes(8, "little") + encoded)
            for _, tensor in laid_out:
                file.write(tensor.contiguous().view(torch.uint8).numpy().data)
                progress.advance(tensor.nbytes)
    finally:
        progress.finish()
