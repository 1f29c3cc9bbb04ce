"""Which VITS voices can be packed; told without torch, for manifests are checked by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from voxswap_families.vits.architecture import VitsArchitecture

# What a manifest calls the forms. The second has feed-forward layers of the encoder in int8.
PACKED: Final = "packed"
PACKED_INT8: Final = "packed_int8"
FORMS: Final = (PACKED, PACKED_INT8)

_ROWS = 16  # of a panel: what lies side by side in the packed form


def stored_as(form: str) -> str:
    """What a voice in ``form`` is rounded to, in words for its provenance."""
    told = "products stored as bfloat16"
    return f"{told}, those of feed-forward layers as int8" if form == PACKED_INT8 else told


def handled(architecture: VitsArchitecture) -> str:
    """Why voices of ``architecture`` cannot be packed, as in "because {reason}"; empty if they can.

    What can be packed is what native kernels compute.
    """
    for name, channels in _channels(architecture):
        if channels % _ROWS:
            return f"{name} is {channels}, which is no multiple of {_ROWS}"
    offsets = 2 * architecture.attention_window + 1
    if offsets > _ROWS:
        return f"attention_window makes {offsets} offsets, more than {_ROWS}"
    return ""


def _channels(a: VitsArchitecture) -> Iterator[tuple[str, int]]:
    yield "hidden", a.hidden
    yield "half of inter", a.inter // 2
    yield "filter_hidden", a.filter_hidden
    yield "dp_hidden", a.dp_hidden
    yield "hidden for each of n_heads", a.hidden // a.n_heads
    for stage in range(len(a.upsample_rates) + 1):
        yield f"upsample_initial after {stage} stages", a.upsample_initial >> stage
