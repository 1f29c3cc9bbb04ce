"""The watcher: what it finds and by which means, what it does in an outage, and how it ends."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import watchfiles

from tests.fakes.clocks import FakeClock
from tests.fakes.gates import Gate
from tests.registry.catalog_fixture import OUTAGE, RecordedStore, ids, version
from tests.registry.drafts import make_draft
from tests.registry.stores import memory_objects
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.catalog.refresh import Refreshed
from voxswap_registry.catalog.watcher import CatalogWatcher, Look
from voxswap_registry.errors import RegistryError, VoiceNotFoundError
from voxswap_registry.layout import JOURNAL, journal_key, manifest_key, state_key
from voxswap_registry.names import VoiceRef
from voxswap_registry.signing import PrivateKey, new_key_pair
from voxswap_registry.state import Edit
from voxswap_registry.store import Registry

FULL_S = 60.0
WAIT_S = 30


class Watch:
    """A catalog under watch; all looks, and an event after each."""

    def __init__(self, store: RecordedStore, catalog: Catalog, **options: Any) -> None:
        self.store, self.catalog, self.clock = store, catalog, FakeClock()
        self.looks: list[Look] = []
        self._looked = asyncio.Event()
        usual: dict[str, Any] = {"full_s": FULL_S, "clock": self.clock}
        self.watcher = CatalogWatcher(catalog, **(usual | options))

    def note(self, look: Look) -> None:
        self.looks.append(look)
        self._looked.set()

    async def look(self) -> Refreshed:
        """One look that must not fail; what the store was asked for is in `RecordedStore.asked`."""
        self.store.hooked.calls.clear()
        look = await self.watcher.look()
        assert look.error is None
        return look.refreshed

    async def wait_for_looks(self, n: int) -> None:
        """Wait until there were ``n`` looks in all."""
        async with asyncio.timeout(WAIT_S):
            while len(self.looks) < n:
                self._looked.clear()
                await self._looked.wait()


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RecordedStore:
    objects = Registry(tmp_path / "registry").objects
    return RecordedStore(memory_objects() if request.param == "bucket" else objects, tmp_path)


@pytest.fixture
def catalog(store: RecordedStore) -> Iterator[Catalog]:
    with store.catalog(private=True) as catalog:
        yield catalog


@pytest.fixture
async def watch(store: RecordedStore, catalog: Catalog) -> Watch:
    """A watch over the voices a and b, which has looked once."""
    store.publish("a")
    store.publish("b")
    watch = Watch(store, catalog)
    assert (await watch.look()).changed == {"a", "b"}
    return watch


def next_entry(store: RecordedStore) -> str:
    return journal_key(store.registry.journal.head() + 1)


# What it finds


async def test_a_look_at_a_quiet_store_is_one_small_read(
    store: RecordedStore, watch: Watch
) -> None:
    for _ in range(3):
        assert await watch.look() == Refreshed()
        assert store.hooked.calls == [("read", next_entry(store))]


async def test_the_journal_alone_tells_of_every_change(
    store: RecordedStore, catalog: Catalog, watch: Watch, tmp_path: Path
) -> None:
    async def found(*voice_ids: str) -> None:
        assert (await watch.look()).changed == set(voice_ids)
        assert set(store.asked("list")) == {f"voices/{voice_id}@" for voice_id in voice_ids}

    store.publish("new/voice")
    await found("new/voice")
    assert version(catalog, "new/voice") == 1
    store.publish("a")
    store.registry.edit("b", Edit(moves={"stable": 1}, tags=("x",)))
    await found("a", "b")
    assert (version(catalog, "a"), version(catalog, "b@stable")) == (2, 1)
    assert ids(catalog, tags=("x",)) == ["b"]
    store.registry.edit("a", Edit(moves={"stable": 1}))
    store.registry.edit("a", Edit(moves={"stable": 2}))
    await found("a")
    store.registry.roll_back("a")
    await found("a")
    assert version(catalog, "a") == 1
    store.registry.delete(VoiceRef("a", 2))
    await found("a")
    with pytest.raises(VoiceNotFoundError, match="was deleted"):
        version(catalog, "a@2")
    store.registry.delete(VoiceRef("new/voice"))
    await found("new/voice")
    assert ids(catalog) == ["a", "b"]
    new_key_pair(tmp_path / "key")
    store.registry.sign("a", 1, PrivateKey.load(tmp_path / "key"))
    await found("a")
    assert await watch.look() == Refreshed()


async def test_many_changes_at_once_are_one_look_at_everything(
    store: RecordedStore, catalog: Catalog, watch: Watch
) -> None:
    data = store.registry.read("a", 1).to_json()
    names = [f"v/{n:03d}" for n in range(150)]
    for name in names:
        store.put(manifest_key(name, 1), data.replace(b'"a"', json.dumps(name).encode()))
        store.registry.journal.append(name)
    assert (await watch.look()).changed == set(names)
    assert store.asked("list") == ["voices"]
    assert ids(catalog, prefix="v/") == names
    assert await watch.look() == Refreshed()


async def test_a_writer_that_died_before_its_entry_is_found_by_the_next_full_look(
    store: RecordedStore, catalog: Catalog, watch: Watch
) -> None:
    second = dataclasses.replace(store.registry.read("a", 1), version=2)
    store.put(manifest_key("a", 2), second.to_json())
    store.registry.objects.delete(manifest_key("b", 1))
    store.publish("c")  # Others' entries do not lead there.
    assert (await watch.look()).changed == {"c"}
    watch.clock.now_s += FULL_S - 0.001
    assert await watch.look() == Refreshed()
    assert version(catalog, "a") == 1
    watch.clock.now_s += 0.001
    found = await watch.look()
    assert (found.changed, found.gone) == ({"a"}, {"b"})
    assert (version(catalog, "a"), ids(catalog)) == (2, ["a", "c"])
    # And a minute later there is another one.
    watch.clock.now_s += FULL_S
    await watch.look()
    assert "voices" in store.asked("list")


@pytest.mark.parametrize("entry", [b"", b"{", b"[1]", b'{"voice": "../x"}', b"[" * 4000])
async def test_a_torn_entry_hides_no_later_one(
    store: RecordedStore, catalog: Catalog, watch: Watch, entry: bytes
) -> None:
    store.put(next_entry(store), entry)
    store.publish("c")
    assert (await watch.look()).changed == {"c"}
    assert await watch.look() == Refreshed()


async def test_a_journal_that_was_trimmed_past_the_watcher_is_made_up_for(
    store: RecordedStore, catalog: Catalog, watch: Watch
) -> None:
    first = store.registry.journal.head() + 1
    for _ in range(3):
        store.publish("a")
    store.registry.objects.delete(journal_key(first))
    assert await watch.look() == Refreshed()
    watch.clock.now_s += FULL_S
    assert (await watch.look()).changed == {"a"}
    store.publish("b")
    assert (await watch.look()).changed == {"b"}


async def test_what_changes_during_a_full_look_is_found_by_the_next(
    store: RecordedStore, catalog: Catalog, watch: Watch
) -> None:
    store.publish("a")
    # The listing is over when the first object is read.
    store.hooked.on("read", manifest_key("a", 2), lambda: store.publish("b"), once=True)
    watch.clock.now_s += FULL_S
    assert (await watch.look()).changed == {"a"}
    assert version(catalog, "b") == 1
    assert (await watch.look()).changed == {"b"}
    assert version(catalog, "b") == 2


# The next start


@pytest.fixture
async def stopped(store: RecordedStore) -> RecordedStore:
    """A server has watched the voices a and b, and has stopped."""
    store.publish("a")
    store.publish("b")
    with store.catalog() as catalog:
        await Watch(store, catalog).look()
    return store


async def test_a_start_asks_the_journal_and_the_next_look_is_at_everything(
    stopped: RecordedStore,
) -> None:
    stopped.publish("a")
    with stopped.catalog() as catalog:
        watch = Watch(stopped, catalog)
        assert (await watch.look()).changed == {"a"}
        assert stopped.asked("list") == ["voices/a@"]
        assert version(catalog, "a") == 2
        assert await watch.look() == Refreshed()
        assert "voices" in stopped.asked("list")
        await watch.look()
        assert stopped.asked("list") == []


async def test_what_the_journal_does_not_say_at_a_start_is_found_by_the_next_look(
    stopped: RecordedStore,
) -> None:
    second = dataclasses.replace(stopped.registry.read("a", 1), version=2)
    stopped.put(manifest_key("a", 2), second.to_json())
    with stopped.catalog() as catalog:
        watch = Watch(stopped, catalog)
        assert await watch.look() == Refreshed()
        assert (await watch.look()).changed == {"a"}


@pytest.mark.parametrize("fault", ["trimmed", "emptied", "never noted"])
async def test_a_journal_that_does_not_go_on_where_it_was_left_is_not_asked_at_a_start(
    stopped: RecordedStore, fault: str
) -> None:
    number = stopped.registry.journal.head()
    stopped.publish("a")
    stopped.publish("a")
    match fault:
        case "trimmed":
            for gone in (number, number + 1):
                stopped.registry.objects.delete(journal_key(gone))
        case "emptied":
            for gone in range(1, number + 3):
                stopped.registry.objects.delete(journal_key(gone))
        case "never noted":
            with stopped.catalog() as catalog:
                catalog.note_journal(0)
    with stopped.catalog() as catalog:
        assert (await Watch(stopped, catalog).look()).changed == {"a"}
        assert "voices" in stopped.asked("list")


async def test_a_start_in_an_outage_asks_the_journal_when_it_is_over(
    stopped: RecordedStore,
) -> None:
    stopped.publish("a")
    with stopped.catalog() as catalog:
        watch = Watch(stopped, catalog)
        stopped.hooked.fail("head", JOURNAL, OUTAGE)
        assert (await watch.watcher.look()).error is not None
        assert version(catalog, "a") == 1
        stopped.hooked.heal()
        assert (await watch.look()).changed == {"a"}
        assert stopped.asked("list") == ["voices/a@"]


# What fails


async def test_in_an_outage_looks_grow_rare_and_the_voices_stay(
    store: RecordedStore, catalog: Catalog, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    store.publish("a")
    store.hooked.fail("read", JOURNAL, OUTAGE)
    store.hooked.fail("list", "", OUTAGE)
    delays = [watch.watcher.delay_s]
    for n in range(8):
        watch.clock.now_s += FULL_S * (n % 2)  # Looks at the journal and full ones.
        look = await watch.watcher.look()
        assert (look.error, look.refreshed) == (OUTAGE, Refreshed())
        delays.append(watch.watcher.delay_s)
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert (version(catalog, "a"), ids(catalog)) == (1, ["a", "b"])
    # Told once, not at each look.
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    store.hooked.heal()
    assert (await watch.look()).changed == {"a"}
    assert version(catalog, "a") == 2
    assert watch.watcher.delay_s == 1


async def test_a_slow_poll_is_never_made_faster_by_failures(
    store: RecordedStore, catalog: Catalog
) -> None:
    watch = Watch(store, catalog, poll_s=300.0)
    store.hooked.fail("list", "", OUTAGE)
    assert (await watch.watcher.look()).error is OUTAGE
    assert watch.watcher.delay_s == 300.0


async def test_an_outage_amid_a_look_loses_no_entry(
    store: RecordedStore, catalog: Catalog, watch: Watch
) -> None:
    """The journal could be read, the voice could not."""
    store.publish("a")
    store.publish("b")
    store.hooked.fail("list", "voices/b@", OUTAGE)
    assert (await watch.watcher.look()).error is OUTAGE
    store.hooked.heal()
    assert (await watch.look()).changed == {"a", "b"}
    assert (version(catalog, "a"), version(catalog, "b")) == (2, 2)


async def test_a_full_look_that_failed_is_due_still(
    store: RecordedStore, catalog: Catalog, watch: Watch
) -> None:
    store.registry.objects.delete(manifest_key("b", 1))
    watch.clock.now_s += FULL_S
    store.hooked.fail("list", "voices", OUTAGE)
    assert (await watch.watcher.look()).error is OUTAGE
    store.hooked.heal()
    assert (await watch.look()).gone == {"b"}


@pytest.mark.parametrize("full", [False, True])
async def test_an_object_that_could_not_be_read_is_asked_for_until_it_can(
    store: RecordedStore, catalog: Catalog, watch: Watch, full: bool
) -> None:
    store.registry.edit("a", Edit(moves={"stable": 1}))
    store.publish("a")
    store.hooked.fail("read", manifest_key("a", 2), OUTAGE)
    watch.clock.now_s += FULL_S * full
    for _ in range(3):
        found = await watch.look()
        assert (found.changed, found.failed) == ({"a"}, {"a"})
        assert manifest_key("a", 2) in store.asked("read")
    assert watch.watcher.delay_s == 1  # One object is at fault, not the store.
    assert version(catalog, "a") == 1
    store.hooked.heal()
    found = await watch.look()
    assert (found.changed, found.failed) == ({"a"}, frozenset())
    assert version(catalog, "a@2") == 2
    assert await watch.look() == Refreshed()
    assert store.asked("list") == []


async def test_a_state_that_could_not_be_read_takes_effect_when_it_can(
    store: RecordedStore, catalog: Catalog, watch: Watch
) -> None:
    store.publish("a")
    store.registry.edit("a", Edit(moves={"stable": 1}))
    await watch.look()
    store.registry.edit("a", Edit(moves={"stable": 2}))
    store.hooked.fail("read", state_key("a", 2), OUTAGE)
    assert (await watch.look()).failed == {"a"}
    assert version(catalog, "a") == 1
    store.hooked.heal()
    await watch.look()
    assert version(catalog, "a") == 2


async def test_what_nobody_foresaw_does_not_end_the_watch(
    store: RecordedStore, catalog: Catalog, watch: Watch
) -> None:
    store.publish("a")
    store.hooked.fail("list", "voices", ValueError("nobody thought of that"))
    assert isinstance((await watch.watcher.look()).error, ValueError)
    assert watch.watcher.delay_s == 2
    store.hooked.heal()
    assert (await watch.look()).changed == {"a"}


async def test_a_store_that_was_never_reached_is_found_when_it_comes(
    store: RecordedStore, catalog: Catalog
) -> None:
    store.publish("a")
    watch = Watch(store, catalog)
    store.hooked.fail("list", "", OUTAGE)
    assert (await watch.watcher.look()).error is OUTAGE
    with pytest.raises(RegistryError, match="could not be read yet"):
        version(catalog, "a")
    store.hooked.heal()
    assert (await watch.look()).changed == {"a"}
    assert version(catalog, "a") == 1


# The loop


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel ``task``: it ends by that and nothing else, and leaves no other task behind."""
    task.cancel()
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_it_looks_again_and_again_and_ends_when_cancelled(
    store: RecordedStore, catalog: Catalog
) -> None:
    watch = Watch(store, catalog, poll_s=0.0)
    running = asyncio.create_task(watch.watcher.run(watch.note))
    await watch.wait_for_looks(3)
    store.publish("a")
    seen = len(watch.looks)
    await watch.wait_for_looks(seen + 2)
    assert version(catalog, "a") == 1
    store.hooked.fail("read", JOURNAL, OUTAGE)
    seen = len(watch.looks)
    await watch.wait_for_looks(seen + 2)
    assert watch.looks[-1].error is OUTAGE
    assert not running.done()
    await ended(running)


