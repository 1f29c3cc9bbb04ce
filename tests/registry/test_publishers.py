"""Many who publish and change one voice at once: in threads, in processes, and at worst moments."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import itertools
import multiprocessing
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.registry.drafts import make_draft
from tests.registry.faults import HookedObjects
from tests.registry.stores import (
    Place,
    S3Server,
    check_collected,
    check_sound,
    memory_objects,
    objects_at,
)
from voxswap_registry import publishing as publishing_module
from voxswap_registry.collecting import collect
from voxswap_registry.errors import (
    RegistryBusyError,
    RevisionConflictError,
    VersionExistsError,
    VersionInUseError,
    VoiceNotFoundError,
)
from voxswap_registry.journal import Journal
from voxswap_registry.layout import manifest_key, state_key
from voxswap_registry.markers import publishing
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import Edit
from voxswap_registry.storage.objects import Objects
from voxswap_registry.store import Registry

VOICE = "npc/smith"
PROCESSES, ROUNDS = 2, 8


# Processes


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where objects lie that other processes can reach."""
    if request.param == "folder":
        return ("folder", str(tmp_path / "objects"))
    server: S3Server = request.getfixturevalue("s3")
    return ("s3", server.endpoint, server.new_bucket())


def in_processes(worker: Callable[..., None], place: Place, folder: Path) -> list[Any]:
    """What each process sent, of those that ran ``worker`` at the same time."""
    context = multiprocessing.get_context("spawn")
    barrier, pipes, processes = context.Barrier(PROCESSES), [], []
    for i in range(PROCESSES):
        ours, theirs = context.Pipe()
        arguments = (place, str(folder / f"{i}"), i, barrier, theirs)
        processes.append(context.Process(target=worker, args=arguments))
        processes[-1].start()
        theirs.close()  # So that ours ends with the process.
        pipes.append(ours)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    sent = []
    for pipe in pipes:
        sent.append(pipe.recv())
        pipe.close()
    return sent


def publish_all(place: Place, folder: str, i: int, barrier: Any, pipe: Any) -> None:
    """Publish the same voice again and again; send the versions."""
    registry = Registry(objects_at(place))
    draft = make_draft(Path(folder), VOICE, b"%d" % i)
    barrier.wait(60)
    pipe.send([registry.publish(draft).version for _ in range(ROUNDS)])


def promote_all(place: Place, folder: str, i: int, barrier: Any, pipe: Any) -> None:
    """Move a label of our own to and fro, and one that all move; send the revisions."""
    registry = Registry(objects_at(place))
    barrier.wait(60)
    revisions = []
    for n in range(ROUNDS):
        edit = Edit(moves={f"own-{i}": 1 + n % 2, "shared": 1 + n % 2})
        record = registry.edit(VOICE, edit, actor=f"{i}", note=f"{n}")
        revisions.append(record.state.revision)
    pipe.send(revisions)


def check_history(registry: Registry, revisions: list[list[int]]) -> None:
    """Every change is there, once, and made of the one before."""
    n = sum(map(len, revisions))
    history = list(registry.history(VOICE))
    assert sorted(itertools.chain(*revisions)) == list(range(1, n + 1))
    assert [state.revision for state in history] == list(range(n, 0, -1))
    for i, made in enumerate(revisions):
        assert made == sorted(made)
        ours = [(s.revision, s.change.note) for s in reversed(history) if s.change.actor == f"{i}"]
        assert ours == [(revision, f"{k}") for k, revision in enumerate(made)]
    for older, newer in itertools.pairwise(reversed(history)):
        actor = newer.change.actor
        mine = {f"own-{actor}": 1 + int(newer.change.note) % 2, "shared": newer.labels["shared"]}
        assert newer.labels == {**older.labels, **mine}


@pytest.mark.slow
def test_publishers_in_processes_get_distinct_numbers(place: Place, tmp_path: Path) -> None:
    numbers = in_processes(publish_all, place, tmp_path)
    registry = Registry(objects_at(place))
    n = PROCESSES * ROUNDS
    assert sorted(itertools.chain(*numbers)) == list(registry.versions(VOICE))
    assert registry.versions(VOICE) == tuple(range(1, n + 1))
    for made in numbers:
        assert len({registry.read(VOICE, v).component("model").digest for v in made}) == 1
    check_sound(registry)
    assert Journal(registry.objects).since(0) == (n, {VOICE})


@pytest.mark.slow
def test_promoters_in_processes_lose_no_change(place: Place, tmp_path: Path) -> None:
    registry = Registry(objects_at(place))
    for i in range(2):
        registry.publish(make_draft(tmp_path, VOICE, b"%d" % i))
    revisions = in_processes(promote_all, place, tmp_path)
    assert [len(made) for made in revisions] == [ROUNDS] * PROCESSES
    check_history(registry, revisions)
    check_sound(registry)


