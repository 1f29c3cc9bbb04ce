"""The family of EmotiVoice voices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from voxswap_families import reading
from voxswap_families.contract import Engine, EngineContext, Fabricator, Importer
from voxswap_families.emotivoice.config import (
    ACOUSTIC,
    CONTROLS,
    EMOTIONS,
    SPEAKER,
    STYLE,
    VOCABULARY,
    VOCODER,
    EmotiVoiceConfig,
)
from voxswap_families.emotivoice.fabricate import FABRICATORS
from voxswap_families.emotivoice.importer import IMPORTERS
from voxswap_families.packages import EmbeddedVoice
from voxswap_families.symbols import MAX_TABLE_BYTES
from voxswap_registry.errors import FieldViolation
from voxswap_registry.manifest import Manifest

_MAX_MODEL_BYTES = 1 << 30
_MAX_SPEAKER_BYTES = 64 << 10
_MAX_VOCABULARY_BYTES = 4 << 20


class EmotiVoiceFamily:
    """See `contract.Family`."""

    role_limits: Mapping[str, int] = MappingProxyType(
        {
            ACOUSTIC: _MAX_MODEL_BYTES,
            VOCODER: _MAX_MODEL_BYTES,
            STYLE: _MAX_MODEL_BYTES,
            VOCABULARY: _MAX_VOCABULARY_BYTES,
            SPEAKER: _MAX_SPEAKER_BYTES,
            reading.ROLE: MAX_TABLE_BYTES,
        }
    )
    optional_roles: Collection[str] = ()
    forms: Mapping[str, Collection[str]] = MappingProxyType({})
    controls: Collection[str] = CONTROLS
    emotions: Collection[str] = EMOTIONS
    style_prompts = True
    style_size = 0
    graph_checks: Mapping[str, Callable[[bytes], None]] = MappingProxyType({})
    engine_module = "voxswap_families.emotivoice.engine"
    importers: Sequence[Importer] = IMPORTERS
    fabricators: Mapping[str, Fabricator] = FABRICATORS
    embedded: Sequence[EmbeddedVoice] = ()

    def faults(self, manifest: Manifest) -> Iterator[FieldViolation]:
        """Architectures out of bounds, or such as the rest of the manifest contradicts."""
        try:
            config = EmotiVoiceConfig.read(manifest.engine_config)
        except ValueError as error:
            yield FieldViolation("engine_config", str(error))
            return
        yield from config.faults(manifest)

    def engine(self, context: EngineContext) -> Engine:
        """On any device of torch's."""
        from voxswap_families.emotivoice.engine import EmotiVoiceEngine

        return EmotiVoiceEngine(
            context.device,
            kernels=context.kernels,
            most_steps=context.most_steps,
            front_ends=context.front_ends,
        )


FAMILY: Final = EmotiVoiceFamily()
