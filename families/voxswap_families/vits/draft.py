"""What the importers of VITS voices make: the components on this disk, and the draft of them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from voxswap_families.arithmetic import Dtype, fastest_dtype
from voxswap_families.importing.request import ImportRequest, one_line, tool_name
from voxswap_families.importing.source import SourceFile
from voxswap_families.importing.weights import write_safetensors
from voxswap_families.vits.architecture import CONTROLS, ENGINE, VitsArchitecture
from voxswap_families.vits.checkpoint import as_stored, round_tensors
from voxswap_families.vits.packable import FORMS, PACKED, PACKED_INT8, handled, stored_as
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.manifest import Audio, FrontEndSpec, Provenance
from voxswap_registry.os_errors import as_registry_errors

if TYPE_CHECKING:
    import torch


def make_draft(
    request: ImportRequest,
    *,
    source: str,
    files: Sequence[SourceFile],
    tensors: Mapping[str, torch.Tensor],
    architecture: VitsArchitecture,
    symbols: bytes,
    sample_rate_hertz: int,
    language: str,
    front_end: FrontEndSpec,
    speakers: Mapping[str, int],
    defaults: Mapping[str, float],
    licence: str,
    code_licence: str,
    display_name: str,
    note: str = "",
) -> VoiceDraft:
    """Write the components below ``request.workdir`` and describe them. Blocks.

    Raises `RegistryError` if the disk refuses.
    """
    with as_registry_errors("write into", request.workdir):
        request.workdir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="vits-", dir=request.workdir))
    model, table = folder / "model.safetensors", folder / "symbols.json"
    dtype, form = _stored_as(request, architecture)
    if form is not None:
        from voxswap_families.vits.packed import pack

        stored = pack(architecture, tensors, form=form)
    else:
        stored = as_stored(round_tensors(tensors, dtype))
    write_safetensors(stored, model, progress=request.progress)
    with as_registry_errors("write", table):
        table.write_bytes(symbols)
    if dtype != "float32":
        note = "; ".join(filter(None, (note, _rounding(dtype, form))))
    created = request.clock().astimezone(UTC).replace(microsecond=0, tzinfo=None)
    return VoiceDraft(
        voice_id=request.voice_id,
        engine=ENGINE,
        engine_config=architecture.to_config(),
        components=(
            DraftComponent("model", model, "application/vnd.safetensors", form=form),
            DraftComponent("symbols", table, "application/json"),
        ),
        audio=Audio(sample_rate_hertz, architecture.hop_length_samples),
        language=language,
        front_end=front_end,
        speakers=dict(speakers),
        defaults=dict(defaults),
        controls=CONTROLS,
        licence=licence,
        provenance=Provenance(
            source=one_line(source),
            source_digests={one_line(file.path.name): file.digest for file in files},
            tool=tool_name(),
            created=f"{created.isoformat()}Z",
            note=note,
            code_licence=request.code_licence or code_licence,
        ),
        display_name=one_line(display_name),
    )


def _rounding(dtype: Dtype, form: str | None) -> str:
    """What of a voice is stored as what, in words for its provenance."""
    if form is not None:
        return stored_as(form)
    return f"feed-forward layers, flow and generator stored as {dtype}"


def _stored_as(request: ImportRequest, architecture: VitsArchitecture) -> tuple[Dtype, str | None]:
    """The type of the weights that may be rounded, and the form of all.

    Nobody who says nothing gets a form that depends on the machine that imports: packed is what
    native kernels map on any processor. Raises `InvalidInputError` for what does not go together.
    """
    why_not = handled(architecture)
    if request.form in FORMS:
        if request.dtype == "float32":
            raise InvalidInputError.one(
                "form", f"is {request.form!r}, which is bfloat16; leave out the dtype float32"
            )
        if why_not:
            raise InvalidInputError.one(
                "form",
                f"is {request.form!r}, and this voice cannot be packed: {why_not}; use 'plain'",
            )
    if request.form != "plain" and request.dtype != "float32" and not why_not:
        return "bfloat16", PACKED_INT8 if request.form == PACKED_INT8 else PACKED
    return fastest_dtype() if request.dtype == "auto" else request.dtype, None
