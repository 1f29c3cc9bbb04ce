"""The family of Sambert-HiFiGAN voices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from voxswap_families import reading
from voxswap_families.contract import Engine, EngineContext, Fabricator, Importer
from voxswap_families.packages import EmbeddedVoice
from voxswap_families.sambert.architecture import MAX_ACOUSTIC_BYTES
from voxswap_families.sambert.config import (
    ACOUSTIC,
    CONTROLS,
    EMOTIONS,
    SPEAKER,
    VOCODER,
    SambertConfig,
)
from voxswap_families.sambert.fabricate import FABRICATORS
from voxswap_families.sambert.importer import IMPORTERS
from voxswap_families.symbols import MAX_TABLE_BYTES
from voxswap_registry.errors import FieldViolation
from voxswap_registry.manifest import Manifest

_MAX_VOCODER_BYTES = 1 << 30
_MAX_SPEAKER_BYTES = 64 << 10


class SambertFamily:
    """See `contract.Family`."""

    role_limits: Mapping[str, int] = MappingProxyType(
        {
            ACOUSTIC: MAX_ACOUSTIC_BYTES,
            VOCODER: _MAX_VOCODER_BYTES,
            SPEAKER: _MAX_SPEAKER_BYTES,
            reading.ROLE: MAX_TABLE_BYTES,
        }
    )
    # A voice whose speaker is a row of a table has no vector.
    optional_roles: Collection[str] = (SPEAKER,)
    forms: Mapping[str, Collection[str]] = MappingProxyType({})
    controls: Collection[str] = CONTROLS
    emotions: Collection[str] = EMOTIONS
    style_prompts = False
    style_size = 0
    graph_checks: Mapping[str, Callable[[bytes], None]] = MappingProxyType({})
    engine_module = "voxswap_families.sambert.engine"
    importers: Sequence[Importer] = IMPORTERS
    fabricators: Mapping[str, Fabricator] = FABRICATORS
    embedded: Sequence[EmbeddedVoice] = ()

    def faults(self, manifest: Manifest) -> Iterator[FieldViolation]:
        """Architectures out of bounds, or such as the rest of the manifest contradicts."""
        try:
            config = SambertConfig.read(manifest.engine_config)
        except ValueError as error:
            yield FieldViolation("engine_config", str(error))
            return
        yield from config.faults(manifest)

    def engine(self, context: EngineContext) -> Engine:
        """On any device of torch's."""
        from voxswap_families.sambert.engine import SambertEngine

        return SambertEngine(
            context.device,
            kernels=context.kernels,
            most_steps=context.most_steps,
            front_ends=context.front_ends,
        )


FAMILY: Final = SambertFamily()
