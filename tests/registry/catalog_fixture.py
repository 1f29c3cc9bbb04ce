"""A catalog over a store whose every call is on record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.registry.drafts import make_draft
from tests.registry.faults import HookedObjects
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.catalog.index import VoiceFilter
from voxswap_registry.errors import RegistryError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.signing import TrustedKeys
from voxswap_registry.storage.objects import Objects
from voxswap_registry.store import Registry

OUTAGE = RegistryError("the network is down; plug it in")


class RecordedStore:
    """A store, a registry that writes there unseen, and catalogs whose every call is on record."""

    def __init__(self, objects: Objects, folder: Path) -> None:
        self.registry = Registry(objects)
        self.hooked = HookedObjects(objects)
        self.cache_dir = folder / "cache"
        self._drafts = folder / "drafts"

    def catalog(self, *, private: bool = False, trusted: TrustedKeys | None = None) -> Catalog:
        folder = None if private else self.cache_dir
        return Catalog(Registry(self.hooked), folder=folder, trusted=trusted)

    def publish(self, voice_id: str, **changes: Any) -> Manifest:
        return self.registry.publish(make_draft(self._drafts, voice_id, **changes))

    def put(self, key: str, data: bytes) -> None:
        self.registry.objects.replace(key, data)

    def reads_of(self, work: Callable[[], object]) -> list[str]:
        self.hooked.calls.clear()
        work()
        return sorted(self.asked("read"))

    def asked(self, call: str) -> list[str]:
        """The keys that ``call`` was made with since `reads_of`, in order."""
        return [key for made, key in self.hooked.calls if made == call]


def ids(catalog: Catalog, **wanted: Any) -> list[str]:
    return [listing.voice_id for listing in catalog.listings(VoiceFilter(**wanted))]


def version(catalog: Catalog, ref: str, **options: Any) -> int:
    return catalog.resolve(VoiceRef.parse(ref), **options).version
