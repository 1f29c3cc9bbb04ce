"""The VITS engine: prepare a segment as a whole, decode it in windows that join exactly."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxswap_registry.arithmetic import Dtype
from voxswap_registry.errors import EngineError
from voxswap_registry.manifest import Manifest
from voxswap_registry.vits import VitsArchitecture, may_be_rounded
from voxswap_registry.vits_shapes import expected_shapes
from voxswap_server.engines.base import (
    Delivery,
    DevicePart,
    HostPart,
    PartSpec,
    Utterance,
    Voice,
)
from voxswap_server.engines.carry import Carry
from voxswap_server.engines.mapping import map_tensors
from voxswap_server.engines.tensors import StagedTensors, as_dtype, block_bytes
from voxswap_server.engines.vits.flow import Coupling
from voxswap_server.engines.vits.model import (
    VitsModel,
    check_shapes,
    in_canonical_shape,
    load_model,
)
from voxswap_server.engines.work import Call, Steps, Work, finished

# A symbol longer than this is a predictor gone astray (4.6 s at 22.05 kHz, hop 256). The bound
# keeps the memory of a segment proportional to its text.
_MAX_SYMBOL_FRAMES = 400.0

# Pieces of the flow, whatever is decoded. It magnifies the rounding that comes with another shape;
# on a grid of its own it gives the same bits for every way of cutting a line. What the first piece
# gives is just enough for a chunk of 80 ms. A flow of 100 frames costs little more than one of 40,
# so later pieces are long, and so is their context (`PriorFlow.reach_frames`).
_FLOW_FRAMES = (18, 64, 192)
# Noise is drawn in cuts of its own for the same reason, and no sooner than the flow needs it.
_DRAWN_FRAMES = 64

# A segment of 400 characters has about 900.
_MOST_SYMBOLS = 1_200
# What stays between steps: oneDNN keeps a thousand compiled kernels, about 100 KB each, and the
# allocator keeps about as much as a step used, in pieces.
_KERNEL_BYTES = 128 << 20
_FRAGMENTATION = 2
_ALIGNMENT_LOSS_BYTES = 255  # of each tensor in a block

# The shape of Piper's "medium" voices.
_USUAL = VitsArchitecture(
    n_symbols=256,
    hidden=192,
    inter=192,
    filter_hidden=768,
    n_layers=6,
    n_heads=2,
    kernel_size=3,
    attention_window=4,
    flow_layers=4,
    flow_wavenet_layers=4,
    flow_kernel_size=5,
    dp_hidden=192,
    dp_kernel_size=3,
    dp_flows=4,
    dp_dds_layers=3,
    dp_bins=10,
    resblock=2,
    resblock_kernels=(3, 5, 7),
    resblock_dilations=((1, 2), (2, 6), (3, 12)),
    upsample_rates=(8, 8, 4),
    upsample_kernels=(16, 16, 8),
    upsample_initial=256,
    n_speakers=0,
    gin=0,
)


class VitsEngine:
    """Loads VITS voices onto one device. Stateless after construction; thread-safe."""

    name = "vits"
    # Views on a map, each of them checked: nothing is run.
    reads_unverified = frozenset({"model"})

    def __init__(self, device: str = "cpu", dtype: Dtype | None = None) -> None:
        """What `may_be_rounded` is computed in ``dtype``; None: in whatever it is stored as."""
        self._device = device
        self._dtype = dtype

    def check(self, manifest: Manifest) -> None:
        """Read the architecture, and compare it with what the manifest says elsewhere."""
        manifest.component("model")
        _architecture(manifest)

    def parts(self, manifest: Manifest) -> Sequence[PartSpec]:
        """One part: all weights, taken up as they are stored."""
        architecture = _architecture(manifest)
        size_bytes, shapes = manifest.component("model").size_bytes, expected_shapes(architecture)
        if self._dtype is not None:
            # Rounded to the cache line that each tensor begins at.
            size_bytes = max(size_bytes, _size_bytes(shapes, self._dtype) + 256 * len(shapes))
        if not _is_host(self._device):
            size_bytes = block_bytes([size_bytes, *[_ALIGNMENT_LOSS_BYTES] * len(shapes)])
        form = _form(architecture, self._dtype)
        return (PartSpec("model", form=form, footprint_bytes=size_bytes),)

    def workspace_bytes(self, manifest: Manifest, *, largest_chunk_s: float) -> int:
        """What encoding `_MOST_SYMBOLS` takes, or decoding that much audio."""
        rate = manifest.audio.sample_rate_hertz
        return _workspace_bytes(_architecture(manifest), round(largest_chunk_s * rate))

    def warm_up(self) -> None:
        """Run a silent model of the most usual shape: torch makes kernels when first used."""
        with torch.device("meta"):
            skeleton = VitsModel(_USUAL).state_dict()
        zeros = {name: torch.zeros(t.shape, device=self._device) for name, t in skeleton.items()}
        model = load_model(_USUAL, zeros)
        delivery = Delivery(rate=1.0, noise_scale=1.0, duration_noise_scale=1.0, seed=0)
        for symbols in (40, 160):
            voice = VitsVoice(VitsWeights(model, _USUAL, self._device))
            utterance = finished(voice.prepare([1] * symbols, delivery))
            # With nothing before it, and with something: the shapes that first chunks have.
            finished(utterance.decode(0, 7))
            finished(utterance.decode(7, 21))

    def read(self, manifest: Manifest, role: str, path: Path) -> HostPart:
        """Map the weights; for another device than the host's memory, copy them for the journey."""
        del role  # there is one
        architecture = _architecture(manifest)
        tensors = map_tensors(path)
        if _is_host(self._device):
            return _MappedPart(tensors, architecture, self._device, self._dtype)
        canonical = in_canonical_shape(tensors)
        check_shapes(architecture, {name: tuple(t.shape) for name, t in canonical.items()})
        if self._dtype is not None:
            tensors, _ = as_dtype(tensors, getattr(torch, self._dtype), may_be_rounded)
        staged = StagedTensors(tensors, pinned=self._device.startswith("cuda"))
        return _StagedPart(staged, architecture, self._device)

    def assemble(self, manifest: Manifest, parts: Mapping[str, DevicePart]) -> Voice:
        """A voice of the one part."""
        weights = parts["model"]
        if not isinstance(weights, VitsWeights):
            raise EngineError(f"{manifest.ref}: its model is no VITS model; import it again")
        return VitsVoice(weights)


