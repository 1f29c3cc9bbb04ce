"""The architecture of a KAN-TTS vocoder, its tensors by name and shape, and what it costs.

A HiFi-GAN whose stages add a nearest and a transposed upsampling, with or without a harmonic
source. Nothing of this can be read off the shapes for sure: it comes from a vocoder's config.yaml.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from voxswap_families.entries import whole_numbers
from voxswap_registry.rates import LEAST_FRAMES_PER_S, MAX_RATE_HERTZ, MIN_RATE_HERTZ

#: Columns of a frame beside its mels, where there is a harmonic source: F0 in Hertz, and voicing.
F0_COLUMNS: Final = 2
_BOUNDS = {
    "mels": (1, 256),
    "channels": (2, 2048),
    "kernel": (1, 31),
    "rates": (1, 64),
    "kernels": (1, 128),
    "resblock_kernels": (1, 31),
    "resblock_dilations": (1, 64),
    "harmonics": (0, 64),
    "sample_rate_hertz": (MIN_RATE_HERTZ, MAX_RATE_HERTZ),
}
_DEPTHS = {"rates": 1, "kernels": 1, "resblock_kernels": 1, "resblock_dilations": 2}
_MAX_HOP_SAMPLES = MAX_RATE_HERTZ // LEAST_FRAMES_PER_S
# Published vocoders depend on 35 frames, and take 430 million products a frame at most (48 kHz).
_MAX_REACH_FRAMES, _MAX_PRODUCTS = 64, 10**9

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class GeneratorArchitecture:
    """Everything needed to build the generator. ``harmonics`` counts the sines of its source.

    Without a source it is 0. ``kernels`` are those of the transposed convolutions, ``kernel`` that
    of all other convolutions outside of residual blocks.
    """

    mels: int
    channels: int
    kernel: int
    rates: tuple[int, ...]
    kernels: tuple[int, ...]
    resblock_kernels: tuple[int, ...]
    resblock_dilations: tuple[tuple[int, ...], ...]
    causal: bool
    harmonics: int
    sample_rate_hertz: int

    @property
    def hop_samples(self) -> int:
        """Samples of audio for a frame."""
        return math.prod(self.rates)

    @property
    def has_source(self) -> bool:
        """Whether frames have F0 and voicing beside their mels."""
        return self.harmonics > 0

    @property
    def columns(self) -> int:
        """Of a frame."""
        return self.mels + (F0_COLUMNS if self.has_source else 0)

    def upsampling(self, stage: int) -> tuple[int, int]:
        """Kernel and cut of the one transposed convolution that both of a stage's come down to.

        A nearest upsampling by ``u`` and a convolution after it are a transposed convolution whose
        kernel has ``u - 1`` taps more, and so their sum is one over the union of their taps.
        """
        first, last = self._taps(stage)
        return last - first + 1, -first

    def _taps(self, stage: int) -> tuple[int, int]:
        """Output samples that an input sample reaches, counted from its own first one."""
        rate, kernel = self.rates[stage], self.kernels[stage]
        before, after = self._sides(self.kernel - 1)
        cut = self.cut(stage)
        return min(-after, -cut), max(rate - 1 + before, kernel - 1 - cut)

    def cut(self, stage: int) -> int:
        """Sums of a checkpoint's transposed convolution that come before its first sample."""
        return 0 if self.causal else (self.kernels[stage] - self.rates[stage]) // 2

    def _sides(self, span: int) -> tuple[int, int]:
        """Samples before and after that a convolution sees which sees ``span`` beside one."""
        return (span, 0) if self.causal else (span // 2, span // 2)

    def source_down(self, stage: int) -> tuple[int, int]:
        """Kernel and stride of the convolution that brings the source down to a stage."""
        stride = math.prod(self.rates[stage + 1 :])
        return (1, 1) if stride == 1 else (2 * stride, stride)

    @property
    def reach_frames(self) -> tuple[int, int]:
        """Frames before a frame, and after it, that its samples depend on, but for the phase."""
        first, last = 0, self.hop_samples - 1
        before, after = self._sides(self.kernel - 1)
        first, last = first - before, last + after
        spans = [
            (kernel - 1) * sum(dilation + 1 for dilation in dilations)
            for kernel, dilations in zip(
                self.resblock_kernels, self.resblock_dilations, strict=True
            )
        ]
        block_before, block_after = self._sides(max(spans))
        for stage in reversed(range(len(self.rates))):
            first, last = first - block_before, last + block_after
            first_tap, last_tap = self._taps(stage)
            rate = self.rates[stage]
            first, last = -((last_tap - first) // rate), (last - first_tap) // rate
        return before - first, last + after

    @property
    def products(self) -> int:
        """Products that a frame takes."""
        channels, samples = self.channels, 1
        products = self.mels * channels * self.kernel
        convolutions = sum(
            2 * kernel * len(dilations)
            for kernel, dilations in zip(
                self.resblock_kernels, self.resblock_dilations, strict=True
            )
        )
        for stage, rate in enumerate(self.rates):
            products += samples * channels * (channels // 2) * self.upsampling(stage)[0]
            channels, samples = channels // 2, samples * rate
            products += samples * channels**2 * convolutions
        return products + samples * channels * self.kernel

    def to_config(self) -> dict[str, Any]:
        """As a manifest has it."""
        return dataclasses.asdict(self)

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> GeneratorArchitecture:
        """What `to_config` gave. Raises `ValueError` that says what is wrong."""
        names = {field.name for field in dataclasses.fields(cls)}
        if missing := sorted(names - config.keys()):
            raise ValueError(f"lacks {', '.join(missing)}")
        if unknown := sorted(config.keys() - names):
            raise ValueError(f"has unknown {', '.join(unknown)[:200]!a}")
        if not isinstance(config["causal"], bool):
            raise ValueError("causal is neither true nor false")  # noqa: TRY004 - as of all else
        a = cls(
            causal=config["causal"],
            **{
                name: whole_numbers(name, config[name], _DEPTHS.get(name, 0), bounds)
                for name, bounds in _BOUNDS.items()
            },
        )
        for fits, rule in _rules(a):
            if not fits:
                raise ValueError(rule)
        return a


def _rules(a: GeneratorArchitecture) -> Iterator[tuple[bool, str]]:
    """What must hold between fields that are within their bounds; the first one counts."""
    yield a.kernel % 2 == 1, "kernel must be odd"
    yield all(k % 2 for k in a.resblock_kernels), "resblock_kernels must be odd"
    yield len(a.rates) == len(a.kernels), "rates and kernels must be equally long"
    yield (
        all(kernel > rate for rate, kernel in zip(a.rates, a.kernels, strict=True)),
        "each of kernels must be more than its rate",
    )
    yield (
        len(a.resblock_kernels) == len(a.resblock_dilations),
        "resblock_kernels and resblock_dilations must be equally long",
    )
    yield a.channels >> len(a.rates) > 0, "channels must be halved once for each of rates"
    yield (
        a.hop_samples <= _MAX_HOP_SAMPLES,
        f"the product of rates must be {_MAX_HOP_SAMPLES} at most",
    )
    strides = [a.source_down(stage)[1] for stage in range(len(a.rates))]
    yield (
        a.causal or not a.harmonics or all(s == 1 or s % 2 == 0 for s in strides),
        "a source that is not causal comes down by even strides alone",
    )
    yield (
        max(a.reach_frames) <= _MAX_REACH_FRAMES,
        f"a sample must depend on {_MAX_REACH_FRAMES} frames to either side at most",
    )
    yield (
        a.products <= _MAX_PRODUCTS,
        f"a frame takes {a.products} products, {_MAX_PRODUCTS} at most are computed",
    )


_Named = Iterator[tuple[str, tuple[int, ...]]]


def _conv(name: str, *shape: int, bias: int | None = None) -> _Named:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (shape[0] if bias is None else bias,)


def checkpoint_shapes(a: GeneratorArchitecture) -> dict[str, tuple[int, ...]]:
    """Every tensor of a checkpoint by KAN-TTS's own name, with weight norm folded."""
    return dict(_checkpoint(a))


def _checkpoint(a: GeneratorArchitecture) -> _Named:
    channels = a.channels
    yield from _conv("conv_pre.conv1d", channels, a.mels, a.kernel)
    for i, kernel in enumerate(a.kernels):
        half = channels // 2
        yield from _conv(f"transpose_upsamples.{i}.1.deconv", channels, half, kernel, bias=half)
        yield from _conv(f"repeat_upsamples.{i}.2.conv1d", half, channels, a.kernel)
        channels = half
        for name, shape in _blocks(a, i, channels):
            layer, _, kind = name.rpartition(".")
            yield f"conv_{layer}.conv1d.{kind}", shape
        if a.harmonics:
            yield from _conv(f"source_downs.{i}.conv1d", channels, 1, a.source_down(i)[0])
    yield from _conv("conv_post.conv1d", 1, channels, a.kernel)
    if a.harmonics:
        yield from _conv("source_module.ffn.0", 1, a.harmonics, 1)


def _blocks(a: GeneratorArchitecture, stage: int, channels: int) -> _Named:
    for j, kernel in enumerate(a.resblock_kernels):
        block = f"blocks.{stage * len(a.resblock_kernels) + j}"
        for branch in ("convs1", "convs2"):
            for k in range(len(a.resblock_dilations[j])):
                yield from _conv(f"{block}.{branch}.{k}", channels, channels, kernel)


def stored_shapes(a: GeneratorArchitecture) -> dict[str, tuple[int, ...]]:
    """Every tensor of a component; weights of three axes lie there with the last two swapped."""
    return dict(_stored(a))


def _stored(a: GeneratorArchitecture) -> _Named:
    channels = a.channels
    yield from _conv("conv_pre", channels, a.mels, a.kernel)
    for i in range(len(a.rates)):
        kernel, _ = a.upsampling(i)
        half = channels // 2
        yield from _conv(f"ups.{i}", channels, half, kernel, bias=half)
        channels = half
        yield from _blocks(a, i, channels)
        if a.harmonics:
            yield from _conv(f"downs.{i}", channels, 1, a.source_down(i)[0])
    yield from _conv("conv_post", 1, channels, a.kernel)
    if a.harmonics:
        yield from _conv("source", 1, a.harmonics, 1)
