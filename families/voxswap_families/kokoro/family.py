"""The family of Kokoro voices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

from voxswap_families import reading
from voxswap_families.contract import Engine, EngineContext, Importer
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.embedded import STEERABLE, VOICES
from voxswap_families.kokoro.format import STYLE_SIZE
from voxswap_families.kokoro.importer import find_kokoro, import_kokoro
from voxswap_families.kokoro.steering import STEERED
from voxswap_families.packages import EmbeddedVoice
from voxswap_families.styles import StyleReader
from voxswap_families.symbols import MAX_TABLE_BYTES
from voxswap_registry.errors import FieldViolation
from voxswap_registry.manifest import Manifest


def _check_base(data: bytes) -> None:
    from voxswap_families.onnx_graphs.check import parse_graph

    kokoro.check_base(parse_graph(data))


class KokoroFamily:
    """See `contract.Family`."""

    role_limits: Mapping[str, int] = MappingProxyType(
        {
            "base": kokoro.MAX_BASE_BYTES,
            "style": kokoro.MAX_STYLE_BYTES,
            reading.ROLE: MAX_TABLE_BYTES,
        }
    )
    forms: Mapping[str, Collection[str]] = MappingProxyType({})
    controls: Collection[str] = kokoro.CONTROLS
    emotions: Collection[str] = ()
    style_prompts = False
    style_size = STYLE_SIZE
    style_role = "base"
    # A graph is a program, and the library that takes it up was not made for hostile ones.
    graph_checks: Mapping[str, Callable[[bytes], None]] = MappingProxyType({"base": _check_base})
    engine_module = "voxswap_families.kokoro.engine"
    importers = (
        Importer(
            "Kokoro (a folder with its .onnx and a .npz of styles)", find_kokoro, import_kokoro
        ),
    )
    embedded: Sequence[EmbeddedVoice] = VOICES

    def carried(self, manifest: Manifest) -> Collection[str]:
        """Pitch, of voices whose graph is known; the server shifts what others say."""
        digests = {part.digest for part in manifest.components}
        return () if digests.isdisjoint(STEERABLE) else STEERED

    @property
    def style_reader(self) -> StyleReader:
        """Off recordings, by how the packs were heard to speak."""
        from voxswap_families.kokoro.style_reading import KokoroStyles

        return KokoroStyles()

    def faults(self, manifest: Manifest) -> Iterator[FieldViolation]:
        """Whatever is not as in every Kokoro voice."""
        if manifest.engine_config:
            yield FieldViolation(
                "engine_config", "must be empty: all Kokoro voices are of one architecture"
            )
        found = manifest.audio.sample_rate_hertz, manifest.audio.hop_length_samples
        if found != (kokoro.SAMPLE_RATE_HERTZ, kokoro.HOP_LENGTH_SAMPLES):
            yield FieldViolation(
                "audio",
                f"must be {kokoro.HOP_LENGTH_SAMPLES} samples a frame at "
                f"{kokoro.SAMPLE_RATE_HERTZ} Hz: a Kokoro voice has no other",
            )
        yield from reading.row_faults(manifest, 0)

    def engine(self, context: EngineContext) -> Engine:
        """On the CPU, whatever the device is; elsewhere its voices are refused."""
        from voxswap_families.kokoro.engine import KokoroEngine

        return KokoroEngine(
            context.device,
            threads=context.threads,
            front_ends=context.front_ends,
        )


FAMILY = KokoroFamily()
