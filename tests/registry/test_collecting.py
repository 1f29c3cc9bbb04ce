"""Collecting garbage: what goes, what stays, and who keeps out of whose way."""

from __future__ import annotations

import concurrent.futures
import functools
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.clocks import FakeClock
from tests.registry.drafts import make_draft, root_of
from tests.registry.faults import ClockedObjects, Crash, HookedObjects
from tests.registry.stores import (
    check_collected,
    check_sound,
    memory_objects,
    stored_blobs,
)
from voxswap_registry import collecting as collecting_module
from voxswap_registry import journal
from voxswap_registry import publishing as publishing_module
from voxswap_registry import store as store_module
from voxswap_registry.collecting import Collected, collect
from voxswap_registry.errors import RegistryBusyError, RegistryError
from voxswap_registry.layout import (
    COLLECTING,
    PUBLISHING,
    blob_digest,
    blob_key,
    journal_key,
    manifest_key,
)
from voxswap_registry.markers import (
    LIFETIME,
    LONGEST_LIFETIME,
    Marker,
    collecting,
    publishing,
    remove_dead,
)
from voxswap_registry.names import VoiceRef
from voxswap_registry.signing import PrivateKey, new_key_pair
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.storage.objects import ObjectInfo, Objects
from voxswap_registry.store import Registry

VOICE = "npc/smith"
NONE, DAY, MOMENT = timedelta(0), timedelta(days=1), timedelta(microseconds=1)
GARBAGE_KEY = f"blobs/sha256/ab/ab{'0' * 62}"


@pytest.fixture
def clocked() -> ClockedObjects:
    return ClockedObjects(memory_objects())


def put_garbage(objects: Objects, data: bytes = b"garbage", key: str = GARBAGE_KEY) -> None:
    """A blob as a publisher leaves it who died before the manifest."""
    objects.upload(key, iter([memoryview(data)]))


def everything(objects: Objects) -> dict[str, str]:
    """All keys of objects that are there to stay, with their tags."""
    folders = ("blobs", "voices", "journal")
    return {info.key: info.etag for folder in folders for info in objects.list(folder)}


def markers_of(objects: Objects) -> list[str]:
    return [info.key for folder in (PUBLISHING, COLLECTING) for info in objects.list(folder)]


class FakeTime(FakeClock):
    """Clock and sleep of a process: time passes in sleep alone, and for the store as well."""

    def __init__(
        self, objects: ClockedObjects, *, at_sleep: Callable[[int], None] = lambda _: None
    ):
        super().__init__(0.0)
        self._objects = objects
        self._at_sleep = at_sleep

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.sleeps.append(seconds)
        self.pass_time(timedelta(seconds=seconds))
        self._at_sleep(len(self.sleeps))

    def pass_time(self, by: timedelta) -> None:
        self.now_s += by.total_seconds()
        self._objects.pass_time(by)


# What goes


def test_unreferenced_blobs_go_and_others_stay(objects: Objects, tmp_path: Path) -> None:
    registry = Registry(objects)
    kept = registry.publish(make_draft(tmp_path, VOICE, b"weights"))
    gone = registry.publish(make_draft(tmp_path, VOICE, b"other weights"))
    registry.delete(VoiceRef(VOICE, 2))
    put_garbage(objects)
    assert collect(registry, grace=DAY) == Collected(young=2, kept=2)
    assert len(stored_blobs(objects)) == 4
    collected = collect(registry, grace=NONE)
    assert collected == Collected(blobs=2, bytes=len(b"other weights") + len(b"garbage"), kept=2)
    assert stored_blobs(objects) == {component.digest for component in kept.components}
    assert gone.component("symbols") == kept.component("symbols")
    check_sound(registry)
    check_collected(registry)
    assert collect(registry, grace=NONE) == Collected(kept=2)


