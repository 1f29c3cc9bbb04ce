"""What a manifest's ``engine_config`` says of an EmotiVoice voice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from voxswap_families import reading
from voxswap_families.emotivoice.architecture import (
    AcousticArchitecture,
    StyleArchitecture,
    VocoderArchitecture,
)
from voxswap_families.judging import audio_faults, emotion_faults
from voxswap_registry.errors import FieldViolation, ManifestError
from voxswap_registry.manifest import Manifest

ENGINE: Final = "emotivoice"
ACOUSTIC: Final = "acoustic"
VOCODER: Final = "vocoder"
STYLE: Final = "style"
#: The style encoder's words, as a file of one a line.
VOCABULARY: Final = "vocabulary"
#: A row of the table of speakers, as a tensor of this name.
SPEAKER: Final = "speaker"

CONTROLS: Final = ("rate", "pitch_semitones", "pitch_range")
NEUTRAL: Final = "neutral"
#: What EmotiVoice calls the emotions that it was trained with. A voice has them as prompts.
PROMPTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        NEUTRAL: "普通",
        "happy": "开心",
        "sad": "悲伤",
        "angry": "生气",
        "fearful": "恐惧",
        "surprised": "惊讶",
        "disgusted": "厌恶",
    }
)
EMOTIONS: Final = tuple(name for name in PROMPTS if name != NEUTRAL)

#: Of a prompt: a manifest's, or a request's.
MOST_PROMPT_CHARACTERS: Final = 200
_MOST_EMOTIONS = 256
_FIELDS = (ACOUSTIC, VOCODER, STYLE, "emotions")


@dataclass(frozen=True, slots=True)
class EmotiVoiceConfig:
    """The three architectures, and the prompt of each emotion by its name."""

    acoustic: AcousticArchitecture
    vocoder: VocoderArchitecture
    style: StyleArchitecture
    emotions: Mapping[str, str]

    @classmethod
    def of(cls, manifest: Manifest) -> EmotiVoiceConfig:
        """That of a manifest; raises `ManifestError` for what `read` refuses."""
        try:
            return cls.read(manifest.engine_config)
        except ValueError as error:
            raise ManifestError(f"{manifest.ref}: engine_config {error}") from error

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> EmotiVoiceConfig:
        """``engine_config``; ValueError that says what is wrong. Whatever it is, that is quick."""
        if missing := sorted(set(_FIELDS) - config.keys()):
            raise ValueError(f"lacks {', '.join(missing)}")
        if unknown := sorted(map(str, config.keys() - set(_FIELDS))):
            raise ValueError(f"has unknown {', '.join(unknown)[:200]!a}")
        acoustic = _read(ACOUSTIC, AcousticArchitecture, config)
        vocoder = _read(VOCODER, VocoderArchitecture, config)
        style = _read(STYLE, StyleArchitecture, config)
        if acoustic.mels != vocoder.mels:
            raise ValueError(
                f"has an acoustic model with {acoustic.mels} mels a frame, and a vocoder with "
                f"{vocoder.mels}"
            )
        if acoustic.style_units != style.units:
            raise ValueError(
                f"has an acoustic model that takes styles of {acoustic.style_units} numbers, and a "
                f"style encoder that gives {style.units}"
            )
        return cls(acoustic, vocoder, style, _emotions(config["emotions"]))

    def to_config(self) -> dict[str, Any]:
        """What `read` reads."""
        return {
            ACOUSTIC: self.acoustic.to_config(),
            VOCODER: self.vocoder.to_config(),
            STYLE: self.style.to_config(),
            "emotions": dict(self.emotions),
        }

    def faults(self, manifest: Manifest) -> Iterator[FieldViolation]:
        """What the rest of the manifest says otherwise."""
        yield from audio_faults(
            manifest,
            sample_rate_hertz=self.vocoder.sample_rate_hertz,
            hop_samples=self.vocoder.hop_samples,
        )
        yield from emotion_faults(manifest, self.emotions, "prompt")
        yield from reading.row_faults(manifest, 0)


def _read(name: str, kind: Any, config: Mapping[str, Any]) -> Any:
    try:
        return kind.read(config[name])
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error


def _emotions(found: Any) -> dict[str, str]:
    if not isinstance(found, Mapping) or len(found) > _MOST_EMOTIONS:
        raise ValueError(f"emotions must be names with prompts, {_MOST_EMOTIONS} at most")
    for prompt in found.values():
        if not isinstance(prompt, str) or not 0 < len(prompt.strip()) <= MOST_PROMPT_CHARACTERS:
            raise ValueError(
                f"emotions have {prompt!r:.40} where a prompt of up to {MOST_PROMPT_CHARACTERS} "
                "characters belongs"
            )
    if NEUTRAL not in found:
        raise ValueError(f"emotions have no {NEUTRAL}, which text has that nobody feels for")
    return dict(found)
