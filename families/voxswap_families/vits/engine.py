"""The VITS engine: from a component to a voice on its device."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from voxswap_families import reading
from voxswap_families.arithmetic import Dtype
from voxswap_families.contract import (
    Delivery,
    DevicePart,
    HostPart,
    LoadedVoice,
    MakeFrontEnd,
    Pace,
    PartSpec,
    Voice,
    no_front_ends,
)
from voxswap_families.layers.mapping import map_tensors
from voxswap_families.layers.native.library import Library, pick
from voxswap_families.layers.tensors import StagedTensors, as_dtype, block_bytes
from voxswap_families.vits import native_parts
from voxswap_families.vits.architecture import CONTROLS, VitsArchitecture, may_be_rounded
from voxswap_families.vits.forms import as_plain, dtype_for
from voxswap_families.vits.model import (
    VitsModel,
    check_shapes,
    in_canonical_shape,
    load_model,
)
from voxswap_families.vits.native_voice import NativeVitsVoice, NativeVitsWeights
from voxswap_families.vits.packable import PACKED_INT8, handled
from voxswap_families.vits.presets import MEDIUM
from voxswap_families.vits.segments import MOST_SYMBOLS
from voxswap_families.vits.shapes import expected_shapes
from voxswap_families.vits.voice import MOST_FLOW_FRAMES, VitsVoice, VitsWeights
from voxswap_families.work import finished
from voxswap_registry.errors import EngineError
from voxswap_registry.manifest import Manifest
from voxswap_registry.storage.verified import VerifiedFile, WatchedFile

# What stays between steps: oneDNN keeps a thousand compiled kernels, about 100 KB each, and the
# allocator keeps about as much as a step used, in pieces.
_KERNEL_BYTES = 128 << 20
_FRAGMENTATION = 2
_ALIGNMENT_LOSS_BYTES = 255  # of each tensor in a block

_USUAL_FRAMES_PER_S = 22_050 / MEDIUM.hop_length_samples


class VitsEngine:
    """Loads VITS voices onto one device. Stateless once it is warm; thread-safe."""

    name = "vits"
    steps_may_be_long = False

    def __init__(
        self,
        device: str = "cpu",
        dtype: Dtype | None = None,
        *,
        kernels: str = "torch",
        most_steps: int = 1,
        front_ends: MakeFrontEnd = no_front_ends,
    ) -> None:
        """What `may_be_rounded` is computed in ``dtype``; None: in whatever it is stored as.

        On a CPU, ``kernels`` compute in torch's place what they can. At most ``most_steps`` are
        taken at the same time. Raises `KernelsError` for kernels that are not here.
        """
        self._library = pick(kernels) if _is_host(device) else None
        self._device = device
        self._dtype = dtype
        self._most_steps = most_steps
        self._front_ends = front_ends
        self._decodes_together = not _is_host(device)
        self._usual_pace: Pace | None = None

    def check(self, manifest: Manifest) -> None:
        """Nothing: any device will do."""

    def parts(self, manifest: Manifest) -> Sequence[PartSpec]:
        """All weights, taken up as they are stored, and what reads."""
        architecture, component = _architecture(manifest), manifest.component("model")
        if library := self._native(architecture):
            size_bytes = native_parts.footprint_bytes(
                architecture, library, component.form, component.size_bytes
            )
            form = _form(architecture, "native", component.form)
            return PartSpec("model", form, size_bytes), reading.part(manifest)
        size_bytes, shapes = component.size_bytes, expected_shapes(architecture)
        if (dtype := dtype_for(component, self._dtype)) is not None:
            # Rounded to the cache line that each tensor begins at.
            size_bytes = max(size_bytes, _size_bytes(shapes, dtype) + 256 * len(shapes))
        if not _is_host(self._device):
            size_bytes = block_bytes([size_bytes, *[_ALIGNMENT_LOSS_BYTES] * len(shapes)])
        form = _form(architecture, self._dtype, component.form)
        return PartSpec("model", form, size_bytes), reading.part(manifest)

    def workspace_bytes(self, manifest: Manifest, *, largest_chunk_s: float) -> int:
        """What encoding `MOST_SYMBOLS` takes, or decoding that much audio."""
        architecture = _architecture(manifest)
        samples = round(largest_chunk_s * manifest.audio.sample_rate_hertz)
        if library := self._native(architecture):
            form = manifest.component("model").form
            return self._most_steps * native_parts.step_bytes(architecture, library, form, samples)
        return self._most_steps * _step_bytes(architecture, samples) + _KERNEL_BYTES

    def warm_up(self) -> None:
        """Run a silent model of the most usual shape: torch makes kernels when first used.

        In the type that it will compute in, and for the lengths of first chunks; text of another
        length has them soon (`GRID`).
        """
        delivery = Delivery(rate=1.0, seed=0, controls=dict.fromkeys(CONTROLS, 1.0))
        voice: Voice
        if library := self._native(MEDIUM):
            voice = native_parts.silent(MEDIUM, library)
        else:
            voice = VitsVoice(VitsWeights(self._silent(), MEDIUM, self._device))
        for symbols in (40, 160):
            utterance = finished(voice.prepare([1] * symbols, delivery))
            # With nothing before it, and with something: the shapes that first chunks have.
            finished(utterance.decode(0, 7))
            finished(utterance.decode(7, 21))
        # The second time no kernel is new.
        self._usual_pace = [_measured(voice, delivery) for _ in range(2)][1]

    def pace(self, manifest: Manifest) -> Pace | None:
        """The usual voice's, by the products that this one takes."""
        if self._usual_pace is None:
            return None
        architecture, usual = _architecture(manifest), self._usual_pace
        frames_per_s = manifest.audio.sample_rate_hertz / architecture.hop_length_samples
        return Pace(
            usual.prepare_s_per_symbol * _symbol_products(architecture) / _symbol_products(MEDIUM),
            usual.decode_s_per_s
            * (frames_per_s * _frame_products(architecture))
            / (_USUAL_FRAMES_PER_S * _frame_products(MEDIUM)),
        )

    def _silent(self) -> VitsModel:
        """A model of the most usual shape, whose weights are 0."""
        with torch.device("meta"):
            skeleton = VitsModel(MEDIUM).state_dict()
        kind = getattr(torch, self._dtype or "float32")
        zeros = {
            name: torch.zeros(
                t.shape, device=self._device, dtype=kind if may_be_rounded(name) else torch.float32
            )
            for name, t in skeleton.items()
        }
        return load_model(MEDIUM, zeros)

    def read(self, manifest: Manifest, role: str, file: VerifiedFile) -> HostPart:
        """Map the weights; for another device than the host's memory, copy them for the journey."""
        if role == reading.ROLE:
            return reading.read(manifest, file, self._front_ends)
        architecture, form = _architecture(manifest), manifest.component(role).form
        if library := self._native(architecture):
            return native_parts.read(architecture, library, file, form)
        tensors, unpacked_bytes = map_tensors(file, takes_int8=form == PACKED_INT8), 0
        if form is not None:
            tensors, unpacked_bytes = as_plain(architecture, tensors, self._dtype, form)
        if _is_host(self._device):
            watched = None if unpacked_bytes else file.watch()
            return _MappedPart(
                tensors, architecture, self._device, self._dtype, watched, unpacked_bytes
            )
        canonical = in_canonical_shape(tensors)
        check_shapes(architecture, {name: tuple(t.shape) for name, t in canonical.items()})
        if self._dtype is not None:
            tensors, _ = as_dtype(tensors, getattr(torch, self._dtype), may_be_rounded)
        staged = StagedTensors(tensors, pinned=self._device.startswith("cuda"))
        return _StagedPart(staged, architecture, self._device)

    def assemble(self, manifest: Manifest, parts: Mapping[str, DevicePart]) -> LoadedVoice:
        """A voice of the two. Raises as `Engine.assemble`."""
        weights = parts["model"]
        voice: Voice | None = None
        if isinstance(weights, VitsWeights):
            voice = VitsVoice(weights, decodes_together=self._decodes_together)
        elif isinstance(weights, NativeVitsWeights):
            voice = NativeVitsVoice(weights)
        if voice is None:
            raise EngineError(f"{manifest.ref}: its model is no VITS model; import it again")
        return LoadedVoice(manifest.ref, voice, reading.front_end_of(manifest, parts))

    def _native(self, architecture: VitsArchitecture) -> Library | None:
        """What computes voices of ``architecture`` here in torch's place."""
        return None if handled(architecture) else self._library


