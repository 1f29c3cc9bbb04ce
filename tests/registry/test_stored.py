"""How bytes get into the store: once, as they were hashed, linked where that can be, or never."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.registry.drafts import make_draft
from tests.registry.faults import ClockedObjects, HookedObjects
from tests.registry.stores import check_collected, check_sound, memory_objects, stored_blobs
from tests.registry.uploads import MODEL, Sender, beginning, digest_of
from voxswap_registry import publishing
from voxswap_registry.collecting import collect
from voxswap_registry.digests import Digests, Proof
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import InvalidInputError, RegistryError
from voxswap_registry.layout import blob_key, manifest_key
from voxswap_registry.markers import LIFETIME
from voxswap_registry.state import Edit
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.storage.objects import Objects
from voxswap_registry.store import Registry

VOICE = "npc/smith"
NONE = timedelta(0)
pytestmark = pytest.mark.usefixtures("quick_disk")


def hashes_counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what `publishing` has hashed since."""
    found: list[int] = []

    class Counted:
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            found.append(0)

        def update(self, data: Any) -> None:
            super().update(data)  # type: ignore[misc]
            found[-1] += len(data)

    for kind in (Digests, Proof):
        monkeypatch.setattr(publishing, kind.__name__, type("Counted", (Counted, kind), {}))
    return found


def blob(objects: Objects, data: bytes) -> bytes:
    return b"".join(objects.stream(blob_key(digest_of(data))))


def identity(objects: Objects, data: bytes) -> tuple[int, int] | str:
    """Of a blob: another one after any write."""
    path = objects.path(blob_key(digest_of(data)))
    if path is not None:
        return path.stat().st_ino, path.stat().st_mtime_ns
    info = objects.head(blob_key(digest_of(data)))
    assert info is not None
    return f"{info.etag} {info.modified}"


def with_roles(draft: VoiceDraft, path: Path, n: int) -> VoiceDraft:
    """``draft`` with one file under ``n`` more roles."""
    parts = [DraftComponent(f"role{i}", path, "x/y") for i in range(n)]
    # An engine that nobody knows may have any roles.
    return dataclasses.replace(
        draft, engine="other", engine_config={}, components=(*draft.components, *parts)
    )


# Once


