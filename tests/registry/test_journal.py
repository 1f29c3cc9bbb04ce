"""The journal: which voice changed, whoever writes at the same time, whatever was torn."""

from __future__ import annotations

import concurrent.futures
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.registry.drafts import make_draft
from tests.registry.faults import HookedObjects
from tests.registry.stores import memory_objects
from voxswap_registry import journal as journal_module
from voxswap_registry.errors import RegistryBusyError
from voxswap_registry.journal import Journal
from voxswap_registry.layout import journal_key, journal_number
from voxswap_registry.names import VoiceRef
from voxswap_registry.signing import PrivateKey, new_key_pair
from voxswap_registry.state import Edit
from voxswap_registry.storage.objects import Objects
from voxswap_registry.store import Registry

VOICE = "npc/smith"


def numbers(objects: Objects) -> list[int]:
    return sorted(journal_number(info.key) or 0 for info in objects.list("journal"))


def test_entries_count_up_and_are_read_from_any_number_on(objects: Objects) -> None:
    journal = Journal(objects)
    assert journal.head() == 0
    assert journal.since(0) == (0, set())
    assert [journal.append(voice_id) for voice_id in ("a", "b/c", "a")] == [1, 2, 3]
    for reader in (journal, Journal(objects)):
        assert reader.since(0) == (3, {"a", "b/c"})
        assert reader.since(2) == (3, {"a"})
        assert reader.since(3) == (3, set())
        assert reader.head() == 3
    assert Journal(objects).append("d") == 4
    assert journal.since(3) == (4, {"d"})
    assert journal.append("e") == 5


def test_head_is_the_newest_whoever_wrote_it(near_objects: Objects) -> None:
    ours, theirs = Journal(near_objects), Journal(near_objects)
    for number in range(1, 13):
        (ours if number % 3 else theirs).append("a")
        assert ours.head() == theirs.head() == number


@pytest.mark.parametrize("shared", [False, True], ids=["own journals", "one journal"])
def test_writers_at_once_leave_no_gap(shared: bool, objects: Objects) -> None:
    threads, each = 6, 4
    one, gate = Journal(objects), threading.Barrier(threads)

    def write(i: int) -> list[int]:
        journal = one if shared else Journal(objects)
        gate.wait(30)
        return [journal.append(f"voice-{i}") for _ in range(each)]

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        written = list(pool.map(write, range(threads)))
    everything = list(range(1, threads * each + 1))
    assert sorted(number for made in written for number in made) == everything
    assert numbers(objects) == everything
    reader = Journal(objects)
    for i, made in enumerate(written):
        assert made == sorted(made)
        for number in made:
            assert f"voice-{i}" in reader.since(number - 1)[1]
            data = objects.read(journal_key(number), limit_bytes=4096)
            assert json.loads(data or b"")["voice"] == f"voice-{i}"


def test_reader_beside_writers_misses_nothing(near_objects: Objects) -> None:
    writers, each = 4, 10
    gate = threading.Barrier(writers + 1)

    def write(i: int) -> None:
        gate.wait(30)
        for n in range(each):
            Journal(near_objects).append(f"voice-{i}-{n}")

    with concurrent.futures.ThreadPoolExecutor(writers) as pool:
        work = [pool.submit(write, i) for i in range(writers)]
        gate.wait(30)
        reader, number, found = Journal(near_objects), 0, set[str]()
        while number < writers * each and not all(w.done() for w in work):
            number, voices = reader.since(number)
            found |= voices
        for w in work:
            w.result(30)
    number, voices = reader.since(number)
    assert number == writers * each
    assert found | voices == {f"voice-{i}-{n}" for i in range(writers) for n in range(each)}


def test_writer_who_lost_takes_the_next_number() -> None:
    objects = HookedObjects(memory_objects())
    rival = Journal(objects.inner)
    objects.on("create", journal_key(1), lambda: rival.append("theirs"), once=True)
    objects.on("create", journal_key(2), lambda: rival.append("theirs"), once=True)
    assert Journal(objects).append("ours") == 3
    assert rival.since(2) == (3, {"ours"})
    assert rival.since(0) == (3, {"ours", "theirs"})


def test_writer_who_always_loses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_TRIES", 5)
    objects = HookedObjects(memory_objects())
    rival = Journal(objects.inner)
    objects.on("create", "journal/", lambda: rival.append("theirs"))
    with pytest.raises(
        RegistryBusyError, match="5 others wrote into the registry's journal first; try again"
    ):
        Journal(objects).append("ours")
    assert rival.since(0) == (5, {"theirs"})


TORN = {
    "empty": b"",
    "cut off": b'{"voice": "np',
    "no JSON": b"\x00\xff\xfe\x80",
    "no object": b'["npc"]',
    "a number": b"7",
    "null": b"null",
    "no voice": b"{}",
    "null for a voice": b'{"voice": null}',
    "a bad id": b'{"voice": "../etc"}',
    "an empty id": b'{"voice": ""}',
    "a list for a voice": b'{"voice": ["npc"]}',
    "too deep": b"[" * 100_000,
    "a long number": b'{"voice": ' + b"9" * 4000 + b"}",
    "too long": b'{"voice": "' + b"x" * 5000 + b'"}',
    "half a surrogate pair": b'{"voice": "\\ud800"}',
}


