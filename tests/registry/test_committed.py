"""What counts is what was committed: a failure after that is told in the log, not as a failure."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.fakes.gates import Gate
from tests.registry.drafts import make_draft
from tests.registry.faults import HookedObjects
from tests.registry.stores import memory_objects
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import ManifestError, RegistryError, VoiceNotFoundError
from voxswap_registry.journal import Journal
from voxswap_registry.layout import JOURNAL, manifest_key, state_key
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import Edit
from voxswap_registry.store import Registry

VOICE = "npc/smith"
OUTAGE = RegistryError("the store is gone")


@pytest.fixture
def hooked() -> HookedObjects:
    return HookedObjects(memory_objects())


@pytest.fixture
def registry(hooked: HookedObjects, tmp_path: Path) -> Registry:
    """Three versions; the label stable named one after the other."""
    found = Registry(hooked)
    for version in (1, 2, 3):
        found.publish(make_draft(tmp_path, VOICE, data=bytes([version])), label="stable")
    return found


def test_a_change_whose_entry_fails_happened_once(
    registry: Registry, hooked: HookedObjects, caplog: pytest.LogCaptureFixture
) -> None:
    hooked.fail("create", JOURNAL, OUTAGE)
    assert registry.roll_back(VOICE) == (3, 2)
    registry.edit(VOICE, Edit(moves={"canary": 3}))
    hooked.heal()
    assert registry.record(VOICE).state.labels == {"stable": 2, "canary": 3}
    assert caplog.text.count("the journal does not say so") == 2


def test_a_publication_whose_entry_fails_moves_its_label(
    registry: Registry, hooked: HookedObjects, tmp_path: Path
) -> None:
    hooked.fail("create", JOURNAL, OUTAGE)
    manifest = registry.publish(make_draft(tmp_path, VOICE, data=b"4"), label="stable")
    assert manifest.version == 4
    assert registry.record(VOICE).state.labels == {"stable": 4}


def test_a_label_that_could_not_be_moved_is_told_with_the_version(
    registry: Registry, hooked: HookedObjects, tmp_path: Path
) -> None:
    hooked.fail("create", state_key(VOICE, 4), OUTAGE)
    with pytest.raises(RegistryError, match=r"npc/smith@4 is published, and the label 'stable'"):
        registry.publish(make_draft(tmp_path, VOICE, data=b"4"), label="stable")
    assert registry.versions(VOICE) == (1, 2, 3, 4)
    assert registry.record(VOICE).state.labels == {"stable": 3}


def test_a_deletion_that_leaves_objects_behind_is_one(
    registry: Registry, hooked: HookedObjects
) -> None:
    hooked.fail("delete", manifest_key(VOICE, 1), OUTAGE)
    assert registry.delete(VoiceRef(VOICE, 1)) == (1,)
    assert registry.versions(VOICE) == (2, 3)
    hooked.heal()
    with pytest.raises(VoiceNotFoundError, match="was deleted"):
        registry.resolve(VoiceRef(VOICE, 1))


def test_a_torn_newest_manifest_is_superseded(
    registry: Registry, hooked: HookedObjects, tmp_path: Path
) -> None:
    hooked.inner.replace(manifest_key(VOICE, 3), b'{"torn')
    with pytest.raises(ManifestError):
        registry.resolve(VoiceRef(VOICE))
    manifest, is_new = registry.publish_if_new(make_draft(tmp_path, VOICE, data=b"\\x03"))
    assert (manifest.version, is_new) == (4, True)


def test_history_goes_on_behind_a_torn_state(registry: Registry, hooked: HookedObjects) -> None:
    hooked.inner.replace(state_key(VOICE, 2), b"[]")
    found = [(state.revision, state.change.action) for state in registry.history(VOICE)]
    assert found == [
        (3, "promote stable 3"), (2, "(cannot be read)"), (1, "promote stable 1")
    ]  # fmt: skip


def test_the_journal_is_read_a_piece_at_a_time() -> None:
    journal = Journal(memory_objects())
    for i in range(450):
        journal.append(f"v{i}")
    number, found = 0, set()
    steps = []
    while (read := journal.since(number))[0] > number:
        steps.append(read[0] - number)
        number, voices = read
        found |= voices
    assert steps == [200, 200, 50]
    assert len(found) == 450


def test_a_network_that_fails_every_read_ends_the_refresh(tmp_path: Path) -> None:
    hooked = HookedObjects(memory_objects())
    registry = Registry(hooked)
    for i in range(60):
        registry.publish(make_draft(tmp_path, f"v{i:02d}"))
    with Catalog(registry, folder=tmp_path / "index") as catalog:
        catalog.refresh()
    registry.edit("v00", Edit(moves={"stable": 1}))
    hooked.fail("read", "voices", OUTAGE)
    with Catalog(registry, folder=tmp_path / "index") as catalog:
        # One that fails is looked at again; the voice speaks as it did.
        assert catalog.refresh().failed == {"v00"}
        assert catalog.resolve(VoiceRef("v00")).version == 1
    with Catalog(registry, folder=tmp_path / "another") as catalog:
        hooked.calls.clear()
        with pytest.raises(RegistryError, match="the store is gone"):
            catalog.refresh()
        reads = sum(call == "read" for call, _ in hooked.calls)
        assert reads < 60
        assert not catalog.is_complete


def test_closing_gives_a_refresh_up(tmp_path: Path) -> None:
    hooked, gate = HookedObjects(memory_objects()), Gate()
    registry = Registry(hooked)
    hooked.readers = 1
    for voice_id in ("a", "b", "c"):
        registry.publish(make_draft(tmp_path, voice_id))
    hooked.on("read", "voices", gate, once=True)
    catalog, outcome = Catalog(registry), []

    def refresh() -> None:
        try:
            catalog.refresh()
        except RegistryError as error:
            outcome.append(str(error))

    refreshing = threading.Thread(target=refresh)
    refreshing.start()
    gate.wait_reached()
    closing = threading.Thread(target=catalog.close)
    closing.start()
    while not catalog._refresher._stopped.is_set():
        closing.join(0.01)
    hooked.calls.clear()
    gate.open()
    for thread in (refreshing, closing):
        thread.join(30)
        assert not thread.is_alive()
    assert outcome == ["the catalog is being closed; ask another server"]
    assert [call for call in hooked.calls if call[0] == "read"] == []
