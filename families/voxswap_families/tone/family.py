"""The family of tones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from voxswap_families import reading
from voxswap_families.contract import Engine, EngineContext, Importer
from voxswap_families.packages import EmbeddedVoice
from voxswap_families.symbols import MAX_TABLE_BYTES
from voxswap_families.tone.importer import (
    CONTROLS,
    HOP_LENGTH_SAMPLES,
    MAX_TONE_BYTES,
    SAMPLE_RATE_HERTZ,
    TONE,
    find_tone,
    import_tone,
)
from voxswap_registry.errors import FieldViolation
from voxswap_registry.manifest import Manifest


class ToneFamily:
    """See `contract.Family`."""

    role_limits: Mapping[str, int] = MappingProxyType(
        {TONE: MAX_TONE_BYTES, reading.ROLE: MAX_TABLE_BYTES}
    )
    forms: Mapping[str, Collection[str]] = MappingProxyType({})
    controls: Collection[str] = CONTROLS
    emotions: Collection[str] = ()
    style_prompts = False
    style_size = 0
    graph_checks: Mapping[str, Callable[[bytes], None]] = MappingProxyType({})
    engine_module = "voxswap_families.tone.engine"
    importers = (Importer("a tone (name.tone.json, see docs/families.md)", find_tone, import_tone),)
    embedded: Sequence[EmbeddedVoice] = ()

    def faults(self, manifest: Manifest) -> Iterator[FieldViolation]:
        """All tones have one form of audio, and one speaker."""
        if manifest.engine_config:
            yield FieldViolation(
                "engine_config", "must be empty: what a tone is stands in its component"
            )
        found = manifest.audio.sample_rate_hertz, manifest.audio.hop_length_samples
        if found != (SAMPLE_RATE_HERTZ, HOP_LENGTH_SAMPLES):
            yield FieldViolation(
                "audio",
                f"must be {HOP_LENGTH_SAMPLES} samples a frame at {SAMPLE_RATE_HERTZ} Hz: a tone "
                "has no other",
            )
        yield from reading.row_faults(manifest, 0)

    def engine(self, context: EngineContext) -> Engine:
        """On the CPU, beside whatever the device is: it takes next to nothing."""
        from voxswap_families.tone.engine import ToneEngine

        return ToneEngine(most_steps=context.most_steps, front_ends=context.front_ends)


FAMILY: Final = ToneFamily()
