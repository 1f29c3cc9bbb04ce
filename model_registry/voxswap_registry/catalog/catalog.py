"""The catalog: resolves voices and lists them, from the index, and refreshes it from the store."""

from __future__ import annotations

import contextlib
import difflib
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from voxswap_registry.catalog.index import Index, IndexedVoice, VoiceFilter
from voxswap_registry.catalog.refresh import MANIFEST_NAME, Refreshed, Refresher
from voxswap_registry.errors import (
    RegistryError,
    VoiceNotFoundError,
    VoxswapError,
)
from voxswap_registry.kept import Kept, held_bytes
from voxswap_registry.layout import (
    manifest_name,
    state_key,
)
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef, check_voice_id
from voxswap_registry.reading import checked_manifest, checked_state
from voxswap_registry.resolution import chosen_version
from voxswap_registry.signing import TrustedKeys, check
from voxswap_registry.state import VoiceRecord, VoiceState
from voxswap_registry.store import Registry

_LIST = "list what there is with: voxswap voices list"
_BATCH = 250
_NEAR = 64
_PATIENCE_S = 10.0
_LOGGER = logging.getLogger(__name__)
# As Python objects: 3 KB for the record of a usual voice, 20 KB for its manifest.
_RECORDS_BYTES, _MANIFESTS_BYTES = 32 << 20, 32 << 20

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
        self._refresher = Refresher(registry, self._index)
        self._count = self._index.count()
        # By generation of the index; and manifests by their bytes too, since most changes of a
        # registry change no manifest, and reading one takes milliseconds of an event loop.
        self._records: _Stamped[VoiceRecord] = _Stamped(_RECORDS_BYTES)
        self._manifests: _Stamped[Manifest] = _Stamped(_MANIFESTS_BYTES)
        self._parsed: _Stamped[Manifest] = _Stamped(_MANIFESTS_BYTES)

    def close(self) -> None:
        """Close the index, giving up a refresh under way. Nothing may be called afterwards.

        Blocks until the store has answered what was asked of it, ten seconds at most.
        """
        self._refresher.stop()
        if not self._refreshing.acquire(timeout=_PATIENCE_S):
            _LOGGER.warning("%s does not answer; its catalog is left open", self.registry)
            return
        with self._locked():
            self._index.close()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """The lock of refreshes, which is held already, let go of at the end."""
        try:
            yield
        finally:
            self._refreshing.release()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading

    @property
    def is_complete(self) -> bool:
        """Whether the whole store was ever looked at: by this process or one before it."""
        return bool(self._index.meta("complete"))

    @property
    def journal_number(self) -> int:
        """Up to which entry of the journal it knows everything; 0 if it does not say."""
        return self._index.meta("journal")

    def note_journal(self, number: int) -> None:
        """It knows everything up to that entry. For whoever refreshes it."""
        if number != self.journal_number:
            self._index.keep("journal", number)

    def generation(self) -> int:
        """A number that rises with every change."""
        return self._index.generation()

    def count(self) -> int:
        """How many voices there were at the last refresh."""
        return self._count

    @property
    def kept_bytes(self) -> int:
        """Of manifests and records that were read already."""
        return sum(kept.size_bytes for kept in (self._records, self._manifests, self._parsed))

    def resolve(self, ref: VoiceRef, *, session_id: str = "") -> Manifest:
        """The manifest that ``ref`` means, see `resolution.chosen_version`.

        Raises `VoiceNotFoundError`; `ManifestError` or `SignatureError` for one that cannot be
        used: another version never takes its place; `RegistryError` if the store was never read.
        """
        with self._index.moment():
            record = self.record(ref.voice_id)
            return self.manifest(record, chosen_version(record, ref, session_id=session_id))

    def has(self, voice_id: str) -> bool:
        """Whether a voice of this id is registered. Costs less than to be told that none is."""
        voice = self._index.voice(voice_id)
        return voice is not None and voice.newest > 0

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
        names = map(MANIFEST_NAME.fullmatch, self._index.names(voice_id))
        versions = {int(match[1]) for match in names if match} - state.deleted
        return VoiceRecord(voice_id, tuple(sorted(versions)), state)

    def _state(self, voice_id: str, revision: int) -> VoiceState:
        key = state_key(voice_id, revision)
        stored = self._index.stored(voice_id, key.rpartition("/")[2])
        if stored is None:
            raise RegistryError(f"{key} could not be read yet; try again")
        if stored.problem:
            raise RegistryError(stored.problem)
        return checked_state(stored.data, key, revision)

    def _read_manifest(self, voice_id: str, version: int) -> Manifest:
        stored = self._index.stored(voice_id, manifest_name(version))
        if stored is None:
            raise VoiceNotFoundError(
                f"{voice_id}@{version} is there no more; {_LIST}",
                metadata={"voice": voice_id, "version": str(version)},
            )
        if stored.problem:
            raise RegistryError(stored.problem)
        manifest = self._parsed.get(
            f"{voice_id}@{version}",
            stored.data,
            lambda _: checked_manifest(stored.data, voice_id, version),
        )
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
                f"the registry could not be read yet, so it is not known whether there is a voice "
                f"{voice_id!r}; the server's log says why; try again",
                detail=self.registry.objects.name,
            )
        close = difflib.get_close_matches(voice_id, self._index.near(voice_id, limit=_NEAR), n=3)
        hint = f" (did you mean {' or '.join(close)}?)" if close else ""
        return VoiceNotFoundError(
            f"no voice {voice_id!r} is registered{hint}; {_LIST}", metadata={"voice": voice_id}
        )

    def refresh(self, voice_ids: Iterable[str] | None = None) -> Refreshed:
        """Look at the store again: at these voices, or at all. Reads only what has changed.

        Blocks on the store. An object that cannot be read hurts nothing but itself: its voice is
        among those that failed, and is looked at again next time. Raises `RegistryError` if the
        store cannot be listed; what was known then stays.
        """
        if not self._refreshing.acquire(timeout=_PATIENCE_S):
            raise RegistryError(
                "the registry is being read by others, and that takes long; try again",
                detail=self.registry.objects.name,
            )
        with self._locked():
            refreshed = self._refresher.refresh(voice_ids)
            self._count = self._index.count()
        return refreshed


class _Stamped(Generic[_T]):
    """Values with what they were made for, the latest used kept. Thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self._lock = threading.Lock()
        self._values: Kept[tuple[int | bytes, _T]] = Kept(limit_bytes)

    @property
    def size_bytes(self) -> int:
        """Of all values that are kept."""
        return self._values.size_bytes

    def get(self, key: str, stamp: int | bytes, make: Callable[[str], _T]) -> _T:
        """The value of ``key``, made anew if it was made for another ``stamp``.

        A generation was read before the value is made: a value that is newer than it says is made
        once more, one that is older is never kept as new.
        """
        with self._lock:
            kept = self._values.get(key)
            if kept is not None and kept[0] == stamp:
                return kept[1]
        value = make(key)
        size_bytes = held_bytes(value) + sys.getsizeof(stamp)
        with self._lock:
            self._values.put(key, (stamp, value), size_bytes)
        return value
