"""The family of VITS voices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

from voxswap_families import reading
from voxswap_families.contract import Engine, EngineContext, Fabricator, Importer
from voxswap_families.packages import EmbeddedVoice
from voxswap_families.symbols import MAX_TABLE_BYTES
from voxswap_families.vits.architecture import CONTROLS, MAX_MODEL_BYTES, VitsArchitecture
from voxswap_families.vits.embedded import JOE
from voxswap_families.vits.fabricate import FABRICATORS
from voxswap_families.vits.huggingface import find_huggingface_vits, import_huggingface_vits
from voxswap_families.vits.packable import FORMS, handled
from voxswap_families.vits.piper import find_piper, import_piper
from voxswap_registry.errors import FieldViolation
from voxswap_registry.manifest import Manifest
from voxswap_registry.records import shown


class VitsFamily:
    """See `contract.Family`."""

    role_limits: Mapping[str, int] = MappingProxyType(
        {"model": MAX_MODEL_BYTES, reading.ROLE: MAX_TABLE_BYTES}
    )
    forms: Mapping[str, Collection[str]] = MappingProxyType({"model": FORMS})
    controls: Collection[str] = CONTROLS
    emotions: Collection[str] = ()
    style_prompts = False
    style_size = 0
    graph_checks: Mapping[str, Callable[[bytes], None]] = MappingProxyType({})
    engine_module = "voxswap_families.vits.engine"
    importers = (
        Importer(
            "a Piper voice (name.onnx with name.onnx.json beside it, or a folder of one)",
            find_piper,
            import_piper,
        ),
        Importer(
            "a Hugging Face VITS folder (config.json with model_type 'vits')",
            find_huggingface_vits,
            import_huggingface_vits,
        ),
    )
    fabricators: Mapping[str, Fabricator] = FABRICATORS
    embedded: Sequence[EmbeddedVoice] = (JOE,)

    def faults(self, manifest: Manifest) -> Iterator[FieldViolation]:
        """An architecture out of bounds, or one that the rest of the manifest contradicts."""
        try:
            architecture = VitsArchitecture.read(manifest.engine_config)
        except ValueError as error:
            yield FieldViolation("engine_config", str(error))
            return
        if architecture.hop_length_samples != manifest.audio.hop_length_samples:
            yield FieldViolation(
                "audio.hop_length_samples",
                f"is {shown(manifest.audio.hop_length_samples)}, and the upsample_rates of the "
                f"engine_config make {architecture.hop_length_samples}",
            )
        for place, component in enumerate(manifest.components):
            if component.form in FORMS and (why_not := handled(architecture)):
                told = f"is {component.form}, and {why_not}"
                yield FieldViolation(f"components[{place}].form", told)
        yield from reading.row_faults(manifest, architecture.n_speakers)

    def engine(self, context: EngineContext) -> Engine:
        """On any device of torch's."""
        from voxswap_families.vits.engine import VitsEngine

        return VitsEngine(
            context.device,
            context.arithmetic,
            kernels=context.kernels,
            most_steps=context.most_steps,
            front_ends=context.front_ends,
        )


FAMILY = VitsFamily()