@pytest.mark.parametrize("data", TORN.values(), ids=TORN.keys())
def test_torn_entry_hides_no_other(data: bytes, near_objects: Objects) -> None:
    journal = Journal(near_objects)
    journal.append("before")
    near_objects.replace(journal_key(2), data)
    assert journal.append("after") == 3
    assert journal.since(0) == (3, {"before", "after"})
    assert journal.since(1) == (3, {"after"})


@given(data=st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_any_bytes_hide_no_other(data: bytes) -> None:
    objects = memory_objects()
    objects.replace(journal_key(1), data)
    assert Journal(objects).append("after") == 2
    number, voices = Journal(objects).since(0)
    assert number == 2
    assert "after" in voices


def test_strays_are_no_entries(near_objects: Objects) -> None:
    strays = (
        "notes.txt",
        "1.json",
        "0000000000001.json",
        "00000000000x.json",
        "x/000000000009.json",
    )
    for name in strays:
        near_objects.replace(f"journal/{name}", b"x")
    journal = Journal(near_objects)
    assert journal.append("a") == 1
    assert journal.head() == Journal(near_objects).head() == 1
    assert journal.since(0) == (1, {"a"})
    assert journal.trim() == 0


# Trimming


def test_trimming_keeps_the_newest(near_objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(near_objects)
    for i in range(10):
        journal.append(f"voice-{i}")
    monkeypatch.setattr(journal_module, "KEPT_ENTRIES", 4)
    assert journal.trim() == 6
    assert numbers(near_objects) == [7, 8, 9, 10]
    assert journal.trim() == 0
    assert Journal(near_objects).since(6) == (10, {f"voice-{i}" for i in range(6, 10)})
    assert Journal(near_objects).head() == 10
    assert Journal(near_objects).append("next") == 11


def test_journal_of_a_fresh_process_does_not_begin_anew(near_objects: Objects) -> None:
    """A reader that waits for entry 6 would wait for ever."""
    for _ in range(5):
        Journal(near_objects).append("a")
    for number in range(1, 5):
        near_objects.delete(journal_key(number))
    assert Journal(near_objects).append("b") == 6


def test_journal_trims_itself(near_objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "KEPT_ENTRIES", 4)
    for number in range(1, 31):
        assert Journal(near_objects).append("a") == number
        kept = numbers(near_objects)
        assert len(kept) < 4 + 2
        assert kept[-4:] == list(range(max(number - 3, 1), number + 1))


# Who writes


@pytest.mark.parametrize(
    "change",
    [
        lambda registry, draft, key: registry.publish(draft),
        lambda registry, draft, key: registry.publish(draft, label="stable"),
        lambda registry, draft, key: registry.edit(VOICE, Edit(moves={"stable": 1})),
        lambda registry, draft, key: registry.edit(VOICE, Edit(traffic={1: 2})),
        lambda registry, draft, key: registry.edit(VOICE, Edit(display_name="Smith")),
        lambda registry, draft, key: registry.roll_back(VOICE, "rolled"),
        lambda registry, draft, key: registry.delete(VoiceRef(VOICE, 3)),
        lambda registry, draft, key: registry.sign(VOICE, 1, key),
    ],
    ids=["publish", "label", "promote", "traffic", "name", "roll back", "delete", "sign"],
)
def test_every_change_is_written(change: Callable[..., Any], tmp_path: Path) -> None:
    objects = memory_objects()
    registry, draft = Registry(objects), make_draft(tmp_path, VOICE)
    new_key_pair(tmp_path / "key")
    for _ in range(2):
        registry.publish(draft, label="rolled")
    registry.publish(draft)
    number = Journal(objects).head()
    change(registry, draft, PrivateKey.load(tmp_path / "key"))
    after, voices = Journal(objects).since(number)
    assert after > number
    assert voices == {VOICE}


def test_what_changes_nothing_is_not_written(tmp_path: Path) -> None:
    objects = memory_objects()
    registry, draft = Registry(objects), make_draft(tmp_path, VOICE)
    registry.publish(draft, label="stable")
    number = Journal(objects).head()
    registry.edit(VOICE, Edit(moves={"stable": 1}))
    registry.publish_if_new(draft, label="stable")
    assert Journal(objects).head() == number
    assert registry.look(VOICE).state.revision == 1


def test_a_registry_that_was_made_anew_is_counted_anew(objects: Objects) -> None:
    journal = Journal(objects)
    for _ in range(3):
        journal.append("a")
    for number in numbers(objects):
        objects.delete(journal_key(number))
    assert journal.append("b") == 1
    assert Journal(objects).since(0) == (1, {"b"})
    assert journal.head() == 1
