"""The state of a voice: its JSON, what an edit may do, rolling back, deleting, and bad JSON."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.registry.drafts import make_draft
from tests.registry.stores import memory_objects
from voxswap_registry.errors import (
    InvalidInputError,
    ManifestError,
    NothingToRollBackError,
    VersionInUseError,
    VoiceNotFoundError,
)
from voxswap_registry.names import VoiceRef
from voxswap_registry.resolution import chosen_version
from voxswap_registry.state import (
    MAX_DELETED,
    MAX_STATE_BYTES,
    MAX_WEIGHT,
    Change,
    Edit,
    VoiceRecord,
    VoiceState,
    check_text,
    deleted,
    rolled_back,
)
from voxswap_registry.store import Registry

VOICE = "npc/smith"

numbers = st.integers(1, 999_999_999)
small = st.integers(1, 6)
names = st.from_regex(r"[a-z][a-z0-9_\-]{0,31}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
states = st.builds(
    VoiceState,
    revision=numbers,
    labels=st.dictionaries(names, numbers, max_size=5),
    trail=st.dictionaries(names, st.lists(numbers, max_size=16).map(tuple), max_size=5),
    traffic=st.dictionaries(numbers, st.integers(1, MAX_WEIGHT), max_size=5),
    deleted=st.frozensets(numbers | st.integers(1, 40), max_size=30),
    display_name=st.none() | texts,
    tags=st.none() | st.lists(texts, max_size=4).map(tuple),
    gender=st.none() | texts,
    change=st.builds(Change, texts, texts, texts, texts),
)


def record(*versions: int, **fields: Any) -> VoiceRecord:
    return VoiceRecord(VOICE, versions, VoiceState(**fields))


def applied(before: VoiceRecord, edit: Edit) -> VoiceRecord:
    return VoiceRecord(before.voice_id, before.versions, edit.applied(before))


def promoted(*versions: int, of: VoiceRecord, label: str = "stable") -> VoiceRecord:
    """``of`` after ``label`` has named these versions, one after the other."""
    for version in versions:
        of = applied(of, Edit(moves={label: version}))
    return of


# JSON


@given(state=states)
def test_json_round_trip(state: VoiceState) -> None:
    data = state.to_json()
    again = VoiceState.from_json(data, where="here")
    assert again == state
    assert again.to_json() == data


@given(state=states)
def test_json_is_canonical(state: VoiceState) -> None:
    raw = json.loads(state.to_json())
    assert (
        state.to_json()
        == json.dumps(raw, ensure_ascii=False, sort_keys=True, indent=1).encode() + b"\n"
    )
    turned: dict[str, Any] = {
        name: dict(reversed(getattr(state, name).items()))
        for name in ("labels", "trail", "traffic")
    }
    assert dataclasses.replace(state, **turned).to_json() == state.to_json()


def test_deletions_take_little_room() -> None:
    everything = frozenset(range(1, MAX_DELETED + 1))
    data = VoiceState(revision=1, deleted=everything - {50_000}).to_json()
    assert len(data) < 1000
    assert json.loads(data)["deleted"] == [[1, 49_999], [50_001, MAX_DELETED]]
    assert VoiceState.from_json(data, where="here").deleted == everything - {50_000}
    whole = VoiceState(revision=1, deleted=everything).to_json()
    assert VoiceState.from_json(whole, where="here").deleted == everything


GOOD: dict[str, Any] = json.loads(
    VoiceState(
        revision=7,
        labels={"stable": 2},
        trail={"stable": (1,)},
        traffic={1: 1, 2: 9},
        deleted=frozenset({3, 4}),
        display_name="Smith",
        tags=("village",),
        gender="male",
        change=Change("promote stable 2", "me", "2026-01-02T12:00:00+00:00", "why"),
    ).to_json()
)
DIGITS = "9" * 4000
BAD_FIELDS: list[tuple[str, Any]] = [
    ("schema_version", None),
    ("schema_version", 0),
    ("schema_version", 2),
    ("schema_version", True),
    ("schema_version", "1"),
    ("revision", None),
    ("revision", 0),
    ("revision", -1),
    ("revision", True),
    ("revision", 1.0),
    ("revision", "7"),
    ("revision", int(DIGITS)),
    ("revision", 10**9),
    ("labels", None),
    ("labels", []),
    ("labels", {"stable": "2"}),
    ("labels", {"stable": None}),
    ("labels", {"stable": 2.5}),
    ("labels", {"stable": False}),
    ("labels", {"stable": [2]}),
    ("labels", {"stable": 0}),
    ("labels", {"stable": 10**9}),
    ("trail", None),
    ("trail", {"stable": 1}),
    ("trail", {"stable": ["1"]}),
    ("trail", {"stable": [True]}),
    ("trail", {"stable": [1.5]}),
    ("trail", {"stable": [1, 0]}),
    ("trail", {"stable": [1, 1 << 31]}),
    ("traffic", None),
    ("traffic", [[1, 1]]),
    ("traffic", {"1": 0}),
    ("traffic", {"1": -1}),
    ("traffic", {"1": "1"}),
    ("traffic", {"1": 0.5}),
    ("traffic", {"1": True}),
    ("traffic", {"1": MAX_WEIGHT + 1}),
    ("traffic", {"1": int(DIGITS)}),
    ("traffic", {"0": 1}),
    ("traffic", {"01": 1}),
    ("traffic", {"-1": 1}),
    ("traffic", {"one": 1}),
    ("traffic", {"1.0": 1}),
    ("traffic", {"²": 1}),
    ("traffic", {"1000000000": 1}),
    ("traffic", {DIGITS: 1}),
    ("deleted", None),
    ("deleted", {}),
    ("deleted", [3, 4]),
    ("deleted", [[]]),
    ("deleted", [[3]]),
    ("deleted", [["3", "4"]]),
    ("deleted", [[True, 4]]),
    ("deleted", [[0, 4]]),
    ("deleted", [[-4, -3]]),
    ("deleted", [[4, 3]]),
    ("deleted", [[1, MAX_DELETED + 1]]),
    ("deleted", [[1, 60_000], [60_002, 110_000]]),
    ("deleted", [[1, 10**18]]),
    ("deleted", [[10**9, 10**9]]),
    ("deleted", [[1, int(DIGITS)]]),
    ("deleted", [[1, 50_000]] * 10_000),
    ("deleted", [[5, 6], [3, 4]]),
    ("deleted", [[3, 4], [4, 5]]),
    ("display_name", 7),
    ("display_name", []),
    ("gender", {}),
    ("tags", "village"),
    ("tags", [7]),
    ("tags", [None]),
    ("change", None),
    ("change", []),
    ("change", {}),
    ("change", {"action": None, "actor": "", "time": "", "note": ""}),
    ("change", {"action": "", "actor": "", "time": 0, "note": ""}),
]


def test_the_good_state_is_good() -> None:
    state = VoiceState.from_json(json.dumps(GOOD).encode(), where="here")
    assert (state.revision, state.labels, state.deleted) == (7, {"stable": 2}, {3, 4})


@pytest.mark.parametrize(
    ("field", "value"), BAD_FIELDS, ids=lambda value: json.dumps(value)[:30].replace("\\", "")
)
def test_bad_field_is_told(field: str, value: Any) -> None:
    with pytest.raises(
        ManifestError, match=rf"^here: {field}\b.*(must|is not known|is missing|; use)"
    ) as caught:
        VoiceState.from_json(json.dumps(GOOD | {field: value}).encode(), where="here")
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("field", sorted(GOOD.keys() - {"display_name", "tags", "gender"}))
def test_missing_field_is_told(field: str) -> None:
    data = json.dumps({key: value for key, value in GOOD.items() if key != field}).encode()
    with pytest.raises(ManifestError, match=field):
        VoiceState.from_json(data, where="here")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"NaN",
        b"{}",
        b'{"revision": NaN}',
        b'{"revision": Infinity}',
        b'{"revision": 1e999}',
        b'{"x": "\\ud800"}',
        b"\xff\xfe",
        b"\x00" * 1000,
        '{"schema_version": 1}'.encode("utf-16"),
        b'{"revision": ' + b"9" * 5000 + b"}",
        b"[" * 200_000,
        b'{"a":' * 40_000,
        b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
        b"[" * 10_000_000,
        b'{"deleted": [' + b"[1,2]," * 2_000_000 + b"[1,2]]}",
        b" " * (MAX_STATE_BYTES + 1),
    ],
    ids=lambda data: f"{data[:16]!r} of {len(data)}".replace("\\x", ""),
)
def test_what_is_no_state_is_told(data: bytes) -> None:
    with pytest.raises(ManifestError, match=r"^here: "):
        VoiceState.from_json(data, where="here")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
near_misses = st.one_of(
    json_values,
    st.dictionaries(
        names | st.from_regex(r"[0-9]{1,12}", fullmatch=True), st.integers(), max_size=4
    ),
    st.lists(st.lists(st.integers(-2, 10**12), max_size=3), max_size=4),
)


@given(data=st.data())
def test_what_can_be_read_can_be_used(data: st.DataObject) -> None:
    """Any state is refused as a whole, or raises nothing but our errors when it is used."""
    fields = data.draw(st.dictionaries(st.sampled_from(sorted(GOOD)), near_misses, max_size=3))
    try:
        state = VoiceState.from_json(json.dumps(GOOD | fields).encode(), where="here")
    except ManifestError:
        return
    assert VoiceState.from_json(state.to_json(), where="here") == state
    known = VoiceRecord(VOICE, (1, 2), state)
    for ref in (VoiceRef(VOICE), VoiceRef(VOICE, 2), VoiceRef(VOICE, label="stable")):
        for session_id in ("", "session"):
            with contextlib.suppress(VoiceNotFoundError):
                assert chosen_version(known, ref, session_id=session_id) in {1, 2}
    assert VoiceState.from_json(
        Edit(moves={"canary": 1}).applied(known).to_json(), where="here"
    ).labels == {**state.labels, "canary": 1}


@given(data=st.binary(max_size=100) | texts.map(str.encode))
def test_any_bytes_raise_nothing_else(data: bytes) -> None:
    with pytest.raises(ManifestError):
        VoiceState.from_json(data, where="here")


# Records


def test_highest_number_counts_the_deleted() -> None:
    assert record().highest_number == 0
    assert record(1, 3).highest_number == 3
    assert record(1, deleted=frozenset({2, 9})).highest_number == 9
    assert record(deleted=frozenset({2})).highest_number == 2


def test_labels_of_a_version_are_in_order() -> None:
    known = record(1, 2, labels={"b": 1, "a": 1, "c": 2})
    assert known.labels_of(1) == ("a", "b")
    assert known.labels_of(3) == ()


# Edits


def test_an_empty_edit_does_nothing() -> None:
    before = record(1, labels={"stable": 1}, display_name="Smith")
    assert Edit().applied(before) == before.state


@pytest.mark.parametrize(
    "edit",
    [
        Edit(moves={"stable": 1}),
        Edit(moves={"canary": None}),
        Edit(exact_labels=(1, frozenset({"stable"}))),
        Edit(exact_labels=(2, frozenset())),
        Edit(traffic={1: 2}),
        Edit(display_name="Smith", tags=("a",), gender="male"),
    ],
    ids=repr,
)
def test_what_is_so_already_is_no_action(edit: Edit) -> None:
    before = record(
        1, 2, labels={"stable": 1}, traffic={1: 2}, display_name="Smith", tags=("a",), gender="male"
    )
    assert edit.applied(before) == before.state


def test_label_moves_and_leaves_a_trail() -> None:
    known = promoted(1, 2, 2, 3, of=record(1, 2, 3))
    assert known.state.labels == {"stable": 3}
    assert known.state.trail == {"stable": (1, 2)}
    assert known.state.change.action == "promote stable 3"
    known = applied(known, Edit(moves={"stable": None}))
    assert known.state.labels == {}
    assert known.state.trail == {"stable": (1, 2, 3)}
    assert known.state.change.action == "withdraw stable"


def test_trail_is_bounded() -> None:
    known = promoted(*[1, 2] * 20, of=record(1, 2))
    assert known.state.trail["stable"] == (2, 1) * 8


def test_labels_that_were_withdrawn_do_not_pile_up() -> None:
    known = promoted(1, 2, of=record(1, 2))
    for i in range(1000):
        known = applied(known, Edit(moves={f"build-{i}": 1}))
        known = applied(known, Edit(moves={f"build-{i}": None}))
    assert len(known.state.trail) < 300
    assert len(known.state.to_json()) < MAX_STATE_BYTES // 4
    assert known.state.trail["stable"] == (1,)
    assert known.state.trail["build-999"] == (1,)


def test_exact_labels_take_from_others_and_from_the_version() -> None:
    before = record(1, 2, labels={"stable": 1, "canary": 2, "old": 2})
    state = Edit(exact_labels=(2, frozenset({"stable", "new"}))).applied(before)
    assert state.labels == {"stable": 2, "new": 2}
    assert state.trail == {"stable": (1,), "canary": (2,), "old": (2,)}
    assert state.change.action == ("withdraw canary, withdraw old, promote new 2, promote stable 2")


def test_everything_changes_together_or_not_at_all() -> None:
    before = record(1, 2, labels={"stable": 1})
    edit = Edit(moves={"stable": 2, "canary": 1}, traffic={2: 9, 1: 1}, display_name="Smith")
    state = edit.applied(before)
    assert (state.labels, state.display_name) == ({"stable": 2, "canary": 1}, "Smith")
    assert list(state.traffic.items()) == [(1, 1), (2, 9)]
    assert state.change.action == (
        "promote stable 2, promote canary 1, traffic 1=1 2=9, update display_name"
    )
    changes: tuple[dict[str, Any], ...] = (
        {"moves": {"stable": 2, "canary": 3}}, {"traffic": {1: 1, 3: 1}}
    )  # fmt: skip
    for bad in changes:
        with pytest.raises(VoiceNotFoundError, match="has no version 3; it has 1, 2"):
            Edit(**{"display_name": "Smith", **bad}).applied(before)


def test_empty_traffic_ends_the_split() -> None:
    state = Edit(traffic={}).applied(record(1, traffic={1: 2}))
    assert (state.traffic, state.change.action) == ({}, "end traffic split")


def test_metadata_can_be_emptied() -> None:
    before = record(1, display_name="Smith", tags=("a",), gender="male")
    state = Edit(display_name="", tags=(), gender="").applied(before)
    assert (state.display_name, state.tags, state.gender) == ("", (), "")
    assert state.change.action == "update display_name, update tags, update gender"


def test_deleted_version_gets_no_label() -> None:
    with pytest.raises(VoiceNotFoundError, match="npc/smith@2 was deleted; it has 1") as caught:
        Edit(moves={"stable": 2}).applied(record(1, deleted=frozenset({2})))
    assert caught.value.metadata == {"voice": VOICE, "version": "2"}


def test_many_versions_are_told_in_short() -> None:
    with pytest.raises(VoiceNotFoundError, match=r"it has \.\.\. 93, 94, 95, 96, 97, 98, 99, 100$"):
        Edit(moves={"stable": 101}).applied(record(*range(1, 101)))


def test_all_faults_are_told_at_once() -> None:
    edit = Edit(
        moves={"Stable": 1, "7": 1},
        exact_labels=(1, frozenset({"@"})),
        traffic={1: 0, 2: MAX_WEIGHT + 1},
        display_name="two\nlines",
        tags=("Village", *"abcdefghijklmnopqrstuvwxyz0123456789"),
        gender="No Such",
    )
    with pytest.raises(InvalidInputError) as caught:
        edit.applied(record(1))
    fields = [violation.field for violation in caught.value.violations]
    assert sorted(fields) == [
        "display_name", "gender", "labels", "labels", "labels", "tags", "tags", "traffic",
    ]  # fmt: skip


@pytest.mark.parametrize("weight", [0, -1, MAX_WEIGHT + 1, 10**30])
def test_bad_weight(weight: int) -> None:
    with pytest.raises(InvalidInputError, match="the weight"):
        Edit(traffic={1: weight}).applied(record(1))


def test_limits_are_what_can_be_reached() -> None:
    known = record(*range(1, 34))
    most = applied(known, Edit(traffic=dict.fromkeys(range(1, 33), MAX_WEIGHT)))
    assert len(most.state.traffic) == 32
    with pytest.raises(InvalidInputError, match="more than 32 shares"):
        Edit(traffic=dict.fromkeys(range(1, 34), 1)).applied(known)
    most = applied(known, Edit(moves={f"l{i}": 1 for i in range(32)}))
    assert len(most.state.labels) == 32
    with pytest.raises(InvalidInputError, match="more than 32; withdraw some"):
        Edit(moves={"one-more": 1}).applied(most)
    assert Edit(moves={"one-more": 1, "l0": None}).applied(most).labels["one-more"] == 1
    assert Edit(display_name="x" * 128, tags=("x",) * 32).applied(known).tags


@pytest.mark.parametrize("text", ["x" * 11, "two\nlines", "\x00", "\u2028", "\ud800", "a\tb"])
def test_bad_text(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"note: is longer than 10 char.* or has control"):
        check_text("note", text, 10)
    assert check_text("note", "häns 東京", 10) == "häns 東京"


# Rolling back


def test_rolling_back_goes_the_way_back_and_ends() -> None:
    known = promoted(1, 2, 3, of=record(1, 2, 3))
    for expected in (2, 1):
        state = rolled_back(known, "stable")
        assert state.labels == {"stable": expected}
        assert state.change.action == f"roll back stable from {expected + 1} to {expected}"
        known = VoiceRecord(VOICE, known.versions, state)
    with pytest.raises(
        NothingToRollBackError, match="names 1, and no other version that it named"
    ) as caught:
        rolled_back(known, "stable")
    assert caught.value.metadata == {"voice": VOICE, "label": "stable"}


def test_rolling_back_passes_over_what_is_gone() -> None:
    known = promoted(1, 2, 3, 1, 2, 4, of=record(1, 2, 3, 4))
    left = VoiceRecord(VOICE, (1, 4), known.state)
    assert rolled_back(left, "stable").labels == {"stable": 1}
    with pytest.raises(NothingToRollBackError):
        rolled_back(VoiceRecord(VOICE, (4,), known.state), "stable")


def test_rolling_back_never_stays_where_it_is() -> None:
    known = promoted(1, 2, 3, 2, of=record(1, 2, 3))
    without_3 = VoiceRecord(VOICE, (1, 2), known.state)
    assert rolled_back(without_3, "stable").labels == {"stable": 1}


def test_label_that_was_withdrawn_comes_back() -> None:
    known = applied(promoted(1, 2, of=record(1, 2)), Edit(moves={"stable": None}))
    state = rolled_back(known, "stable")
    assert state.labels == {"stable": 2}
    assert state.trail == {"stable": (1,)}


def test_rolling_back_leaves_other_labels_alone() -> None:
    known = promoted(1, 2, of=promoted(2, 1, of=record(1, 2)), label="canary")
    assert rolled_back(known, "canary").labels == {"stable": 1, "canary": 1}


def test_label_that_was_never_set() -> None:
    with pytest.raises(NothingToRollBackError, match="'stable' is not set"):
        rolled_back(record(1), "stable")
    with pytest.raises(InvalidInputError, match="is not a label"):
        rolled_back(record(1), "Stable")


# Deleting


def test_deleting_adds_up() -> None:
    state = deleted(record(1, 2, 3, 4, deleted=frozenset({9})), [4, 2, 2])
    assert state.deleted == {2, 4, 9}
    assert state.change.action == "delete 2 4"


def test_many_deletions_are_told_in_short() -> None:
    state = deleted(record(*range(1, 1001)), range(1, 1001))
    assert state.change.action == "delete 1000 versions"


@pytest.mark.parametrize(
    ("fields", "users"),
    [
        ({"labels": {"stable": 2}}, "the label 'stable'; first move that"),
        ({"labels": {"b": 2, "a": 2}}, "the label 'a' and the label 'b'; first move those"),
        ({"traffic": {2: 1}}, "the traffic split; first move that"),
        ({"labels": {"a": 2}, "traffic": {1: 1, 2: 1}}, "the label 'a' and the traffic split"),
    ],
)
def test_version_in_use_is_not_deleted(fields: dict[str, Any], users: str) -> None:
    with pytest.raises(VersionInUseError, match=f"npc/smith@2 is named by {users}") as caught:
        deleted(record(1, 2, 3, **fields), [2, 3])
    assert caught.value.metadata == {"voice": VOICE, "version": "2"}
    assert deleted(record(1, 2, 3, **fields), [3]).deleted == {3}


@pytest.mark.parametrize("version", [2, 3, 0])
def test_version_that_is_not_there_is_not_deleted(version: int) -> None:
    with pytest.raises(VoiceNotFoundError):
        deleted(record(1, deleted=frozenset({2})), [1, version])


# Whatever is done

edits = st.builds(
    Edit,
    moves=st.dictionaries(st.sampled_from("abc"), st.none() | small, max_size=3),
    exact_labels=st.none() | st.tuples(small, st.frozensets(st.sampled_from("abc"))),
    traffic=st.none() | st.dictionaries(small, st.integers(1, 9), max_size=3),
    display_name=st.none() | st.just("Smith"),
)
steps = st.lists(
    edits
    | st.tuples(st.just("roll back"), st.sampled_from("abc"))
    | st.tuples(st.just("delete"), st.lists(small, max_size=2)),
    max_size=20,
)


@given(steps=steps)
def test_states_stay_sound(steps: list[Any]) -> None:
    """Nothing names what is not there; nothing that went is changed; all can be read back."""
    known = record(1, 2, 3, 4)
    for step in steps:
        before = copy.deepcopy(known)
        try:
            if isinstance(step, Edit):
                state = step.applied(known)
            elif step[0] == "roll back":
                state = rolled_back(known, step[1])
            else:
                state = deleted(known, step[1])
        except (VoiceNotFoundError, NothingToRollBackError, VersionInUseError):
            assert known == before
            continue
        assert known == before
        left = tuple(version for version in known.versions if version not in state.deleted)
        known = VoiceRecord(VOICE, left, state)
        assert {*state.labels.values(), *state.traffic} <= set(left)
        assert state.deleted >= before.state.deleted
        assert all(len(past) <= 16 for past in state.trail.values())
        if state.change.action:
            written = dataclasses.replace(state, revision=1)
            assert VoiceState.from_json(written.to_json(), where="here") == written


def test_state_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    registry = Registry(memory_objects())
    registry.publish(make_draft(tmp_path, VOICE), label="stable")

    def too_much(known: VoiceRecord) -> VoiceState:
        return VoiceState(deleted=frozenset(range(10, 100_000, 2)), change=Change("delete"))

    with pytest.raises(ManifestError, match=f"{VOICE} after this change: more than"):
        registry.change(VOICE, too_much)
    assert registry.look(VOICE).state.revision == 1
    assert registry.resolve(VoiceRef(VOICE, label="stable")).version == 1
