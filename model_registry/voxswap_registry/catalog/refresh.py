"""Brings the index up to the store: lists it, compares ETags, and reads what has changed."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from voxswap_registry.catalog.index import Index, IndexedVoice, StoredObject
from voxswap_registry.errors import ManifestError, RegistryError
from voxswap_registry.layout import (
    VOICES,
    VoiceObject,
    manifest_name,
    state_key,
    voice_folder,
    voice_object,
)
from voxswap_registry.manifest import MAX_MANIFEST_BYTES, Manifest
from voxswap_registry.reading import checked_manifest, checked_state
from voxswap_registry.signing import MAX_SIGNATURE_BYTES
from voxswap_registry.state import MAX_STATE_BYTES, VoiceState
from voxswap_registry.store import Registry

_LIMITS = {
    "manifest": MAX_MANIFEST_BYTES,
    "state": MAX_STATE_BYTES,
    "signature": MAX_SIGNATURE_BYTES,
}
_LOGGER = logging.getLogger(__name__)
_BATCH = 250
_HOPELESS = 16  # reads that fail in a row
_MANY = 100  # voices whose folders are listed one by one rather than the whole store
MANIFEST_NAME = re.compile(r"v([0-9]+)\.json")


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh found: voices that are new or changed, those that went, those unreadable.

    ``replaced`` are versions whose manifests have other bytes than before, which no voxswap does.
    """

    changed: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    replaced: frozenset[str] = frozenset()


