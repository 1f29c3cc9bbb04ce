"""VITS voices where native kernels compute: what the engine reads, places, counts and warms up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from voxswap_families.contract import DevicePart
from voxswap_families.layers.mapping import map_tensors
from voxswap_families.layers.native.library import Library
from voxswap_families.layers.native.packing import PANEL_ROWS, native_packing
from voxswap_families.layers.native.processor import ISAS
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.model import in_canonical_shape
from voxswap_families.vits.native_model import NativeModel
from voxswap_families.vits.native_voice import NativeVitsVoice, NativeVitsWeights, step_frames
from voxswap_families.vits.packable import PACKED, PACKED_INT8
from voxswap_families.vits.packed import check_packed, pack, packed_shapes, widened
from voxswap_families.vits.segments import MOST_SYMBOLS
from voxswap_registry.storage.verified import VerifiedFile, WatchedFile

# Each tensor begins at a multiple of 256 in memory of ours.
_ALIGNMENT: Final = 256
# What a step's arrays in Python take beside the library's: floats of a frame's latents and samples.
_COPIES: Final = 6
# Panels that a product is computed for at a time where weights are widened: ``product.hpp``.
_WIDENED_PANELS: Final = 2


@dataclass(frozen=True, slots=True)
class NativePart:
    """Packed weights on their way: pages of the component's file, or memory where it has others."""

    architecture: VitsArchitecture
    library: Library
    tensors: Mapping[str, Tensor]
    allocated_bytes: int
    file: WatchedFile | None

    @property
    def host_bytes(self) -> int:
        """What was packed or widened; pages are the system's cache."""
        return self.allocated_bytes

    def place(self) -> DevicePart:
        """Tell the library where everything lies: nothing is moved."""
        model = NativeModel(self.architecture, self.tensors)
        resident = sum(tensor.nbytes for tensor in self.tensors.values())
        return NativeVitsWeights(
            model,
            self.library,
            max(resident, self.allocated_bytes),
            self.allocated_bytes,
            self.file,
        )


def read(
    architecture: VitsArchitecture, library: Library, file: VerifiedFile, form: str | None
) -> NativePart:
    """The weights of a component in ``form``, which are checked here. Raises as `Engine.read`."""
    tensors = map_tensors(file, takes_int8=form == PACKED_INT8)
    if form is not None:
        check_packed(architecture, tensors, form)
        size_bytes = 0
        if form != _computed_in(library, form):
            tensors, size_bytes = widened(architecture, tensors)
        return NativePart(architecture, library, tensors, size_bytes, file.watch())
    packed = pack(architecture, in_canonical_shape(tensors), native_packing(library))
    size_bytes = next(iter(packed.values())).untyped_storage().nbytes()
    return NativePart(architecture, library, packed, size_bytes, None)


def _computed_in(library: Library, form: str | None) -> str:
    """The form in which weights lie where ``library`` reads them."""
    is_byte = form == PACKED_INT8 and ISAS[library.isa].multiplies_bytes
    return PACKED_INT8 if is_byte else PACKED


def footprint_bytes(
    architecture: VitsArchitecture, library: Library, form: str | None, component_bytes: int
) -> int:
    """Of a voice's weights: its file, or what they are packed or widened into."""
    return max(
        component_bytes,
        sum(
            -(-math.prod(shape) * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
            for dtype, shape in packed_shapes(architecture, _computed_in(library, form)).values()
        ),
    )


def step_bytes(
    architecture: VitsArchitecture, library: Library, form: str | None, largest_samples: int
) -> int:
    """Of one step: encoding `MOST_SYMBOLS`, or as many frames as a step takes."""
    model = _sized(architecture, _computed_in(library, form))
    call, a = library.functions, architecture
    spoken, frames = model.spoken_by(0), step_frames(a)
    encoding = call.vxk_encoder_bytes(model.encoder, MOST_SYMBOLS)
    # Of these, a thread keeps its largest.
    scratch = max(
        call.vxk_flow_bytes(spoken.flow, frames),
        call.vxk_generator_bytes(spoken.generator, frames),
        *(
            call.vxk_linear_bytes(product, MOST_SYMBOLS)
            for product in (model.prior, spoken.dp_pre, model.dp_proj)
        ),
        call.vxk_separable_bytes(model.dp_convs, MOST_SYMBOLS),
        *(call.vxk_spline_bytes(spline, MOST_SYMBOLS) for spline in model.splines),
    )
    scratch += widened_bytes(a)
    hidden = 4 * MOST_SYMBOLS * (2 * a.hidden + 3 * a.dp_hidden + 2 * a.inter)
    frames += a.flow_reach_frames + a.generator_reach_frames
    decoding = 4 * _COPIES * frames * (a.inter + a.hop_length_samples) + 8 * largest_samples
    return int(encoding + scratch + hidden + decoding)


def widened_bytes(architecture: VitsArchitecture) -> int:
    """Of the most weights that a thread has as float32 at a time, if its processor does."""
    pairs = (s[1] for dtype, s in packed_shapes(architecture).values() if dtype == torch.bfloat16)
    return _WIDENED_PANELS * PANEL_ROWS * 2 * max(pairs) * 4


def silent(architecture: VitsArchitecture, library: Library) -> NativeVitsVoice:
    """A voice whose weights are all 0, and take their memory: one to measure by."""
    zeros = {
        name: torch.zeros(shape, dtype=dtype)
        for name, (dtype, shape) in packed_shapes(architecture).items()
    }
    return NativeVitsVoice(NativeVitsWeights(NativeModel(architecture, zeros), library, 0, 0, None))


@lru_cache(maxsize=16)
def _sized(architecture: VitsArchitecture, form: str) -> NativeModel:
    """A model to ask for sizes, whose weights take no memory. Of speaker 0 nothing is asked."""
    return NativeModel(
        architecture,
        {
            name: torch.zeros((), dtype=dtype).expand(shape)
            for name, (dtype, shape) in packed_shapes(architecture, form).items()
        },
    )