# Threads


def in_threads(n: int, work: Callable[[int], Any]) -> list[Any]:
    """What ``n`` threads made of their numbers, beginning together."""
    barrier = threading.Barrier(n)

    def begin(i: int) -> Any:
        barrier.wait(30)
        return work(i)

    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(begin, range(n)))


@pytest.mark.parametrize("alike", [False, True], ids=["different drafts", "same draft"])
def test_publishers_in_threads_get_distinct_numbers(
    alike: bool, objects: Objects, tmp_path: Path
) -> None:
    drafts = [make_draft(tmp_path / f"{i}", VOICE, b"" if alike else b"%d" % i) for i in range(6)]
    if alike:
        drafts = [make_draft(tmp_path, VOICE, b"same")] * 6
    registry = Registry(objects)
    manifests = in_threads(6, lambda i: registry.publish(drafts[i]))
    assert sorted(manifest.version for manifest in manifests) == [1, 2, 3, 4, 5, 6]
    assert [registry.read(VOICE, m.version) for m in manifests] == manifests
    check_sound(registry)


def test_one_number_goes_to_one_publisher(objects: Objects, tmp_path: Path) -> None:
    draft = make_draft(tmp_path, VOICE)
    registry = Registry(objects)

    def publish(_: int) -> bool:
        try:
            registry.publish(draft, version=3)
        except VersionExistsError:
            return False
        return True

    assert sorted(in_threads(4, publish)) == [False, False, False, True]
    with pytest.raises(VersionExistsError):
        registry.publish(draft, version=3)


def test_promoters_in_threads_lose_no_change(objects: Objects, tmp_path: Path) -> None:
    registry = Registry(objects)
    for i in range(2):
        registry.publish(make_draft(tmp_path, VOICE, b"%d" % i))

    def promote(i: int) -> list[int]:
        revisions = []
        for n in range(5):
            edit = Edit(moves={f"own-{i}": 1 + n % 2, "shared": 1 + n % 2})
            record = registry.edit(VOICE, edit, actor=f"{i}", note=f"{n}")
            revisions.append(record.state.revision)
        return revisions

    check_history(registry, in_threads(6, promote))
    assert registry.look(VOICE).state.labels.keys() == {*(f"own-{i}" for i in range(6)), "shared"}


def test_of_those_who_expect_one_revision_one_is_right(objects: Objects, tmp_path: Path) -> None:
    registry = Registry(objects)
    registry.publish(make_draft(tmp_path, VOICE), label="stable")

    def promote(i: int) -> bool | dict[str, str]:
        try:
            registry.edit(VOICE, Edit(moves={f"own-{i}": 1}), expected_revision=1)
        except RevisionConflictError as error:
            return error.metadata
        return True

    won = in_threads(6, promote)
    assert won.count(True) == 1
    assert won.count({"voice": VOICE, "revision": "2"}) == 5
    state = registry.look(VOICE).state
    assert (state.revision, state.labels) == (2, {"stable": 1, f"own-{won.index(True)}": 1})
    for stale in (0, 1, 3):
        with pytest.raises(RevisionConflictError, match="at revision 2"):
            registry.edit(VOICE, Edit(moves={"stable": None}), expected_revision=stale)
    assert registry.edit(VOICE, Edit(moves={"stable": None}), expected_revision=2).state.labels