async def test_it_ends_amid_a_look_that_hangs(store: RecordedStore, catalog: Catalog) -> None:
    store.publish("a")
    gate = Gate()
    store.hooked.on("read", "voices/", gate)
    watch = Watch(store, catalog, poll_s=0.0)
    running = asyncio.create_task(watch.watcher.run(watch.note))
    await asyncio.to_thread(gate.wait_reached)
    await ended(running)
    assert not watch.looks
    gate.open()
    # The thread that was left alone did no harm.
    await asyncio.to_thread(catalog.refresh)
    assert version(catalog, "a") == 1


async def steps(n: int = 50) -> None:
    """Let everything that is ready run."""
    for _ in range(n):
        await asyncio.sleep(0)


@pytest.fixture
def folder_registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "registry")
    registry.publish(make_draft(tmp_path / "drafts", "a"))
    return registry


@pytest.fixture
def local(folder_registry: Registry) -> Iterator[Catalog]:
    with Catalog(folder_registry) as catalog:
        catalog.refresh()
        yield catalog


async def test_a_file_that_appears_in_the_journal_wakes_it(
    folder_registry: Registry, local: Catalog, tmp_path: Path
) -> None:
    """The next poll would be in an hour."""
    watch = Watch(
        RecordedStore(folder_registry.objects, tmp_path), local, poll_s=3600.0, full_s=3600.0
    )
    running = asyncio.create_task(watch.watcher.run(watch.note))
    await steps()
    for n in (1, 2):
        folder_registry.publish(make_draft(tmp_path / "drafts", f"new/{n}"))
        await watch.wait_for_looks(n)
        async with asyncio.timeout(WAIT_S):
            while f"new/{n}" not in ids(local):
                await watch.wait_for_looks(len(watch.looks) + 1)
    await ended(running)


