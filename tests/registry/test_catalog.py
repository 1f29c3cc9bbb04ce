"""The catalog: what a refresh reads, what it survives, and that it says what the store says."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import logging
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.fakes.gates import Gate
from tests.registry.catalog_fixture import OUTAGE, RecordedStore, ids, version
from tests.registry.stores import memory_objects
from voxswap_registry.catalog import catalog as catalog_module
from voxswap_registry.catalog import index as index_module
from voxswap_registry.catalog.catalog import Catalog, VoiceListing
from voxswap_registry.catalog.index import Index, VoiceFilter
from voxswap_registry.errors import (
    ManifestError,
    NothingToRollBackError,
    RegistryError,
    SignatureError,
    VersionInUseError,
    VoiceNotFoundError,
    VoxswapError,
)
from voxswap_registry.layout import manifest_key, signature_key, state_key
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.signing import PrivateKey, TrustedKeys, new_key_pair, sign
from voxswap_registry.state import Edit
from voxswap_registry.store import Registry

WAIT_S = 30


@contextlib.contextmanager
def bucket_store() -> Iterator[RecordedStore]:
    """A store in memory, for where thousands are built."""
    with tempfile.TemporaryDirectory() as folder:
        yield RecordedStore(memory_objects(), Path(folder))


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RecordedStore:
    if request.param == "folder":
        return RecordedStore(Registry(tmp_path / "registry").objects, tmp_path)
    return RecordedStore(memory_objects(), tmp_path)


@pytest.fixture
def catalog(store: RecordedStore) -> Iterator[Catalog]:
    with store.catalog() as catalog:
        yield catalog


# What is read


def test_a_refresh_reads_what_changed_and_nothing_else(
    store: RecordedStore, catalog: Catalog
) -> None:
    for voice_id in ("a", "b", "c"):
        store.publish(voice_id)
    first = store.reads_of(catalog.refresh)
    assert first == [manifest_key(voice_id, 1) for voice_id in ("a", "b", "c")]
    assert store.reads_of(catalog.refresh) == []

    store.publish("b")
    store.registry.edit("c", Edit(moves={"stable": 1}))
    assert store.reads_of(catalog.refresh) == [manifest_key("b", 2), state_key("c", 1)]
    # Of states, the newest alone.
    for weight in range(1, 4):
        store.registry.edit("c", Edit(traffic={1: weight}))
    assert store.reads_of(catalog.refresh) == [state_key("c", 4)]
    assert store.reads_of(lambda: catalog.refresh(["a", "b", "c"])) == []
    assert catalog.record("c").state.traffic == {1: 3}


def test_a_refresh_of_some_voices_lists_and_reads_no_others(
    store: RecordedStore, catalog: Catalog
) -> None:
    for voice_id in ("a", "a/b", "ab"):
        store.publish(voice_id)
    catalog.refresh()
    for voice_id in ("a", "a/b", "ab"):
        store.publish(voice_id)
    assert store.reads_of(lambda: catalog.refresh(["a"])) == [manifest_key("a", 2)]
    assert store.asked("list") == ["voices/a@"]
    assert [version(catalog, voice_id) for voice_id in ("a", "a/b", "ab")] == [2, 1, 1]


def test_a_refresh_tells_what_it_found(store: RecordedStore, catalog: Catalog) -> None:
    store.publish("a")
    store.publish("b")
    found = catalog.refresh()
    assert (found.changed, found.gone, found.failed) == ({"a", "b"}, frozenset(), frozenset())
    store.publish("b")
    store.registry.objects.delete(manifest_key("a", 1))
    found = catalog.refresh()
    assert (found.changed, found.gone, found.failed) == ({"b"}, {"a"}, frozenset())
    found = catalog.refresh(["a", "b", "never"])
    assert (found.changed, found.gone, found.failed) == (frozenset(), frozenset(), frozenset())


def test_a_manifest_that_is_replaced_under_its_number_is_told_of(
    store: RecordedStore, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    """No voxswap does that; a restore may, or somebody who writes to the store."""
    manifests = [store.publish("npc/smith", data=b"%d" % i) for i in range(2)]
    assert catalog.refresh().replaced == frozenset()
    other = dataclasses.replace(manifests[0], licence="replaced").to_json()
    store.put(manifest_key("npc/smith", 1), other)
    store.put(manifest_key("npc/smith", 2), manifests[1].to_json())  # With the bytes that it had.
    with caplog.at_level(logging.WARNING):
        assert catalog.refresh().replaced == {"npc/smith@1"}
    assert "the manifest of npc/smith@1 was replaced" in caplog.text
    assert "npc/smith@2" not in caplog.text
    assert catalog.resolve(VoiceRef("npc/smith", 1)).licence == "replaced"
    assert catalog.refresh().replaced == frozenset()


def test_a_restart_over_the_same_folder_reads_nothing(store: RecordedStore) -> None:
    store.publish("a", tags=("village",))
    store.registry.edit("a", Edit(moves={"stable": 1}, display_name="Anna"))
    with store.catalog() as before:
        before.refresh()
        known = list(before.listings())
    store.hooked.calls.clear()
    with store.catalog() as after:
        assert after.is_complete
        assert list(after.listings()) == known
        assert version(after, "a@stable") == 1
        assert not store.hooked.calls
        after.refresh()
        assert not store.asked("read")


def test_two_stores_share_a_folder_and_nothing_else(tmp_path: Path) -> None:
    stores = [RecordedStore(Registry(tmp_path / name).objects, tmp_path) for name in "xy"]
    for store, voice_id in zip(stores, "ab", strict=True):
        store.publish(voice_id)
        with store.catalog() as catalog:
            catalog.refresh()
    for store, voice_id in zip(stores, "ab", strict=True):
        with store.catalog() as catalog:
            assert ids(catalog) == [voice_id]


# What is broken


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def of_unknown_schema(store: RecordedStore) -> bytes:
    data = store.registry.objects.read(manifest_key("b", 1), limit_bytes=1 << 20)
    assert data
    return json.dumps(json.loads(data) | {"schema_version": 99, "version": 2}).encode()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"torn', "not JSON"),
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[]", "not a JSON object"),
        (nested(10_000), "not JSON"),
        (nested(10 << 20), "more than 65536 bytes"),
        (of_unknown_schema, "schema_version 99"),
    ],
    ids=["torn", "empty", "no text", "a list", "deep", "10 MB deep", "of the future"],
)
def test_a_broken_manifest_hides_no_other_voice_or_version(
    store: RecordedStore, catalog: Catalog, data: Any, told: str
) -> None:
    for voice_id in ("a", "b", "c"):
        store.publish(voice_id)
    store.put(manifest_key("b", 2), data(store) if callable(data) else data)
    assert not catalog.refresh().failed  # It was read; that it says nothing is another matter.
    a, b, c = catalog.listings()
    assert (a.error, c.error) == (None, None)
    assert (b.versions, b.newest) == ((1, 2), None)
    assert isinstance(b.error, ManifestError)
    assert told in b.error.message
    with pytest.raises(ManifestError, match=told):
        version(catalog, "b")
    assert version(catalog, "b@1") == 1
    assert store.reads_of(catalog.refresh) == []
    # Mended, it is a voice again.
    store.registry.objects.delete(manifest_key("b", 2))
    catalog.refresh()
    assert version(catalog, "b") == 1


def test_a_torn_state_is_told_and_hides_no_other_voice(
    store: RecordedStore, catalog: Catalog
) -> None:
    store.publish("a")
    store.publish("b")
    store.registry.edit("b", Edit(moves={"stable": 1}))
    store.put(state_key("b", 2), b'{"torn')
    catalog.refresh()
    a, b = catalog.listings()
    assert a.error is None
    assert b.voice_id == "b"
    assert isinstance(b.error, ManifestError)
    # A label moved by it is not guessed at.
    with pytest.raises(ManifestError, match=r"s2\.json"):
        version(catalog, "b@1")
    store.put(state_key("b", 2), b'{"torn again')
    store.registry.objects.delete(state_key("b", 2))
    catalog.refresh()
    assert version(catalog, "b@stable") == 1


def test_an_object_that_cannot_be_read_now_leaves_the_old_state_in_force(
    store: RecordedStore, catalog: Catalog
) -> None:
    store.publish("a")
    store.publish("a")
    store.publish("b")
    store.registry.edit("a", Edit(moves={"stable": 1}))
    catalog.refresh()
    store.registry.edit("a", Edit(moves={"stable": 2}, tags=("new",)))
    store.publish("b")
    store.hooked.fail("read", state_key("a", 2), OUTAGE)
    found = catalog.refresh()
    assert (found.changed, found.failed) == ({"a", "b"}, {"a"})
    assert (version(catalog, "a"), version(catalog, "b")) == (1, 2)
    assert ids(catalog, tags=("new",)) == []
    # However often it fails.
    assert store.reads_of(catalog.refresh) == [state_key("a", 2)]
    assert version(catalog, "a@stable") == 1
    store.hooked.heal()
    assert store.reads_of(catalog.refresh) == [state_key("a", 2)]
    assert version(catalog, "a@stable") == 2
    assert ids(catalog, tags=("new",)) == ["a"]
    assert store.reads_of(catalog.refresh) == []


def test_labels_of_a_new_voice_that_cannot_be_read_now_are_not_guessed_at(
    store: RecordedStore, catalog: Catalog
) -> None:
    for voice_id in ("a", "b"):
        store.publish(voice_id)
        store.publish(voice_id)
    store.registry.edit("a", Edit(moves={"stable": 1}))
    store.hooked.fail("read", state_key("a", 1), OUTAGE)
    catalog.refresh()
    with pytest.raises(RegistryError, match="the network is down"):
        version(catalog, "a")
    assert version(catalog, "b") == 2
    store.hooked.heal()
    catalog.refresh()
    assert version(catalog, "a") == 1


def test_a_manifest_that_cannot_be_read_now_hides_no_other_version(
    store: RecordedStore, catalog: Catalog
) -> None:
    store.publish("a")
    store.registry.edit("a", Edit(moves={"stable": 1}))
    store.publish("a")
    store.hooked.fail("read", manifest_key("a", 2), OUTAGE)
    assert catalog.refresh().failed == {"a"}
    assert version(catalog, "a") == 1
    with pytest.raises(RegistryError, match="the network is down") as raised:
        version(catalog, "a@2")
    assert not isinstance(raised.value, ManifestError)  # The store's fault, not the manifest's.
    (listing,) = catalog.listings()
    assert listing.error is not None
    store.hooked.heal()
    catalog.refresh()
    assert version(catalog, "a@2") == 2


def test_an_object_that_goes_away_while_it_is_read_is_asked_for_again(
    store: RecordedStore, catalog: Catalog
) -> None:
    store.publish("a")
    store.publish("a")

    key = manifest_key("a", 2)
    store.hooked.on("read", key, lambda: store.registry.objects.delete(key))
    assert catalog.refresh().failed == {"a"}
    assert version(catalog, "a") == 1
    (listing,) = catalog.listings()
    assert (listing.versions, listing.error) == ((1,), None)
    assert catalog.refresh().changed == {"a"}
    assert catalog.refresh().changed == frozenset()
    assert catalog.record("a").versions == (1,)


def test_while_the_store_cannot_be_listed_everything_known_stays(
    store: RecordedStore, catalog: Catalog
) -> None:
    store.publish("a")
    catalog.refresh()
    known = list(catalog.listings())
    store.publish("b")
    store.hooked.fail("list", "", OUTAGE)
    for voice_ids in (None, ["a"], ["b"]):
        with pytest.raises(RegistryError, match="the network is down"):
            catalog.refresh(voice_ids)
    assert list(catalog.listings()) == known
    assert version(catalog, "a") == 1
    with store.catalog() as restarted:
        assert version(restarted, "a") == 1


def test_a_store_that_was_never_read_is_not_an_empty_one(
    store: RecordedStore, catalog: Catalog
) -> None:
    store.publish("a")
    store.publish("b")
    store.hooked.fail("list", "", OUTAGE)
    with pytest.raises(RegistryError):
        catalog.refresh()
    with pytest.raises(RegistryError, match="could not be read yet") as raised:
        catalog.resolve(VoiceRef("a"))
    assert raised.value.reason == "REGISTRY_UNREADABLE"
    # One voice was looked at; that says nothing of the others.
    store.hooked.heal()
    catalog.refresh(["a"])
    assert version(catalog, "a") == 1
    with pytest.raises(RegistryError, match="could not be read yet"):
        version(catalog, "b")
    assert not catalog.is_complete
    catalog.refresh()
    with pytest.raises(VoiceNotFoundError):
        version(catalog, "c")


def test_an_empty_store_is_complete_once_it_was_read(
    store: RecordedStore, catalog: Catalog
) -> None:
    catalog.refresh()
    assert catalog.is_complete
    assert (catalog.count(), ids(catalog)) == (0, [])
    with pytest.raises(VoiceNotFoundError):
        version(catalog, "a")


@pytest.mark.parametrize("some", [None, ["a"]], ids=["all", "one"])
def test_a_store_that_is_suddenly_empty_is_a_store_that_is_gone(
    store: RecordedStore, catalog: Catalog, some: list[str] | None
) -> None:
    """An unmounted folder lists as an empty one: no voice disappears without leaving a trace."""
    store.publish("a")
    store.publish("b")
    catalog.refresh()
    for voice_id in ("a", "b"):
        store.registry.objects.delete(manifest_key(voice_id, 1))
    with pytest.raises(RegistryError, match="is empty"):
        catalog.refresh(some)
    assert ids(catalog) == ["a", "b"]
    assert version(catalog, "a") == 1
    # As soon as anything is there, what is not there is gone.
    store.publish("c")
    catalog.refresh()
    assert ids(catalog) == ["c"]


def test_deleting_the_last_voice_leaves_a_trace(store: RecordedStore, catalog: Catalog) -> None:
    store.publish("a")
    catalog.refresh()
    store.registry.delete(VoiceRef("a"))
    catalog.refresh()
    assert (catalog.count(), ids(catalog)) == (0, [])
    with pytest.raises(VoiceNotFoundError):
        version(catalog, "a")


def test_an_unmounted_folder_loses_no_voice(tmp_path: Path) -> None:
    store = RecordedStore(Registry(tmp_path / "registry").objects, tmp_path)
    store.publish("a")
    with store.catalog() as catalog:
        catalog.refresh()
        (tmp_path / "registry").rename(tmp_path / "elsewhere")
        for mounted in (False, True):
            if mounted:
                (tmp_path / "registry").mkdir()
            with pytest.raises(RegistryError, match="is empty"):
                catalog.refresh()
            assert version(catalog, "a") == 1


# What is found

WORDS = ("", "a", "village", "a-b", "a.b")
# What a manifest may say, and what may be asked for beside that.
LANGUAGES = ("en", "en-US", "EN-gb", "eng", "ee", "de", "de-CH")
ASKED_LANGUAGES = (*LANGUAGES, "e", "")
GENDERS = ("", "female", "male")
ENGINES = ("vits", "unheard_of")
TAGS = ("a", "b", "a-b", "village", "vil")
IDS = ("a", "a/b", "a.b", "ab", "b", "b/a", "b/a/c", "npc/a", "npc/b", "npc_1")


@st.composite
def voices(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "manifest": {
            "language": draw(st.sampled_from(LANGUAGES)),
            "engine": draw(st.sampled_from(ENGINES)),
            "gender": draw(st.sampled_from(GENDERS)),
            "tags": tuple(draw(st.lists(st.sampled_from(TAGS), max_size=3))),
        },
        "edit": draw(
            st.none()
            | st.builds(
                Edit,
                gender=st.none() | st.sampled_from(GENDERS),
                tags=st.none() | st.lists(st.sampled_from(TAGS), max_size=2).map(tuple),
                display_name=st.none() | st.just("Anna"),
            )
        ),
    }


filters = st.builds(
    VoiceFilter,
    prefix=st.sampled_from(("", *IDS, "npc/", "a%", "_", "A", "a\0")),
    language=st.sampled_from(ASKED_LANGUAGES),
    engine=st.sampled_from(("", *ENGINES, "vit")),
    gender=st.sampled_from((*GENDERS, "fem")),
    tags=st.lists(st.sampled_from((*TAGS, ",")), max_size=3).map(tuple),
    search=st.sampled_from(("", "  ", "a", "NPC", "anna", "b ann", "village", "/", "nobody", "%")),
)


def is_wanted(voice_id: str, voice: dict[str, Any], wanted: VoiceFilter) -> bool:
    """The same in plain Python."""
    manifest, edit = voice["manifest"], voice["edit"]
    gender, tags = manifest["gender"], manifest["tags"]
    if edit is not None:
        gender = gender if edit.gender is None else edit.gender
        tags = tags if edit.tags is None else edit.tags
    language, asked = manifest["language"].lower(), wanted.language.lower()
    name = (edit.display_name if edit is not None else None) or manifest.get("display_name", "")
    said = " ".join((voice_id, name, *tags)).casefold()
    return (
        voice_id.startswith(wanted.prefix)
        and (not asked or language == asked or language.startswith(f"{asked}-"))
        and (not wanted.engine or manifest["engine"] == wanted.engine)
        and (not wanted.gender or gender == wanted.gender)
        and set(wanted.tags) <= set(tags)
        and all(word in said for word in wanted.search.casefold().split())
    )


@examples(30)
@given(
    chosen=st.dictionaries(st.sampled_from(IDS), voices(), min_size=1),
    asked=st.lists(filters, min_size=20, max_size=20),
)
def test_filters_are_those_of_plain_python(
    chosen: dict[str, dict[str, Any]], asked: list[VoiceFilter]
) -> None:
    with bucket_store() as store, store.catalog(private=True) as catalog:
        for voice_id, voice in chosen.items():
            store.publish(voice_id, **voice["manifest"])
            if voice["edit"] is not None:
                store.registry.edit(voice_id, voice["edit"])
        catalog.refresh()
        for wanted in (VoiceFilter(), *asked):
            expected = [
                voice_id
                for voice_id, voice in sorted(chosen.items())
                if is_wanted(voice_id, voice, wanted)
            ]
            assert [found.voice_id for found in catalog.listings(wanted)] == expected, wanted


def test_english_is_not_engan(store: RecordedStore, catalog: Catalog) -> None:
    for language in ("en", "en-US", "EN-gb", "eng", "ee"):
        store.publish(f"v/{language.lower()}", language=language)
    catalog.refresh()
    assert ids(catalog, language="en") == ["v/en", "v/en-gb", "v/en-us"]
    assert ids(catalog, language="En-us") == ["v/en-us"]
    assert ids(catalog, language="en-u") == []


def test_a_voice_is_found_by_every_language_that_it_speaks(
    store: RecordedStore, catalog: Catalog
) -> None:
    store.publish("v/both", language="zh", languages=("en-GB", "zh"))
    store.publish("v/one", language="zh")
    catalog.refresh()
    assert ids(catalog, language="zh") == ["v/both", "v/one"]
    assert ids(catalog, language="en") == ids(catalog, language="EN-gb") == ["v/both"]
    for language in ("n-gb", "gb", "en-", "en,zh", "en-g", ","):
        assert ids(catalog, language=language) == []


def test_what_the_state_says_covers_what_the_manifest_says(
    store: RecordedStore, catalog: Catalog
) -> None:
    store.publish("a", tags=("village", "old"), gender="male")
    catalog.refresh()
    assert ids(catalog, tags=("old", "village"), gender="male") == ["a"]
    store.registry.edit("a", Edit(tags=("village", "new"), gender=""))
    catalog.refresh()
    assert ids(catalog, tags=("village", "new")) == ["a"]
    assert ids(catalog, tags=("old",)) == ids(catalog, gender="male") == []
    store.registry.edit("a", Edit(tags=()))
    catalog.refresh(["a"])
    assert ids(catalog, tags=("village",)) == []
    assert ids(catalog) == ["a"]


def test_paging_meets_every_voice_once_while_others_come_and_go(
    store: RecordedStore, catalog: Catalog
) -> None:
    stay = [f"v/{n:02d}" for n in range(0, 40, 2)]
    leave = ["v/01", "v/05", "v/31"]
    for voice_id in stay + leave:
        store.publish(voice_id)
    catalog.refresh()
    seen: list[str] = []
    after, turn = "", 0
    while page := catalog.page(VoiceFilter(prefix="v/"), after=after, limit=3):
        assert all(listing.error is None for listing in page)
        seen += [listing.voice_id for listing in page]
        after = page[-1].voice_id
        turn += 1
        if turn == 2:
            store.registry.delete(VoiceRef("v/01"))  # Behind.
            store.registry.delete(VoiceRef("v/31"))  # Ahead.
            store.publish("v/03")
            store.publish("v/39")
            catalog.refresh()
    assert turn > 5
    assert sorted(set(seen)) == seen
    assert set(stay) <= set(seen)
    assert "v/31" not in seen
    assert "v/39" in seen


def test_listings_read_past_their_own_page_size(store: RecordedStore, catalog: Catalog) -> None:
    """More voices than one page or one batch of a refresh has."""
    data = store.publish("a").to_json()
    names = [f"v/{n:03d}" for n in range(600)]
    for name in names:
        store.put(manifest_key(name, 1), data.replace(b'"a"', json.dumps(name).encode()))
    catalog.refresh()
    assert ids(catalog, prefix="v/") == names
    assert catalog.count() == 601


def test_a_near_miss_gets_suggestions(store: RecordedStore, catalog: Catalog) -> None:
    for voice_id in ("npc/smith", "npc/smithy", "npc/baker", "joe"):
        store.publish(voice_id)
    catalog.refresh()
    with pytest.raises(VoiceNotFoundError, match=r"did you mean npc/smith or npc/smithy\?"):
        version(catalog, "npc/smit")
    with pytest.raises(VoiceNotFoundError, match=r"did you mean joe\?"):
        version(catalog, "jo")
    with pytest.raises(VoiceNotFoundError) as raised:
        version(catalog, "zzz")
    assert "did you mean" not in raised.value.message
    assert raised.value.metadata == {"voice": "zzz"}
    store.registry.delete(VoiceRef("joe"))
    catalog.refresh()
    with pytest.raises(VoiceNotFoundError) as raised:
        version(catalog, "jo")
    assert "did you mean" not in raised.value.message


def test_deleted_versions_are_gone_though_their_objects_linger(
    store: RecordedStore, catalog: Catalog
) -> None:
    for _ in range(3):
        store.publish("a")
    catalog.refresh()

    def die(_: str, versions: frozenset[int]) -> int:
        raise KeyboardInterrupt

    store.registry.remove_objects_of = die  # type: ignore[assignment, method-assign]
    with pytest.raises(KeyboardInterrupt):
        store.registry.delete(VoiceRef("a", 3))
    catalog.refresh()
    assert catalog.record("a").versions == (1, 2)
    assert version(catalog, "a") == 2
    with pytest.raises(VoiceNotFoundError, match="a@3 was deleted"):
        version(catalog, "a@3")
    (listing,) = catalog.listings()
    assert (listing.versions, listing.newest and listing.newest.version) == ((1, 2), 2)
    with pytest.raises(KeyboardInterrupt):
        store.registry.delete(VoiceRef("a"))
    catalog.refresh()
    assert (ids(catalog), catalog.count()) == ([], 0)


# The store's own answer

ACTIONS = ("publish", "publish", "move", "withdraw", "traffic", "delete", "roll back", "metadata")


def act(store: RecordedStore, action: str, voice_id: str, number: int) -> None:
    """One edit; those that the registry refuses change nothing."""
    registry = store.registry
    with contextlib.suppress(VoiceNotFoundError, VersionInUseError, NothingToRollBackError):
        match action:
            case "publish":
                store.publish(voice_id, gender="ab"[number % 2])
            case "move":
                registry.edit(voice_id, Edit(moves={"stable": number, "canary": number}))
            case "withdraw":
                registry.edit(voice_id, Edit(moves={"stable": None}))
            case "traffic":
                versions = registry.record(voice_id).versions[:number]
                registry.edit(voice_id, Edit(traffic={v: v * 10 for v in versions}))
            case "delete":
                registry.edit(voice_id, Edit(traffic={}))
                registry.delete(VoiceRef(voice_id, number or None))
            case "roll back":
                registry.roll_back(voice_id)
            case "metadata":
                registry.edit(voice_id, Edit(tags=("x",), display_name=f"N{number}"))


def outcome(call: Callable[[], Manifest]) -> object:
    try:
        return call()
    except VoiceNotFoundError:
        return VoiceNotFoundError


@examples(40)
@given(
    edits=st.lists(
        st.tuples(
            st.sampled_from(ACTIONS),
            st.sampled_from(("a", "b", "a/b")),
            st.integers(0, 4),
            st.sampled_from((None, "all", "some")),
        ),
        min_size=5,
        max_size=30,
    )
)
def test_the_catalog_resolves_as_the_registry_does(
    edits: list[tuple[str, str, int, str | None]],
) -> None:
    """Whatever was edited, and however much of it each refresh saw."""
    with bucket_store() as store, store.catalog(private=True) as catalog:
        changed: set[str] = set()
        for action, voice_id, number, refresh in (*edits, ("publish", "a", 0, "all")):
            act(store, action, voice_id, number)
            changed.add(voice_id)
            if refresh is None:
                continue
            catalog.refresh(None if refresh == "all" or not catalog.is_complete else changed)
            changed.clear()
            for name in ("a", "b", "a/b", "c"):
                record = store.registry.look(name)
                if record.versions:
                    assert catalog.record(name) == record
                for ref in ("", "@1", "@2", "@3", "@stable", "@canary"):
                    for session_id in ("player-1", "player-2"):
                        wanted = VoiceRef.parse(name + ref)

                        def ask(source: Catalog | Registry) -> object:
                            return outcome(
                                lambda: source.resolve(wanted, session_id=session_id)  # noqa: B023
                            )

                        assert ask(catalog) == ask(store.registry), (wanted, session_id)


# The file


def sqlite_file(store: RecordedStore) -> Path:
    (path,) = store.cache_dir.glob("*.sqlite3")
    return path


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def holes(path: Path) -> None:
    """Every page but the first is overwritten."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


