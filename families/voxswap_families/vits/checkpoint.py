"""The tensors of a VITS voice in their canonical form: names, folded weight norm, bytes on disk.

The names are those of the original VITS code and of Piper (see `architecture`). What only training
needs is dropped, everything else must be there, and nothing else may be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from voxswap_families.arithmetic import Dtype
from voxswap_families.importing.weights import check_finite, check_names, fold_weight_norm
from voxswap_families.vits.architecture import (
    VitsArchitecture,
    infer_architecture,
    may_be_rounded,
    stored_channels_last,
)
from voxswap_families.vits.shapes import expected_shapes
from voxswap_registry.errors import ImportSourceError

if TYPE_CHECKING:
    import torch

# The posterior encoder and the forward half of the duration predictor. Its first ConvFlow
# (flows.1) is skipped by the reverse pass, and its flips (flows.2, 4, ...) hold no tensors.
_TRAINING_ONLY = re.compile(r"(?:enc_q|dp\.post_\w+|dp\.flows\.1|net_dur_disc)\.")
MAX_PARAMETERS = 1 << 28  # the largest published VITS voices have a sixth of this


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
    check_names(
        expected,
        shapes,
        where=where,
        remedy="The model is no VITS that voxswap knows, or its export renamed what it holds; "
        "import the original checkpoint",
    )
    check_finite(kept, where=where)
    return kept, architecture


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
