"""The three architectures of an EmotiVoice voice: acoustic model, vocoder, style encoder.

The acoustic model is JETS's (Lim et al. 2022) with the style of a sentence beside its text, the
vocoder HiFi-GAN's (Kong et al. 2020), the style encoder a BERT (Devlin et al. 2019).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar

from voxswap_families.entries import shown_entry, whole_numbers
from voxswap_registry.rates import LEAST_FRAMES_PER_S, MAX_RATE_HERTZ, MIN_RATE_HERTZ

_Bounds = Mapping[str, tuple[int, int]]

_UNITS, _COUNT, _KERNEL, _INNER = (1, 2048), (1, 32), (1, 15), (1, 8192)
_MAX_HOP_SAMPLES = MAX_RATE_HERTZ // LEAST_FRAMES_PER_S
# What bounds the time of a step. Published ones take 4.1 million a row for a layer of the acoustic
# model, 7.1 for one of the style encoder, and 300 a frame for the vocoder, which sees 14 frames.
_MOST_ROW_PRODUCTS, _MOST_FRAME_PRODUCTS, _MOST_REACH_FRAMES = 32 * 10**6, 10**9, 64
_PRE_POST_KERNEL: Final = 7

_A = TypeVar("_A", bound="_Architecture")


class _Architecture:
    """What they have in common: being read from an ``engine_config``, and written to one."""

    # Whole numbers, from and to; of a list, each number in it. Lists are nested as deep as said.
    bounds: ClassVar[_Bounds]
    depths: ClassVar[Mapping[str, int]] = {}
    floats: ClassVar[Mapping[str, tuple[float, float]]] = {}

    def to_config(self) -> dict[str, Any]:
        """Its object in an ``engine_config``."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    def rules(self) -> Iterator[tuple[bool, str]]:
        """What must hold between fields within their bounds; in order, the first one counts."""
        raise NotImplementedError

    @classmethod
    def read(cls: type[_A], config: object) -> _A:
        """Read it; ValueError that says what is wrong. Whatever it is, that is quick."""
        if not isinstance(config, Mapping):
            raise ValueError("is missing, or no object")  # noqa: TRY004 - one error for all faults
        fields = [*cls.bounds, *cls.floats]
        if missing := sorted(set(fields) - config.keys()):
            raise ValueError(f"lacks {', '.join(missing)}")
        if unknown := sorted(map(str, config.keys() - set(fields))):
            raise ValueError(f"has unknown {', '.join(unknown)[:200]!a}")
        made = cls(**{name: cls._value(name, config[name]) for name in fields})
        for fits, rule in made.rules():
            if not fits:
                raise ValueError(rule)
        return made

    @classmethod
    def _value(cls, name: str, value: Any) -> Any:
        if name in cls.floats:
            return _number(name, value, *cls.floats[name])
        return whole_numbers(name, value, cls.depths.get(name, 0), cls.bounds[name])


