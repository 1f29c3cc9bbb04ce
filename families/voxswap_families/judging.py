"""What families ask of a manifest besides their own ``engine_config``."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from voxswap_registry.errors import FieldViolation
from voxswap_registry.manifest import Manifest
from voxswap_registry.records import shown


def audio_faults(
    manifest: Manifest, *, sample_rate_hertz: int, hop_samples: int
) -> Iterator[FieldViolation]:
    """Where the audio is not what the ``engine_config``'s vocoder makes."""
    audio = manifest.audio
    for field, found, made in (
        ("sample_rate_hertz", audio.sample_rate_hertz, sample_rate_hertz),
        ("hop_length_samples", audio.hop_length_samples, hop_samples),
    ):
        if found != made:
            told = f"is {shown(found)}, and the engine_config's vocoder makes {made}"
            yield FieldViolation(f"audio.{field}", told)


def emotion_faults(
    manifest: Manifest, known: Collection[str], what: str
) -> Iterator[FieldViolation]:
    """The first emotion that is none of ``known``: the ``engine_config`` has no ``what`` for it."""
    for name in manifest.emotions or ():
        if name not in known:
            yield FieldViolation("emotions", f"have {name}, and the engine_config no {what} for it")
            return