def test_blob_goes_with_the_last_version_that_names_it(
    near_objects: Objects, tmp_path: Path
) -> None:
    registry = Registry(near_objects)
    for voice_id in ("a", "b"):
        registry.publish(make_draft(tmp_path, voice_id, b"shared"))
    registry.delete(VoiceRef("a"))
    assert collect(registry, grace=NONE).blobs == 0
    check_sound(registry)
    registry.delete(VoiceRef("b"))
    assert collect(registry, grace=NONE).blobs == 2
    assert stored_blobs(near_objects) == set()


@pytest.mark.parametrize(("age", "goes"), [(DAY - MOMENT, False), (DAY, True), (DAY * 2, True)])
def test_grace_is_counted_by_the_clock_of_the_store(
    age: timedelta, goes: bool, clocked: ClockedObjects
) -> None:
    put_garbage(clocked)
    clocked.pass_time(age)
    collected = collect(Registry(clocked))
    assert (collected.blobs, collected.young) == ((1, 0) if goes else (0, 1))
    assert stored_blobs(clocked) == (set() if goes else {blob_digest(GARBAGE_KEY)})


@pytest.mark.parametrize("year", [1980, 2026, 2090])
@pytest.mark.parametrize("local_year", [1980, 2090])
def test_the_clock_of_this_machine_does_not_matter(
    year: int, local_year: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = datetime(local_year, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(time, "time", local.timestamp)
    objects = ClockedObjects(memory_objects(), datetime(year, 1, 1, tzinfo=UTC))
    registry = Registry(objects, clock=lambda: local)
    put_garbage(objects, key=f"blobs/sha256/cd/cd{'0' * 62}")
    objects.replace(f"{PUBLISHING}/dead.json", b"{}")
    objects.pass_time(timedelta(hours=3))
    registry.publish(make_draft(tmp_path, VOICE), label="stable")
    put_garbage(objects)
    grace = timedelta(hours=2)
    assert collect(registry, grace=grace) == Collected(1, 7, young=1, leftovers=1, kept=2)
    check_sound(registry)


def test_what_a_dead_deleter_left_goes(near_objects: Objects, tmp_path: Path) -> None:
    registry = Registry(near_objects)
    new_key_pair(tmp_path / "key")
    key = PrivateKey.load(tmp_path / "key")
    for i in range(2):
        registry.publish(make_draft(tmp_path, VOICE, b"%d" % i))
        registry.sign(VOICE, i + 1, key)
    left = {
        info.key: near_objects.read(info.key, limit_bytes=1 << 20)
        for info in near_objects.list("voices")
    }
    registry.delete(VoiceRef(VOICE, 1))
    for name, data in left.items():
        if "/v1." in name:
            near_objects.replace(name, data or b"")
    assert registry.versions(VOICE) == (2,)
    assert collect(registry, grace=DAY).leftovers == 2
    assert len(registry.signatures(VOICE, 2)) == 1
    assert registry.signatures(VOICE, 1) == []
    check_sound(registry)


@pytest.mark.parametrize("kept", [1, 3, 100])
def test_old_states_go_and_the_newest_stays(
    kept: int, near_objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "KEPT_STATES", kept)
    registry = Registry(near_objects)
    for i in range(5):
        registry.publish(make_draft(tmp_path, VOICE, b"%d" % i), label="stable")
    before = registry.look(VOICE)
    assert collect(registry, grace=NONE).leftovers == max(5 - kept, 0)
    assert registry.look(VOICE) == before
    revisions = [state.revision for state in registry.history(VOICE)]
    assert revisions == [5, 4, 3, 2, 1][:kept]
    assert registry.roll_back(VOICE) == (5, 4)


def test_a_collector_that_dies_leaves_no_gap_in_a_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is listed in no order."""

    class Listed(HookedObjects):
        def list(self, folder: str, *, after: str = "") -> Iterator[ObjectInfo]:
            yield from sorted(
                super().list(folder, after=after),
                key=lambda info: info.etag + info.key,
                reverse=True,
            )

    monkeypatch.setattr(store_module, "KEPT_STATES", 2)
    objects = Listed(FolderObjects(tmp_path / "objects"))
    registry = Registry(objects)
    for i in range(9):
        registry.publish(make_draft(tmp_path, VOICE, b"%d" % i), label="stable")
    deleted: list[str] = []

    def die() -> None:
        deleted.append("")
        if len(deleted) == 4:
            raise Crash

    objects.on("delete", "voices/", die)
    with pytest.raises(Crash):
        collect(registry, grace=NONE)
    assert [state.revision for state in registry.history(VOICE)] == [9, 8, 7, 6, 5, 4]


def test_old_journal_entries_go(
    near_objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(near_objects)
    for i in range(5):
        registry.publish(make_draft(tmp_path, VOICE, b"%d" % i))
    monkeypatch.setattr(journal, "KEPT_ENTRIES", 2)
    assert collect(registry, grace=NONE).leftovers == 3
    left = sorted(info.key for info in near_objects.list("journal"))
    assert left == [journal_key(4), journal_key(5)]
    assert registry.publish(make_draft(tmp_path, VOICE)).version == 6
    assert journal.Journal(near_objects).head() == 6


def test_files_on_their_way_go_when_they_are_old(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    registry = Registry(objects)
    registry.publish(make_draft(tmp_path, VOICE))
    temporary, outside = objects.root / "tmp", tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"x")
    (temporary / "import-dead").mkdir()
    (temporary / "import-dead/model").write_bytes(b"x")
    (temporary / "file-dead").write_bytes(b"x")
    (temporary / "link-dead").symlink_to(outside)
    age_s = time.time() - 5400
    for entry in sorted(temporary.rglob("*"), reverse=True):
        os.utime(entry, (age_s, age_s), follow_symlinks=False)
    (temporary / "file-living").write_bytes(b"x")
    assert collect(registry, grace=timedelta(hours=2)).leftovers == 0
    assert collect(registry, grace=NONE, dry_run=True).leftovers == 3
    assert len(list(temporary.iterdir())) == 4
    assert collect(registry, grace=NONE).leftovers == 3
    assert [entry.name for entry in temporary.iterdir()] == ["file-living"]
    assert (outside / "precious").exists()


def test_whoever_has_no_marker_keeps_its_files_on_their_way(tmp_path: Path) -> None:
    """An import or an upload, for a long time; a change of a label, for a moment."""
    registry = Registry(FolderObjects(tmp_path / "objects"))
    with registry.workdir() as workdir:
        (workdir / "model").write_bytes(b"x")
        collect(registry, grace=NONE)
        assert (workdir / "model").exists()


def test_temporary_folder_that_cannot_be_emptied_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = FolderObjects(tmp_path / "objects")
    registry = Registry(objects)
    registry.publish(make_draft(tmp_path, VOICE))
    dead = objects.root / "tmp/dead"
    dead.write_bytes(b"x")
    os.utime(dead, (0, 0))

    def refuse(path: Path, **_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        with pytest.raises(RegistryError, match=r"cannot remove .*tmp/dead"):
            objects.sweep(before_s=1, dry_run=False)


def test_strays_are_nobodys_garbage(near_objects: Objects, tmp_path: Path) -> None:
    registry = Registry(near_objects)
    registry.publish(make_draft(tmp_path, VOICE))
    strays = (
        "blobs/README",
        f"blobs/sha256/ab/cd{'0' * 62}",
        "blobs/sha256/ab/abc",
        "voices/README",
        f"voices/{VOICE}@/notes.txt",
        f"voices/{VOICE}@/v2.json~",
        "voices/UPPER@/v1.json",
        "journal/notes.txt",
        "elsewhere/x",
    )
    for key in strays:
        near_objects.replace(key, b"x")
    assert collect(registry, grace=NONE) == Collected(kept=2)
    assert all(near_objects.head(key) for key in strays)


def test_empty_registry(near_objects: Objects) -> None:
    assert collect(Registry(near_objects), grace=NONE) == Collected()
    assert markers_of(near_objects) == []


def test_negative_grace(near_objects: Objects) -> None:
    with pytest.raises(ValueError, match="negative"):
        collect(Registry(near_objects), grace=-MOMENT)
    assert list(near_objects.list("")) == []


def test_dry_run_tells_and_deletes_nothing(
    near_objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "KEPT_STATES", 1)
    objects = ClockedObjects(near_objects)
    registry = Registry(objects)
    for i in range(3):
        registry.publish(make_draft(tmp_path, VOICE, b"%d" % i), label="stable")
    registry.delete(VoiceRef(VOICE, 1))
    put_garbage(objects)
    objects.replace(f"{PUBLISHING}/dead.json", b"{}")
    objects.pass_time(timedelta(hours=2))
    monkeypatch.setattr(journal, "KEPT_ENTRIES", 1)
    before = everything(objects)
    told = collect(registry, grace=NONE, dry_run=True)
    assert everything(objects) == before
    assert markers_of(objects) == [f"{PUBLISHING}/dead.json"]
    done = collect(registry, grace=NONE)
    assert (told.blobs, told.bytes, told.kept, told.young) == (2, 8, 3, 0)
    assert (done.blobs, done.bytes, done.kept, done.young) == (2, 8, 3, 0)
    assert told.leftovers == 3  # States; a dead marker and the journal are no news.
    assert done.leftovers > told.leftovers
    check_collected(registry)


def test_progress_is_told(tmp_path: Path) -> None:
    objects = HookedObjects(memory_objects())
    registry, told = Registry(objects), []

    class Told:
        def start(self, step: str, total_bytes: int) -> None:
            told.append(total_bytes)

        def advance(self, n_bytes: int) -> None:
            told.append(-n_bytes)

        def finish(self) -> None:
            told.append(0)

    registry.publish(make_draft(tmp_path, VOICE, b"12345"))
    put_garbage(objects, b"123")
    collect(registry, progress=Told())
    assert told[0] == 5 + 2 + 3
    assert told[-1] == 0
    assert sum(told) == 0
    told.clear()
    objects.fail("delete", "blobs/", RegistryError("no"))
    with pytest.raises(RegistryError):
        collect(registry, grace=NONE, progress=Told())
    assert told[-1] == 0


# What is not known is not touched


@pytest.mark.parametrize("name", ["v1.json", "s1.json"])
@pytest.mark.parametrize("harm", ["torn", "moved", "not read"])
def test_what_cannot_be_read_stops_everything(name: str, harm: str, tmp_path: Path) -> None:
    objects = HookedObjects(memory_objects())
    registry, key = Registry(objects), f"voices/{VOICE}@/{name}"
    registry.publish(make_draft(tmp_path, VOICE), label="stable")
    registry.publish(make_draft(tmp_path, "other", b"other"), label="stable")
    if harm == "not read":
        objects.fail("read", key, RegistryError(f"cannot read {key}: the disk reports a fault"))
    else:
        other = objects.read(f"voices/other@/{name}", limit_bytes=1 << 20)
        if name == "s1.json":
            other = (other or b"").replace(b'"revision": 1', b'"revision": 2')
        objects.replace(key, b'{"torn' if harm == "torn" else other or b"")
    put_garbage(objects)
    before = everything(objects)
    with pytest.raises(RegistryError, match=r"nothing was collected: .*repair or delete") as caught:
        collect(registry, grace=NONE)
    assert VOICE in caught.value.message
    assert everything(objects) == before
    assert markers_of(objects) == []


def test_deleting_the_version_that_cannot_be_read_is_a_way_out(
    near_objects: Objects, tmp_path: Path
) -> None:
    registry = Registry(near_objects)
    for i in range(2):
        registry.publish(make_draft(tmp_path, VOICE, b"%d" % i))
    near_objects.replace(manifest_key(VOICE, 2), b"{")
    with pytest.raises(RegistryError, match="nothing was collected"):
        collect(registry, grace=NONE)
    registry.delete(VoiceRef(VOICE, 2))
    assert collect(registry, grace=NONE).blobs == 1
    check_collected(registry)


def test_version_that_is_deleted_while_it_is_looked_at_is_no_fault(tmp_path: Path) -> None:
    objects = HookedObjects(memory_objects())
    registry, rival = Registry(objects), Registry(objects.inner)
    for i in range(2):
        registry.publish(make_draft(tmp_path, VOICE, b"%d" % i))
    objects.on("read", manifest_key(VOICE, 1), lambda: rival.delete(VoiceRef(VOICE, 1)), once=True)
    collect(registry, grace=NONE)
    check_sound(registry)
    assert registry.versions(VOICE) == (2,)


def test_collector_whose_store_fails_goes_on_another_time(tmp_path: Path) -> None:
    objects = HookedObjects(memory_objects())
    registry = Registry(objects)
    registry.publish(make_draft(tmp_path, VOICE))
    for i in range(3):
        put_garbage(objects, key=f"blobs/sha256/a{i}/a{i}{'0' * 62}")
    objects.fail("delete", f"blobs/sha256/a1/a1{'0' * 62}", RegistryError("no"))
    with pytest.raises(RegistryError, match="no"):
        collect(registry, grace=NONE)
    assert markers_of(objects) == []
    check_sound(registry)
    objects.heal()
    collect(registry, grace=NONE)
    check_collected(registry)


def test_collectors_at_once_do_the_same(near_objects: Objects, tmp_path: Path) -> None:
    registry = Registry(near_objects)
    registry.publish(make_draft(tmp_path, VOICE))
    for i in range(10):
        put_garbage(near_objects, key=f"blobs/sha256/a{i}/a{i}{'0' * 62}")
    gate = threading.Barrier(4)

    def work(_: int) -> None:
        gate.wait(30)
        collect(Registry(near_objects), grace=NONE)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    check_sound(registry)
    check_collected(registry)


# Markers


@pytest.mark.parametrize(
    ("age", "lives"), [(NONE, True), (LIFETIME, True), (LIFETIME + MOMENT, False)]
)
def test_collector_gives_up_while_a_publisher_lives(
    age: timedelta, lives: bool, clocked: ClockedObjects
) -> None:
    publisher = Marker(clocked, PUBLISHING, time.monotonic)
    put_garbage(clocked)
    clocked.pass_time(age)
    if lives:
        with pytest.raises(RegistryBusyError, match=f"1 publishing now .{publisher.key}") as caught:
            collect(Registry(clocked), grace=NONE)
        assert "5 minutes after its process died on another" in caught.value.message
        assert stored_blobs(clocked)
        assert markers_of(clocked) == [publisher.key]
    else:
        assert collect(Registry(clocked), grace=NONE) == Collected(1, 7, leftovers=1)
        assert markers_of(clocked) == []


def test_collector_gives_up_at_each_moment_of_a_publication(tmp_path: Path) -> None:
    objects = HookedObjects(memory_objects())
    registry, rival = Registry(objects), Registry(objects.inner)
    refused = []

    def collect_now() -> None:
        with pytest.raises(RegistryBusyError):
            collect(rival, grace=NONE)
        refused.append(True)

    for call, key in (("upload", "blobs/"), ("create", "voices/"), ("create", "journal/")):
        objects.on(call, key, collect_now)
    registry.publish(make_draft(tmp_path, VOICE))
    assert len(refused) == 4
    check_sound(registry)


@pytest.fixture
def hasty_store(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeTime], None]:
    """Makes `Registry.publish` take its time from a fake."""
    return lambda fake: monkeypatch.setattr(
        publishing_module,
        "publishing",
        functools.partial(publishing, clock=fake, sleep=fake.sleep),
    )


def test_publisher_waits_for_a_collector(
    clocked: ClockedObjects, tmp_path: Path, hasty_store: Callable[[FakeTime], None]
) -> None:
    collector = Marker(clocked, COLLECTING, time.monotonic)
    fake = FakeTime(clocked, at_sleep=lambda n: collector.remove() if n == 5 else None)
    hasty_store(fake)
    Registry(clocked).publish(make_draft(tmp_path, VOICE))
    assert len(fake.sleeps) == 5
    assert markers_of(clocked) == []


def test_publisher_writes_nothing_while_it_waits_and_gives_up_after_a_minute(
    clocked: ClockedObjects, tmp_path: Path, hasty_store: Callable[[FakeTime], None]
) -> None:
    collector = Marker(clocked, COLLECTING, time.monotonic)
    fake = FakeTime(clocked)
    hasty_store(fake)
    with pytest.raises(RegistryBusyError, match=f"garbage is being collected .{collector.key}"):
        Registry(clocked).publish(make_draft(tmp_path, VOICE))
    assert 60 < fake.now_s < 62
    assert everything(clocked) == {}
    assert markers_of(clocked) == [collector.key]


def test_publisher_does_not_wait_for_the_dead(
    clocked: ClockedObjects, tmp_path: Path, hasty_store: Callable[[FakeTime], None]
) -> None:
    Marker(clocked, COLLECTING, time.monotonic)
    clocked.pass_time(LIFETIME + MOMENT)
    fake = FakeTime(clocked)
    hasty_store(fake)
    Registry(clocked).publish(make_draft(tmp_path, VOICE))
    assert fake.sleeps == []


def test_publisher_waits_at_each_moment_of_a_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Waits(Exception):  # noqa: N818
        """Instead of waiting."""

    def wait(_: float) -> None:
        raise Waits

    monkeypatch.setattr(publishing_module, "publishing", functools.partial(publishing, sleep=wait))
    objects = HookedObjects(memory_objects())
    registry, rival = Registry(objects.inner), Registry(objects)
    waited = []

    def publish_now() -> None:
        with pytest.raises(Waits):
            registry.publish(make_draft(tmp_path, VOICE))
        waited.append(True)

    registry.publish(make_draft(tmp_path, VOICE))
    put_garbage(objects)
    for call, key in (("read", "voices/"), ("list", "blobs"), ("delete", "blobs/")):
        objects.on(call, key, publish_now)
    collect(rival, grace=NONE)
    assert len(waited) == 3


def test_of_two_who_mark_at_once_one_gives_way(clocked: ClockedObjects) -> None:
    """Both have written before either looks: the collector gives up, the publisher waits."""
    objects = HookedObjects(clocked)
    collector = collecting(objects)
    publisher_waits: list[Any] = []

    def publisher_comes() -> None:
        # The collector's marker is written; it is about to look.
        fake = FakeTime(clocked, at_sleep=publisher_waits.append)
        with pytest.raises(RegistryBusyError):
            with publishing(clocked, clock=fake, sleep=fake.sleep):
                pytest.fail("published while somebody collects")

    objects.on("list", PUBLISHING, publisher_comes, once=True)
    with collector:
        pass
    assert publisher_waits

    publisher = Marker(clocked, PUBLISHING, time.monotonic)
    with pytest.raises(RegistryBusyError), collecting(clocked):
        pytest.fail("collected while somebody publishes")
    publisher.remove()


def test_long_work_keeps_its_marker_young(clocked: ClockedObjects) -> None:
    fake = FakeTime(clocked)
    with publishing(clocked, clock=fake, sleep=fake.sleep) as marker:
        for _ in range(40):
            fake.pass_time(timedelta(minutes=5))
            marker.refresh()
            with pytest.raises(RegistryBusyError), collecting(clocked):
                pytest.fail("collected while somebody publishes")
    assert markers_of(clocked) == []


def test_marker_is_not_written_more_often_than_needed(clocked: ClockedObjects) -> None:
    objects = HookedObjects(clocked)
    fake = FakeTime(clocked)
    marker = Marker(objects, PUBLISHING, fake)
    for _ in range(1000):
        marker.refresh()
    assert [call for call, _ in objects.calls] == ["replace"]


def test_publisher_who_was_taken_for_dead_publishes_nothing(
    clocked: ClockedObjects, tmp_path: Path, hasty_store: Callable[[FakeTime], None]
) -> None:
    """It stands still for two hours after its first blob, which a collector then takes away."""
    fake = FakeTime(clocked)
    hasty_store(fake)
    objects = HookedObjects(clocked)
    draft = make_draft(tmp_path, VOICE)

    def stand_still() -> None:
        fake.pass_time(timedelta(hours=2))
        assert collect(Registry(clocked), grace=NONE).blobs == 1

    second = blob_key(f"sha256:{hashlib.sha256(b'{}').hexdigest()}")
    objects.on("upload", second, stand_still, once=True)
    with pytest.raises(RegistryError, match="went away"):
        Registry(objects).publish(draft)
    assert Registry(clocked).versions(VOICE) == ()
    Registry(clocked).publish(draft)
    check_sound(Registry(clocked))


@pytest.mark.parametrize(("still", "dead"), [(LIFETIME, False), (LIFETIME + MOMENT, True)])
def test_marker_that_others_may_have_taken_for_dead_is_not_renewed(
    still: timedelta, dead: bool, clocked: ClockedObjects
) -> None:
    """A collector may have looked while it was old, and be at work now."""
    fake = FakeTime(clocked)
    marker = Marker(clocked, PUBLISHING, fake)
    fake.pass_time(still)
    if dead:
        with pytest.raises(RegistryError, match="stood still; start again"):
            marker.refresh()
    else:
        marker.refresh()
        assert marker.store_time() == clocked.now


def test_collector_who_stood_still_deletes_nothing_more(
    clocked: ClockedObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publishers have taken it for dead, and may build on what it is about to delete."""
    fake = FakeTime(clocked)
    monkeypatch.setattr(collecting_module, "collecting", functools.partial(collecting, clock=fake))
    objects = HookedObjects(clocked)
    rival = Registry(clocked)
    data = b"garbage that comes of use"
    rival.publish(make_draft(tmp_path, VOICE, data))
    rival.delete(VoiceRef(VOICE, 1))

    def stand_still() -> None:
        fake.pass_time(timedelta(hours=2))
        rival.publish(make_draft(tmp_path, VOICE, data))

    objects.on("list", "blobs", stand_still, once=True)
    with pytest.raises(RegistryError, match="stood still"):
        collect(Registry(objects), grace=NONE)
    check_sound(rival)


def test_marker_that_went_away_stops_its_owner(clocked: ClockedObjects, tmp_path: Path) -> None:
    objects = HookedObjects(clocked)
    registry = Registry(objects)

    def remove_markers() -> None:
        for key in markers_of(clocked):
            clocked.delete(key)

    objects.on("upload", "blobs/", remove_markers)
    with pytest.raises(RegistryError, match="do not remove markers of running processes"):
        registry.publish(make_draft(tmp_path, VOICE))
    assert registry.versions(VOICE) == ()


def test_owner_whose_store_fails_at_the_end_has_done_its_work(
    clocked: ClockedObjects, tmp_path: Path
) -> None:
    objects = HookedObjects(clocked)
    objects.fail("delete", "publishing/", RegistryError("no"))
    assert Registry(objects).publish(make_draft(tmp_path, VOICE)).version == 1
    assert len(markers_of(clocked)) == 1


def test_dead_markers_are_removed_and_living_ones_stay(clocked: ClockedObjects) -> None:
    for i in range(3):
        clocked.replace(f"{PUBLISHING}/{i}.json", b"{}")
        clocked.replace(f"{COLLECTING}/{i}.json", b"{}")
    clocked.pass_time(LONGEST_LIFETIME)
    clocked.replace(f"{PUBLISHING}/living.json", b"{}")
    clocked.pass_time(MOMENT)
    own = Marker(clocked, COLLECTING, time.monotonic)
    assert remove_dead(clocked, own) == 6
    assert set(markers_of(clocked)) == {own.key, f"{PUBLISHING}/living.json"}


def test_what_lies_behind_a_link_stops_the_collector(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    manifest = registry.publish(make_draft(tmp_path / "draft", "npc/smith"))
    folder = root_of(registry) / "voices/npc"
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RegistryError, match="symbolic link"):
        collect(registry, grace=timedelta(0))
    folder.unlink()
    (tmp_path / "elsewhere").rename(folder)
    for component in manifest.components:
        registry.verify(component)
