"""Publishing: blobs first, the manifest last, so that no reader meets a version with parts missing.

A publisher that dies anywhere leaves the old state or the new; what else it leaves is unreferenced,
in nobody's way, and collected one day. A blob gets its name only with the bytes that were hashed on
their way there, and sound bytes that are there already are not touched.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Collection, Iterator
from io import FileIO
from pathlib import Path

from voxswap_registry.digests import Digests, Proof
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import (
    ComponentMissingError,
    ManifestError,
    RegistryError,
    RevisionConflictError,
    VersionExistsError,
    VersionInUseError,
    VoiceNotFoundError,
)
from voxswap_registry.journal import Journal
from voxswap_registry.layout import blob_key, manifest_key
from voxswap_registry.manifest import Component, Manifest
from voxswap_registry.markers import Marker, publishing
from voxswap_registry.names import check_label, check_voice_id
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.state import VoiceRecord
from voxswap_registry.storage.folder import open_no_follow
from voxswap_registry.storage.objects import Objects

_BLOCK_BYTES = 1 << 20
Tick = Callable[[], object]


class Publisher:
    """Publishes into a store. Thread-safe; blocks on the store and the draft's files.

    ``look``, ``read`` and ``withdraw`` are the registry's own: the record of a voice, a manifest,
    and a version that goes for good.
    """

    def __init__(
        self,
        objects: Objects,
        journal: Journal,
        *,
        look: Callable[[str], VoiceRecord],
        read: Callable[[str, int], Manifest],
        withdraw: Callable[[str, int], object],
    ) -> None:
        self._objects = objects
        self._journal = journal
        self._look = look
        self._read = read
        self._withdraw = withdraw

    def publish(
        self,
        draft: VoiceDraft,
        version: int | None,
        label: str | None,
        *,
        rewrite: bool | Collection[str],
        again: bool,
        cancelled: Callable[[], bool] | None = None,
    ) -> tuple[Manifest, bool]:
        """Publish ``draft``; its manifest, and whether that is new. See `Registry.publish`.

        ``label`` is only checked here. Without ``again``, the newest version will do if it is the
        same.
        """
        check_voice_id(draft.voice_id)
        if version is not None:
            manifest_key(draft.voice_id, version)  # Checked before anything is written.
        if label is not None:
            check_label(label)
        prepared(draft, 1, placeholders(draft))
        look_for_cancel = _raising(cancelled, draft.voice_id)
        with publishing(self._objects, tick=look_for_cancel) as marker:

            def tick() -> None:
                look_for_cancel()
                marker.refresh()

            components = stored(self._objects, draft.components, rewrite=rewrite, tick=tick)
            # Raises if it may have been taken for dead: then blobs may be gone.
            marker.renew()
            manifest = None if again else self._same(draft, components)
            if manifest is not None and version not in (None, manifest.version):
                manifest = None
            is_new = manifest is None
            if manifest is None:
                manifest = self._numbered(draft, version, components, marker, look_for_cancel)
        return manifest, is_new

    def _same(self, draft: VoiceDraft, components: tuple[Component, ...]) -> Manifest | None:
        """The newest version, if ``draft`` is nothing else.

        Of bytes that were not given, a draft may lack the BLAKE3 that the version has.
        """
        versions = self._look(draft.voice_id).versions
        if not versions:
            return None
        try:
            newest = self._read(draft.voice_id, versions[-1])
        except ManifestError:
            return None  # The next version takes the place of one that cannot be read.
        known = {c.digest: c.blake3 for c in newest.components}
        components = tuple(
            dataclasses.replace(c, blake3=c.blake3 or known.get(c.digest)) for c in components
        )
        ours = draft.manifest(newest.version, components)
        ours = dataclasses.replace(ours, provenance=newest.provenance)
        return newest if ours.to_json() == newest.to_json() else None

    def _numbered(
        self,
        draft: VoiceDraft,
        version: int | None,
        components: tuple[Component, ...],
        marker: Marker,
        look_for_cancel: Tick,
    ) -> Manifest:
        while True:
            record = self._look(draft.voice_id)
            number = version or record.highest_number + 1
            data = prepared(draft, number, components)
            key = manifest_key(draft.voice_id, number)
            marker.refresh()
            look_for_cancel()
            if number not in record.state.deleted and self._objects.create(key, data):
                if number not in self._look(draft.voice_id).state.deleted:
                    self._certain(draft.voice_id, number, marker)
                    self._journal.note(draft.voice_id)
                    return self._read(draft.voice_id, number)
                # Others took and deleted it between our look and our write: it is spent.
                self._objects.delete(key)
            if version is not None:
                raise VersionExistsError(
                    f"{draft.voice_id}@{version} is there already or was deleted, and versions "
                    "never change; publish without a number to get the next one",
                    metadata={"voice": draft.voice_id, "version": str(version)},
                )

    def _certain(self, voice_id: str, version: int, marker: Marker) -> None:
        """Take a version back, and raise, if a collector may have been at work when it was made.

        That is so if this process stood still between its last look at its marker and the write.
        """
        try:
            marker.renew()
        except RegistryError as error:
            with contextlib.suppress(VoiceNotFoundError):  # Somebody else was faster.
                try:
                    self._withdraw(voice_id, version)
                except (RegistryError, RevisionConflictError, VersionInUseError) as fault:
                    raise RegistryError(
                        f"{voice_id}@{version} is published, and may lack components: "
                        f"{error.message}; check it with `voxswap voices verify`, and publish the "
                        "voice again",
                        detail=str(fault),
                    ) from error
            raise


def _raising(cancelled: Callable[[], bool] | None, voice_id: str) -> Tick:
    def look() -> None:
        if cancelled is not None and cancelled():
            raise concurrent.futures.CancelledError(f"publishing {voice_id}")

    return look


def prepared(draft: VoiceDraft, version: int, components: tuple[Component, ...]) -> bytes:
    """The bytes of the manifest, proven to read back. Raises `ManifestError`."""
    try:
        data = draft.manifest(version, components).to_json()
    except ValueError as error:
        raise ManifestError(
            f"{draft.voice_id}: the draft holds text that is no Unicode ({error}); import the "
            "voice again"
        ) from error
    Manifest.from_json(data, where=f"{draft.voice_id}@{version}")
    return data


def placeholders(draft: VoiceDraft) -> tuple[Component, ...]:
    """Components for trying out a manifest before any byte of them is read."""
    return tuple(
        Component(c.role, c.digest or f"sha256:{'0' * 64}", 1, c.media_type, "0" * 64, c.form)
        for c in draft.components
    )


def as_upload(
    draft: VoiceDraft, hashes: dict[Path, Component] | None = None
) -> tuple[bytes, dict[str, Path]]:
    """A draft as `RegisterVoice` takes it: its manifest without a version, its files by digest.

    Blocks: it hashes those that are not in ``hashes``, where it keeps them, for drafts that share
    files. Raises `ComponentMissingError` for a file that is not there.
    """
    components, files = [], {}
    hashes = {} if hashes is None else hashes
    for part in draft.components:
        if part.path is None:
            raise ComponentMissingError(
                f"the {part.role} component {part.digest} of {draft.voice_id} has no file here"
            )
        if part.path not in hashes:
            with as_registry_errors("read", part.path), part.path.open("rb", buffering=0) as file:
                hashes[part.path] = _hashed(part, file, lambda: None)
        found = hashes[part.path]
        components.append(_as(part, found))
        files[found.digest] = part.path
    raw = json.loads(prepared(draft, 1, tuple(components)))
    del raw["version"]
    return json.dumps(raw, ensure_ascii=False).encode(), files


def stored(
    objects: Objects,
    parts: Collection[DraftComponent],
    *,
    rewrite: bool | Collection[str],
    tick: Tick,
) -> tuple[Component, ...]:
    """The components of ``parts``, whose bytes are in the store when this returns.

    Whatever the number of parts, a file is hashed once, and a digest is stored once. Bytes that are
    there already are not sent again. On a disk of ours they are hashed first, and replaced if they
    are damaged; in a bucket their size must do, unless ``rewrite`` is true or names their digest.
    Both digests are of the bytes that are given; of bytes that are there already, and not given,
    the BLAKE3 is what the draft says.
    ``tick`` is called at every block. Raises `ComponentMissingError` for a part without a file
    whose bytes are not there, and `RegistryError`, also for a file that changes meanwhile: what is
    stored is what was hashed, or as it was.
    """
    by_file: dict[Path | str, Component] = {}
    done: set[str] = set()
    components = []
    for part in parts:
        tick()
        source = part.digest if part.path is None else part.path
        if source not in by_file:
            if part.path is None:
                by_file[source] = _already_stored(objects, part)
            else:
                with (
                    as_registry_errors("read", part.path),
                    part.path.open("rb", buffering=0) as file,
                ):
                    known = _known(part, file)
                    found = by_file[source] = known or _hashed(part, file, tick)
                    again = rewrite if isinstance(rewrite, bool) else found.digest in rewrite
                    if found.digest not in done:
                        # What others say of the bytes is proven; what we found, recognised.
                        by = (found.digest, found.checked_by) if known else (found.checked_by,)
                        _store(objects, found, by, file, again=again, tick=tick)
            done.add(by_file[source].digest)
        components.append(_as(part, by_file[source]))
    return tuple(components)


def _as(part: DraftComponent, found: Component) -> Component:
    return dataclasses.replace(found, role=part.role, media_type=part.media_type, form=part.form)


def _store(
    objects: Objects,
    component: Component,
    by: tuple[str, ...],
    file: FileIO,
    *,
    again: bool,
    tick: Tick,
) -> None:
    """Store the bytes of ``file``, which must have the digests ``by``."""
    key = blob_key(component.digest)
    if not _is_sound(objects, key, component, by, again=again, tick=tick):
        file.seek(0)
        objects.upload(key, _blocks(file, component, by, tick), source=file)


def _already_stored(objects: Objects, draft: DraftComponent) -> Component:
    key = blob_key(draft.digest)
    info = objects.head(key)
    if info is None:
        raise ComponentMissingError(
            f"the {draft.role} component {draft.digest} is not in the registry, and no file of it "
            "was given; send its bytes too",
            metadata={"digest": draft.digest},
            detail=objects.name,
        )
    return Component(draft.role, draft.digest, info.size_bytes, draft.media_type, draft.blake3)


def _is_sound(
    objects: Objects,
    key: str,
    component: Component,
    by: tuple[str, ...],
    *,
    again: bool,
    tick: Tick,
) -> bool:
    """Whether the store has the bytes: hashed on a disk, by size in a bucket and not ``again``."""
    info = objects.head(key)
    if info is None or info.size_bytes != component.size_bytes:
        return False
    path = objects.path(key)
    if path is None:
        return not again
    with (
        as_registry_errors("read", path, name=key),
        os.fdopen(open_no_follow(path), "rb", 0) as file,
    ):
        proof = Proof(by)
        for block in _read(file, tick):
            proof.update(block)
        return proof.holds


def _known(part: DraftComponent, file: FileIO) -> Component | None:
    """What its maker says of a file. If its bytes are needed, they are hashed on their way.

    Who says no more than its name has it hashed first, like any other.
    """
    if not part.digest or part.blake3 is None:
        return None
    size_bytes = os.fstat(file.fileno()).st_size
    return Component(part.role, part.digest, size_bytes, part.media_type, part.blake3)


def _hashed(part: DraftComponent, file: FileIO, tick: Tick) -> Component:
    """What ``file`` holds, from where it is on, as a component like ``part``."""
    digests, n_bytes = Digests(), 0
    for block in _read(file, tick):
        digests.update(block)
        n_bytes += len(block)
    if part.digest not in ("", digests.digest):
        raise _changed(part, file)
    return Component(part.role, digests.digest, n_bytes, part.media_type, digests.blake3)


def _read(file: FileIO, tick: Tick) -> Iterator[memoryview]:
    block = memoryview(bytearray(_BLOCK_BYTES))
    while n := file.readinto(block):
        yield block[:n]
        tick()


def _blocks(
    file: FileIO, component: Component, by: tuple[str, ...], tick: Tick
) -> Iterator[memoryview]:
    """The bytes of ``component``; raises before the end if ``file`` holds others."""
    proof, left = Proof(by), component.size_bytes
    block = memoryview(bytearray(_BLOCK_BYTES))
    while True:
        with as_registry_errors("read", Path(str(file.name))):
            n = file.readinto(block)
        if not n:
            break
        left -= n
        if left < 0:
            break
        proof.update(block[:n])
        yield block[:n]
        tick()
    if left or not proof.holds:
        raise _changed(component, file)


def _changed(part: Component | DraftComponent, file: FileIO) -> RegistryError:
    return RegistryError(
        f"the file of the {part.role} component {part.digest} changed while it was published; "
        "publish it again",
        metadata={"digest": part.digest},
        detail=str(file.name),
    )
