"""What a manifest's ``engine_config`` says of a Sambert voice."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from voxswap_families import reading
from voxswap_families.judging import audio_faults, emotion_faults
from voxswap_families.sambert.architecture import AcousticArchitecture
from voxswap_families.sambert.vocoder_architecture import GeneratorArchitecture
from voxswap_registry.errors import FieldViolation, ManifestError
from voxswap_registry.manifest import Manifest

ACOUSTIC: Final = "acoustic"
VOCODER: Final = "vocoder"
SPEAKER: Final = "speaker"
#: What text has that nobody felt anything for, and what pauses have.
NEUTRAL: Final = "neutral"
NONE: Final = "none"
CONTROLS: Final = ("rate",)
#: Those of KAN-TTS's table, beside the two above and its placeholders.
EMOTIONS: Final = (
    "angry", "disgust", "fear", "happy", "sad", "surprise", "calm", "gentle", "relax", "lyrical",
    "serious", "disgruntled", "satisfied", "disappointed", "excited", "anxiety", "jealousy", "hate",
    "pity", "pleasure", "arousal", "dominance",
)  # fmt: skip

_MOST_ROWS = 4096
_MOST_PAUSES = 64
_FIELDS = (ACOUSTIC, VOCODER, "emotions", "pauses")


@dataclass(frozen=True, slots=True)
class SambertConfig:
    """Both architectures; the rows of the emotions, and which rows of ``sy`` are pauses."""

    acoustic: AcousticArchitecture
    vocoder: GeneratorArchitecture
    emotions: Mapping[str, int]
    pauses: tuple[int, ...]

    @property
    def neutral(self) -> int:
        """The row of text that nothing is felt for."""
        return self.emotions[NEUTRAL] if NEUTRAL in self.emotions else self.emotions[NONE]

    @property
    def pausing(self) -> int:
        """The row of pauses, whatever is felt."""
        return self.emotions.get(NONE, self.neutral)

    @classmethod
    def of(cls, manifest: Manifest) -> SambertConfig:
        """That of a manifest; raises `ManifestError` for what `read` refuses."""
        try:
            return cls.read(manifest.engine_config)
        except ValueError as error:
            raise ManifestError(f"{manifest.ref}: engine_config {error}") from error

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> SambertConfig:
        """``engine_config``; ValueError that says what is wrong. Whatever it is, that is quick."""
        if missing := sorted(set(_FIELDS) - config.keys()):
            raise ValueError(f"lacks {', '.join(missing)}")
        if unknown := sorted(config.keys() - set(_FIELDS)):
            raise ValueError(f"has unknown {', '.join(unknown)[:200]!a}")
        architectures: list[Any] = []
        for name, kind in ((ACOUSTIC, AcousticArchitecture), (VOCODER, GeneratorArchitecture)):
            if not isinstance(config[name], Mapping):
                raise ValueError(f"{name} is no object")  # noqa: TRY004 - one error for all faults
            try:
                architectures.append(kind.read(config[name]))
            except ValueError as error:
                raise ValueError(f"{name} {error}") from error
        acoustic, vocoder = architectures
        if (acoustic.mels, acoustic.has_source) != (vocoder.columns, vocoder.has_source):
            raise ValueError(
                f"has an acoustic model with {acoustic.mels} numbers a frame and a vocoder that "
                f"takes {vocoder.columns}; both must have a source, or neither"
            )
        return cls(acoustic, vocoder, _emotions(config, acoustic), _pauses(config, acoustic))

    def faults(self, manifest: Manifest) -> Iterator[FieldViolation]:
        """What the rest of the manifest says otherwise."""
        yield from audio_faults(
            manifest,
            sample_rate_hertz=self.vocoder.sample_rate_hertz,
            hop_samples=self.vocoder.hop_samples,
        )
        yield from emotion_faults(manifest, self.emotions, "row")
        has_vector = any(component.role == SPEAKER for component in manifest.components)
        if has_vector == bool(self.acoustic.n_speakers):
            told = (
                "have a speaker's vector, and the acoustic model a table of speakers"
                if has_vector
                else "have no speaker's vector, and the acoustic model no table of speakers"
            )
            yield FieldViolation("components", told)
        yield from reading.row_faults(manifest, self.acoustic.n_speakers)


def _emotions(config: Mapping[str, Any], a: AcousticArchitecture) -> dict[str, int]:
    found = config["emotions"]
    if not isinstance(found, Mapping) or len(found) > _MOST_ROWS:
        raise ValueError("emotions must be names, each with its row")
    for row in found.values():
        _check_row("emotions", row, a.n_emotions)
    if not {NEUTRAL, NONE} & found.keys():
        raise ValueError(f"emotions have neither {NEUTRAL} nor {NONE}, one of which text has")
    return dict(found)


def _pauses(config: Mapping[str, Any], a: AcousticArchitecture) -> tuple[int, ...]:
    found = config["pauses"]
    if not isinstance(found, Collection) or isinstance(found, str | Mapping):
        raise ValueError("pauses must be a list of rows")  # noqa: TRY004 - one error for all faults
    if len(found) > _MOST_PAUSES:
        raise ValueError(f"pauses are {len(found)} rows; {_MOST_PAUSES} at most are taken")
    for row in found:
        _check_row("pauses", row, a.n_sy)
    return tuple(found)


def _check_row(name: str, row: Any, rows: int) -> None:
    if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < rows:
        raise ValueError(f"{name} have the row {row!r:.40}, and there are {rows}")
