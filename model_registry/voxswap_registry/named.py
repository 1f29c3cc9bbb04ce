"""What a manifest names, whatever else is wrong with it: for whoever must not remove that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voxswap_registry.errors import ManifestError
from voxswap_registry.manifest import SCHEMA_VERSION, Digest
from voxswap_registry.records import Record, record

# What was taken at first: such a manifest cannot be used any more, but what it names is known.
MAX_OLD_MANIFEST_BYTES: Final = 1 << 20


@record()
@dataclass(frozen=True, slots=True)
class _NamedComponent:
    digest: Digest


@record()
@dataclass(frozen=True, slots=True)
class _Names:
    voice_id: str
    version: int
    components: tuple[_NamedComponent, ...]


_NAMES: Final = Record(
    _Names,
    limit_bytes=MAX_OLD_MANIFEST_BYTES,
    schema_version=SCHEMA_VERSION,
    remedy="Put the file back, or delete the version",
)


def named_digests(data: bytes, *, voice_id: str, version: int, where: str) -> frozenset[str]:
    """The digests of the components of a version's manifest, whatever else is wrong with it.

    For whoever must not remove them. Raises `ManifestError` if they cannot be told.
    """
    found = _NAMES.read(data, where=where)
    if (found.voice_id, found.version) != (voice_id, version):
        raise ManifestError(f"{where}: says that it is another voice or version; put the file back")
    return frozenset(component.digest for component in found.components)