class Refresher:
    """Refreshes an index. One thread at a time; all blocks on the store."""

    def __init__(self, registry: Registry, index: Index) -> None:
        self._registry = registry
        self._index = index
        self._stopped = threading.Event()
        self._failing = 0  # reads in a row
        self._hopeless: RegistryError | None = None

    def stop(self) -> None:
        """Give a refresh up at its next read. May be called from any thread."""
        self._stopped.set()

    def refresh(self, voice_ids: Iterable[str] | None) -> Refreshed:
        """See `Catalog.refresh`."""
        self._failing, self._hopeless = 0, None
        wanted = None if voice_ids is None else sorted(set(voice_ids))
        if wanted is not None and len(wanted) > _MANY:
            wanted = None
        if wanted is None:
            found = self._everything()
            known = self._index.fingerprints()
        else:
            found = {}
            for voice_id in wanted:
                found[voice_id] = _Folder()
                for info in self._registry.objects.list(voice_folder(voice_id)):
                    found[voice_id].add(voice_object(info.key), info.etag)
            voices = ((voice_id, self._index.voice(voice_id)) for voice_id in found)
            known = {voice_id: voice.fingerprint for voice_id, voice in voices if voice}
        stale = [
            (voice_id, folder)
            for voice_id, folder in found.items()
            if folder.etags and known.get(voice_id) != folder.fingerprint()
        ]
        gone = frozenset(
            voice_id for voice_id in known if not (voice_id in found and found[voice_id].etags)
        )
        if gone:
            self._refuse_emptiness()
        failed, replaced = self._read_all(stale)
        if gone or (wanted is None and not self._index.meta("complete")):
            meta = {"complete": 1} if wanted is None else None
            self._index.write([], gone=gone, meta=meta)
        return Refreshed(frozenset(voice_id for voice_id, _ in stale), gone, failed, replaced)

    def _refuse_emptiness(self) -> None:
        """No voice goes without a trace: a store that is empty all at once is not there."""
        if next(self._registry.objects.list(VOICES), None) is None:
            raise RegistryError(
                f"the registry is empty, and it had {self._index.count()} voices: it was moved, "
                "emptied or not mounted; bring it back, or publish a voice there",
                detail=self._registry.objects.name,
            )

    def _everything(self) -> dict[str, _Folder]:
        found: dict[str, _Folder] = {}
        for info in self._registry.objects.list(VOICES):
            named = voice_object(info.key)
            if named is not None:
                found.setdefault(named.voice_id, _Folder()).add(named, info.etag)
        return found

    def _read_all(self, stale: list[tuple[str, _Folder]]) -> tuple[frozenset[str], frozenset[str]]:
        """Read what changed of these voices and write it into the index, a batch at a time.

        Returns the voices of which something could not be read, and versions that were replaced.
        """
        failed: set[str] = set()
        replaced: set[str] = set()
        with ThreadPoolExecutor(self._registry.objects.readers, "voxswap-catalog") as pool:
            for start in range(0, len(stale), _BATCH):
                batch = stale[start : start + _BATCH]
                wanted = [
                    (voice_id, name, folder.etags[name])
                    for voice_id, folder in batch
                    for name in folder.changed(self._index.names(voice_id))
                ]
                objects: dict[str, list[StoredObject]] = {voice_id: [] for voice_id, _ in batch}
                read = pool.map(lambda key: self._fetch(*key), wanted)
                for (voice_id, _, _), stored in zip(wanted, read, strict=True):
                    if stored is not None:
                        replaced |= self._replaced(voice_id, stored)
                        objects[voice_id].append(stored)
                    if stored is None or stored.problem:
                        failed.add(voice_id)
                self._index.write(
                    [
                        self._indexed(
                            voice_id, folder, objects[voice_id], failed=voice_id in failed
                        )
                        for voice_id, folder in batch
                    ]
                )
        return frozenset(failed), frozenset(replaced)

    def _replaced(self, voice_id: str, stored: StoredObject) -> set[str]:
        """The version whose manifest ``stored`` is, if it has other bytes than it had."""
        number = MANIFEST_NAME.fullmatch(stored.name)
        before = self._index.stored(voice_id, stored.name) if number else None
        if number is None or before is None or before.problem or stored.problem:
            return set()
        if before.data == stored.data:
            return set()  # Put back, or copied: another file with the same bytes.
        _LOGGER.warning(
            "the manifest of %s@%s was replaced by another, and versions never change: it speaks "
            "as the new one says from now on. If nobody restored or made the registry anew, "
            "somebody writes to it who should not: sign what you publish, and serve with "
            "require_signature",
            voice_id,
            number[1],
        )
        return {f"{voice_id}@{number[1]}"}

    def _fetch(self, voice_id: str, name: str, etag: str) -> StoredObject | None:
        """An object of a voice; None if it went away since it was listed."""
        if self._stopped.is_set():
            raise RegistryError("the catalog is being closed; ask another server")
        if (hopeless := self._hopeless) is not None:  # found by another thread
            raise hopeless.copy()
        key = f"{voice_folder(voice_id)}/{name}"
        named = voice_object(key)
        limit = _LIMITS[named.kind] if named else 0
        try:
            data = self._registry.objects.read(key, limit_bytes=limit)
        except RegistryError as error:
            self._failing += 1
            if self._failing >= _HOPELESS and self._registry.objects.readers > 1:
                # It is the network, not the objects: ten thousand more would take hours to fail.
                self._hopeless = error.copy()
                raise
            return StoredObject(name, "", b"", error.message)
        self._failing = 0
        return None if data is None else StoredObject(name, etag, data)

    def _indexed(
        self, voice_id: str, folder: _Folder, objects: list[StoredObject], *, failed: bool
    ) -> tuple[IndexedVoice, list[StoredObject], list[str]]:
        """What the index shall say of a voice: itself, its new objects, the names that went."""
        fresh = {stored.name: stored for stored in objects}
        revision, kept = folder.revision, set(folder.etags)
        state_name = f"s{revision}.json"
        before = self._index.voice(voice_id)
        unread = state_name not in fresh or bool(fresh[state_name].problem)
        if revision and before and unread and state_name not in self._index.names(voice_id):
            # The newest state could not be read this time: what was known counts until it can.
            revision = before.revision
            kept.add(f"s{revision}.json")
            fresh.pop(state_name, None)

        def bytes_of(name: str) -> bytes:
            stored = fresh.get(name) or self._index.stored(voice_id, name)
            return stored.data if stored else b""

        state = VoiceState()
        newest, manifest = 0, None
        with contextlib.suppress(ManifestError):  # Told to whoever asks for the voice.
            if revision:
                state = checked_state(
                    bytes_of(f"s{revision}.json"), state_key(voice_id, revision), revision
                )
        there = {*self._index.names(voice_id), *fresh}
        versions = {v for v in folder.versions() - state.deleted if manifest_name(v) in there}
        if versions:
            newest = max(versions)
            with contextlib.suppress(ManifestError):
                manifest = checked_manifest(bytes_of(manifest_name(newest)), voice_id, newest)
        indexed = IndexedVoice(
            voice_id=voice_id,
            fingerprint=b"" if failed else folder.fingerprint(),
            newest=newest,
            revision=revision,
            languages=tuple(map(str.lower, manifest.spoken_languages)) if manifest else (),
            engine=manifest.engine if manifest else "",
            gender=(manifest.gender if state.gender is None else state.gender) if manifest else "",
            tags=(manifest.tags if state.tags is None else state.tags) if manifest else (),
            display_name=_display_name(manifest, state),
        )
        lost = [name for name in self._index.names(voice_id) if name not in kept]
        return indexed, list(fresh.values()), lost


def _display_name(manifest: Manifest | None, state: VoiceState) -> str:
    if manifest is None:
        return ""
    return manifest.display_name if state.display_name is None else state.display_name


class _Folder:
    """The objects of one voice that matter: all manifests and signatures, the newest state."""

    __slots__ = ("etags", "revision")

    def __init__(self) -> None:
        self.etags: dict[str, str] = {}
        self.revision = 0

    def add(self, found: VoiceObject | None, etag: str) -> None:
        if found is None:
            return
        if found.kind == "state":
            if found.number < self.revision:
                return
            self.etags.pop(f"s{self.revision}.json", None)
            self.revision = found.number
        self.etags[found.name] = etag

    def fingerprint(self) -> bytes:
        text = "\n".join(f"{name} {self.etags[name]}" for name in sorted(self.etags))
        return hashlib.blake2b(text.encode(), digest_size=16).digest()

    def versions(self) -> set[int]:
        return {int(match[1]) for name in self.etags if (match := MANIFEST_NAME.fullmatch(name))}

    def changed(self, known: dict[str, str]) -> list[str]:
        return [name for name, etag in self.etags.items() if not etag or known.get(name) != etag]
