"""The inference weights of EmotiVoice's checkpoints: what only trained them stays behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from voxswap_families.importing.checkpoints import checkpoint_tensors
from voxswap_families.importing.source import SourceFile
from voxswap_families.importing.weights import fold_weight_norm

if TYPE_CHECKING:
    import torch

SPEAKER_TABLE: Final = "am.spk_tokenizer.weight"
SYMBOL_TABLE: Final = "am.src_word_emb.weight"
_ALIGNMENT: Final = "am.alignment_module."
_VOCODER: Final = "generator."
_ENCODER: Final = "bert."
_EXCHANGED: Final = "g_N, do_N and the style encoder's checkpoint"


class Joint(NamedTuple):
    """The two models of a ``g_N``, as float32: the first without its table of speakers."""

    acoustic: Mapping[str, torch.Tensor]
    vocoder: Mapping[str, torch.Tensor]
    speakers: torch.Tensor | None


def joint_tensors(file: SourceFile) -> Joint:
    """What ``generator`` has, weight norm folded. Raises as `checkpoint_tensors`."""
    found = checkpoint_tensors(file, "generator", exchanged=_EXCHANGED)
    folded = fold_weight_norm(found, where=str(file.path))
    speakers = folded.pop(SPEAKER_TABLE, None)
    return Joint(
        {
            name: tensor
            for name, tensor in folded.items()
            if not name.startswith((_VOCODER, _ALIGNMENT))
        },
        {name: tensor for name, tensor in folded.items() if name.startswith(_VOCODER)},
        speakers,
    )


def style_tensors(file: SourceFile) -> dict[str, torch.Tensor]:
    """What ``model.bert`` has, without the heads that it was trained with. Raises as those."""
    found = checkpoint_tensors(file, "model", exchanged=_EXCHANGED)
    return {name: tensor for name, tensor in found.items() if name.startswith(_ENCODER)}
