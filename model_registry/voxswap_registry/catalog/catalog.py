"""The catalog: resolves voices and lists them, from the index, and refreshes it from the store."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from voxswap_registry.catalog.index import Index, IndexedVoice, StoredObject, VoiceFilter
from voxswap_registry.errors import (
    ManifestError,
    RegistryError,
    VoiceNotFoundError,
    VoxswapError,
)
from voxswap_registry.layout import (
    VOICES,
    VoiceObject,
    manifest_name,
    state_key,
    voice_folder,
    voice_object,
)
from voxswap_registry.manifest import MAX_MANIFEST_BYTES, Manifest
from voxswap_registry.names import VoiceRef, check_voice_id
from voxswap_registry.resolution import chosen_version
from voxswap_registry.signing import TrustedKeys, check
from voxswap_registry.state import MAX_STATE_BYTES, VoiceRecord, VoiceState
from voxswap_registry.store import (
    MAX_SIGNATURE_BYTES,
    Registry,
    checked_manifest,
    checked_state,
)

_LOGGER = logging.getLogger(__name__)
_LIST = "list what there is with: voxswap voices list"
_LIMITS = {
    "manifest": MAX_MANIFEST_BYTES,
    "state": MAX_STATE_BYTES,
    "signature": MAX_SIGNATURE_BYTES,
}
_BATCH = 250
_MANY = 100  # voices whose folders are listed one by one rather than the whole store
_NEAR = 64
_KEPT_RECORDS, _KEPT_MANIFESTS = 4096, 512
_MANIFEST_NAME = re.compile(r"v([0-9]+)\.json")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class VoiceListing:
    """One voice at its newest version: its manifest, or why that cannot be used."""

    record: VoiceRecord
    newest: Manifest | None
    error: VoxswapError | None = None

    @property
    def voice_id(self) -> str:
        """The voice's id."""
        return self.record.voice_id

    @property
    def versions(self) -> tuple[int, ...]:
        """Its versions in rising order."""
        return self.record.versions


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh found: voices that are new or changed, those that went, those unreadable."""

    changed: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()


class Catalog:
    """All voices of a registry. Thread-safe.

    `refresh` blocks on the store. The others block only on this machine's disk, for well under a
    millisecond, and see the state of the last refresh: they may be called on an event loop. With
    ``trusted``, a version that no trusted key has signed is as good as broken.
    """

    def __init__(
        self, registry: Registry, *, folder: Path | None = None, trusted: TrustedKeys | None = None
    ) -> None:
        """Open the index in ``folder``; without one, in a private place that `close` removes."""
        self.registry = registry
        self._trusted = trusted
        self._index = Index(folder, registry.objects.name)
        self._refreshing = threading.Lock()
        self._count = self._index.count()
        self._records: _Kept[VoiceRecord] = _Kept(_KEPT_RECORDS)
        self._manifests: _Kept[Manifest] = _Kept(_KEPT_MANIFESTS)

    def close(self) -> None:
        """Close the index. Nothing may be called afterwards."""
        with self._refreshing:
            self._index.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading

    @property
    def is_complete(self) -> bool:
        """Whether the whole store was ever looked at: by this process or one before it."""
        return bool(self._index.meta("complete"))

    def count(self) -> int:
        """How many voices there were at the last refresh that changed something."""
        return self._count

    def resolve(self, ref: VoiceRef, *, session_id: str = "") -> Manifest:
        """The manifest that ``ref`` means, see `resolution.chosen_version`.

        Raises `VoiceNotFoundError`; `ManifestError` or `SignatureError` for one that cannot be
        used: another version never takes its place; `RegistryError` if the store was never read.
        """
        with self._index.moment():
            record = self.record(ref.voice_id)
            return self.manifest(record, chosen_version(record, ref, session_id=session_id))

    def record(self, voice_id: str) -> VoiceRecord:
        """Versions and state of a voice. Raises `VoiceNotFoundError` and `ManifestError`."""
        check_voice_id(voice_id)
        with self._index.moment():
            record = self._records.get(voice_id, self._index.generation(), self._read_record)
            if not record.versions:
                raise self._not_found(voice_id)
        return record

    def manifest(self, record: VoiceRecord, version: int) -> Manifest:
        """The manifest of a version of ``record``. Raises as `resolve` does."""
        ref = f"{record.voice_id}@{version}"
        with self._index.moment():
            return self._manifests.get(
                ref,
                self._index.generation(),
                lambda _: self._read_manifest(record.voice_id, version),
            )

    def page(self, wanted: VoiceFilter, *, after: str = "", limit: int) -> list[VoiceListing]:
        """The first ``limit`` voices with ids above ``after`` that are wanted, by id."""
        with self._index.moment():
            return [
                self._listing(found) for found in self._index.page(wanted, after=after, limit=limit)
            ]

    def listings(self, wanted: VoiceFilter | None = None) -> Iterator[VoiceListing]:
        """All voices that are wanted, by id, read a page at a time."""
        after = ""
        while page := self.page(wanted or VoiceFilter(), after=after, limit=_BATCH):
            yield from page
            after = page[-1].voice_id

    def _listing(self, found: IndexedVoice) -> VoiceListing:
        record = VoiceRecord(found.voice_id, (found.newest,), VoiceState())
        try:
            record = self._read_record(found.voice_id)
            return VoiceListing(record, self._read_manifest(found.voice_id, found.newest))
        except VoxswapError as error:
            return VoiceListing(record, None, error)

    def _read_record(self, voice_id: str) -> VoiceRecord:
        voice = self._index.voice(voice_id)
        if voice is None:
            raise self._not_found(voice_id)
        state = VoiceState()
        if voice.revision:
            state = self._state(voice_id, voice.revision)
        names = map(_MANIFEST_NAME.fullmatch, self._index.names(voice_id))
        versions = {int(match[1]) for match in names if match} - state.deleted
        return VoiceRecord(voice_id, tuple(sorted(versions)), state)

    def _state(self, voice_id: str, revision: int) -> VoiceState:
        key = state_key(voice_id, revision)
        stored = self._index.stored(voice_id, key.rpartition("/")[2])
        if stored is None:
            raise RegistryError(f"{key} could not be read yet; try again")
        if stored.problem:
            raise RegistryError(stored.problem)
        return checked_state(stored.data, key, revision, self.registry.objects.name)

    def _read_manifest(self, voice_id: str, version: int) -> Manifest:
        stored = self._index.stored(voice_id, manifest_name(version))
        if stored is None:
            raise VoiceNotFoundError(
                f"{voice_id}@{version} is there no more; {_LIST}",
                metadata={"voice": voice_id, "version": str(version)},
            )
        if stored.problem:
            raise RegistryError(stored.problem)
        manifest = checked_manifest(stored.data, voice_id, version, self.registry.objects.name)
        if self._trusted is not None:
            check(stored.data, self._signatures(voice_id, version), self._trusted, ref=manifest.ref)
        return manifest

    def _signatures(self, voice_id: str, version: int) -> Iterator[bytes]:
        for name in sorted(self._index.names(voice_id)):
            if name.startswith(f"v{version}.") and name.endswith(".sig"):
                stored = self._index.stored(voice_id, name)
                if stored is not None and not stored.problem:
                    yield stored.data

    def _not_found(self, voice_id: str) -> VoxswapError:
        if not self.is_complete:
            return RegistryError(
                f"{self.registry.objects.name} could not be read yet, so it is not known whether "
                f"there is a voice {voice_id!r}; the server's log says why; try again"
            )
        close = difflib.get_close_matches(voice_id, self._index.near(voice_id, limit=_NEAR), n=3)
        hint = f" (did you mean {' or '.join(close)}?)" if close else ""
        return VoiceNotFoundError(
            f"no voice {voice_id!r} is registered{hint}; {_LIST}", metadata={"voice": voice_id}
        )

    # Refreshing

    def refresh(self, voice_ids: Iterable[str] | None = None) -> Refreshed:
        """Look at the store again: at these voices, or at all. Reads only what has changed.

        Blocks on the store. An object that cannot be read hurts nothing but itself: its voice is
        among those that failed, and is looked at again next time. Raises `RegistryError` if the
        store cannot be listed; what was known then stays.
        """
        wanted = None if voice_ids is None else sorted(set(voice_ids))
        if wanted is not None and len(wanted) > _MANY:
            wanted = None
        with self._refreshing:
            if wanted is None:
                found = self._everything()
                known = self._index.fingerprints()
            else:
                found = {}
                for voice_id in wanted:
                    found[voice_id] = _Folder()
                    for info in self.registry.objects.list(voice_folder(voice_id)):
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
            failed = self._read_all(stale)
            if gone or (wanted is None and not self.is_complete):
                meta = {"complete": 1} if wanted is None else None
                self._index.write([], gone=gone, meta=meta)
            self._count = self._index.count()
        return Refreshed(frozenset(voice_id for voice_id, _ in stale), gone, failed)

    def _refuse_emptiness(self) -> None:
        """No voice goes without a trace: a store that is empty all at once is not there."""
        if next(self.registry.objects.list(VOICES), None) is None:
            raise RegistryError(
                f"{self.registry.objects.name} is empty, and it had {self._index.count()} voices: "
                "it was moved, emptied or not mounted; bring it back, or publish a voice there"
            )

    def _everything(self) -> dict[str, _Folder]:
        found: dict[str, _Folder] = {}
        for info in self.registry.objects.list(VOICES):
            named = voice_object(info.key)
            if named is not None:
                found.setdefault(named.voice_id, _Folder()).add(named, info.etag)
        return found

    def _read_all(self, stale: list[tuple[str, _Folder]]) -> frozenset[str]:
        """Read what changed of these voices and write it into the index, a batch at a time."""
        failed: set[str] = set()
        with ThreadPoolExecutor(self.registry.objects.readers, "voxswap-catalog") as pool:
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
        return frozenset(failed)

    def _fetch(self, voice_id: str, name: str, etag: str) -> StoredObject | None:
        """An object of a voice; None if it went away since it was listed."""
        key = f"{voice_folder(voice_id)}/{name}"
        named = voice_object(key)
        limit = _LIMITS[named.kind] if named else 0
        try:
            data = self.registry.objects.read(key, limit_bytes=limit)
        except RegistryError as error:
            return StoredObject(name, "", b"", error.message)
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

        store, state = self.registry.objects.name, VoiceState()
        newest, manifest = 0, None
        with contextlib.suppress(ManifestError):  # Told to whoever asks for the voice.
            if revision:
                state = checked_state(
                    bytes_of(f"s{revision}.json"), state_key(voice_id, revision), revision, store
                )
        there = {*self._index.names(voice_id), *fresh}
        versions = {v for v in folder.versions() - state.deleted if manifest_name(v) in there}
        if versions:
            newest = max(versions)
            with contextlib.suppress(ManifestError):
                manifest = checked_manifest(
                    bytes_of(manifest_name(newest)), voice_id, newest, store
                )
        indexed = IndexedVoice(
            voice_id=voice_id,
            fingerprint=b"" if failed else folder.fingerprint(),
            newest=newest,
            revision=revision,
            language=manifest.language.lower() if manifest else "",
            engine=manifest.engine if manifest else "",
            gender=(manifest.gender if state.gender is None else state.gender) if manifest else "",
            tags=(manifest.tags if state.tags is None else state.tags) if manifest else (),
        )
        lost = [name for name in self._index.names(voice_id) if name not in kept]
        return indexed, list(fresh.values()), lost


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
        return {int(match[1]) for name in self.etags if (match := _MANIFEST_NAME.fullmatch(name))}

    def changed(self, known: dict[str, str]) -> list[str]:
        return [name for name, etag in self.etags.items() if not etag or known.get(name) != etag]


class _Kept(Generic[_T]):
    """Values that were made for one generation of the index, the latest used kept. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._values: OrderedDict[str, tuple[int, _T]] = OrderedDict()

    def get(self, key: str, generation: int, make: Callable[[str], _T]) -> _T:
        """The value of ``key``, made anew if it is of another ``generation``.

        ``generation`` was read before the value is made: a value that is newer than it says is
        made once more, one that is older is never kept as new.
        """
        with self._lock:
            kept = self._values.get(key)
            if kept is not None and kept[0] == generation:
                self._values.move_to_end(key)
                return kept[1]
        value = make(key)
        with self._lock:
            self._values[key] = (generation, value)
            self._values.move_to_end(key)
            while len(self._values) > self._limit:
                self._values.popitem(last=False)
        return value