def _is_host(device: str) -> bool:
    return device == "cpu"


def _size_bytes(shapes: Mapping[str, tuple[int, ...]], dtype: Dtype) -> int:
    """Of all tensors, with ``dtype`` where it may be."""
    return sum(
        math.prod(shape) * (2 if dtype == "bfloat16" and may_be_rounded(name) else 4)
        for name, shape in shapes.items()
    )


def _form(architecture: VitsArchitecture, dtype: str | None, form: str | None) -> str:
    """What decides how the bytes of a component are taken up."""
    config = json.dumps([architecture.to_config(), dtype, form], sort_keys=True)
    return hashlib.sha256(config.encode()).hexdigest()[:16]


def _step_bytes(a: VitsArchitecture, largest_samples: int) -> int:
    """Factors are from peaks of published shapes (``docs/performance.md``), rounded up."""
    # Attention: scores, their softmax and the relative shifts, of one layer at a time.
    encoding = 4 * (4 * a.n_heads * MOST_SYMBOLS**2 + 4 * a.filter_hidden * MOST_SYMBOLS)
    # The widest stage of the generator, with the copies that its convolutions make, and context to
    # either side.
    samples = largest_samples + 2 * a.generator_reach_frames * a.hop_length_samples
    stage, channels, rate = 0, a.upsample_initial, a.hop_length_samples
    for upsampled in a.upsample_rates:
        channels, rate = channels // 2, rate // upsampled
        stage = max(stage, samples // rate * channels)
    # A gate of the flow, on its longest piece with context, and what is made of it.
    flow = 4 * 8 * a.hidden * (MOST_FLOW_FRAMES + 2 * a.flow_reach_frames)
    return _FRAGMENTATION * max(encoding, 4 * 6 * stage, flow)


@dataclass(frozen=True, slots=True)
class _MappedPart:
    """Pages of the component's file: host and device are one memory.

    Nothing is copied but what is stored in another type than it is computed in; of a packed
    component everything was, and takes ``unpacked_bytes``.
    """

    tensors: Mapping[str, Tensor]
    architecture: VitsArchitecture
    device: str
    dtype: Dtype | None
    file: WatchedFile | None
    unpacked_bytes: int = 0

    @property
    def host_bytes(self) -> int:
        """Of pages none of its own: they are the system's cache."""
        return self.unpacked_bytes

    def place(self) -> DevicePart:
        """Hang the pages into a skeleton."""
        tensors, converted_bytes = self.tensors, 0
        if self.dtype is not None:
            kind: torch.dtype = getattr(torch, self.dtype)
            tensors, converted_bytes = as_dtype(tensors, kind, may_be_rounded)
        model = load_model(self.architecture, in_canonical_shape(tensors))
        return VitsWeights(
            model,
            self.architecture,
            self.device,
            self.unpacked_bytes or None,
            self.unpacked_bytes + converted_bytes,
            file=self.file,
        )


@dataclass(frozen=True, slots=True)
class _StagedPart:
    """A block in host memory, in the layout that it will have on the device."""

    staged: StagedTensors
    architecture: VitsArchitecture
    device: str

    @property
    def host_bytes(self) -> int:
        """The block."""
        return self.staged.size_bytes

    def place(self) -> DevicePart:
        """Copy the block and hang it into a skeleton."""
        tensors = self.staged.to_device(self.device)
        model = load_model(self.architecture, in_canonical_shape(tensors))
        size_bytes = self.staged.size_bytes
        return VitsWeights(model, self.architecture, self.device, size_bytes, size_bytes)


def _measured(voice: Voice, delivery: Delivery) -> Pace:
    """How fast ``voice`` is here, alone."""
    symbols, frames = 160, 64
    began_s = time.perf_counter()
    utterance = finished(voice.prepare([1] * symbols, delivery))
    prepared_s = time.perf_counter()
    finished(utterance.decode(0, frames))
    decode_s = time.perf_counter() - prepared_s
    return Pace((prepared_s - began_s) / symbols, decode_s * _USUAL_FRAMES_PER_S / frames)


def _symbol_products(architecture: VitsArchitecture) -> int:
    """That a symbol takes, but for those whose number does not depend on the architecture much."""
    return architecture.n_layers * architecture.layer_products


def _frame_products(architecture: VitsArchitecture) -> int:
    flow = architecture.flow_layers * architecture.coupling_products
    return architecture.generator_products + flow


def _architecture(manifest: Manifest) -> VitsArchitecture:
    return VitsArchitecture.from_config(manifest.engine_config, where=manifest.ref)