def _is_host(device: str) -> bool:
    return device == "cpu"


def _size_bytes(shapes: Mapping[str, tuple[int, ...]], dtype: Dtype) -> int:
    """Of all tensors, with ``dtype`` where it may be."""
    return sum(
        math.prod(shape) * (2 if dtype == "bfloat16" and may_be_rounded(name) else 4)
        for name, shape in shapes.items()
    )


def _form(architecture: VitsArchitecture, dtype: Dtype | None) -> str:
    """What decides how the bytes of a component are taken up."""
    config = json.dumps([architecture.to_config(), dtype], sort_keys=True)
    return hashlib.sha256(config.encode()).hexdigest()[:16]


def _workspace_bytes(a: VitsArchitecture, largest_samples: int) -> int:
    """Factors are from peaks of published shapes (``docs/performance.md``), rounded up."""
    # Attention: scores, their softmax and the relative shifts, of one layer at a time.
    encoding = 4 * (4 * a.n_heads * _MOST_SYMBOLS**2 + 4 * a.filter_hidden * _MOST_SYMBOLS)
    # The widest stage of the generator, with the copies that its convolutions make. Its context
    # is 13 frames to either side at most.
    samples = largest_samples + 26 * a.hop_length_samples
    stage, channels, rate = 0, a.upsample_initial, a.hop_length_samples
    for upsampled in a.upsample_rates:
        channels, rate = channels // 2, rate // upsampled
        stage = max(stage, samples // rate * channels)
    return _FRAGMENTATION * max(encoding, 4 * 6 * stage) + _KERNEL_BYTES


@dataclass(frozen=True, slots=True)
class _MappedPart:
    """Pages of the component's file: host and device are one memory.

    Nothing is copied but what is stored in another type than it is computed in.
    """

    tensors: Mapping[str, Tensor]
    architecture: VitsArchitecture
    device: str
    dtype: Dtype | None

    @property
    def host_bytes(self) -> int:
        """None of its own: they are the system's cache."""
        return 0

    def place(self) -> DevicePart:
        """Hang the pages into a skeleton."""
        tensors, converted_bytes = self.tensors, 0
        if self.dtype is not None:
            kind: torch.dtype = getattr(torch, self.dtype)
            tensors, converted_bytes = as_dtype(tensors, kind, may_be_rounded)
        model = load_model(self.architecture, in_canonical_shape(tensors))
        return VitsWeights(model, self.architecture, self.device, allocated_bytes=converted_bytes)


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


def _architecture(manifest: Manifest) -> VitsArchitecture:
    architecture = VitsArchitecture.from_config(manifest.engine_config, where=manifest.ref)
    if architecture.hop_length_samples != manifest.audio.hop_length_samples:
        raise EngineError(
            f"{manifest.ref}: the generator makes {architecture.hop_length_samples} samples a "
            f"frame, its manifest says {manifest.audio.hop_length_samples}; import it again"
        )
    return architecture


class VitsWeights:
    """A VITS model on its device: the whole voice but for the table that spells for it."""

    def __init__(
        self,
        model: VitsModel,
        architecture: VitsArchitecture,
        device: str,
        resident_bytes: int | None = None,
        allocated_bytes: int = 0,
    ) -> None:
        self.model = model
        self.architecture = architecture
        self.device = device
        self._resident_bytes = resident_bytes
        self._allocated_bytes = allocated_bytes

    @property
    def resident_bytes(self) -> int:
        """Bytes of the block, or of all parameters if they lie by themselves."""
        if self._resident_bytes is not None:
            return self._resident_bytes
        return sum(p.numel() * p.element_size() for p in self.model.parameters())

    @property
    def allocated_bytes(self) -> int:
        """Those of the block, or of what was converted."""
        return self._allocated_bytes


class VitsVoice:
    """A VITS voice. Immutable: any number of utterances may be made from it."""

    def __init__(self, weights: VitsWeights) -> None:
        self.model = weights.model
        self.architecture = weights.architecture
        self.device = weights.device

    def most_symbols(self, rate: float) -> int:
        """Beyond it the memory of attention, which grows with the square, would pass its bound."""
        del rate  # frames are decoded a window at a time
        return _MOST_SYMBOLS

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[Utterance]:
        """Encode the text and predict durations, a layer or two at a time."""
        if not len(ids) > 0 or min(ids) < 0 or max(ids) >= self.architecture.n_symbols:
            raise EngineError(
                f"{len(ids)} symbols, of which some are outside this model's 0 to "
                f"{self.architecture.n_symbols - 1}: the symbol table belongs to another voice"
            )
        return Work(self._utterance(ids, delivery), around=torch.inference_mode)

    def _utterance(self, ids: Sequence[int], delivery: Delivery) -> Steps[Utterance]:
        """The utterance, in steps whose cost grows with the segment's length."""
        generator = torch.Generator().manual_seed(delivery.seed)
        symbols = torch.tensor([ids], device=self.device)
        speaker = self._speaker(delivery.speaker)
        hidden, mean, log_deviation = yield from self.model.enc_p.steps(symbols)
        # Noise is drawn on the host: a seed gives the same line on every device.
        noise = torch.randn((1, 2, 1, len(ids)), generator=generator)
        noise = noise.to(self.device) * delivery.duration_noise_scale
        log_durations = yield from self.model.dp.steps(hidden, noise, speaker)
        durations = torch.exp(log_durations.float()).flatten().cpu() / delivery.rate
        if not bool(torch.isfinite(log_durations).all()):
            raise EngineError(
                "the duration predictor gave NaN or infinity: the weights are damaged"
            )
        frames = torch.ceil(durations).clamp(max=_MAX_SYMBOL_FRAMES).long()
        if not bool(frames.any()):
            frames[-1] = 1
        prior = _Prior(
            mean,
            torch.exp(log_deviation) * delivery.noise_scale,
            torch.repeat_interleave(frames).to(self.device),
            generator if delivery.noise_scale > 0 else None,
        )
        return VitsUtterance(self.model, prior, speaker, tuple(frames.tolist()))

    def _speaker(self, index: int) -> Tensor | None:
        if self.model.emb_g is None:
            return None
        return self.model.emb_g(torch.tensor([[index]], device=self.device))  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class _Prior:
    """The acoustic prior of a segment, ``(1, inter, 1, symbols)``, and the symbol of each frame."""

    mean: Tensor
    deviation: Tensor
    symbol_of_frame: Tensor
    generator: torch.Generator | None

    def sample(self, first_frame: int, last_frame: int) -> Tensor:
        """Latents of these frames. Draws noise, so calls must come in order and in equal cuts."""
        symbols = self.symbol_of_frame[first_frame:last_frame]
        mean = self.mean[..., symbols]
        if self.generator is None:
            return mean
        noise = torch.randn(mean.shape, generator=self.generator).to(mean.device)
        return mean + noise * self.deviation[..., symbols]


class VitsUtterance:
    """A prepared segment. The flow runs just ahead of the generator, a piece at a time.

    The generator carries what it has to remember from piece to piece (`Carry`), so that nothing is
    computed twice. Invariant: ``_decodable[..., :_ready]`` equals the flow of the whole segment.
    """

    def __init__(
        self,
        model: VitsModel,
        prior: _Prior,
        speaker: Tensor | None,
        durations: tuple[int, ...],
    ) -> None:
        self._model = model
        self._prior = prior
        self._speaker = speaker
        self._durations = durations
        self._frames = len(prior.symbol_of_frame)
        self._latents = _frames_like(prior.mean, self._frames, prior.mean.dtype)
        self._decodable = _frames_like(prior.mean, self._frames, model.dec.conv_pre.weight.dtype)
        self._generator = Carry()
        self._drawn = 0  # frames with noise
        self._ready = 0  # frames that the flow has given
        self._n_pieces = 0  # of them, up to the last of `_FLOW_FRAMES`
        self._seen = 0  # of these, those that the generator has seen
        self._told = 0  # frames whose audio was asked for
        self._audio = np.zeros(0, np.float32)  # made, and not asked for yet

    @property
    def durations_frames(self) -> Sequence[int]:
        """Frames of each symbol."""
        return self._durations

    @property
    def frames(self) -> int:
        """Frames of the segment."""
        return self._frames

    def decode(self, first_frame: int, last_frame: int) -> Work[npt.NDArray[np.float32]]:
        """Audio of a piece, once the generator has seen as far beyond it as it reaches."""
        if not self._told == first_frame < last_frame <= self.frames:
            raise ValueError(f"frames {first_frame}:{last_frame} of {self.frames}")
        self._told = last_frame
        wanted = (last_frame - first_frame) * self._model.dec.hop
        return Work(self._decoding(last_frame, wanted), around=torch.inference_mode)

    def _decoding(self, last_frame: int, wanted: int) -> Steps[npt.NDArray[np.float32]]:
        end = min(self.frames, last_frame + self._model.dec.reach_frames)
        while self._ready < end:
            yield from self._run_flow()
        audio = self._audio
        # Near the end of the segment everything may have been made before.
        if self._seen < end:
            audio = np.concatenate([audio, (yield from self._generated(end))])
        audio, self._audio = audio[:wanted], audio[wanted:].copy()
        return audio

    def _generated(self, until: int) -> Steps[npt.NDArray[np.float32]]:
        """What the generator can tell, once it has seen the frames before ``until``."""
        self._generator.begin(last=until == self.frames)
        made = yield from self._model.dec.carried(
            self._decodable[..., self._seen : until],
            self._generator,
            None if self._speaker is None else self._speaker.to(self._decodable.dtype),
        )
        self._seen = until
        samples: npt.NDArray[np.float32] = made[0, 0, 0].float().cpu().numpy()
        # NaN and infinity survive a sum, and one sum is cheaper than a mask.
        if not np.isfinite(samples.sum()):
            raise EngineError("the generator gave NaN or infinity: the weights are damaged")
        return samples

    def _run_flow(self) -> Steps[None]:
        """The flow's next piece. Its sizes are its own, whatever is decoded: see `_FLOW_FRAMES`."""
        flow, first = self._model.flow, self._ready
        last = min(first + _FLOW_FRAMES[self._n_pieces], self.frames)
        begin, end = max(0, first - flow.reach_frames), min(last + flow.reach_frames, self.frames)
        self._draw(end)
        z = self._latents[..., begin:end]
        speaker = None if self._speaker is None else self._speaker.to(flow.dtype)
        for coupling in flow.inverse:
            z = yield Call((coupling, end - begin), (z, speaker), partial(_undone, coupling))
        self._decodable[..., first:last] = z[..., first - begin : last - begin]
        self._ready = last
        self._n_pieces = min(self._n_pieces + 1, len(_FLOW_FRAMES) - 1)

    def _draw(self, until: int) -> None:
        while self._drawn < until:
            last = min(self._drawn + _DRAWN_FRAMES, self._frames)
            self._latents[..., self._drawn : last] = self._prior.sample(self._drawn, last)
            self._drawn = last


def _undone(coupling: Coupling, inputs: Sequence[tuple[Tensor, Tensor | None]]) -> Sequence[Tensor]:
    """Pieces of one length through one coupling."""
    if len(inputs) == 1:
        return (coupling(*inputs[0]),)
    speakers = [speaker for _, speaker in inputs if speaker is not None]
    z = coupling(torch.cat([z for z, _ in inputs]), torch.cat(speakers) if speakers else None)
    return cast("Sequence[Tensor]", z.split(1))


def _frames_like(prior: Tensor, frames: int, dtype: torch.dtype) -> Tensor:
    """An unset signal of ``frames``, with the prior's channels, channels last."""
    batch, channels, _, _ = prior.shape
    shape = (batch, 1, frames, channels)
    return torch.empty(shape, dtype=dtype, device=prior.device).permute(0, 3, 1, 2)
