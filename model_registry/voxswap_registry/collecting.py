"""Collecting garbage: what no version names any more and nobody is about to name.

Order matters: living publishers are looked for before anything is listed, and everything that is
removed is older than a grace period by the store's own clock. A collector that dies anywhere has
removed only what it was right to remove.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from voxswap_registry.errors import ObjectMissingError, RegistryError, VoiceNotFoundError
from voxswap_registry.layout import BLOBS, VOICES, blob_digest, voice_object
from voxswap_registry.markers import LONGEST_LIFETIME, Marker, collecting, remove_dead
from voxswap_registry.progress import NullProgress, Progress
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.store import Registry, spent_revisions

DEFAULT_GRACE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, or would be; ``young`` blobs are unreferenced and within the grace."""

    blobs: int = 0
    bytes: int = 0
    young: int = 0
    leftovers: int = 0
    kept: int = 0


def collect(
    registry: Registry,
    *,
    grace: timedelta = DEFAULT_GRACE,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Collected:
    """Remove unreferenced blobs and what dead processes left behind.

    Blocks on the store. Nothing that was written within ``grace`` goes, no file on its way that
    belongs to a living process or is younger than an hour, and nothing at all while somebody
    publishes: `RegistryBusyError` then.
    `RegistryError` if a manifest cannot be read, for then it is not known what it names, and
    ValueError for a negative ``grace``.
    """
    if grace < timedelta(0):
        raise ValueError("grace must not be negative")
    progress = progress or NullProgress()
    objects = registry.objects
    with collecting(objects) as marker:
        oldest = marker.store_time() - grace
        leftovers = 0
        if not dry_run:
            leftovers = remove_dead(objects, marker) + registry.journal.trim(tick=marker.refresh)
        referenced, obsolete = _references(registry, marker)
        removed = removed_bytes = young = kept = 0
        blobs = []
        for info in objects.list(BLOBS):
            marker.refresh()
            if blob_digest(info.key) is not None:
                blobs.append(info)
        progress.start("collecting", sum(info.size_bytes for info in blobs))
        try:
            for info in blobs:
                marker.refresh()
                if blob_digest(info.key) in referenced:
                    kept += 1
                elif info.modified > oldest:
                    young += 1
                else:
                    removed += 1
                    removed_bytes += info.size_bytes
                    if not dry_run:
                        objects.delete(info.key)
                progress.advance(info.size_bytes)
        finally:
            progress.finish()
        # Whoever edits, imports or uploads has no marker, and may have files on their way.
        on_their_way = marker.store_time() - max(grace, LONGEST_LIFETIME)
        leftovers += _remove_obsolete(registry, obsolete, on_their_way, marker, dry_run=dry_run)
    return Collected(removed, removed_bytes, young, leftovers, kept)


def _references(registry: Registry, marker: Marker) -> tuple[set[str], list[str]]:
    """Digests that some version names; keys that are of no more use."""
    keys: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for info in registry.objects.list(VOICES):
        marker.refresh()
        found = voice_object(info.key)
        if found is None:
            # A stray file names nothing. Behind a link there may be voices: that is an error.
            with contextlib.suppress(ObjectMissingError):
                registry.objects.path(info.key)
            continue
        keys[found.voice_id].append((info.key, found.kind, found.number))
    referenced: set[str] = set()
    obsolete: list[str] = []
    with ThreadPoolExecutor(registry.objects.readers, "voxswap-collect") as pool:
        named = pool.map(lambda voice_id: _named(registry, voice_id, marker), keys)
        for objects, (versions, digests) in zip(keys.values(), named, strict=True):
            marker.refresh()
            referenced |= digests
            spent = set(spent_revisions(n for _, kind, n in objects if kind == "state"))
            # The lowest first: whoever dies on the way leaves a history without gaps.
            for key, kind, number in sorted(objects, key=lambda found: found[2]):
                if number in spent if kind == "state" else number not in versions:
                    obsolete.append(key)
    return referenced, obsolete


def _named(registry: Registry, voice_id: str, marker: Marker) -> tuple[set[int], set[str]]:
    """The versions of a voice, and the digests that they name."""
    digests: set[str] = set()
    with _nothing_collected():
        versions = set(registry.versions(voice_id))
    for version in versions:
        marker.refresh()
        # One that is not found was deleted in this moment.
        with _nothing_collected(), contextlib.suppress(VoiceNotFoundError):
            digests |= registry.named_digests(voice_id, version)
    return versions, digests


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    try:
        yield
    except RegistryError as error:
        raise RegistryError(
            f"nothing was collected: {error.message}. What it names is not known; repair or "
            "delete that version first",
            detail=error.detail,
        ) from error


def _remove_obsolete(
    registry: Registry,
    obsolete: list[str],
    on_their_way: datetime,
    marker: Marker,
    *,
    dry_run: bool,
) -> int:
    """Remove what deleted versions left, spent states, and files ``on_their_way`` since then."""
    n = len(obsolete)
    if not dry_run:
        for key in obsolete:
            marker.refresh()
            registry.objects.delete(key)
    if isinstance(registry.objects, FolderObjects):
        n += registry.objects.sweep(before_s=on_their_way.timestamp(), dry_run=dry_run)
    return n
