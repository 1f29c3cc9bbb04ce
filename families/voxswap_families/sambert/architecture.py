"""The architecture of a SAMBERT acoustic model: from KAN-TTS's configuration and its tensors.

A text encoder that is a transformer, FSMN predictors of pitch, energy and durations, and a decoder
with PNCA attention, as the public KAN-TTS code has them; tensor names are that code's.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from voxswap_families.entries import shown_entry, whole_numbers
from voxswap_registry.errors import ManifestError

MAX_ACOUSTIC_BYTES: Final = 1 << 30

Shapes = Mapping[str, tuple[int, ...]]

_UNITS, _COUNT, _ROWS = (1, 4096), (1, 32), (1, 20_000)
# What is believed of a stranger's configuration: several times what published voices have.
_BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "n_sy": _ROWS,
    "n_tone": (1, 256),
    "n_syllable_flag": (1, 256),
    "n_word_segment": (1, 256),
    "n_emotions": (1, 4096),
    "n_speakers": (0, 100_000),
    "speaker_units": (1, 1024),
    "emotion_units": (1, 1024),
    "embedding": (4, 2048),
    "encoder_layers": _COUNT,
    "encoder_heads": _COUNT,
    "encoder_units": (1, 1024),
    "encoder_inner": _UNITS,
    "text_units": (2, 512),
    "predictor_filter": (1, 127),
    "predictor_memory": (1, 1024),
    "predictor_inner": _UNITS,
    "predictor_lstm": (1, 1024),
    "decoder_layers": _COUNT,
    "decoder_heads": _COUNT,
    "decoder_units": (1, 1024),
    "decoder_inner": _UNITS,
    "step_frames": (1, 8),
    "mels": (1, 512),
    "postnet_filter": (1, 127),
    "postnet_memory": (1, 1024),
    "postnet_inner": _UNITS,
    "postnet_lstm": (1, 1024),
    "duration_lstm": (1, 1024),
}
# Lists: bounds of each number.
_LISTS: Final[Mapping[str, tuple[int, int]]] = {
    "predictor_shifts": (0, 63),
    "postnet_shifts": (0, 63),
    "duration_prenet": (1, 1024),
    "decoder_prenet": (1, 2048),
}
_FLOATS: Final[Mapping[str, tuple[float, float]]] = {
    "f0_offset_hertz": (-1e4, 1e4),
    "f0_scale_hertz": (0.0, 1e4),
}
#: With a harmonic source the last two numbers of a frame are its pitch and whether it is voiced.
_SOURCE_MELS: Final = 2
#: The width of the convolutions over pitch and energy, and of the encoder's feed-forward layers.
EMBEDDING_KERNEL: Final = 9
ENCODER_KERNEL: Final = 3
# Products that bound a step: published voices take 5 million a decoder step, 5.4 a symbol, and 1.2
# a frame of the postnet.
_MOST_PRODUCTS = 64 * 10**6


@dataclass(frozen=True, slots=True)
class AcousticArchitecture:
    """Everything needed to build the acoustic model. Sizes are in channels, filters in frames.

    ``n_speakers`` is 0 where the speaker is a vector of ``speaker_units`` (KAN-TTS: SE). ``mels``
    counts all numbers of a frame; where ``has_source`` the last two are pitch, in hertz times
    ``f0_scale_hertz`` after ``f0_offset_hertz``, and whether it is voiced. A shift is by how many
    frames an FSMN filter looks further back than ahead, one for each layer.
    """

    n_sy: int
    n_tone: int
    n_syllable_flag: int
    n_word_segment: int
    n_emotions: int
    n_speakers: int
    speaker_units: int
    emotion_units: int
    embedding: int
    encoder_layers: int
    encoder_heads: int
    encoder_units: int
    encoder_inner: int
    text_units: int
    predictor_filter: int
    predictor_memory: int
    predictor_inner: int
    predictor_lstm: int
    predictor_shifts: tuple[int, ...]
    duration_prenet: tuple[int, ...]
    duration_lstm: int
    decoder_prenet: tuple[int, ...]
    decoder_layers: int
    decoder_heads: int
    decoder_units: int
    decoder_inner: int
    step_frames: int
    mels: int
    postnet_filter: int
    postnet_memory: int
    postnet_inner: int
    postnet_lstm: int
    postnet_shifts: tuple[int, ...]
    has_source: bool
    f0_offset_hertz: float
    f0_scale_hertz: float

    @property
    def n_symbols(self) -> int:
        """How many ids there are: one for each row of each of the four tables together."""
        return self.n_sy * self.n_tone * self.n_syllable_flag * self.n_word_segment

    @property
    def predicted_from(self) -> int:
        """Width of what pitch, energy and durations are predicted from."""
        return self.text_units + self.speaker_units + self.emotion_units

    @property
    def memory_units(self) -> int:
        """Width of what a decoder step attends to: its frames' text, one speaker, one emotion."""
        return self.step_frames * self.text_units + self.speaker_units + self.emotion_units

    @property
    def postnet_ahead_frames(self) -> int:
        """Frames that the postnet must see beyond one that it refines."""
        half = (self.postnet_filter - 1) // 2
        return sum(half - shift for shift in self.postnet_shifts)

    @property
    def step_products(self) -> int:
        """Products of a decoder step, but for attention."""
        d, inner = self.decoder_units, self.decoder_inner
        widths = [self.mels, *self.decoder_prenet, d]
        prenet = sum(a * b for a, b in itertools.pairwise(widths))
        layer = 5 * d * d + 2 * d * self.memory_units + 2 * d * inner
        return prenet + (d + self.memory_units) * d + self.decoder_layers * layer

    @property
    def symbol_products(self) -> int:
        """Products that a symbol takes in the text encoder, but for attention."""
        d, inner = self.encoder_units, self.encoder_inner
        layer = 4 * d * d + (ENCODER_KERNEL + 1) * d * inner
        return self.encoder_layers * layer + 3 * (self.embedding - d) * d

    @property
    def postnet_products(self) -> int:
        """Products that a frame takes in the postnet."""
        m, lstm = self.postnet_memory, self.postnet_lstm
        layer = 2 * m * self.postnet_inner + m * self.postnet_filter
        return len(self.postnet_shifts) * layer + 4 * lstm * (m + lstm)

    def to_config(self) -> dict[str, Any]:
        """The part of a manifest's ``engine_config`` that is called ``acoustic``."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: object, *, where: str) -> AcousticArchitecture:
        """Read it; raises `ManifestError` for a missing, extra or wrong entry."""
        try:
            return cls.read(config)
        except ValueError as error:
            raise ManifestError(f"{where}: engine_config.acoustic {error}") from error

    @classmethod
    def read(cls, config: object) -> AcousticArchitecture:
        """The same, with a ValueError that says what is wrong. Whatever it is, that is quick."""
        if not isinstance(config, Mapping):
            raise ValueError("is missing, or no object")  # noqa: TRY004 - one error for all faults
        fields = [field.name for field in dataclasses.fields(cls)]
        if missing := sorted(set(fields) - config.keys()):
            raise ValueError(f"lacks {', '.join(missing)}")
        if unknown := sorted(config.keys() - set(fields)):
            raise ValueError(f"has unknown {', '.join(unknown)[:200]!a}")
        a = cls(**{name: _value(name, config[name]) for name in fields})
        for fits, rule in _rules(a):
            if not fits:
                raise ValueError(f"is no SAMBERT: {rule}")
        return a


def _rules(a: AcousticArchitecture) -> Iterator[tuple[bool, str]]:
    """What must hold between fields that are within their bounds; in order, the first one counts.

    Whatever keeps all of them computes.
    """
    yield a.encoder_units % a.encoder_heads == 0, "encoder_heads must divide encoder_units"
    yield a.decoder_units % a.decoder_heads == 0, "decoder_heads must divide decoder_units"
    yield a.embedding % 2 == 0, "embedding must be even"
    yield a.text_units % 2 == 0, "text_units must be even"
    for name, shifts in (("predictor", a.predictor_shifts), ("postnet", a.postnet_shifts)):
        taps = getattr(a, f"{name}_filter")
        yield taps % 2 == 1, f"{name}_filter must be odd"
        yield max(shifts) <= taps // 2, f"{name}_shifts must be half of {name}_filter at most"
    yield not a.has_source or a.mels > _SOURCE_MELS, "mels must be more than 2 with a source"
    for products, what in (
        (a.step_products, "a decoder step"),
        (a.symbol_products, "a symbol of the text encoder"),
        (a.postnet_products, "a frame of the postnet"),
    ):
        yield (
            products <= _MOST_PRODUCTS,
            f"{what} takes {products} products, {_MOST_PRODUCTS} at most are computed",
        )


def _value(name: str, value: Any) -> Any:
    """``value``, if it is what the field ``name`` takes; ValueError."""
    if name == "has_source":
        if not isinstance(value, bool):
            raise ValueError(f"{name} has {shown_entry(value)} where true or false belongs")
        return value
    if name in _FLOATS:
        return _number(name, value, *_FLOATS[name])
    if name in _LISTS:
        return whole_numbers(name, value, 1, _LISTS[name])
    return whole_numbers(name, value, 0, _BOUNDS[name])


def _number(name: str, value: Any, least: float, most: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not least <= value <= most:
        raise ValueError(
            f"{name} has {shown_entry(value)} where a number from {least} to {most} belongs"
        )
    return float(value)