class FileEvents:
    """In the place of `watchfiles.awatch`: raises what it is given, and counts its calls."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.calls = 0
        self.called = asyncio.Event()

    async def __call__(self, *paths: Path, **_: Any) -> AsyncIterator[set[Any]]:
        self.calls += 1
        self.called.set()
        if self.faults:
            raise self.faults.pop(0)
        yield set()
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    "fault",
    [
        OSError("inotify watch limit reached"),
        FileNotFoundError("the journal went away"),
        RuntimeError("error in underlying watcher"),  # watchfiles' own are of this kind,
        ExceptionGroup("of anyio", [RuntimeError("error in underlying watcher")]),  # or this.
    ],
)
async def test_without_file_events_it_polls(
    folder_registry: Registry,
    local: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
) -> None:
    events = FileEvents(fault)
    monkeypatch.setattr(watchfiles, "awatch", events)
    watch = Watch(
        RecordedStore(folder_registry.objects, tmp_path), local, poll_s=0.0, full_s=3600.0
    )
    running = asyncio.create_task(watch.watcher.run(watch.note))
    await watch.wait_for_looks(2)
    assert events.calls == 1
    folder_registry.publish(make_draft(tmp_path / "drafts", "b"))
    await watch.wait_for_looks(len(watch.looks) + 2)
    assert ids(local) == ["a", "b"]
    assert not running.done()
    await ended(running)


async def test_a_journal_that_comes_later_is_watched_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = FileEvents()
    monkeypatch.setattr(watchfiles, "awatch", events)
    registry = Registry(tmp_path / "registry")
    with Catalog(registry) as catalog:
        watch = Watch(RecordedStore(registry.objects, tmp_path), catalog, poll_s=3600.0, full_s=0.0)
        running = asyncio.create_task(watch.watcher.run(watch.note))
        await steps()
        assert events.calls == 0
        registry.publish(make_draft(tmp_path / "drafts", "a"))
        async with asyncio.timeout(WAIT_S):
            await events.called.wait()
        await watch.wait_for_looks(1)
        assert version(catalog, "a") == 1
        await ended(running)


async def test_a_bucket_is_polled_without_file_events(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    events = FileEvents()
    monkeypatch.setattr(watchfiles, "awatch", events)
    store = RecordedStore(memory_objects(), tmp_path)
    with store.catalog(private=True) as catalog:
        watch = Watch(store, catalog, poll_s=0.0)
        running = asyncio.create_task(watch.watcher.run(watch.note))
        await watch.wait_for_looks(2)
        assert events.calls == 0
        await ended(running)


async def test_a_change_and_its_discovery_are_never_further_apart_than_a_look(
    store: RecordedStore, catalog: Catalog
) -> None:
    """Whatever happens between which two looks, the second one has found it."""
    store.publish("a")
    watch = Watch(store, catalog)
    await watch.look()
    for n, full in itertools.product(range(3), (False, True)):
        store.publish("a")
        store.registry.edit("a", Edit(moves={"stable": store.registry.versions("a")[-1]}))
        watch.clock.now_s += FULL_S * full
        await watch.look()
        assert catalog.record("a") == store.registry.record("a"), (n, full)


async def test_a_journal_that_cannot_be_looked_for_ends_no_watch(
    folder_registry: Registry, local: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network file system: ESTALE, EIO, EACCES."""
    real = Path.is_dir

    def is_dir(path: Path) -> bool:
        if path.name == JOURNAL:
            raise OSError(116, "Stale file handle")
        return real(path)

    monkeypatch.setattr(Path, "is_dir", is_dir)
    looks: list[Look] = []
    looked = asyncio.Event()

    def note(look: Look) -> None:
        looks.append(look)
        looked.set()

    watcher = CatalogWatcher(local, poll_s=0.01)
    task = asyncio.create_task(watcher.run(note))
    async with asyncio.timeout(WAIT_S):
        while len(looks) < 3:
            looked.clear()
            await looked.wait()
    assert not task.done()
    await ended(task)
