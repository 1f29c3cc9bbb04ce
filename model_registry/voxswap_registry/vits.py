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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voxswap_registry.errors import ManifestError

Shapes = Mapping[str, tuple[int, ...]]

# Dilations leave no trace in a shape. These are the ones of HiFi-GAN's two residual blocks
# (Kong et al. 2020, configurations V1 and V3), which every published Piper and MMS voice uses.
_RESBLOCK_1_DILATIONS = (1, 3, 5)
_RESBLOCK_2_DILATIONS = ((1, 2), (2, 6), (3, 12))
# A name is a stranger's claim: a layer with the index 10**9 must not make anyone count to it.
_MAX_LAYERS = 256

# What is believed of a stranger's configuration, from and to: many times what any published voice
# has, and no more than a few ten thousand tensors in all. Of a field of lists, each number in it.
_SIZE, _KERNEL, _COUNT = (1, 8192), (1, 1024), (1, 64)
_BOUNDS = {
    "n_symbols": (1, 20_000),
    "hidden": _SIZE,
    "inter": _SIZE,
    "filter_hidden": _SIZE,
    "n_layers": (1, _MAX_LAYERS),
    "n_heads": (1, 1024),
    "kernel_size": _KERNEL,
    "attention_window": (0, 1024),
    "flow_layers": _COUNT,
    "flow_wavenet_layers": _COUNT,
    "flow_kernel_size": _KERNEL,
    "dp_hidden": _SIZE,
    "dp_kernel_size": _KERNEL,
    "dp_flows": _COUNT,
    "dp_dds_layers": (1, 16),
    "dp_bins": (1, 256),
    "resblock": (1, 2),
    "resblock_kernels": _KERNEL,
    "resblock_dilations": _KERNEL,
    "upsample_rates": _KERNEL,
    "upsample_kernels": _KERNEL,
    "upsample_initial": _SIZE,
    "n_speakers": (0, 100_000),
    "gin": (0, 8192),
}
# How deep the lists of whole numbers are nested; every other field is one number.
_DEPTHS = {
    "resblock_kernels": 1,
    "resblock_dilations": 2,
    "upsample_rates": 1,
    "upsample_kernels": 1,
}
_MAX_ENTRIES = 16
_MAX_HOP_SAMPLES = 1 << 14
# The duration predictor dilates by ever higher powers of its kernel size; 27 in published voices.
_MAX_DP_REACH = 1 << 16


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

    def to_config(self) -> dict[str, Any]:
        """The ``engine_config`` of a manifest."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, where: str) -> VitsArchitecture:
        """Read ``engine_config``; raises `ManifestError` for a missing, extra or wrong entry.

        Whatever stands there, that takes little time and memory, and so does the skeleton after it.
        """
        if missing := sorted(_BOUNDS.keys() - config.keys()):
            raise ManifestError(f"{where}: engine_config lacks {', '.join(missing)}")
        if unknown := sorted(config.keys() - _BOUNDS.keys()):
            raise ManifestError(f"{where}: engine_config has unknown {', '.join(unknown)[:200]}")
        try:
            return _checked(config)
        except ValueError as error:
            raise ManifestError(f"{where}: engine_config is no VITS: {error}") from error


def _checked(config: Mapping[str, Any]) -> VitsArchitecture:
    """The architecture, if each field is within its bounds and all fit together; `ValueError`."""
    a = VitsArchitecture(
        **{name: _whole(name, config[name], _DEPTHS.get(name, 0)) for name in _BOUNDS}
    )
    for fits, rule in (
        (a.hidden % a.n_heads == 0, "n_heads must divide hidden"),
        (a.inter % 2 == 0, "inter must be even"),
        ((a.n_speakers > 0) == (a.gin > 0), "n_speakers and gin must both be 0, or neither"),
        (
            len(a.upsample_rates) == len(a.upsample_kernels),
            "upsample_rates and upsample_kernels must be equally long",
        ),
        (
            len(a.resblock_kernels) == len(a.resblock_dilations),
            "resblock_kernels and resblock_dilations must be equally long",
        ),
        (
            a.upsample_initial >> len(a.upsample_rates) > 0,
            "upsample_initial must be halved once for each of upsample_rates and leave something",
        ),
        (
            a.hop_length_samples <= _MAX_HOP_SAMPLES,
            f"the product of upsample_rates must be {_MAX_HOP_SAMPLES} at most",
        ),
        (
            a.dp_kernel_size**a.dp_dds_layers <= _MAX_DP_REACH,
            f"dp_kernel_size to the power dp_dds_layers must be {_MAX_DP_REACH} at most",
        ),
    ):
        if not fits:
            raise ValueError(rule)
    return a


def _whole(name: str, value: Any, depth: int) -> Any:
    """``value`` with its lists as tuples, if it is whole numbers nested ``depth`` deep."""
    if depth:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name} has {_shown(value)} where a list belongs")
        if not 1 <= len(value) <= _MAX_ENTRIES:
            raise ValueError(f"{name} has a list of {len(value)}; 1 to {_MAX_ENTRIES} are taken")
        return tuple(_whole(name, inner, depth - 1) for inner in value)
    least, most = _BOUNDS[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(
            f"{name} has {_shown(value)} where a whole number from {least} to {most} belongs"
        )
    return value


def _shown(value: Any) -> str:
    """A stranger's value, short enough for a message."""
    if isinstance(value, int) and value.bit_length() > 64:  # Printing it may take long, or fail.
        return f"a number of {value.bit_length()} bits"
    return f"a {type(value).__name__}" if isinstance(value, list | dict) else f"{value!r:.40}"


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
