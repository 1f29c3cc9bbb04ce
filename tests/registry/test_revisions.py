"""States of a voice, however many: what a change costs, what is kept, and who was slow."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.registry.drafts import make_draft
from tests.registry.faults import HookedObjects
from tests.registry.stores import check_sound, memory_objects
from voxswap_registry import journal, store
from voxswap_registry.collecting import collect
from voxswap_registry.errors import RegistryError, RevisionConflictError, VoiceNotFoundError
from voxswap_registry.layout import state_key, voice_folder
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import Edit, VoiceState
from voxswap_registry.storage.objects import ObjectInfo, Objects
from voxswap_registry.store import KEPT_STATES, Registry

VOICE = "npc/smith"
pytestmark = pytest.mark.usefixtures("quick_disk")


class Counting(HookedObjects):
    """`Objects` that count what is asked of them: each call, and each object that is listed."""

    cost = 0

    def before(self, call: str, key: str) -> None:
        super().before(call, key)
        self.cost += 1

    def seen(self, info: ObjectInfo) -> ObjectInfo:
        self.cost += 1
        return info

    def met(self, key: str) -> None:
        self.cost += 1


def two_versions(registry: Registry, folder: Path) -> None:
    for i in range(2):
        registry.publish(make_draft(folder, VOICE, b"%d" % i))


def move(registry: Registry, i: int) -> None:
    registry.edit(VOICE, Edit(moves={"stable": 1 + i % 2}))


def revisions(registry: Registry) -> list[int]:
    return [state.revision for state in registry.history(VOICE)]


def test_a_change_costs_the_same_whatever_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = 40
    monkeypatch.setattr(store, "KEPT_STATES", kept)
    monkeypatch.setattr(journal, "KEPT_ENTRIES", 40)
    objects = Counting(memory_objects())
    registry = Registry(objects)
    two_versions(registry, tmp_path)
    costs = []
    for i in range(600):
        objects.cost = 0
        move(registry, i)
        costs.append(objects.cost)
    # The voice is listed twice, and the journal once: those entries that are kept, and a few.
    assert max(costs[120:]) < 2 * (kept + 20) + 3 * 40
    assert sum(costs[120:240]) == sum(costs[360:480]) == sum(costs[480:])
    assert revisions(registry)[:kept] == list(range(600, 600 - kept, -1))
    assert len(revisions(registry)) <= kept + 8


def test_a_registry_of_old_sheds_its_states_as_it_is_changed(
    near_objects: Objects, tmp_path: Path
) -> None:
    registry = Registry(near_objects)
    two_versions(registry, tmp_path)
    for revision in range(1, 1001):
        near_objects.create(state_key(VOICE, revision), VoiceState(revision).to_json())
    for i in range(20):
        move(registry, i)
    assert registry.look(VOICE).state.revision == 1020
    assert revisions(registry) == list(range(1020, 1020 - len(revisions(registry)), -1))
    assert KEPT_STATES <= len(revisions(registry)) <= KEPT_STATES + 8
    check_sound(registry)


def test_what_may_not_be_removed_stays_and_the_change_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store, "KEPT_STATES", 2)
    monkeypatch.setattr(store, "_TRIM_AT", 1)
    objects = HookedObjects(memory_objects())
    registry = Registry(objects)
    two_versions(registry, tmp_path)
    objects.fail("delete", "voices/", RegistryError("no"))
    with caplog.at_level(logging.WARNING):
        for i in range(4):
            move(registry, i)
    assert "was not looked at: no" in caplog.text
    assert revisions(registry) == [4, 3, 2, 1]
    objects.heal()
    move(registry, 0)
    assert revisions(registry) == [5, 4]


# Who was slow


@pytest.fixture
def hooked() -> HookedObjects:
    return HookedObjects(memory_objects())


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many states are kept: few, and the rest goes at once."""
    monkeypatch.setattr(store, "KEPT_STATES", 4)
    monkeypatch.setattr(store, "_TRIM_AT", 1)
    return 4