def _number(name: str, value: Any, least: float, most: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not least <= value <= most:
        raise ValueError(
            f"{name} has {shown_entry(value)} where a number from {least} to {most} belongs"
        )
    return float(value)


def _within(products: int, most: int, of: str) -> tuple[bool, str]:
    return products <= most, f"takes {products} products {of}, {most} at most are computed"


def _odd(kernels: Mapping[str, int]) -> Iterator[tuple[bool, str]]:
    for name, kernel in kernels.items():
        yield kernel % 2 == 1, f"{name} must be odd"


@dataclass(frozen=True, slots=True)
class AcousticArchitecture(_Architecture):
    """Everything needed to build the acoustic model. Sizes are in channels, kernels in rows.

    Pitch is predicted in deviations of ``f0_deviation_hertz`` from ``f0_mean_hertz``.
    """

    bounds: ClassVar[_Bounds] = {
        "n_symbols": (1, 20_000),
        "units": _UNITS,
        "speaker_units": _UNITS,
        "style_units": _UNITS,
        "encoder_layers": _COUNT,
        "encoder_heads": _COUNT,
        "encoder_inner": _INNER,
        "encoder_kernel": _KERNEL,
        "decoder_layers": _COUNT,
        "decoder_heads": _COUNT,
        "decoder_inner": _INNER,
        "decoder_kernel": _KERNEL,
        "predictor_units": _UNITS,
        "duration_layers": _COUNT,
        "duration_kernel": _KERNEL,
        "pitch_layers": _COUNT,
        "pitch_kernel": _KERNEL,
        "energy_layers": _COUNT,
        "energy_kernel": _KERNEL,
        "embedding_kernel": (1, 31),
        "mels": (1, 256),
    }
    floats: ClassVar[Mapping[str, tuple[float, float]]] = {
        "f0_mean_hertz": (1.0, 1e4),
        "f0_deviation_hertz": (0.1, 1e4),
    }

    n_symbols: int
    units: int
    speaker_units: int
    style_units: int
    encoder_layers: int
    encoder_heads: int
    encoder_inner: int
    encoder_kernel: int
    decoder_layers: int
    decoder_heads: int
    decoder_inner: int
    decoder_kernel: int
    predictor_units: int
    duration_layers: int
    duration_kernel: int
    pitch_layers: int
    pitch_kernel: int
    energy_layers: int
    energy_kernel: int
    embedding_kernel: int
    mels: int
    f0_mean_hertz: float
    f0_deviation_hertz: float

    @property
    def joined_units(self) -> int:
        """Width of a symbol with its speaker and two styles: the prompt's and the sentence's."""
        return self.units + self.speaker_units + 2 * self.style_units

    @property
    def symbol_products(self) -> int:
        """Products that a symbol takes up to its durations, but for attention."""
        p, layers = self.predictor_units, 0
        for what in ("duration", "pitch", "energy"):
            n, kernel = getattr(self, f"{what}_layers"), getattr(self, f"{what}_kernel")
            layers += kernel * p * (self.units + (n - 1) * p)
        encoder = self.encoder_layers * self._layer_products("encoder")
        return encoder + layers + self.units * self.joined_units

    @property
    def frame_products(self) -> int:
        """Products that a frame takes in the decoder, but for attention."""
        return self.decoder_layers * self._layer_products("decoder") + self.units * self.mels

    def _layer_products(self, which: str) -> int:
        inner, kernel = getattr(self, f"{which}_inner"), getattr(self, f"{which}_kernel")
        return 4 * self.units**2 + 2 * int(kernel) * self.units * int(inner)

    def rules(self) -> Iterator[tuple[bool, str]]:
        """See `_Architecture`."""
        yield self.units % 2 == 0, "units must be even"
        for which in ("encoder", "decoder"):
            yield (
                self.units % getattr(self, f"{which}_heads") == 0,
                f"{which}_heads must divide units",
            )
            products = self._layer_products(which)
            yield _within(products, _MOST_ROW_PRODUCTS, f"a row in a layer of its {which}")
        yield from _odd({name: getattr(self, name) for name in self.bounds if "kernel" in name})


@dataclass(frozen=True, slots=True)
class VocoderArchitecture(_Architecture):
    """Everything needed to build the vocoder, whose residual blocks are HiFi-GAN's first kind."""

    bounds: ClassVar[_Bounds] = {
        "mels": (1, 256),
        "channels": (2, 2048),
        "rates": (1, 64),
        "kernels": (1, 128),
        "resblock_kernels": (1, 31),
        "resblock_dilations": (1, 64),
        "sample_rate_hertz": (MIN_RATE_HERTZ, MAX_RATE_HERTZ),
    }
    depths: ClassVar[Mapping[str, int]] = {
        "rates": 1,
        "kernels": 1,
        "resblock_kernels": 1,
        "resblock_dilations": 2,
    }

    mels: int
    channels: int
    rates: tuple[int, ...]
    kernels: tuple[int, ...]
    resblock_kernels: tuple[int, ...]
    resblock_dilations: tuple[tuple[int, ...], ...]
    sample_rate_hertz: int

    @property
    def hop_samples(self) -> int:
        """Samples of audio for a frame."""
        return math.prod(self.rates)

    @property
    def reach_frames(self) -> int:
        """An upper bound of the frames on either side that a sample depends on."""
        reach, samples = 3.0, 1
        for rate, kernel in zip(self.rates, self.kernels, strict=True):
            reach += math.ceil(kernel / 2 / rate) / samples
            samples *= rate
            reach += self._block_reach() / samples
        return math.ceil(reach + 3 / samples)

    @property
    def state_bytes(self) -> int:
        """An upper bound of what a signal's pieces are remembered by, in float32."""
        channels, kept = self.channels, _PRE_POST_KERNEL * self.mels
        for kernel in self.kernels:
            kept += kernel * channels
            channels //= 2
            kept += 2 * self._block_reach() * channels
        return 4 * (kept + _PRE_POST_KERNEL * channels)

    def _block_reach(self) -> int:
        return max(
            sum((kernel - 1) // 2 * (dilation + 1) for dilation in dilations)
            for kernel, dilations in zip(
                self.resblock_kernels, self.resblock_dilations, strict=True
            )
        )

    @property
    def frame_products(self) -> int:
        """Products that a frame takes."""
        channels, samples = self.channels, 1
        products = self.mels * channels * _PRE_POST_KERNEL
        convolutions = sum(
            2 * kernel * len(dilations)
            for kernel, dilations in zip(
                self.resblock_kernels, self.resblock_dilations, strict=True
            )
        )
        for rate, kernel in zip(self.rates, self.kernels, strict=True):
            products += samples * kernel * channels * (channels // 2)
            channels, samples = channels // 2, samples * rate
            products += samples * convolutions * channels**2
        return products + samples * _PRE_POST_KERNEL * channels

    def rules(self) -> Iterator[tuple[bool, str]]:
        """See `_Architecture`."""
        yield len(self.rates) == len(self.kernels), "kernels must be as many as rates"
        yield (
            len(self.resblock_kernels) == len(self.resblock_dilations),
            "resblock_dilations must be as many as resblock_kernels",
        )
        yield self.channels % 2 ** len(self.rates) == 0, "channels must halve at each of the rates"
        yield (
            all(
                kernel >= rate and (kernel - rate) % 2 == 0
                for kernel, rate in zip(self.kernels, self.rates, strict=True)
            ),
            "kernels must be larger than rates by an even number",
        )
        yield all(k % 2 for k in self.resblock_kernels), "resblock_kernels must be odd"
        yield (
            self.hop_samples <= _MAX_HOP_SAMPLES,
            f"rates make more than {_MAX_HOP_SAMPLES} of one",
        )
        yield (
            self.reach_frames <= _MOST_REACH_FRAMES,
            f"sees {self.reach_frames} frames to either side, {_MOST_REACH_FRAMES} at most may be",
        )
        yield _within(self.frame_products, _MOST_FRAME_PRODUCTS, "a frame")


@dataclass(frozen=True, slots=True)
class StyleArchitecture(_Architecture):
    """Everything needed to build the style encoder. ``vocabulary`` counts its tokens."""

    bounds: ClassVar[_Bounds] = {
        "vocabulary": (1, 200_000),
        "positions": (2, 4096),
        "types": (1, 16),
        "units": _UNITS,
        "layers": _COUNT,
        "heads": _COUNT,
        "inner": _INNER,
    }

    vocabulary: int
    positions: int
    types: int
    units: int
    layers: int
    heads: int
    inner: int

    @property
    def layer_products(self) -> int:
        """Products that a token takes in a layer, but for attention."""
        return 4 * self.units**2 + 2 * self.units * self.inner

    def rules(self) -> Iterator[tuple[bool, str]]:
        """See `_Architecture`."""
        yield self.units % self.heads == 0, "heads must divide units"
        yield _within(self.layer_products, _MOST_ROW_PRODUCTS, "a token in a layer")