@pytest.mark.parametrize("damage", [garbage, half, holes, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_made_anew(
    store: RecordedStore, damage: Callable[[Path], object]
) -> None:
    for n in range(30):
        store.publish(f"v/{n}")
    with store.catalog() as catalog:
        catalog.refresh()
    damage(sqlite_file(store))
    with store.catalog() as catalog:
        assert not catalog.is_complete
        with pytest.raises(RegistryError, match="could not be read yet"):
            version(catalog, "v/3")
        catalog.refresh()
        assert version(catalog, "v/3") == 1
        assert catalog.count() == 30


def test_a_file_that_is_gone_is_made_anew(store: RecordedStore) -> None:
    store.publish("a")
    with store.catalog() as catalog:
        catalog.refresh()
    sqlite_file(store).unlink()
    with store.catalog() as catalog:
        catalog.refresh()
        assert version(catalog, "a") == 1


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = RecordedStore(Registry(tmp_path / "registry").objects, tmp_path)
    store.cache_dir = tmp_path / "file" / "cache"
    with pytest.raises(RegistryError, match="choose another cache_dir"):
        store.catalog()


def test_two_catalogs_on_one_folder_see_each_others_refreshes(store: RecordedStore) -> None:
    """As two processes would: they share the file and nothing else."""
    store.publish("a")
    with store.catalog() as one, store.catalog() as other:
        one.refresh()
        assert version(other, "a") == 1
        assert other.is_complete
        store.publish("a")
        store.registry.edit("a", Edit(moves={"stable": 1}))
        other.refresh()
        assert version(one, "a") == 1
        assert version(one, "a@2") == 2
        assert store.reads_of(one.refresh) == []
        store.registry.delete(VoiceRef("a", 2))
        one.refresh(["a"])
        with pytest.raises(VoiceNotFoundError, match="was deleted"):
            version(other, "a@2")
        store.publish("b")
        one.refresh()
        other.refresh()
        assert (one.count(), other.count()) == (2, 2)


def test_catalogs_that_are_opened_together_share_one_file(store: RecordedStore) -> None:
    store.publish("a")
    gate = threading.Barrier(8)

    def start(_: int) -> int:
        gate.wait(WAIT_S)
        with store.catalog() as catalog:
            catalog.refresh()
            return version(catalog, "a")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(start, range(8))) == [1] * 8
    assert len(list(store.cache_dir.glob("*.sqlite3"))) == 1


def test_a_file_that_eight_open_and_close_at_once_is_never_locked_for_one(tmp_path: Path) -> None:
    gate = threading.Barrier(8)

    def come_and_go(turn: int) -> int:
        gate.wait(WAIT_S)
        index = Index(tmp_path / str(turn), "store")
        index.write([], meta={"turn": turn})
        kept = index.meta("turn")
        index.close()
        return kept

    with ThreadPoolExecutor(8) as pool:
        for turn in range(50):  # Without turns at the door, one round in twenty fails.
            assert list(pool.map(come_and_go, [turn] * 8)) == [turn] * 8


def test_a_file_that_somebody_opens_for_ever_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_BUSY_S", 0.05)
    index = Index(tmp_path, "store")
    index.close()
    with index.path.with_suffix(".lock").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(RegistryError, match="cannot be used") as caught:
            Index(tmp_path, "store")
        assert "another process" in str(caught.value.detail)
    Index(tmp_path, "store").close()


def test_the_file_of_a_closed_catalog_is_whole(store: RecordedStore) -> None:
    store.publish("a")
    with store.catalog() as catalog:
        catalog.refresh()
        version(catalog, "a")
    with contextlib.closing(sqlite3.connect(sqlite_file(store))) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT voice_id FROM voice").fetchall() == [("a",)]


def test_a_private_file_goes_away_with_its_catalog(store: RecordedStore) -> None:
    with store.catalog(private=True) as catalog:
        catalog.refresh()
        path = catalog._index.path
        assert path.is_file()
    assert not path.parent.exists()


def test_readers_on_threads_that_end_leave_nothing_open(
    store: RecordedStore, catalog: Catalog
) -> None:
    """Each scrape of the metrics counts voices on a thread of its own, for months."""
    store.publish("a")
    catalog.refresh()
    catalog.count()

    def count_on_a_new_thread() -> None:
        thread = threading.Thread(target=catalog.count)
        thread.start()
        thread.join(WAIT_S)
        assert not thread.is_alive()

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    count_on_a_new_thread()
    before = open_files()
    for _ in range(20):
        count_on_a_new_thread()
    assert open_files() <= before


# Reading while it is refreshed


def refresh_at(catalog: Catalog, monkeypatch: pytest.MonkeyPatch, read: str, n: int) -> list[int]:
    """Let a refresh on another thread run to its end before the ``n``-th ``read`` of the index.

    The list that is returned has an entry once that has happened.
    """
    index, seen, done = catalog._index, [0], list[int]()
    original, reader = getattr(index, read), threading.get_ident()

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == reader:
            seen[0] += 1
            if seen[0] == n:
                with ThreadPoolExecutor(1) as pool:
                    pool.submit(catalog.refresh).result(WAIT_S)
                done.append(n)
        return original(*args, **kwargs)

    monkeypatch.setattr(index, read, interrupted)
    return done


@pytest.mark.parametrize(
    ("read", "n"),
    [
        ("generation", 1),
        ("voice", 1),
        ("stored", 1),
        ("names", 1),
        ("generation", 2),
        ("stored", 2),
    ],
)
def test_a_refresh_amid_a_resolution_is_seen_whole_or_not_at_all(
    store: RecordedStore, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, read: str, n: int
) -> None:
    """Stable moves from 1 to 2 and 1 is deleted: the answer is 1 or 2, and never an error."""
    for _ in range(2):
        store.publish("a")
    store.registry.edit("a", Edit(moves={"stable": 1}))
    catalog.refresh()
    store.registry.edit("a", Edit(moves={"stable": 2}))
    store.registry.delete(VoiceRef("a", 1))
    done = refresh_at(catalog, monkeypatch, read, n)
    assert version(catalog, "a@stable") in {1, 2}
    assert done
    assert version(catalog, "a@stable") == 2


@pytest.mark.parametrize("read", ["voice", "stored", "names"])
def test_a_version_that_was_never_in_force_is_never_chosen(
    store: RecordedStore, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """Stable is set to 1 before 2 appears: at no moment did the bare id mean 2."""
    store.publish("a")
    catalog.refresh()
    store.registry.edit("a", Edit(moves={"stable": 1}))
    store.publish("a")
    done = refresh_at(catalog, monkeypatch, read, 1)
    assert version(catalog, "a") == 1
    assert done


def test_a_voice_that_is_deleted_amid_a_page_is_whole_or_gone(
    store: RecordedStore, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for voice_id in ("a", "b", "c"):
        store.publish(voice_id)
    catalog.refresh()
    store.registry.delete(VoiceRef("b"))
    done = refresh_at(catalog, monkeypatch, "names", 1)
    page = catalog.page(VoiceFilter(), limit=10)
    assert done
    assert [listing.error for listing in page] == [None] * len(page)


def test_readers_never_see_half_a_voice(store: RecordedStore, catalog: Catalog) -> None:
    """Each generation is one delete, one publish and two moves; readers run all the while.

    Whatever generation a reader sees, stable and canary name one version, which is there.
    """
    for _ in range(2):
        store.publish("a")
    store.registry.edit("a", Edit(moves={"stable": 2, "canary": 2}))
    catalog.refresh()
    over, faults = threading.Event(), list[object]()
    gate = threading.Barrier(5)

    def read() -> int:
        gate.wait(WAIT_S)
        rounds, last = 0, 0
        while not over.is_set() or not rounds:
            rounds += 1
            try:
                record = catalog.record("a")
                stable = version(catalog, "a")
                listed = [listing.error for listing in catalog.page(VoiceFilter(), limit=5)]
            except VoxswapError as error:
                faults.append(error)
                return rounds
            labels = set(record.state.labels.values())
            if len(labels) != 1 or not labels <= set(record.versions) or listed != [None]:
                faults.append((record, listed))
            if stable < last:
                faults.append((stable, last))
            last = stable
        return rounds

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        gate.wait(WAIT_S)
        for number in range(3, 25):
            store.publish("a")
            store.registry.edit("a", Edit(moves={"stable": number, "canary": number}))
            store.registry.delete(VoiceRef("a", number - 2))
            catalog.refresh()
        over.set()
        assert all(reader.result(WAIT_S) for reader in readers)
    assert not faults


def test_closing_waits_for_a_refresh_under_way(store: RecordedStore) -> None:
    store.publish("a")
    catalog = store.catalog()
    gate = Gate()
    store.hooked.on("read", "voices/", gate)
    with ThreadPoolExecutor(2) as pool:
        refresh = pool.submit(catalog.refresh)
        gate.wait_reached()
        close = pool.submit(catalog.close)
        assert not close.done()
        gate.open()
        assert refresh.result(WAIT_S).changed == {"a"}
        close.result(WAIT_S)
    store.hooked.heal()
    with store.catalog() as again:
        assert version(again, "a") == 1


# Signatures


class Keys:
    def __init__(self, folder: Path) -> None:
        for name in ("studio", "stranger"):
            new_key_pair(folder / name)
        self.studio = PrivateKey.load(folder / "studio")
        self.stranger = PrivateKey.load(folder / "stranger")
        self.trusted = TrustedKeys.load([folder / "studio.pub"])


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    folder = tmp_path / "keys"
    folder.mkdir()
    return Keys(folder)


@pytest.fixture
def strict(store: RecordedStore, keys: Keys) -> Iterator[Catalog]:
    with store.catalog(trusted=keys.trusted) as catalog:
        yield catalog


def listed(catalog: Catalog) -> VoiceListing:
    (listing,) = catalog.listings()
    return listing


def test_an_unsigned_voice_is_listed_and_not_resolved(
    store: RecordedStore, strict: Catalog
) -> None:
    store.publish("a")
    strict.refresh()
    with pytest.raises(SignatureError, match="it has no signature at all"):
        version(strict, "a")
    listing = listed(strict)
    assert (listing.versions, listing.newest) == ((1,), None)
    assert isinstance(listing.error, SignatureError)
    # Who trusts nobody asks for no signature.
    with store.catalog() as trusting:
        assert version(trusting, "a") == 1


def test_a_signature_that_arrives_later_makes_the_voice_usable(
    store: RecordedStore, keys: Keys, strict: Catalog
) -> None:
    store.publish("a")
    strict.refresh()
    with pytest.raises(SignatureError):
        version(strict, "a")
    assert store.registry.sign("a", 1, keys.studio) == keys.studio.key_id
    _, changed = store.registry.journal.since(0)
    assert store.reads_of(lambda: strict.refresh(changed)) == [
        signature_key("a", 1, keys.studio.key_id)
    ]
    assert version(strict, "a") == 1
    assert listed(strict).error is None
    # A signature that is taken away counts no more.
    store.registry.objects.delete(signature_key("a", 1, keys.studio.key_id))
    strict.refresh()
    with pytest.raises(SignatureError):
        version(strict, "a")


def test_a_signature_counts_for_its_version_alone(
    store: RecordedStore, keys: Keys, strict: Catalog
) -> None:
    store.publish("a")
    store.registry.sign("a", 1, keys.studio)
    store.publish("a")
    strict.refresh()
    with pytest.raises(SignatureError, match="a@2"):
        version(strict, "a")
    assert version(strict, "a@1") == 1
    document = store.registry.signatures("a", 1)[0]
    store.put(signature_key("a", 2, keys.studio.key_id), document)
    strict.refresh()
    with pytest.raises(SignatureError, match="does not match"):
        version(strict, "a@2")
    assert version(strict, "a@1") == 1


def test_a_strangers_signature_counts_for_nothing_and_spoils_nothing(
    store: RecordedStore, keys: Keys, strict: Catalog
) -> None:
    store.publish("a")
    store.registry.sign("a", 1, keys.stranger)
    strict.refresh()
    with pytest.raises(SignatureError, match=f"untrusted key {keys.stranger.key_id}"):
        version(strict, "a")
    store.registry.sign("a", 1, keys.studio)
    strict.refresh()
    assert version(strict, "a") == 1


@pytest.mark.parametrize("document", [b"", b"{", nested(2000), b"x" * 5000])
def test_a_broken_signature_spoils_no_good_one(
    store: RecordedStore, keys: Keys, strict: Catalog, document: bytes
) -> None:
    store.publish("a")
    store.put(signature_key("a", 1, "ed25519:" + "0" * 16), document)  # Read before the good one.
    strict.refresh()
    with pytest.raises(SignatureError, match="cannot be read"):
        version(strict, "a")
    store.registry.sign("a", 1, keys.studio)
    strict.refresh()
    assert version(strict, "a") == 1


def test_a_manifest_that_is_swapped_after_signing_is_refused(
    store: RecordedStore, keys: Keys, strict: Catalog
) -> None:
    manifest = store.publish("a")
    store.registry.sign("a", 1, keys.studio)
    strict.refresh()
    assert version(strict, "a") == 1
    altered = manifest.to_json().replace(b"CC0", b"mine")
    store.put(manifest_key("a", 1), altered)
    strict.refresh()
    with pytest.raises(SignatureError, match="does not match the manifest's bytes"):
        version(strict, "a")
    # Signed by its new author, whom nobody trusts.
    store.put(signature_key("a", 1, keys.stranger.key_id), sign(altered, keys.stranger))
    strict.refresh()
    with pytest.raises(SignatureError, match="does not match the manifest's bytes"):
        version(strict, "a")
    store.put(manifest_key("a", 1), manifest.to_json())
    strict.refresh()
    assert version(strict, "a") == 1


def test_a_signature_that_cannot_be_read_now_is_asked_for_again(
    store: RecordedStore, keys: Keys, strict: Catalog
) -> None:
    store.publish("a")
    store.registry.sign("a", 1, keys.studio)
    store.hooked.fail("read", signature_key("a", 1, keys.studio.key_id), OUTAGE)
    assert strict.refresh().failed == {"a"}
    with pytest.raises(SignatureError):
        version(strict, "a")
    store.hooked.heal()
    assert strict.refresh().failed == frozenset()
    assert version(strict, "a") == 1


def test_a_manifest_is_read_once_whatever_changes_beside_it(
    store: RecordedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a large one takes milliseconds, on whichever event loop resolves the voice."""
    store.publish("a")
    store.publish("b")
    with store.catalog() as catalog:
        catalog.refresh()
        first = catalog.resolve(VoiceRef("a"))
        store.registry.edit("b", Edit(moves={"stable": 1}))
        generation = catalog.generation()
        catalog.refresh()
        assert catalog.generation() != generation
        read: list[str] = []
        monkeypatch.setattr(
            catalog_module, "checked_manifest", lambda *named: read.append(str(named[1:]))
        )
        assert catalog.resolve(VoiceRef("a")) is first
        assert read == []
