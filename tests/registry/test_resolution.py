"""Which version a reference means: the rules, and the shares of a traffic split."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from voxswap_registry.errors import VoiceNotFoundError
from voxswap_registry.names import VoiceRef
from voxswap_registry.resolution import chosen_version, share_of
from voxswap_registry.state import MAX_WEIGHT, VoiceRecord, VoiceState

VOICE = "npc/smith"
SESSIONS = [f"session-{i}" for i in range(20_000)]

versions = st.integers(1, 999_999_999)
splits = st.dictionaries(versions, st.integers(1, MAX_WEIGHT), min_size=1, max_size=6)


def record(*versions: int, **fields: Any) -> VoiceRecord:
    return VoiceRecord(VOICE, versions, VoiceState(**fields))


def undrawn() -> float:
    pytest.fail("whoever names a session is not drawn for")


def shares(traffic: dict[int, int], voice: str = VOICE) -> list[int]:
    """The version of each session."""
    known, ref = VoiceRecord(voice, tuple(traffic), VoiceState(traffic=traffic)), VoiceRef(voice)
    return [chosen_version(known, ref, session_id=session, draw=undrawn) for session in SESSIONS]


def expected(count: int, share: float, n: int = len(SESSIONS)) -> bool:
    """Whether ``count`` of ``n`` is within five standard deviations of ``share``."""
    return abs(count - n * share) < 5 * math.sqrt(n * share * (1 - share))


# Rules


@pytest.mark.parametrize(
    ("known", "text", "meant"),
    [
        (record(1, 2, 3), VOICE, 3),
        (record(1, 2, 10), VOICE, 10),
        (record(1, 2, 3, labels={"canary": 1}), VOICE, 3),
        (record(1, 2, 3, labels={"stable": 2}), VOICE, 2),
        (record(1, 2, 3, labels={"stable": 2}, traffic={1: 5}), VOICE, 1),
        (record(1, 2, 3, labels={"stable": 2}, traffic={1: 5}), f"{VOICE}@stable", 2),
        (record(1, 2, 3, labels={"stable": 2}, traffic={1: 5}), f"{VOICE}@3", 3),
        (record(1, 2, 3, labels={"canary": 3}), f"{VOICE}@canary", 3),
        (record(1, 3, deleted=frozenset({2, 4})), VOICE, 3),
    ],
)
def test_what_a_reference_means(known: VoiceRecord, text: str, meant: int) -> None:
    for session_id in ("", "session"):
        assert chosen_version(known, VoiceRef.parse(text), session_id=session_id) == meant


@pytest.mark.parametrize(
    ("known", "text", "message", "metadata"),
    [
        (record(1), f"{VOICE}@2", "has no version 2; it has 1$", {"version": "2"}),
        (record(1, deleted=frozenset({2})), f"{VOICE}@2", "@2 was deleted", {"version": "2"}),
        (record(1), f"{VOICE}@canary", "no label 'canary'; it has none", {"label": "canary"}),
        (
            record(1, labels={"stable": 1, "b": 1}),
            f"{VOICE}@canary",
            "no label 'canary'; it has @b, @stable",
            {"label": "canary"},
        ),
        (record(1), f"{VOICE}@stable", "no label 'stable'", {"label": "stable"}),
        # Somebody removed the manifest by hand: another version never takes its place.
        (record(1, labels={"stable": 2}), f"{VOICE}@stable", "no version 2", {"version": "2"}),
        (record(1, labels={"stable": 2}), VOICE, "no version 2", {"version": "2"}),
        (record(1, traffic={2: 1}), VOICE, "no version 2", {"version": "2"}),
        (
            record(1, 2, labels={"stable": 1}, traffic={3: 1}),
            VOICE,
            "no version 3",
            {"version": "3"},
        ),
    ],
)
def test_what_is_not_there_is_said(
    known: VoiceRecord, text: str, message: str, metadata: dict[str, str]
) -> None:
    for session_id in ("", "session"):
        with pytest.raises(VoiceNotFoundError, match=message) as caught:
            chosen_version(known, VoiceRef.parse(text), session_id=session_id)
        assert caught.value.metadata == {"voice": VOICE} | metadata


def test_number_is_no_label_and_no_split() -> None:
    known = record(1, 2, labels={"stable": 1}, traffic={1: 1})
    assert chosen_version(known, VoiceRef(VOICE, 2), session_id="session") == 2


def test_only_a_split_draws() -> None:
    for known in (record(1), record(1, labels={"stable": 1})):
        assert chosen_version(known, VoiceRef(VOICE), draw=undrawn) == 1
    split = record(1, 2, traffic={1: 1, 2: 1})
    assert chosen_version(split, VoiceRef(VOICE), draw=lambda: 0.0) == 1
    assert chosen_version(split, VoiceRef(VOICE), draw=lambda: 0.9) == 2
    assert chosen_version(split, VoiceRef(VOICE), session_id="session", draw=undrawn) in {1, 2}


# Sessions


@pytest.mark.parametrize(
    "traffic",
    [
        {1: 1, 2: 1},
        {1: 1, 2: 99},
        {1: 90, 2: 9, 3: 1},
        {1: MAX_WEIGHT, 2: MAX_WEIGHT // 2},
        {1: 1, 2: 2, 3: 3, 4: 4, 5: 5},
        dict.fromkeys(range(1, 33), 1),
        {7: 3, 999_999_999: 1},
    ],
    ids=repr,
)
def test_sessions_fall_in_proportion_to_the_weights(traffic: dict[int, int]) -> None:
    counted, total = Counter(shares(traffic)), sum(traffic.values())
    assert counted.keys() <= traffic.keys()
    for version, weight in traffic.items():
        assert expected(counted[version], weight / total), (version, counted[version])


@given(traffic=splits, session=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_session_stays_whatever_else_happens(traffic: dict[int, int], session: str) -> None:
    known = VoiceRecord(VOICE, tuple(sorted(traffic)), VoiceState(traffic=traffic))
    turned = VoiceRecord(
        VOICE, tuple(sorted(traffic)), VoiceState(5, traffic=dict(reversed(traffic.items())))
    )
    chosen = chosen_version(known, VoiceRef(VOICE), session_id=session, draw=undrawn)
    assert chosen in traffic
    for again in (known, turned):
        assert chosen_version(again, VoiceRef(VOICE), session_id=session, draw=undrawn) == chosen
    # Others may have come and gone, unless they were chosen.
    without = {version: weight for version, weight in traffic.items() if version == chosen}
    assert share_of(without, f"{VOICE}\0{session}", undrawn) == chosen


def test_sessions_are_spread_anew_by_each_voice() -> None:
    """Or the same listeners would try every experiment."""
    traffic = {1: 9, 2: 1}
    both = Counter(zip(shares(traffic, "a"), shares(traffic, "b"), strict=True))
    assert expected(both[2, 2], 0.01)
    assert expected(both[1, 1], 0.81)


@given(
    old=splits,
    new=splits,
    common=st.dictionaries(st.integers(1, 4), st.tuples(*[st.integers(1, 100)] * 2), max_size=4),
)
@examples(60)
def test_sessions_move_only_towards_versions_that_gained(
    old: dict[int, int], new: dict[int, int], common: dict[int, tuple[int, int]]
) -> None:
    """From a to b only if b's weight grew more, by its factor, than a's."""
    old |= {version: weights[0] for version, weights in common.items()}
    new |= {version: weights[1] for version, weights in common.items()}
    for session in SESSIONS[:200]:
        a, b = share_of(old, session, undrawn), share_of(new, session, undrawn)
        if a != b:
            assert new[b] * old[a] > old.get(b, 0) * new.get(a, 0)


def moved(old: dict[int, int], new: dict[int, int]) -> Counter[tuple[int, int]]:
    """How many sessions went from which version to which."""
    return Counter(
        pair for pair in zip(shares(old), shares(new), strict=True) if pair[0] != pair[1]
    )


def test_small_new_version_takes_its_share_and_moves_nobody_else() -> None:
    moves = moved({1: 60, 2: 39}, {1: 60, 2: 39, 3: 1})
    assert {to for _, to in moves} == {3}
    assert expected(moves.total(), 0.01)
    assert expected(moves[1, 3], 0.006)


def test_version_that_grows_takes_what_it_gains_and_no_more() -> None:
    moves = moved({1: 90, 2: 10}, {1: 80, 2: 20})
    assert moves.keys() == {(1, 2)}
    assert expected(moves.total(), 0.1)
    raised = moved({1: 90, 2: 5, 3: 5}, {1: 90, 2: 10, 3: 5})
    assert {to for _, to in raised} == {2}
    assert expected(raised.total(), 10 / 105 - 5 / 100)


def test_version_that_goes_moves_its_own_sessions_alone() -> None:
    traffic = {1: 50, 2: 30, 3: 20}
    moves = moved(traffic, {1: 50, 2: 30})
    assert {of for of, _ in moves} == {3}
    assert moves.total() == Counter(shares(traffic))[3]
    assert expected(moves[3, 1], 5 / 8, moves.total())


def test_same_proportions_move_nobody() -> None:
    assert not moved({1: 9, 2: 1}, {1: 900, 2: 100})


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_no_hash_is_too_extreme(byte: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Extreme:
        def digest(self) -> bytes:
            return byte * 32

    monkeypatch.setattr("voxswap_registry.resolution.hashlib.sha256", lambda _: Extreme())
    assert share_of({1: 1, 2: MAX_WEIGHT}, "key", undrawn) == 2


# Without a session


@pytest.mark.parametrize(
    ("drawn", "version"), [(0.0, 3), (0.2499, 3), (0.25, 5), (0.74, 5), (0.75, 9), (1 - 2**-53, 9)]
)
def test_draws_fall_in_order_of_the_versions(drawn: float, version: int) -> None:
    assert share_of({9: 1, 3: 1, 5: 2}, "", lambda: drawn) == version


@given(traffic=splits, drawn=st.floats(0, 1, exclude_max=True))
def test_every_draw_means_some_version(traffic: dict[int, int], drawn: float) -> None:
    assert share_of(traffic, "", lambda: drawn) in traffic


def test_draws_are_in_proportion_to_the_weights() -> None:
    draw, traffic = random.Random(1).random, {1: 90, 2: 9, 3: 1}
    counted = Counter(share_of(traffic, "", draw) for _ in SESSIONS)
    assert all(expected(counted[version], weight / 100) for version, weight in traffic.items())


def test_those_without_a_session_are_drawn_anew_each_time() -> None:
    known = record(1, 2, traffic={1: 1, 2: 1})
    counted = Counter(chosen_version(known, VoiceRef(VOICE)) for _ in range(1000))
    assert set(counted) == {1, 2}  # But for one time in 2 ** 999.
