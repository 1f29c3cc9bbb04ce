"""The architecture of a VITS checkpoint, read off its tensor shapes.

The tensor names are those of the original VITS code and of Piper: ``enc_p`` (text encoder and
prior), ``dp`` (stochastic duration predictor), ``flow`` (residual coupling blocks), ``dec``
(HiFi-GAN generator), ``emb_g`` (speakers). Weight norm is folded before a checkpoint is stored.
Kim et al., "Conditional Variational Autoencoder with Adversarial Learning for End-to-End
Text-to-Speech" (2021).
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from voxswap_families.entries import whole_numbers
from voxswap_registry.errors import ManifestError
from voxswap_registry.rates import LEAST_FRAMES_PER_S, MAX_RATE_HERTZ

ENGINE: Final = "vits"
CONTROLS: Final = ("rate", "noise_scale", "duration_noise_scale")
MAX_MODEL_BYTES: Final = 2 << 30

Shapes = Mapping[str, tuple[int, ...]]

# Dilations leave no trace in a shape. These are the ones of HiFi-GAN's two residual blocks
# (Kong et al. 2020, configurations V1 and V3), which every published Piper and MMS voice uses.
_RESBLOCK_1_DILATIONS = (1, 3, 5)
_RESBLOCK_2_DILATIONS = ((1, 2), (2, 6), (3, 12))
# A name is a stranger's claim: a layer with the index 10**9 must not make anyone count to it.
_MAX_LAYERS = 256

# What is believed of a stranger's configuration, from and to: several times what published voices
# have, and no more than a few thousand tensors in all. Of a field of lists, each number in it.
_SIZE, _KERNEL, _COUNT = (1, 1024), (1, 31), (1, 16)
_BOUNDS = {
    "n_symbols": (1, 20_000),
    "hidden": _SIZE,
    "inter": (2, 512),
    "filter_hidden": (1, 4096),
    "n_layers": (1, 32),
    "n_heads": (1, 16),
    "kernel_size": _KERNEL,
    "attention_window": (0, 64),
    "flow_layers": _COUNT,
    "flow_wavenet_layers": (1, 32),
    "flow_kernel_size": _KERNEL,
    "dp_hidden": _SIZE,
    "dp_kernel_size": _KERNEL,
    "dp_flows": _COUNT,
    "dp_dds_layers": (1, 8),
    "dp_bins": (1, 64),
    "resblock": (1, 2),
    "resblock_kernels": _KERNEL,
    "resblock_dilations": (1, 64),
    "upsample_rates": (1, 64),
    "upsample_kernels": (1, 128),
    "upsample_initial": (2, 4096),
    "n_speakers": (0, 100_000),
    "gin": (0, 2048),
}
# How deep the lists of whole numbers are nested; every other field is one number.
_DEPTHS = {
    "resblock_kernels": 1,
    "resblock_dilations": 2,
    "upsample_rates": 1,
    "upsample_kernels": 1,
}
_MAX_HOP_SAMPLES = MAX_RATE_HERTZ // LEAST_FRAMES_PER_S
# The duration predictor dilates by ever higher powers of its kernel size; 27 in published voices.
_MAX_DP_REACH = 1 << 10
# Windows are computed with that much beside them: 32 frames for the flow of published voices, 14
# for the generator.
_MAX_FLOW_REACH_FRAMES, _MAX_GENERATOR_REACH_FRAMES = 128, 32
# What bounds the time of a step. Products that the heaviest published voices (MMS, VCTK, Piper's
# "high") take: 310 million a frame for the generator, 1.8 for a coupling of the flow, and 0.9 a
# symbol for a layer of the text encoder.
_MAX_GENERATOR_PRODUCTS, _MAX_COUPLING_PRODUCTS, _MAX_LAYER_PRODUCTS = 10**9, 16 * 10**6, 8 * 10**6
_PRE_POST_KERNEL = 7


@dataclass(frozen=True, slots=True)
class VitsArchitecture:
    """Everything needed to build the inference half of a VITS model. Sizes are in channels."""

    n_symbols: int
    hidden: int
    inter: int
    filter_hidden: int
    n_layers: int
    n_heads: int
    kernel_size: int
    attention_window: int
    flow_layers: int
    flow_wavenet_layers: int
    flow_kernel_size: int
    dp_hidden: int
    dp_kernel_size: int
    dp_flows: int
    dp_dds_layers: int
    dp_bins: int
    resblock: int
    resblock_kernels: tuple[int, ...]
    resblock_dilations: tuple[tuple[int, ...], ...]
    upsample_rates: tuple[int, ...]
    upsample_kernels: tuple[int, ...]
    upsample_initial: int
    n_speakers: int
    gin: int

    @property
    def hop_length_samples(self) -> int:
        """Samples of audio per frame: the product of the generator's upsampling rates."""
        return math.prod(self.upsample_rates)

    @property
    def flow_reach_frames(self) -> int:
        """Frames at either side that one frame of the flow depends on."""
        return self.flow_layers * self.flow_wavenet_layers * (self.flow_kernel_size - 1) // 2

    @property
    def generator_reach_frames(self) -> int:
        """Frames at either side that one sample of the generator depends on, rounded up."""
        reach, step = (_PRE_POST_KERNEL - 1) / 2, 1
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernels, strict=True):
            reach += math.ceil(kernel / 2 / rate) / step
            step *= rate
            reach += max(self._block_reaches()) / step
        return math.ceil(reach + (_PRE_POST_KERNEL - 1) / 2 / step)

    def _block_reaches(self) -> Iterator[int]:
        plain = 1 if self.resblock == 1 else 0  # each dilated convolution is followed by one
        for kernel, dilations in zip(self.resblock_kernels, self.resblock_dilations, strict=True):
            yield (kernel - 1) // 2 * sum(dilation + plain for dilation in dilations)

    @property
    def generator_products(self) -> int:
        """Products that a frame takes in the generator."""
        channels, samples = self.upsample_initial, 1
        products = (self.inter + self.gin) * channels * _PRE_POST_KERNEL
        convolutions = sum(
            kernel * len(dilations) * (2 if self.resblock == 1 else 1)
            for kernel, dilations in zip(
                self.resblock_kernels, self.resblock_dilations, strict=True
            )
        )
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernels, strict=True):
            products += samples * channels * (channels // 2) * kernel
            channels, samples = channels // 2, samples * rate
            products += samples * channels**2 * convolutions
        return products + samples * channels * _PRE_POST_KERNEL

    @property
    def coupling_products(self) -> int:
        """Products that a frame takes in one coupling of the flow."""
        layer = 2 * self.hidden**2 * (self.flow_kernel_size + 1)
        return self.inter * self.hidden + self.flow_wavenet_layers * layer

    @property
    def layer_products(self) -> int:
        """Products that a symbol takes in the feed-forward half of a layer of the text encoder."""
        return 2 * self.filter_hidden * self.hidden * self.kernel_size

    def to_config(self) -> dict[str, Any]:
        """The ``engine_config`` of a manifest."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, where: str) -> VitsArchitecture:
        """Read ``engine_config``; raises `ManifestError` for a missing, extra or wrong entry.

        Whatever stands there, that takes little time and memory, and so does the skeleton after it.
        """
        try:
            return cls.read(config)
        except ValueError as error:
            raise ManifestError(f"{where}: engine_config {error}") from error

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> VitsArchitecture:
        """The same, with a ValueError that says what is wrong with ``engine_config``."""
        if missing := sorted(_BOUNDS.keys() - config.keys()):
            raise ValueError(f"lacks {', '.join(missing)}")
        if unknown := sorted(config.keys() - _BOUNDS.keys()):
            raise ValueError(f"has unknown {', '.join(unknown)[:200]!a}")
        try:
            return _checked(config)
        except ValueError as error:
            raise ValueError(f"is no VITS: {error}") from error


def _checked(config: Mapping[str, Any]) -> VitsArchitecture:
    """The architecture, if each field is within its bounds and all fit together; `ValueError`."""
    a = VitsArchitecture(
        **{
            name: whole_numbers(name, config[name], _DEPTHS.get(name, 0), _BOUNDS[name])
            for name in _BOUNDS
        }
    )
    for fits, rule in _rules(a):
        if not fits:
            raise ValueError(rule)
    return a


def _rules(a: VitsArchitecture) -> Iterator[tuple[bool, str]]:
    """What must hold between fields that are within their bounds; in order, the first one counts.

    Whatever keeps all of them computes: each convolution keeps its signal's length, cuts join
    without a seam, and a step ends in time.
    """
    yield a.hidden % a.n_heads == 0, "n_heads must divide hidden"
    yield a.inter % 2 == 0, "inter must be even"
    yield (a.n_speakers > 0) == (a.gin > 0), "n_speakers and gin must both be 0, or neither"
    for name in ("kernel_size", "flow_kernel_size", "dp_kernel_size", "resblock_kernels"):
        value: int | tuple[int, ...] = getattr(a, name)
        kernels = value if isinstance(value, tuple) else (value,)
        # A sample in the middle, and as many to either side.
        yield all(kernel % 2 for kernel in kernels), f"{name} must be odd"
    yield (
        len(a.upsample_rates) == len(a.upsample_kernels),
        "upsample_rates and upsample_kernels must be equally long",
    )
    yield (
        all(
            kernel >= rate and (kernel - rate) % 2 == 0
            for rate, kernel in zip(a.upsample_rates, a.upsample_kernels, strict=True)
        ),
        "each of upsample_kernels must be its upsample_rates and an even number more, or none",
    )
    yield (
        len(a.resblock_kernels) == len(a.resblock_dilations),
        "resblock_kernels and resblock_dilations must be equally long",
    )
    yield (
        a.upsample_initial >> len(a.upsample_rates) > 0,
        "upsample_initial must be halved once for each of upsample_rates and leave something",
    )
    yield (
        a.hop_length_samples <= _MAX_HOP_SAMPLES,
        f"the product of upsample_rates must be {_MAX_HOP_SAMPLES} at most",
    )
    yield (
        a.dp_kernel_size**a.dp_dds_layers <= _MAX_DP_REACH,
        f"dp_kernel_size to the power dp_dds_layers must be {_MAX_DP_REACH} at most",
    )
    yield (
        a.flow_reach_frames <= _MAX_FLOW_REACH_FRAMES,
        f"a frame of the flow must depend on {_MAX_FLOW_REACH_FRAMES} to either side at most",
    )
    yield (
        a.generator_reach_frames <= _MAX_GENERATOR_REACH_FRAMES,
        f"a sample must depend on {_MAX_GENERATOR_REACH_FRAMES} frames to either side at most",
    )
    for products, most, what in (
        (a.generator_products, _MAX_GENERATOR_PRODUCTS, "a frame of the generator"),
        (a.coupling_products, _MAX_COUPLING_PRODUCTS, "a frame of a flow layer"),
        (a.layer_products, _MAX_LAYER_PRODUCTS, "a symbol of a text encoder layer"),
    ):
        yield products <= most, f"{what} takes {products} products, {most} at most are computed"


def stored_channels_last(name: str, dimensions: int) -> bool:
    """Whether a component holds this tensor as ``(out, kernel, in)`` and not ``(out, in, kernel)``.

    Convolutions over time are stored so: mapped from the file and with their axes swapped back in
    the view, they are what torch's channels-last kernels read without reordering a weight.
    """
    return dimensions == 3 and name.endswith(".weight")


def may_be_rounded(name: str) -> bool:
    """Whether a weight may be bfloat16: those that speaking spends its time in.

    Not what decides durations alone, attention and what is normalised: it costs little as float32.
    """
    return name.startswith(("flow.", "dec.", "enc_p.encoder.ffn_layers."))


def infer_architecture(shapes: Shapes) -> VitsArchitecture:
    """Read the architecture off the shapes of a canonical checkpoint.

    Raises `ValueError` that names the first tensor which is missing or cannot be right, or what no
    server would load.
    """
    n_symbols, hidden = _shape(shapes, "enc_p.emb.weight", 2)
    relative = _shape(shapes, "enc_p.encoder.attn_layers.0.emb_rel_k", 3)
    filter_hidden, _, kernel_size = _shape(shapes, "enc_p.encoder.ffn_layers.0.conv_1.weight", 3)
    inter = _shape(shapes, "enc_p.proj.weight", 3)[0] // 2
    flow_in = _shape(shapes, "flow.flows.0.enc.in_layers.0.weight", 3)
    dp_hidden, _, dp_kernel = _shape(shapes, "dp.convs.convs_sep.0.weight", 3)
    # A ConvFlow's projection gives 3 * bins - 1 numbers for each half channel (one).
    dp_projection = _shape(shapes, "dp.flows.3.proj.weight", 3)[0]

    upsample_kernels = [
        _shape(shapes, f"dec.ups.{i}.weight", 3)[2]
        for i in range(_count(shapes, r"dec\.ups\.(\d+)\.weight"))
    ]
    if not upsample_kernels:
        raise ValueError("dec.ups.0.weight is missing: this is no VITS generator")

    resblock = 1 if "dec.resblocks.0.convs1.0.weight" in shapes else 2
    branch = "convs1" if resblock == 1 else "convs"
    n_blocks = _count(shapes, r"dec\.resblocks\.(\d+)\.")
    per_stage = n_blocks // len(upsample_kernels)
    kernels = tuple(
        _shape(shapes, f"dec.resblocks.{j}.{branch}.0.weight", 3)[2] for j in range(per_stage)
    )
    if resblock == 1:
        dilations: tuple[tuple[int, ...], ...] = (_RESBLOCK_1_DILATIONS,) * per_stage
    elif per_stage == len(_RESBLOCK_2_DILATIONS):
        dilations = _RESBLOCK_2_DILATIONS
    else:
        raise ValueError(f"dec.resblocks: {per_stage} blocks a stage; expected 3 for this type")

    speakers, gin = (0, 0)
    if "emb_g.weight" in shapes:
        speakers, gin = _shape(shapes, "emb_g.weight", 2)
    architecture = VitsArchitecture(
        n_symbols=n_symbols,
        hidden=hidden,
        inter=inter,
        filter_hidden=filter_hidden,
        n_layers=_count(shapes, r"enc_p\.encoder\.attn_layers\.(\d+)\."),
        n_heads=hidden // relative[2],
        kernel_size=kernel_size,
        attention_window=(relative[1] - 1) // 2,
        flow_layers=(_count(shapes, r"flow\.flows\.(\d+)\.") + 1) // 2,
        flow_wavenet_layers=_count(shapes, r"flow\.flows\.0\.enc\.in_layers\.(\d+)\."),
        flow_kernel_size=flow_in[2],
        dp_hidden=dp_hidden,
        dp_kernel_size=dp_kernel,
        # The reverse pass skips the first ConvFlow, so checkpoints may lack it: 3, 5, 7 remain.
        dp_flows=_count(shapes, r"dp\.flows\.(\d+)\.") // 2,
        dp_dds_layers=_count(shapes, r"dp\.convs\.convs_sep\.(\d+)\."),
        dp_bins=(dp_projection + 1) // 3,
        resblock=resblock,
        resblock_kernels=kernels,
        resblock_dilations=dilations,
        # Every published generator upsamples with kernels of twice the rate; `hop_length_samples`
        # is checked against the voice's own configuration at import.
        upsample_rates=tuple(k // 2 for k in upsample_kernels),
        upsample_kernels=tuple(upsample_kernels),
        upsample_initial=_shape(shapes, "dec.conv_pre.weight", 3)[0],
        n_speakers=speakers,
        gin=gin,
    )
    # What would not be loaded is not imported.
    return _checked(architecture.to_config())


def _shape(shapes: Shapes, name: str, dimensions: int) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None:
        raise ValueError(f"{name} is missing")
    if len(shape) != dimensions or 0 in shape:
        raise ValueError(f"{name} has the shape {list(shape)}; expected {dimensions} dimensions")
    return shape


def _count(shapes: Shapes, pattern: str) -> int:
    """One more than the highest index that ``pattern`` finds; 0 if it finds none."""
    found = (re.match(pattern, name) for name in shapes)
    count = max((int(match.group(1)) + 1 for match in found if match), default=0)
    if count > _MAX_LAYERS:
        raise ValueError(f"{pattern} counts to {count}; {_MAX_LAYERS} at most are believed")
    return count
