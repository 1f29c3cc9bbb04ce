"""Voices that can be packed: architectures of any shape, and the published ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from hypothesis import reject
from hypothesis import strategies as st
from torch import Tensor

from tests.families.vits_fakes import canonical, preset
from tests.families.vits_voices import manifest_of
from voxswap_families.importing.weights import write_safetensors
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.packable import PACKED
from voxswap_families.vits.packed import pack
from voxswap_registry.manifest import Manifest
from voxswap_registry.progress import NullProgress

_MMS = dataclasses.replace(preset("high", shrink=1), n_symbols=38)
# As narrow as one can be with two heads and three stages.
SMALL = dataclasses.replace(
    preset("low", n_speakers=2),
    hidden=32, inter=32, filter_hidden=32, dp_hidden=16, upsample_initial=128, n_layers=1,
)  # fmt: skip
# With the other residual blocks, and one speaker.
SMALL_HIGH = dataclasses.replace(
    SMALL, resblock=1, resblock_kernels=(3, 7, 11), resblock_dilations=((1, 3, 5),) * 3,
    n_speakers=0, gin=0, flow_layers=3, upsample_rates=(5, 4), upsample_kernels=(11, 4),
)  # fmt: skip
PUBLISHED = {
    "piper x_low": preset("x_low", shrink=1),
    "piper medium": preset("medium", shrink=1),
    "piper medium, 904 speakers": preset("medium", shrink=1, n_speakers=904),
    "piper high": preset("high", shrink=1),
    "mms": _MMS,
    "vctk": dataclasses.replace(_MMS, n_symbols=178, n_speakers=109, gin=256),
}


def packed_component(
    folder: Path,
    architecture: VitsArchitecture,
    tensors: Mapping[str, Tensor] | None = None,
    *,
    form: str = PACKED,
) -> Path:
    """A packed model component, with random weights unless some are given."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{form}.safetensors"
    packed = pack(architecture, tensors or canonical(architecture), form=form)
    write_safetensors(packed, path, progress=NullProgress())
    return path


def packed_manifest(
    architecture: VitsArchitecture, size_bytes: int = 10, form: str = PACKED
) -> Manifest:
    """Of a voice with such a component."""
    manifest = manifest_of(architecture, size_bytes)
    components = tuple(
        dataclasses.replace(c, form=form) if c.role == "model" else c for c in manifest.components
    )
    return dataclasses.replace(manifest, components=components)


@st.composite
def packable(draw: st.DrawFn) -> VitsArchitecture:
    """Whatever may vary, at the least widths there are."""
    sixteens = st.integers(1, 2).map(lambda n: 16 * n)
    odd = st.sampled_from((1, 3, 5))
    stages = draw(st.integers(1, 3))
    rates = draw(st.lists(st.integers(1, 5), min_size=stages, max_size=stages))
    blocks = draw(st.integers(1, 2))
    heads = draw(st.integers(1, 2))
    speakers = draw(st.sampled_from((0, 1, 3)))
    config = {
        "n_symbols": draw(st.integers(1, 20)),
        "hidden": heads * draw(sixteens),
        "inter": 2 * draw(sixteens),
        "filter_hidden": draw(sixteens),
        "n_layers": draw(st.integers(1, 2)),
        "n_heads": heads,
        "kernel_size": draw(odd),
        "attention_window": draw(st.integers(0, 7)),
        "flow_layers": draw(st.integers(1, 2)),
        "flow_wavenet_layers": draw(st.integers(1, 2)),
        "flow_kernel_size": draw(odd),
        "dp_hidden": draw(sixteens),
        "dp_kernel_size": draw(odd),
        "dp_flows": draw(st.integers(1, 3)),
        "dp_dds_layers": draw(st.integers(1, 2)),
        "dp_bins": draw(st.integers(1, 12)),
        "resblock": draw(st.sampled_from((1, 2))),
        "resblock_kernels": draw(st.lists(odd, min_size=blocks, max_size=blocks)),
        "resblock_dilations": [[1, 2]] * blocks,
        "upsample_rates": rates,
        "upsample_kernels": [rate + 2 * draw(st.integers(0, 3)) for rate in rates],
        "upsample_initial": 16 << stages,
        "n_speakers": speakers,
        "gin": draw(st.integers(1, 5)) if speakers else 0,
    }
    try:
        return VitsArchitecture.read(config)
    except ValueError:
        reject()  # A window would need more context than is taken.
