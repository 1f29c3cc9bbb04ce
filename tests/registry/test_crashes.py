"""A process that dies at any write, before it or after: the old state or the new, and no way stuck.

Each operation is done once for each of its writes, by a process that dies there. What a fresh
registry then finds must be one of the states that the operation may leave; doing it again must
work; and once the dead process's marker is dead too, a collection leaves what is referenced alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.registry.drafts import make_draft
from tests.registry.faults import ClockedObjects, Crash, FaultyObjects
from tests.registry.stores import check_collected, check_sound, memory_objects
from voxswap_registry import journal, store
from voxswap_registry.collecting import collect
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import VersionExistsError, VoiceNotFoundError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.signing import PrivateKey, TrustedKeys, check, new_key_pair
from voxswap_registry.state import Edit
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.storage.objects import Objects
from voxswap_registry.store import Registry

VOICE = "npc/smith"
NOW = timedelta(0)
pytestmark = pytest.mark.usefixtures("quick_disk")


@dataclass(frozen=True)
class Drafts:
    """What the operations work with: files that were there before."""

    first: VoiceDraft
    second: VoiceDraft
    third: VoiceDraft
    other: VoiceDraft
    key: PrivateKey
    trusted: TrustedKeys

    def signers(self, registry: Registry) -> set[str]:
        """Who has signed VOICE@1, so that it counts."""
        data = registry.read(VOICE, 1).to_json()
        documents = registry.signatures(VOICE, 1)
        return {check(data, [d], self.trusted, ref=VOICE) for d in documents}


@pytest.fixture(scope="module")
def drafts(tmp_path_factory: pytest.TempPathFactory) -> Drafts:
    folder = tmp_path_factory.mktemp("drafts")
    new_key_pair(folder / "key")
    return Drafts(
        first=make_draft(folder / "1", VOICE, b"first"),
        second=make_draft(folder / "2", VOICE, b"second"),
        third=make_draft(folder / "3", VOICE, b"third"),
        other=make_draft(folder / "4", "npc/smith/other", b"second"),
        key=PrivateKey.load(folder / "key"),
        trusted=TrustedKeys.load([folder / "key.pub"]),
    )


@dataclass(frozen=True)
class VisibleState:
    """What anybody can see of VOICE, but for the bytes, which `check_sound` looks at."""

    versions: tuple[int, ...] = ()
    labels: frozenset[tuple[str, int]] = frozenset()
    traffic: frozenset[tuple[int, int]] = frozenset()
    revision: int = 0
    signed: bool = False


def seen(registry: Registry, drafts: Drafts) -> VisibleState:
    record = registry.look(VOICE)
    return VisibleState(
        record.versions,
        frozenset(record.state.labels.items()),
        frozenset(record.state.traffic.items()),
        record.state.revision,
        bool(1 in record.versions and drafts.signers(registry)),
    )


Act = Callable[[Registry, Drafts], Any]


@dataclass(frozen=True)
class Operation:
    """``prepare`` makes the old state; ``act`` is what dies; ``again`` may follow what is left.

    ``between`` are the states that it may leave beside the old and the new.
    """

    name: str
    prepare: Act
    act: Act
    again: Act
    between: tuple[VisibleState, ...] = ()


def three_versions(registry: Registry, drafts: Drafts) -> None:
    """1, 2 and 3, of which stable was each in turn; and another voice, with bytes that 2 has."""
    for draft in (drafts.first, drafts.second, drafts.third):
        registry.publish(draft, label="stable")
    registry.publish(drafts.other)


def two_versions_of_three(registry: Registry, drafts: Drafts) -> None:
    """2 is deleted, with all that was its own left behind; much journal, many states."""
    three_versions(registry, drafts)
    registry.edit(VOICE, Edit(moves={"canary": 1, "old": 1, "older": 1}))
    state = registry.look(VOICE).state
    registry.publish(drafts.second)
    assert registry.look(VOICE).state == state
    registry.delete(VoiceRef(VOICE, 2))
    objects = registry.objects
    objects.replace(f"voices/{VOICE}@/v2.json", b"left by a deleter that died")
    objects.upload(f"blobs/sha256/00/{'0' * 64}", iter([memoryview(b"left by a publisher")]))
    objects.replace(f"publishing/{'0' * 32}.json", b"its marker")


def publishes(**options: Any) -> Act:
    return lambda registry, drafts: registry.publish(drafts.third, **options)


def edits(edit: Edit) -> Act:
    return lambda registry, _: registry.edit(VOICE, edit)


def rolls_back(registry: Registry, _: Drafts) -> None:
    """One step from whichever version is stable, as 3 was 2's successor and 2 was 1's."""
    before = registry.look(VOICE).state.labels["stable"]
    assert registry.roll_back(VOICE) == (before, before - 1)


def deletes(ref: VoiceRef) -> Act:
    return lambda registry, _: registry.delete(ref)


def deletes_if_there(ref: VoiceRef) -> Act:
    def act(registry: Registry, _: Drafts) -> None:
        versions = registry.versions(VOICE)
        if ref.version in versions or (ref.version is None and versions):
            registry.delete(ref)
        else:
            with pytest.raises(VoiceNotFoundError):
                registry.delete(ref)

    return act


def publishes_number_if_free(registry: Registry, drafts: Drafts) -> None:
    if 7 in registry.versions(VOICE):
        with pytest.raises(VersionExistsError):
            registry.publish(drafts.third, version=7)
    else:
        assert registry.publish(drafts.third, version=7).version == 7


def publishes_next(registry: Registry, drafts: Drafts) -> Manifest:
    versions = registry.versions(VOICE)
    manifest = registry.publish(drafts.third, label="stable")
    assert manifest.version == max(versions, default=0) + 1
    assert registry.resolve(VoiceRef(VOICE, label="stable")) == manifest
    return manifest


def nothing(registry: Registry, drafts: Drafts) -> None:
    pass


PROMOTION = Edit(moves={"stable": 1, "canary": 3}, traffic={1: 1, 3: 9}, display_name="Smith")
OPERATIONS = [
    Operation("publish the first", nothing, publishes(), publishes_next),
    Operation("publish another", three_versions, publishes(), publishes_next),
    Operation("publish a number", three_versions, publishes(version=7), publishes_number_if_free),
    Operation(
        "publish with a label",
        lambda registry, drafts: registry.publish(drafts.first, label="stable"),
        publishes(label="stable"),
        publishes_next,
        between=(VisibleState((1, 2), frozenset({("stable", 1)}), revision=1),),
    ),
    Operation("edit", three_versions, edits(PROMOTION), edits(PROMOTION)),
    Operation(
        "withdraw",
        three_versions,
        edits(Edit(moves={"stable": None})),
        edits(Edit(moves={"stable": None})),
    ),
    Operation("roll back", three_versions, rolls_back, rolls_back),
    Operation(
        "delete a version",
        three_versions,
        deletes(VoiceRef(VOICE, 2)),
        deletes_if_there(VoiceRef(VOICE, 2)),
    ),
    Operation(
        "delete a voice",
        lambda registry, drafts: [registry.publish(d) for d in (drafts.first, drafts.second)],
        deletes(VoiceRef(VOICE)),
        deletes_if_there(VoiceRef(VOICE)),
    ),
    Operation(
        "sign",
        three_versions,
        lambda registry, drafts: registry.sign(VOICE, 1, drafts.key),
        lambda registry, drafts: registry.sign(VOICE, 1, drafts.key),
    ),
    Operation(
        "collect",
        two_versions_of_three,
        lambda registry, _: collect(registry, grace=NOW),
        nothing,
    ),
]


class FreshObjects:
    """Fresh objects, as many as are wanted."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind, self._folder, self._n = kind, folder, 0

    def new(self) -> ClockedObjects:
        self._n += 1
        inner: Objects = memory_objects()
        if self._kind == "folder":
            inner = FolderObjects(self._folder / f"{self._n}")
        return ClockedObjects(inner)


