"""The inference weights of KAN-TTS's checkpoints: what trained them is in the same files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from voxswap_families.importing.checkpoints import checkpoint_tensors
from voxswap_families.importing.source import SourceFile
from voxswap_families.importing.weights import fold_weight_norm

if TYPE_CHECKING:
    import torch

# What alignments were learned with.
_TRAINING_ONLY: Final = "align_attention."
_EXCHANGED: Final = "the acoustic model's and the vocoder's"


def acoustic_tensors(file: SourceFile) -> dict[str, torch.Tensor]:
    """What ``model`` has in an acoustic model's checkpoint, as float32.

    Raises as `checkpoint_tensors`.
    """
    found = checkpoint_tensors(file, "model", exchanged=_EXCHANGED)
    return {n: tensor for n, tensor in found.items() if not n.startswith(_TRAINING_ONLY)}


def vocoder_tensors(file: SourceFile) -> dict[str, torch.Tensor]:
    """What ``model.generator`` has in a vocoder's, weight norm folded. Raises as those."""
    found = checkpoint_tensors(file, "model", "generator", exchanged=_EXCHANGED)
    return fold_weight_norm(found, where=str(file.path))
