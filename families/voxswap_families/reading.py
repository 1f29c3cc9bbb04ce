"""The part of a voice that reads: its symbol table, and the front-end over it.

Families whose voices have a component with the role ``symbols`` take all of it from here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from voxswap_families.contract import DevicePart, HostPart, MakeFrontEnd, PartSpec
from voxswap_families.symbols import MAX_TABLE_BYTES, SymbolTable
from voxswap_families.text import FrontEnd
from voxswap_registry.errors import EngineError, FieldViolation, ManifestError
from voxswap_registry.manifest import Manifest
from voxswap_registry.records import shown
from voxswap_registry.storage.verified import VerifiedFile

ROLE: Final = "symbols"
# A table of Piper's, 1.3 KB as JSON, takes 18 KB as Python objects.
_TABLE_FACTOR = 16


@dataclass(frozen=True, slots=True)
class FrontEndPart:
    """A symbol table with its front-end: in host memory, whatever the device is.

    ``resident_bytes`` is what was announced: objects are not measured.
    """

    front_end: FrontEnd
    resident_bytes: int
    allocated_bytes: int = 0
    host_bytes: int = 0

    def place(self) -> DevicePart:
        """Itself."""
        return self


def part(manifest: Manifest) -> PartSpec:
    """What is read alike is shared: the same bytes, front-end and language.

    Raises `ManifestError` for a table that is too large to be read.
    """
    size_bytes = manifest.component(ROLE).size_bytes
    if size_bytes > MAX_TABLE_BYTES:
        raise ManifestError(
            f"{manifest.ref}: the symbols component has {size_bytes} bytes, more than the "
            f"{MAX_TABLE_BYTES} that are read of a symbol table; publish the voice anew"
        )
    facts = [manifest.front_end.kind, dict(manifest.front_end.options), manifest.language]
    form = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    return PartSpec(ROLE, form, _TABLE_FACTOR * size_bytes)


def read(manifest: Manifest, file: VerifiedFile, make: MakeFrontEnd) -> HostPart:
    """*Load.* The table, and the front-end that ``make`` makes of it.

    Raises `ManifestError` for a table that is none, and `FrontEndError`.
    """
    footprint_bytes = part(manifest).footprint_bytes  # and so it is not too large
    table = SymbolTable.from_json(file.read_bytes())
    front_end = make(manifest.front_end, table, manifest.language)
    return FrontEndPart(front_end, footprint_bytes)


def front_end_of(manifest: Manifest, parts: Mapping[str, DevicePart]) -> FrontEnd:
    """The front-end among ``parts``. Raises `EngineError` if there is none."""
    found = parts[ROLE]
    if not isinstance(found, FrontEndPart):
        raise EngineError(f"{manifest.ref}: its symbols are no symbol table; import it again")
    return found.front_end


def row_faults(manifest: Manifest, n_speakers: int) -> Iterator[FieldViolation]:
    """Speakers beyond the ``n_speakers`` rows of a table; without one, the speaker has row 0."""
    for name, row in manifest.speakers.items():
        if not 0 <= row < max(1, n_speakers):
            yield FieldViolation(
                "speakers",
                f"gives {shown(name)} the row {shown(row)}, and the engine has {n_speakers} rows",
            )
            return
