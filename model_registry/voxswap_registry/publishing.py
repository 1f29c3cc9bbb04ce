"""Publishing: blobs first, the manifest last, so that no reader meets a version with parts missing.

A publisher that dies anywhere leaves the old state or the new; what else it leaves is unreferenced,
in nobody's way, and collected one day.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

from voxswap_registry.components import check_file
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import (
    ComponentMissingError,
    DigestMismatchError,
    ManifestError,
    RegistryError,
    VersionExistsError,
)
from voxswap_registry.journal import Journal
from voxswap_registry.layout import blob_key, manifest_key
from voxswap_registry.manifest import Component, Manifest
from voxswap_registry.markers import publishing
from voxswap_registry.names import check_label, check_voice_id
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.state import VoiceRecord
from voxswap_registry.storage.objects import Objects

_BLOCK_BYTES = 1 << 20


class Publisher:
    """Publishes into a store. Thread-safe; blocks on the store and the draft's files.

    ``look`` and ``read`` are the registry's own: the record of a voice, and a manifest.
    """

    def __init__(
        self,
        objects: Objects,
        journal: Journal,
        *,
        look: Callable[[str], VoiceRecord],
        read: Callable[[str, int], Manifest],
    ) -> None:
        self._objects = objects
        self._journal = journal
        self._look = look
        self._read = read

    def publish(
        self,
        draft: VoiceDraft,
        version: int | None,
        label: str | None,
        *,
        rewrite: bool,
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
        with publishing(self._objects) as marker:

            def tick() -> None:
                marker.refresh()
                _look_for_cancel(cancelled, draft)

            components = tuple(
                stored(self._objects, component, rewrite=rewrite, tick=tick)
                for component in draft.components
            )
            # Both raise if it may have been taken for dead: then blobs may be gone.
            marker.refresh()
            marker.store_time()
            manifest = None if again else self._same(draft, components)
            if manifest is not None and version not in (None, manifest.version):
                manifest = None
            is_new = manifest is None
            if manifest is None:
                manifest = self._numbered(draft, version, components, cancelled)
        return manifest, is_new

    def _same(self, draft: VoiceDraft, components: tuple[Component, ...]) -> Manifest | None:
        """The newest version, if ``draft`` is nothing else."""
        versions = self._look(draft.voice_id).versions
        if not versions:
            return None
        try:
            newest = self._read(draft.voice_id, versions[-1])
        except ManifestError:
            return None  # The next version takes the place of one that cannot be read.
        ours = draft.manifest(newest.version, components)
        ours = dataclasses.replace(ours, provenance=newest.provenance)
        return newest if ours.to_json() == newest.to_json() else None

    def _numbered(
        self,
        draft: VoiceDraft,
        version: int | None,
        components: tuple[Component, ...],
        cancelled: Callable[[], bool] | None,
    ) -> Manifest:
        while True:
            record = self._look(draft.voice_id)
            number = version or record.highest_number + 1
            data = prepared(draft, number, components)
            key = manifest_key(draft.voice_id, number)
            _look_for_cancel(cancelled, draft)
            if number not in record.state.deleted and self._objects.create(key, data):
                if number not in self._look(draft.voice_id).state.deleted:
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


def _look_for_cancel(cancelled: Callable[[], bool] | None, draft: VoiceDraft) -> None:
    if cancelled is not None and cancelled():
        raise CancelledError(f"nobody waits for {draft.voice_id} any more; nothing was published")


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
        Component(c.role, c.digest or f"sha256:{'0' * 64}", 1, c.media_type)
        for c in draft.components
    )


def as_upload(draft: VoiceDraft) -> tuple[bytes, dict[str, Path]]:
    """A draft as `RegisterVoice` takes it: its manifest without a version, its files by digest.

    Blocks: it hashes them.
    """
    components, files = [], {}
    for part in draft.components:
        if part.path is None:
            raise ComponentMissingError(
                f"the {part.role} component {part.digest} of {draft.voice_id} has no file here"
            )
        with as_registry_errors("read", part.path), part.path.open("rb", buffering=0) as file:
            digest = _hash(file.readinto, lambda: None)
            size_bytes = os.fstat(file.fileno()).st_size
        components.append(Component(part.role, digest, size_bytes, part.media_type))
        files[digest] = part.path
    raw = json.loads(prepared(draft, 1, tuple(components)))
    del raw["version"]
    return json.dumps(raw, ensure_ascii=False).encode(), files


def stored(
    objects: Objects, draft: DraftComponent, *, rewrite: bool, tick: Callable[[], None]
) -> Component:
    """The component of ``draft``, whose bytes are in the store when this returns.

    Bytes that are there already are not sent again. On a disk of ours they are hashed first, and
    replaced if they are damaged; in a bucket their size must do, unless ``rewrite`` is true.
    ``tick`` is called at every block. Raises `ComponentMissingError` for a draft without a file
    whose bytes are not there, and `RegistryError`.
    """
    if draft.path is None:
        return _already_stored(objects, draft)
    with as_registry_errors("read", draft.path), draft.path.open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        digest = _hash(file.readinto, tick)
        component = Component(draft.role, digest, before.st_size, draft.media_type)
        key = blob_key(digest)
        if not rewrite and _is_sound(objects, key, component):
            return component
        file.seek(0)
        objects.upload(key, _blocks(file.readinto, draft.path, tick))
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise RegistryError(f"{draft.path} changed while it was published; publish it again")
    return component


def _already_stored(objects: Objects, draft: DraftComponent) -> Component:
    key = blob_key(draft.digest)
    info = objects.head(key)
    if info is None:
        raise ComponentMissingError(
            f"the {draft.role} component {draft.digest} is not in {objects.name}, and no file of "
            "it was given; send its bytes too",
            metadata={"digest": draft.digest},
        )
    return Component(draft.role, draft.digest, info.size_bytes, draft.media_type)


def _is_sound(objects: Objects, key: str, component: Component) -> bool:
    info = objects.head(key)
    if info is None or info.size_bytes != component.size_bytes:
        return False
    path = objects.path(key)
    if path is None:
        return True
    try:
        check_file(path, component)
    except DigestMismatchError:
        return False
    return True


def _hash(readinto: Callable[[memoryview], int | None], tick: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    block = memoryview(bytearray(_BLOCK_BYTES))
    while n := readinto(block):
        digest.update(block[:n])
        tick()
    return f"sha256:{digest.hexdigest()}"


def _blocks(
    readinto: Callable[[memoryview], int | None], path: Path, tick: Callable[[], None]
) -> Iterator[memoryview]:
    block = memoryview(bytearray(_BLOCK_BYTES))
    while True:
        with as_registry_errors("read", path):
            n = readinto(block)
        if not n:
            return
        yield block[:n]
        tick()