@pytest.mark.parametrize("first", [0, 1, 3])
@pytest.mark.parametrize("others", range(12))
@pytest.mark.parametrize("by", ["changes", "collector"])
def test_a_change_is_never_reported_and_lost(
    first: int, others: int, by: str, hooked: HookedObjects, few: int, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Between its look and its write others make changes, and the numbers become free again."""
    registry, rival = Registry(hooked), Registry(hooked.inner)
    two_versions(registry, tmp_path)
    for i in range(first):
        move(registry, i)

    def others_come() -> None:
        if by == "collector":
            monkeypatch.setattr(store, "_TRIM_AT", 1000)
        for i in range(others):
            rival.edit(VOICE, Edit(moves={"canary": 1 + i % 2}))
        if by == "collector":
            collect(rival)

    hooked.on("create", state_key(VOICE, first + 1), others_come, once=True)
    told: list[RevisionConflictError] = []
    try:
        registry.edit(VOICE, Edit(moves={"ours": 1}), actor="slow")
    except RevisionConflictError as error:
        told.append(error)
    if told:
        assert others > few  # Or else it was no reason to give up.
        assert told[0].metadata == {"voice": VOICE, "revision": f"{first + others}"}
        assert rival.look(VOICE).state.revision == first + others
        assert "ours" not in rival.look(VOICE).state.labels
        # Nothing of it is left in the history either.
        assert "slow" not in {state.change.actor for state in rival.history(VOICE)}
        registry.edit(VOICE, Edit(moves={"ours": 1}))
    assert rival.look(VOICE).state.labels["ours"] == 1
    canary = 1 + (others - 1) % 2 if others else None
    assert rival.look(VOICE).state.labels.get("canary") == canary
    check_sound(rival)


def test_whoever_expects_a_revision_long_gone_is_told(
    hooked: HookedObjects, few: int, tmp_path: Path
) -> None:
    registry, rival = Registry(hooked), Registry(hooked.inner)
    two_versions(registry, tmp_path)
    move(registry, 0)
    hooked.on(
        "create", state_key(VOICE, 2), lambda: [move(rival, i + 1) for i in range(20)], once=True
    )
    with pytest.raises(RevisionConflictError, match="at revision 21"):
        registry.edit(VOICE, Edit(moves={"ours": 1}), expected_revision=1)


def test_a_state_that_goes_between_listing_and_reading_is_looked_for_again(
    hooked: HookedObjects, few: int, tmp_path: Path
) -> None:
    """Or the voice would be taken for one that has no labels."""
    registry, rival = Registry(hooked), Registry(hooked.inner)
    two_versions(registry, tmp_path)
    move(registry, 0)
    hooked.on(
        "read", state_key(VOICE, 1), lambda: [move(rival, i + 1) for i in range(6)], once=True
    )
    assert registry.look(VOICE).state == rival.look(VOICE).state
    assert registry.look(VOICE).state.revision == 7


def test_a_voice_that_always_changes_is_given_up(
    hooked: HookedObjects, few: int, tmp_path: Path
) -> None:
    registry, rival = Registry(hooked), Registry(hooked.inner)
    two_versions(registry, tmp_path)
    move(registry, 0)
    hooked.on("read", voice_folder(VOICE) + "/s", lambda: [move(rival, i) for i in range(6)])
    with pytest.raises(RevisionConflictError, match="changes faster"):
        registry.look(VOICE)


def test_deletions_outlive_the_states_that_made_them(
    near_objects: Objects, few: int, tmp_path: Path
) -> None:
    registry = Registry(near_objects)
    two_versions(registry, tmp_path)
    registry.delete(VoiceRef(VOICE, 1))
    for i in range(10):
        registry.edit(VOICE, Edit(moves={"stable": 2 if i % 2 else None}, display_name=f"{i}"))
    assert 1 in registry.look(VOICE).state.deleted
    with pytest.raises(VoiceNotFoundError, match="was deleted"):
        registry.resolve(VoiceRef(VOICE, 1))
