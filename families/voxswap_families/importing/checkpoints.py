"""The tensors of strangers' checkpoints, without what trained them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from voxswap_families.importing.source import SourceFile
from voxswap_families.importing.weights import (
    check_finite,
    check_names,
    read_pickle,
    strip_module,
)
from voxswap_registry.errors import ImportSourceError

if TYPE_CHECKING:
    import torch

MAX_PARAMETERS: Final = 1 << 28  # published ones have 110 million at most
# Tables that are computed, and counters.
_LEFT_OUT: Final = frozenset(
    {"position_enc", "position_ids", "inv_timescales", "num_batches_tracked"}
)


def checkpoint_tensors(file: SourceFile, *keys: str, exchanged: str) -> dict[str, torch.Tensor]:
    """The tensors under ``keys``, without ``module.`` before their names; computed ones left out.

    ``exchanged`` says which files may have been taken for each other, for whoever has another.
    Raises `ImportSourceError` for a file that is damaged, holds code, or another model; and for
    what is not finite, not float32, or claims more numbers than any such model has.
    """
    import torch

    loaded = read_pickle(
        file,
        remedy="Fetch it again; if it is whole where it came from, its author must save it anew, "
        "with tensors alone",
    )
    for depth, key in enumerate(keys):
        if not isinstance(loaded, Mapping) or key not in loaded:
            raise ImportSourceError(
                f"{file.path} has no {'.'.join(keys[: depth + 1])!r}; this is no checkpoint of the "
                f"kind that belongs there. Perhaps {exchanged} were exchanged"
            )
        loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded:
        raise ImportSourceError(f"{file.path}: {'.'.join(keys)!r} holds no tensors; fetch it again")
    for name, tensor in loaded.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ImportSourceError(
                f"{file.path}: {'.'.join(keys)!r} holds {name!a:.60}, which is no tensor; fetch it "
                "again"
            )
    named = strip_module(loaded)
    if sum(tensor.numel() for tensor in named.values()) > MAX_PARAMETERS:
        raise ImportSourceError(
            f"{file.path} claims more than {MAX_PARAMETERS} parameters; no such model is that large"
        )
    weights = {n: t for n, t in named.items() if n.rpartition(".")[2] not in _LEFT_OUT}
    _check_types(weights, where=str(file.path))
    check_finite(weights, where=str(file.path))
    return weights


def _check_types(tensors: Mapping[str, torch.Tensor], *, where: str) -> None:
    import torch

    other = {
        n: t for n, t in tensors.items() if t.dtype != torch.float32 or t.layout != torch.strided
    }
    if not other:
        return
    name, tensor = next(iter(other.items()))
    kind = str(tensor.dtype).removeprefix("torch.")
    remedy = (
        "its durations would be others than the voice was trained to speak with"
        if tensor.dtype in {torch.float16, torch.bfloat16}
        else "nobody could tell what was lost"
    )
    raise ImportSourceError(
        f"{where} holds {len(other)} tensors that are not float32, such as {name!a:.60} in {kind}: "
        f"{remedy}. Import the float32 checkpoint that they were made from"
    )


def check_checkpoint(
    expected: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, torch.Tensor],
    file: SourceFile,
    *,
    remedy: str,
) -> None:
    """Raise `ImportSourceError` unless ``tensors`` of ``file`` have these names and shapes."""
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    check_names(expected, found, where=str(file.path), remedy=remedy)