@pytest.mark.parametrize("rewrite", [False, True])
def test_a_file_of_many_roles_is_hashed_and_stored_once(
    rewrite: bool, near_objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = HookedObjects(near_objects)
    draft = with_roles(make_draft(tmp_path, VOICE), tmp_path / "shared", 14)
    shared = b"shared by all" * 1000
    (tmp_path / "shared").write_bytes(shared)
    hashed = hashes_counted(monkeypatch)
    manifest = Registry(objects).publish(draft, rewrite=rewrite)
    assert [call for call, _ in objects.calls].count("upload") == 3
    # Once to learn its digest, once on its way into the store.
    assert hashed.count(len(shared)) == 2
    assert {c.digest for c in manifest.components if c.role.startswith("role")} == {
        digest_of(shared)
    }
    check_sound(Registry(near_objects))


@pytest.mark.parametrize("rewrite", [False, True])
def test_files_of_the_same_bytes_are_stored_once(
    rewrite: bool, near_objects: Objects, tmp_path: Path
) -> None:
    objects = HookedObjects(near_objects)
    (tmp_path / "copy").write_bytes(b"weights")
    draft = with_roles(make_draft(tmp_path, VOICE, b"weights"), tmp_path / "copy", 1)
    Registry(objects).publish(draft, rewrite=rewrite)
    assert [call for call, _ in objects.calls].count("upload") == 2


def test_an_upload_hashes_and_stores_a_component_of_many_roles_once(
    near_objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = HookedObjects(near_objects)
    registry = Registry(objects, workdir=tmp_path / "work")
    sender = Sender(tmp_path)
    model = next(c for c in sender.raw["components"] if c["role"] == "model")
    sender.raw["components"] += [{**model, "role": f"role{i}"} for i in range(14)]
    sender.raw |= {"engine": "other", "engine_config": {}}
    hashed = hashes_counted(monkeypatch)
    with beginning(registry, sender.manifest, max_bytes=len(MODEL) + 100) as upload:
        sender.send(upload, "model", "symbols")
        upload.publish()
    assert hashed.count(len(MODEL)) == 1  # And once as it came.
    assert [call for call, _ in objects.calls].count("upload") == 2
    check_sound(Registry(near_objects))


def test_a_digest_has_one_size(near_objects: Objects, tmp_path: Path) -> None:
    """Else the bytes that are let in would not be those that were counted."""
    registry = Registry(near_objects, workdir=tmp_path / "work")
    sender = Sender(tmp_path)
    model = next(c for c in sender.raw["components"] if c["role"] == "model")
    sender.raw["components"].append({**model, "role": "other", "size_bytes": 1})
    sender.raw |= {"engine": "other", "engine_config": {}}
    with (
        pytest.raises(InvalidInputError, match="it has one size"),
        beginning(registry, sender.manifest),
    ):
        pytest.fail("was taken")


@pytest.mark.parametrize("rewrite", [False, True])
def test_sound_bytes_that_come_again_touch_nothing(
    rewrite: bool, near_objects: Objects, tmp_path: Path
) -> None:
    registry = Registry(near_objects)
    registry.publish(make_draft(tmp_path, VOICE, b"weights"))
    before = identity(near_objects, b"weights")
    registry.publish(make_draft(tmp_path, VOICE, b"weights"), rewrite=rewrite)
    is_folder = isinstance(near_objects, FolderObjects)
    assert (identity(near_objects, b"weights") == before) == (is_folder or not rewrite)


def test_an_upload_of_what_is_there_touches_nothing(near_objects: Objects, tmp_path: Path) -> None:
    """A load that is under way would find another file in its place, and fail."""
    registry = Registry(near_objects, workdir=tmp_path / "work")
    sender = Sender(tmp_path)
    sender.publish(registry)
    before = identity(near_objects, MODEL)
    sender.raw["licence"] = "MIT"
    with beginning(registry, sender.manifest) as upload:
        sender.send(upload, "model", "symbols")
        assert upload.publish()[1]
    assert identity(near_objects, MODEL) == before


def test_damaged_bytes_of_the_right_size_are_replaced(tmp_path: Path) -> None:
    registry = Registry(FolderObjects(tmp_path / "objects"))
    registry.publish(make_draft(tmp_path, VOICE, b"weights"))
    registry.objects.upload(blob_key(digest_of(b"weights")), iter([memoryview(b"damaged")]))
    registry.publish(make_draft(tmp_path, VOICE, b"weights"))
    assert blob(registry.objects, b"weights") == b"weights"


# As it was hashed


class Meddled:
    """Changes a draft's file after it was hashed, and before it is stored; its time is kept."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path, self._data = path, data

    def __call__(self) -> None:
        found = self._path.stat()
        self._path.write_bytes(self._data)
        os.utime(self._path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("data", [b"WEIGHTS", b"short", b"longer than before", b""])
@pytest.mark.parametrize("old", [None, b"damaged", b"weights"])
def test_a_file_that_changes_after_it_was_hashed_is_not_stored(
    data: bytes, old: bytes | None, near_objects: Objects, tmp_path: Path
) -> None:
    objects = HookedObjects(near_objects)
    key = blob_key(digest_of(b"weights"))
    if old is not None:
        near_objects.upload(key, iter([memoryview(old)]))
    draft = make_draft(tmp_path, VOICE, b"weights")
    path = next(c.path for c in draft.components if c.role == "model")
    assert path is not None
    objects.on("head", key, Meddled(path, data))
    is_folder = isinstance(near_objects, FolderObjects)
    if old == b"weights" or (old == b"damaged" and not is_folder):
        Registry(objects).publish(draft)  # What is there is not written.
    else:
        with pytest.raises(RegistryError, match="changed while it was published"):
            Registry(objects).publish(draft)
        assert Registry(near_objects).versions(VOICE) == ()
    assert near_objects.read(key, limit_bytes=100) == old


def test_a_file_that_never_ends_is_read_no_further_than_its_size(tmp_path: Path) -> None:
    objects = HookedObjects(memory_objects())
    draft = make_draft(tmp_path, VOICE, b"weights")
    path = next(c.path for c in draft.components if c.role == "model")
    assert path is not None
    objects.on("upload", "blobs/", lambda: os.truncate(path, 1 << 40), once=True)
    with pytest.raises(RegistryError, match="changed while it was published"):
        Registry(objects).publish(draft)


def test_what_a_draft_says_of_its_file_is_not_believed(
    near_objects: Objects, tmp_path: Path
) -> None:
    draft = make_draft(tmp_path, VOICE, b"weights")
    parts = tuple(dataclasses.replace(c, digest=digest_of(b"other")) for c in draft.components)
    with pytest.raises(RegistryError, match="changed while it was published"):
        Registry(near_objects).publish(dataclasses.replace(draft, components=parts))
    assert stored_blobs(near_objects) == set()


# Linked


def inode(path: Path) -> int:
    return path.stat().st_ino


def draft_in(folder: Path, data: bytes = b"weights") -> tuple[VoiceDraft, Path]:
    draft = make_draft(folder, VOICE, data)
    path = next(c.path for c in draft.components if c.role == "model")
    assert path is not None
    return draft, path


def test_a_file_on_its_way_is_linked_and_not_copied(tmp_path: Path) -> None:
    registry = Registry(FolderObjects(tmp_path / "objects"))
    with registry.workdir() as workdir:
        draft, path = draft_in(workdir)
        os.utime(path, (0, 0))
        registry.publish(draft)
        stored = registry.objects.path(blob_key(digest_of(b"weights")))
        assert stored is not None
        assert inode(stored) == inode(path)
        assert stored.stat().st_mode & 0o777 == 0o444
        assert stored.stat().st_mtime > 0  # Its age counts from when it was published.
    assert stored.stat().st_nlink == 1
    assert list((tmp_path / "objects/tmp").iterdir()) == []
    check_sound(registry)


def test_an_upload_is_linked(tmp_path: Path) -> None:
    registry = Registry(FolderObjects(tmp_path / "objects"))
    sender = Sender(tmp_path)
    with beginning(registry, sender.manifest) as upload:
        sender.send(upload, "model", "symbols")
        (sent,) = upload._workdir.glob(digest_of(MODEL).removeprefix("sha256:"))
        was = inode(sent)
        upload.publish()
    stored = registry.objects.path(blob_key(digest_of(MODEL)))
    assert stored is not None
    assert inode(stored) == was
    check_sound(registry)


def test_nobody_writes_to_a_blob_after_it_was_linked(tmp_path: Path) -> None:
    """No descriptor of ours is open on it: neither the upload's nor the publisher's."""
    registry = Registry(FolderObjects(tmp_path / "objects"))
    sender = Sender(tmp_path)
    with beginning(registry, sender.manifest) as upload:
        sender.send(upload, "model", "symbols")
        upload.publish()
        stored = registry.objects.path(blob_key(digest_of(MODEL)))
        assert stored is not None
        ours = set()
        for descriptor in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                ours.add(inode(descriptor))
    assert inode(stored) not in ours


@pytest.mark.parametrize("why", ["elsewhere", "another name", "link", "open to others", "stray"])
def test_what_others_may_write_to_is_copied(why: str, tmp_path: Path) -> None:
    registry = Registry(FolderObjects(tmp_path / "objects"))
    with registry.workdir() as workdir:
        if why == "stray":
            draft, path = draft_in(workdir.parent / "stray")
        else:
            draft, path = draft_in(tmp_path / "mine" if why == "elsewhere" else workdir)
        if why == "another name":
            os.link(path, tmp_path / "other")
        elif why == "link":
            path.rename(tmp_path / "other")
            path.symlink_to(tmp_path / "other")
        elif why == "open to others":
            workdir.chmod(0o777)
        registry.publish(draft)
        stored = registry.objects.path(blob_key(digest_of(b"weights")))
        assert stored is not None
        assert inode(stored) != inode(path)
        check_sound(registry)


def test_a_file_that_is_exchanged_while_it_is_linked_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(FolderObjects(tmp_path / "objects"))
    real = os.link

    def exchanging(source: Any, target: Any, **options: Any) -> None:
        if "link-" in str(target) and Path(source).read_bytes() == b"weights":
            Path(source).unlink()
            Path(source).write_bytes(b"WEIGHTS")
        real(source, target, **options)

    with registry.workdir() as workdir:
        draft, _ = draft_in(workdir)
        monkeypatch.setattr(os, "link", exchanging)
        with pytest.raises(RegistryError, match="changed while it was published"):
            registry.publish(draft)
        monkeypatch.undo()
    assert registry.versions(VOICE) == ()
    assert digest_of(b"weights") not in stored_blobs(registry.objects)
    assert list((tmp_path / "objects/tmp").iterdir()) == []


def test_a_file_that_was_linked_may_be_published_again(tmp_path: Path) -> None:
    """Also where its blob has gone since, or is damaged: the file has two names by then."""
    registry = Registry(FolderObjects(tmp_path / "objects"))
    key = blob_key(digest_of(b"weights"))
    with registry.workdir() as workdir:
        draft, _ = draft_in(workdir)
        registry.publish(draft)
        registry.publish(draft)
        registry.objects.upload(key, iter([memoryview(b"damaged")]))
        registry.publish(draft)
        registry.objects.delete(key)
        registry.publish(draft)
    assert registry.versions(VOICE) == (1, 2, 3, 4)
    assert list((tmp_path / "objects/tmp").iterdir()) == []
    check_sound(registry)


# Cancelled


def after(n: int) -> Callable[[], bool]:
    """False ``n`` times, and True from then on."""
    asked = itertools.count()
    return lambda: next(asked) >= n


def questions(registry: Registry, draft: VoiceDraft, **options: Any) -> int:
    """How often it is asked whether it is cancelled."""
    asked: list[Any] = []
    registry.publish(draft, cancelled=lambda: bool(asked.append(None)), **options)
    return len(asked)


@pytest.mark.parametrize("label", [None, "stable"])
def test_a_publication_that_is_cancelled_anywhere_publishes_nothing(
    label: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_BLOCK_BYTES", 4)
    data = b"three blocks"
    n = questions(Registry(memory_objects()), make_draft(tmp_path, VOICE, data), label=label)
    assert n > 2 * 3  # At each block of each reading.
    for i, kind in itertools.product(range(n), ("folder", "memory")):
        objects: Objects = memory_objects()
        if kind == "folder":
            objects = FolderObjects(tmp_path / f"objects-{i}")
        registry = Registry(objects)
        with pytest.raises(concurrent.futures.CancelledError):
            registry.publish(make_draft(tmp_path, VOICE, data), label=label, cancelled=after(i))
        for folder in ("voices", "journal", "publishing"):
            assert list(objects.list(folder)) == []
        if isinstance(objects, FolderObjects):
            assert list(objects.root.glob("tmp/*")) == []
        assert collect(registry, grace=NONE).kept == 0
        check_collected(registry)


def test_whether_it_is_cancelled_is_asked_last_before_the_version_is_made(tmp_path: Path) -> None:
    objects = HookedObjects(memory_objects())
    Registry(objects).publish(
        make_draft(tmp_path, VOICE), cancelled=lambda: bool(objects.calls.append(("asked", "")))
    )
    made = objects.calls.index(("create", manifest_key(VOICE, 1)))
    assert objects.calls[made - 1] == ("asked", "")


def test_a_publisher_that_waits_for_a_collector_can_be_cancelled(tmp_path: Path) -> None:
    registry = Registry(memory_objects())
    registry.objects.replace("collecting/other.json", b"{}")
    with pytest.raises(concurrent.futures.CancelledError):
        registry.publish(make_draft(tmp_path, VOICE), cancelled=lambda: True)
    assert list(registry.objects.list("publishing")) == []


def test_an_upload_that_is_cancelled_publishes_nothing(tmp_path: Path) -> None:
    registry = Registry(FolderObjects(tmp_path / "objects"))
    sender = Sender(tmp_path)
    with beginning(registry, sender.manifest) as upload:
        sender.send(upload, "model", "symbols")
        with pytest.raises(concurrent.futures.CancelledError):
            upload.publish(label="stable", cancelled=lambda: True)
    assert list(registry.objects.list("voices")) == []
    assert list(registry.objects.list("blobs")) == []
    sender.publish(registry, label="stable", cancelled=lambda: False)
    check_sound(registry)


# A publisher that stands still


def test_a_publisher_that_stood_still_at_the_last_moment_takes_its_version_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector took it for dead, and took its blobs, before the manifest named them."""
    clocked = ClockedObjects(memory_objects())
    objects = HookedObjects(clocked)
    registry, rival = Registry(objects), Registry(clocked)

    def stand_still() -> None:
        clocked.pass_time(LIFETIME + timedelta(seconds=1))
        assert collect(rival, grace=NONE).blobs == 2

    objects.on("create", manifest_key(VOICE, 1), stand_still, once=True)
    with pytest.raises(RegistryError, match="went away"):
        registry.publish(make_draft(tmp_path, VOICE))
    assert rival.versions(VOICE) == ()
    check_sound(rival)
    # Its number was seen, perhaps, and is nobody else's.
    assert rival.publish(make_draft(tmp_path, VOICE)).version == 2
    check_sound(rival)


def test_a_version_that_came_into_use_meanwhile_is_told_of(tmp_path: Path) -> None:
    clocked = ClockedObjects(memory_objects())
    objects = HookedObjects(clocked)
    registry, rival = Registry(objects), Registry(clocked)

    def stand_still() -> None:
        clocked.pass_time(LIFETIME + timedelta(seconds=1))
        collect(rival, grace=NONE)

    def promote() -> None:
        rival.edit(VOICE, Edit(moves={"stable": 1}))

    objects.on("create", manifest_key(VOICE, 1), stand_still, once=True)
    objects.on("create", "voices/npc/smith@/s1.json", promote, once=True)
    with pytest.raises(RegistryError, match="may lack components"):
        registry.publish(make_draft(tmp_path, VOICE))
