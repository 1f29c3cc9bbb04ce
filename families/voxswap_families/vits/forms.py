"""A packed component where torch computes: unpacked, as a plain one would be."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from voxswap_families.arithmetic import Dtype
from voxswap_families.vits.architecture import VitsArchitecture, may_be_rounded
from voxswap_families.vits.model import in_canonical_shape
from voxswap_families.vits.packable import FORMS, PACKED
from voxswap_families.vits.packed import unpack
from voxswap_registry.manifest import Component

# Of packed weights, where nobody says what they shall be computed in: most are rounded to it.
_USUAL: Dtype = "bfloat16"


def is_packed(component: Component) -> bool:
    """Whether its tensors are those of `packed`, and not canonical ones."""
    return component.form in FORMS


def dtype_for(component: Component, dtype: Dtype | None) -> Dtype | None:
    """What `may_be_rounded` is computed in; None: in whatever it is stored as.

    ``dtype`` is what the engine was told.
    """
    return dtype or (_USUAL if is_packed(component) else None)


def as_plain(
    architecture: VitsArchitecture,
    packed: Mapping[str, Tensor],
    dtype: Dtype | None,
    form: str = PACKED,
) -> tuple[dict[str, Tensor], int]:
    """The tensors that a plain component would hold in place of one in ``form``, and their bytes.

    What `may_be_rounded` is ``dtype``, all the rest float32, also where it was rounded. They lie in
    one anonymous map. Raises as `packed.unpack`.
    """
    kind: torch.dtype = getattr(torch, dtype or _USUAL)
    tensors = unpack(
        architecture,
        packed,
        lambda name: kind if may_be_rounded(name) else torch.float32,
        form=form,
    )
    size_bytes = next(iter(tensors.values())).untyped_storage().nbytes()
    return in_canonical_shape(tensors), size_bytes  # Their axes swapped once more.