@pytest.mark.usefixtures("quick_disk")
def test_what_is_published_while_garbage_is_collected_is_whole(
    near_objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried = functools.partial(publishing, sleep=lambda _: time.sleep(0))
    monkeypatch.setattr(publishing_module, "publishing", hurried)
    registry = Registry(near_objects)
    drafts = [make_draft(tmp_path / f"{i}", VOICE, b"%d" % i) for i in range(3)]

    def publish(i: int) -> None:
        for _ in range(12):
            version = registry.publish(drafts[i]).version
            if version % 3:
                registry.delete(VoiceRef(VOICE, version))

    def work(i: int) -> None:
        if i < len(drafts):
            publish(i)
            return
        for _ in range(40):  # A bounded number: publishers wait for as long as somebody collects.
            with contextlib.suppress(RegistryBusyError):
                collect(registry, grace=timedelta(0))

    in_threads(len(drafts) + 2, work)
    check_sound(registry)
    assert registry.versions(VOICE) == tuple(range(3, 37, 3))
    collect(registry, grace=timedelta(0))
    check_sound(registry)
    check_collected(registry)


# At the worst moment


@pytest.fixture
def hooked() -> HookedObjects:
    return HookedObjects(memory_objects())


def test_number_that_was_taken_and_deleted_meanwhile_is_not_taken_again(
    hooked: HookedObjects, tmp_path: Path
) -> None:
    registry, rival = Registry(hooked), Registry(hooked.inner)
    ours, theirs = make_draft(tmp_path / "1", data=b"1"), make_draft(tmp_path / "2", data=b"2")

    def take_and_delete() -> None:
        version = rival.publish(theirs).version
        rival.delete(VoiceRef(VOICE, version))

    registry.publish(ours)
    hooked.on("create", manifest_key(VOICE, 2), take_and_delete, once=True)
    assert registry.publish(ours).version == 3
    assert registry.versions(VOICE) == (1, 3)
    check_sound(registry)
    with pytest.raises(VoiceNotFoundError, match="was deleted"):
        registry.resolve(VoiceRef(VOICE, 2))
    hooked.on("create", manifest_key(VOICE, 4), take_and_delete, once=True)
    with pytest.raises(VersionExistsError, match="was deleted"):
        registry.publish(ours, version=4)
    assert hooked.head(manifest_key(VOICE, 4)) is None


def test_publisher_who_lost_a_number_takes_the_next(hooked: HookedObjects, tmp_path: Path) -> None:
    registry, rival = Registry(hooked), Registry(hooked.inner)
    ours, theirs = make_draft(tmp_path / "1", data=b"1"), make_draft(tmp_path / "2", data=b"2")
    hooked.on("create", manifest_key(VOICE, 1), lambda: rival.publish(theirs), once=True)
    hooked.on("create", manifest_key(VOICE, 2), lambda: rival.publish(theirs), once=True)
    assert registry.publish(ours).version == 3
    assert rival.versions(VOICE) == (1, 2, 3)


def test_change_that_lost_is_made_of_the_winner(hooked: HookedObjects, tmp_path: Path) -> None:
    registry, rival = Registry(hooked), Registry(hooked.inner)
    registry.publish(make_draft(tmp_path, VOICE))
    theirs = Edit(moves={"stable": 1}, traffic={1: 5})
    hooked.on("create", state_key(VOICE, 1), lambda: rival.edit(VOICE, theirs), once=True)
    record = registry.edit(VOICE, Edit(moves={"canary": 1}))
    assert record == rival.look(VOICE)
    assert record.state.labels == {"stable": 1, "canary": 1}
    assert (record.state.revision, record.state.traffic) == (2, {1: 5})


@pytest.mark.parametrize(
    "use", [Edit(moves={"stable": 1}), Edit(traffic={1: 1})], ids=["label", "traffic"]
)
def test_version_that_comes_into_use_is_not_deleted(
    use: Edit, hooked: HookedObjects, tmp_path: Path
) -> None:
    registry, rival = Registry(hooked), Registry(hooked.inner)
    for i in range(2):
        registry.publish(make_draft(tmp_path, VOICE, b"%d" % i))
    hooked.on("create", state_key(VOICE, 1), lambda: rival.edit(VOICE, use), once=True)
    with pytest.raises(VersionInUseError):
        registry.delete(VoiceRef(VOICE, 1))
    assert registry.versions(VOICE) == (1, 2)
    check_sound(registry)


def test_version_that_is_deleted_meanwhile_gets_no_label(
    hooked: HookedObjects, tmp_path: Path
) -> None:
    registry, rival = Registry(hooked), Registry(hooked.inner)
    for i in range(2):
        registry.publish(make_draft(tmp_path, VOICE, b"%d" % i))
    hooked.on("create", state_key(VOICE, 1), lambda: rival.delete(VoiceRef(VOICE, 1)), once=True)
    with pytest.raises(VoiceNotFoundError, match="was deleted"):
        registry.edit(VOICE, Edit(moves={"stable": 1, "canary": 2}))
    assert registry.look(VOICE).state.labels == {}
    check_sound(registry)


def test_two_who_roll_back_go_two_steps_back(hooked: HookedObjects, tmp_path: Path) -> None:
    registry, rival = Registry(hooked), Registry(hooked.inner)
    for i in range(3):
        registry.publish(make_draft(tmp_path, VOICE, b"%d" % i), label="stable")
    hooked.on("create", state_key(VOICE, 4), lambda: rival.roll_back(VOICE), once=True)
    assert registry.roll_back(VOICE) == (2, 1)


def test_whoever_always_loses_is_told(hooked: HookedObjects, tmp_path: Path) -> None:
    registry, rival = Registry(hooked), Registry(hooked.inner)
    registry.publish(make_draft(tmp_path, VOICE))
    names = itertools.cycle("ab")

    def change() -> None:
        rival.edit(VOICE, Edit(display_name=next(names)))

    hooked.on("create", "voices/", change)
    with pytest.raises(RevisionConflictError, match="changed by others 64 times"):
        registry.edit(VOICE, Edit(moves={"stable": 1}))
    assert registry.look(VOICE).state.revision == 64
    hooked.heal()
    assert registry.edit(VOICE, Edit(moves={"stable": 1})).state.revision == 65