@pytest.mark.parametrize("kind", ["folder", "memory"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_dying_at_any_write_leaves_the_old_state_or_the_new(
    operation: Operation,
    kind: str,
    drafts: Drafts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "KEPT_STATES", 2)
    monkeypatch.setattr(store, "_TRIM_AT", 1)
    monkeypatch.setattr(journal, "KEPT_ENTRIES", 3)
    places = FreshObjects(kind, tmp_path)

    def prepared() -> ClockedObjects:
        objects = places.new()
        operation.prepare(Registry(objects), drafts)
        objects.pass_time(timedelta(hours=2))
        return objects

    living = FaultyObjects(prepared())
    old = seen(Registry(living), drafts)
    operation.act(Registry(living), drafts)
    new = seen(Registry(living), drafts)
    assert operation.name == "collect" or old != new
    left = set()
    for at in range(1, living.writes + 1):
        for late in (False, True):
            objects = prepared()
            with pytest.raises(Crash):
                operation.act(Registry(FaultyObjects(objects, at, late=late)), drafts)
            registry = Registry(objects)
            found = seen(registry, drafts)
            assert found in {old, new, *operation.between}, (at, late)
            left.add(found)
            check_sound(registry)

            objects.pass_time(timedelta(minutes=1))
            operation.again(registry, drafts)
            check_sound(registry)
            # The dead marker of a collector would keep publishers waiting; it dies in an hour.
            objects.pass_time(timedelta(hours=2))
            collect(registry, grace=NOW)
            check_sound(registry)
            check_collected(registry)
    assert left == {old, new, *operation.between}  # Or else nothing was tried.
