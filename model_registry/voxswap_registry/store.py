"""The registry: voices, their versions, and what may change of them, in a folder or a bucket."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from voxswap_registry import state as states
from voxswap_registry.clock import Clock, utc_now
from voxswap_registry.components import Components, MismatchListener
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import (
    RegistryError,
    RevisionConflictError,
)
from voxswap_registry.journal import Journal
from voxswap_registry.layout import (
    signature_key,
    state_key,
    voice_folder,
    voice_object,
)
from voxswap_registry.manifest import (
    Component,
    Manifest,
)
from voxswap_registry.names import VoiceRef
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.publishing import Publisher
from voxswap_registry.reading import TRIES, RegistryReader
from voxswap_registry.resolution import chosen_version
from voxswap_registry.signing import PrivateKey, sign
from voxswap_registry.state import Edit, VoiceRecord, VoiceState
from voxswap_registry.storage.cache import ComponentCache
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.storage.location import open_objects
from voxswap_registry.storage.objects import Objects
from voxswap_registry.workdirs import PREFIX, sweep, workdir

_ABANDONED_S = 86_400
KEPT_STATES = 200  # of each voice; what is older goes as new ones come
_TRIM_AT, _TRIM_AT_ONCE = 8, 64
_LOGGER = logging.getLogger(__name__)


class Registry(RegistryReader):
    """Voices and their versions at one location.

    Thread-safe and safe between processes and machines: it keeps no truth of its own and holds no
    lock. Objects appear whole or not at all, and none but markers ever changes. All methods block
    on the store, and read it at each call; whoever asks often asks a `Catalog`.
    """

    def __init__(
        self,
        objects: Objects | Path,
        *,
        cache: ComponentCache | None = None,
        listener: MismatchListener | None = None,
        workdir: Path | None = None,
        clock: Clock = utc_now,
        copies: bool = False,
    ) -> None:
        """Name the store; a folder need not be there before the first `publish`.

        With ``copies`` components are taken from ``cache`` alone, a folder's as well.
        """
        super().__init__(FolderObjects(objects) if isinstance(objects, Path) else objects)
        self.components = Components(self.objects, cache, listener=listener, copies=copies)
        self.journal = Journal(self.objects)
        self._publisher = Publisher(
            self.objects,
            self.journal,
            look=self.look,
            read=self.read,
            withdraw=lambda voice_id, version: self.delete(
                VoiceRef(voice_id, version), note="its publisher stood still as it was made"
            ),
        )
        self._workdir = workdir
        self._clock = clock

    @classmethod
    def open(
        cls,
        location: str | Path,
        *,
        cache_dir: Path | None = None,
        cache_bytes: int = 20 << 30,
        private_copies: bool = False,
        listener: MismatchListener | None = None,
    ) -> Registry:
        """The registry at a folder or URL; a bucket gets a cache of components in ``cache_dir``.

        With ``private_copies`` a folder gets one as well, and nobody but this user can write to it:
        what was verified stays so, whoever may write to the store. Raises `InvalidInputError` for a
        location that is none, and `RegistryError` if ``cache_dir`` is open to others.
        """
        objects = open_objects(location)
        cache = None
        if cache_dir is not None and (private_copies or not isinstance(objects, FolderObjects)):
            cache = ComponentCache(cache_dir / "components", cache_bytes)
            if private_copies:
                cache.make_private()
        return cls(
            objects, cache=cache, listener=listener, workdir=cache_dir, copies=private_copies
        )

    def __repr__(self) -> str:
        return f"Registry({self.objects.name!r})"

    # Publishing

    def publish(
        self,
        draft: VoiceDraft,
        *,
        version: int | None = None,
        label: str | None = None,
        actor: str = "",
        rewrite: bool | Collection[str] = False,
        cancelled: Callable[[], bool] | None = None,
    ) -> Manifest:
        """Make ``draft`` the next version of its voice, and return its manifest.

        Blocks while the components are hashed, copied and synced. Two publishers get two numbers.
        With ``version``, that number and no other is taken: `VersionExistsError` if it was ever
        used. With ``label``, that label moves to it afterwards. A blob that is there but damaged is
        replaced, see `publishing.stored`: publishing again repairs it. ``cancelled`` is asked at
        every block of bytes and right before the version is made; once it says True,
        `concurrent.futures.CancelledError` is raised and nothing is published.

        Raises `InvalidInputError` for a bad id, `ManifestError` for a draft that could not be read
        back, `RegistryBusyError` if garbage is collected for longer than a minute, and
        `RegistryError` where the store refuses.
        """
        published = self._publisher.publish(
            draft, version, label, rewrite=rewrite, again=True, cancelled=cancelled
        )
        self._label(published[0], label, actor)
        return published[0]

    def publish_if_new(
        self,
        draft: VoiceDraft,
        *,
        version: int | None = None,
        label: str | None = None,
        actor: str = "",
        rewrite: bool | Collection[str] = False,
        cancelled: Callable[[], bool] | None = None,
    ) -> tuple[Manifest, bool]:
        """`publish`, unless the newest version is the same; its manifest, and whether it is new.

        What differs only in where and when it was imported is the same. ``cancelled`` is asked at
        every block and right before the manifest is created; once it says True,
        `concurrent.futures.CancelledError` is raised and nothing is published.
        """
        manifest, is_new = self._publisher.publish(
            draft, version, label, rewrite=rewrite, again=False, cancelled=cancelled
        )
        self._label(manifest, label, actor)
        return manifest, is_new

    def _label(self, manifest: Manifest, label: str | None, actor: str) -> None:
        if label is None:
            return
        try:
            self.edit(manifest.voice_id, Edit(moves={label: manifest.version}), actor=actor)
        except (RegistryError, RevisionConflictError) as error:
            raise type(error)(
                f"{manifest.ref} is published, and the label {label!r} was not moved to it: "
                f"{error.message}; move it with: voxswap voices promote {manifest.ref} --label "
                f"{label}",
                metadata=error.metadata,
                detail=error.detail,
            ) from error

    @contextlib.contextmanager
    def workdir(self) -> Iterator[Path]:
        """A private folder, on the store's own disk or beside the cache; gone afterwards."""
        if isinstance(self.objects, FolderObjects):
            with self.objects.workdir() as path:
                yield path
        else:
            parent = self._workdir or Path(tempfile.gettempdir())
            with as_registry_errors("write into", parent, name="the cache's folder"):
                parent.mkdir(parents=True, exist_ok=True)
            if self._workdir is not None:
                with contextlib.suppress(RegistryError):
                    before_s = time.time() - _ABANDONED_S
                    sweep(parent, before_s=before_s, dry_run=False, prefix=PREFIX)
            with workdir(parent) as path:
                yield path

    # Changing

    def edit(
        self,
        voice_id: str,
        edit: Edit,
        *,
        actor: str = "",
        note: str = "",
        expected_revision: int | None = None,
    ) -> VoiceRecord:
        """Carry out ``edit``, all of it or nothing; the voice as it is then.

        Raises `VoiceNotFoundError`, `InvalidInputError`, and `RevisionConflictError` if the voice
        is not at ``expected_revision``.
        """
        return self.change(
            voice_id, edit.applied, actor=actor, note=note, expected_revision=expected_revision
        )

    def roll_back(
        self,
        voice_id: str,
        label: str = states.STABLE,
        *,
        actor: str = "",
        note: str = "",
        check: Callable[[int], object] | None = None,
    ) -> tuple[int, int]:
        """Move ``label`` back to where it was; the version that it left and the one it names now.

        A label that named nothing left version 0. ``check`` raises if it must not go to a version;
        one that cannot be read is never gone back to. Raises `NothingToRollBackError`.
        """
        left = 0
        usable = check or (lambda version: self.read(voice_id, version))

        def back(record: VoiceRecord) -> VoiceState:
            nonlocal left
            left = record.state.labels.get(label, 0)
            after = states.rolled_back(record, label)
            usable(after.labels[label])
            return after

        record = self.change(voice_id, back, actor=actor, note=note)
        return left, record.state.labels[label]

    def delete(self, ref: VoiceRef, *, actor: str = "", note: str = "") -> tuple[int, ...]:
        """Delete a version, or all of a voice; the versions that went, in rising order.

        Their numbers are never used again. Blobs stay until they are collected. Raises
        `VersionInUseError` and `VoiceNotFoundError`.
        """
        gone: list[int] = []

        def without(record: VoiceRecord) -> VoiceState:
            if ref.label is not None:
                gone[:] = [chosen_version(record, ref)]
            else:
                gone[:] = record.versions if ref.version is None else [ref.version]
            return states.deleted(record, gone)

        self.change(ref.voice_id, without, actor=actor, note=note)
        # From here on nobody sees them. What is not removed now, the collector removes.
        try:
            self.remove_objects_of(ref.voice_id, frozenset(gone))
        except RegistryError as error:
            _LOGGER.warning("%s is deleted, and leaves objects behind: %s", ref, error)
        return tuple(gone)

    def change(
        self,
        voice_id: str,
        transition: Callable[[VoiceRecord], VoiceState],
        *,
        actor: str = "",
        note: str = "",
        expected_revision: int | None = None,
    ) -> VoiceRecord:
        """Apply a pure ``transition`` to the newest state; again if somebody else was faster.

        Raises `RevisionConflictError`.
        """
        states.check_text("actor", actor, states.MAX_ACTOR_CHARACTERS)
        states.check_text("note", note, states.MAX_NOTE_CHARACTERS)
        for _ in range(TRIES):
            record = self.record(voice_id)
            revision = record.state.revision
            if expected_revision is not None and revision != expected_revision:
                raise RevisionConflictError(
                    f"{voice_id} is at revision {revision}, and the change was made for "
                    f"{expected_revision}; look at it again, and change what is still to change",
                    metadata={"voice": voice_id, "revision": str(revision)},
                )
            after = transition(record)
            if not after.change.action:
                return record  # Everything is as wished already.
            change = dataclasses.replace(
                after.change,
                actor=actor,
                note=note,
                time=self._clock().isoformat(timespec="seconds"),
            )
            after = dataclasses.replace(after, revision=revision + 1, change=change)
            data = after.to_json()
            VoiceState.from_json(data, where=f"{voice_id} after this change")  # Or never again.
            if self.objects.create(state_key(voice_id, revision + 1), data):
                try:
                    self._tidied(voice_id, revision + 1)
                except RegistryError as error:  # What is committed counts.
                    _LOGGER.warning("%s has changed, and was not looked at: %s", voice_id, error)
                self.journal.note(voice_id)
                versions = tuple(v for v in record.versions if v not in after.deleted)
                return VoiceRecord(voice_id, versions, after)
        raise RevisionConflictError(
            f"{voice_id} was changed by others {TRIES} times in a row; try again",
            metadata={"voice": voice_id},
        )

    def _tidied(self, voice_id: str, revision: int) -> None:
        """See that the state ``revision`` which was just made counts, and remove spent ones.

        States go by number, the lowest first, so a number may be free again that was used long ago.
        Whoever takes it as the next has stood still while others made hundreds of changes, and
        its own is in nobody's sight: `RevisionConflictError`. Where fewer are above it than are
        kept, its number was never removed, so it was the first to have it.
        """
        numbers = self.revisions(voice_id)
        newest = max(numbers, default=revision)
        if newest >= revision + KEPT_STATES:
            with contextlib.suppress(RegistryError):
                self.objects.delete(state_key(voice_id, revision))
            raise RevisionConflictError(
                f"{voice_id} is at revision {newest}, and the change was made for {revision - 1}, "
                "so it may not count; look at it again, and change what is still to change",
                metadata={"voice": voice_id, "revision": str(newest)},
            )
        spent = spent_revisions(numbers)
        if len(spent) >= _TRIM_AT:
            for number in spent[:_TRIM_AT_ONCE]:
                self.objects.delete(state_key(voice_id, number))

    def sign(self, voice_id: str, version: int, key: PrivateKey) -> str:
        """Sign a version, and return the id of the key. Signing again with one key changes nothing.

        Blocks; the bytes of its components are not looked at. Raises `VoiceNotFoundError`.
        """
        data = self._manifest_bytes(voice_id, version)
        Manifest.from_json(data, where=f"{voice_id}@{version}")
        self.objects.replace(signature_key(voice_id, version, key.key_id), sign(data, key))
        self.journal.note(voice_id)
        return key.key_id

    def remove_objects_of(self, voice_id: str, versions: frozenset[int]) -> int:
        """Remove manifests and signatures of versions that are deleted; how many objects."""
        n = 0
        for info in list(self.objects.list(voice_folder(voice_id))):
            found = voice_object(info.key)
            if found and found.kind != "state" and found.number in versions:
                self.objects.delete(info.key)
                n += 1
        if n:
            self.journal.note(voice_id)
        return n

    def verify(self, component: Component, *, cancelled: Callable[[], bool] | None = None) -> None:
        """Hash the bytes of ``component``, by each of its digests; raises as `Components.hold`."""
        for each in dict.fromkeys((component.by_name(), component)):
            with self.components.hold(each, cancelled=cancelled):
                pass


def spent_revisions(numbers: Iterable[int]) -> list[int]:
    """Of the revisions that are there, those too far behind the newest to be kept; rising."""
    rising = sorted(numbers)
    return [number for number in rising if number <= rising[-1] - KEPT_STATES]
