"""Popularity: halved every day, kept over restarts, unmoved by what a disk makes of its file."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.fakes.clocks import FakeClock
from voxswap_registry.errors import VoxswapError
from voxswap_server.residency import popularity
from voxswap_server.residency.popularity import Popularity

DAY_S = 24 * 3600.0
refs = st.sampled_from([f"npc/{name}@{n}" for name in ("smith", "guard") for n in (1, 2, 30)])


class PopularityFixture:
    """A server's counts, and its clocks. A new one is the same server after a restart."""

    def __init__(self, wall_s: float = 1.8e9) -> None:
        self.clock, self.wall = FakeClock(), FakeClock()
        self.wall.now_s = wall_s
        self.uses = Popularity(self.clock, self.wall)

    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.wall.now_s += seconds

    def count(self, ref: str, times: int = 1) -> None:
        for _ in range(times):
            self.uses.count(ref)

    def restart(
        self, down_s: float = 0.0, resident: tuple[str, ...] = ()
    ) -> tuple[PopularityFixture, Any]:
        data = self.uses.to_json(resident)
        after = PopularityFixture(self.wall.now_s + down_s)
        return after, after.uses.restore(data, where="here")


def test_uses_are_halved_every_day() -> None:
    fixture = PopularityFixture()
    fixture.count("a@1", 8)
    assert fixture.uses.uses("a@1") == 8
    fixture.wait(DAY_S)
    assert fixture.uses.uses("a@1") == pytest.approx(4)
    fixture.count("a@1")
    fixture.wait(DAY_S / 2)
    assert fixture.uses.uses("a@1") == pytest.approx(5 / math.sqrt(2))
    assert fixture.uses.uses("b@1") == 0


@pytest.mark.parametrize("days", [500, 1_023, 1_025, 30_000])
def test_a_server_may_run_for_years(days: int) -> None:
    fixture = PopularityFixture()
    fixture.count("old@1", 1000)
    for _ in range(3):
        fixture.wait(days * DAY_S)
        fixture.count("new@1", 3)
        assert fixture.uses.uses("new@1") == pytest.approx(3)
    assert 0 <= fixture.uses.uses("old@1") < 1e-9
    json.loads(fixture.uses.to_json(["new@1"]))
    after, remembered = fixture.restart(resident=("old@1", "new@1"))
    assert remembered == ("new@1", "old@1")
    assert after.uses.uses("new@1") == pytest.approx(3)


def test_a_year_of_steady_use_day_by_day_comes_to_two_days_worth() -> None:
    fixture = PopularityFixture()
    for _ in range(365):
        fixture.wait(DAY_S)
        fixture.count("a@1", 10)
    assert fixture.uses.uses("a@1") == pytest.approx(20)


@pytest.mark.parametrize("jump_s", [1.8e9, -1.8e9, 1e15, -1e15])
def test_a_wall_clock_that_jumps_harms_nothing(jump_s: float) -> None:
    """A machine without a battery wakes up in 1970 and learns the time later."""
    fixture = PopularityFixture(wall_s=abs(jump_s) + 60)
    fixture.count("a@1", 4)
    fixture.wall.now_s += jump_s
    fixture.count("a@1", 4)
    assert fixture.uses.uses("a@1") == 8
    fixture.uses.to_json(["a@1"])


def test_counts_and_residents_come_back_the_most_used_first() -> None:
    fixture = PopularityFixture()
    for n, ref in enumerate(["a@1", "b@2", "c@1"]):
        fixture.count(ref, 2 - n if n < 2 else 9)
    after, remembered = fixture.restart(resident=("b@2", "a@1", "c@1", "a@1", "never-used@1"))
    assert remembered == ("c@1", "a@1", "b@2", "never-used@1")
    assert after.uses.uses("c@1") == 9


def test_time_goes_by_while_a_server_is_down() -> None:
    fixture = PopularityFixture()
    fixture.count("a@1", 8)
    after, _ = fixture.restart(down_s=DAY_S)
    assert after.uses.uses("a@1") == pytest.approx(4)
    after.count("a@1")
    assert after.uses.uses("a@1") == pytest.approx(5)
    long_after, _ = fixture.restart(down_s=3e4 * DAY_S)
    assert long_after.uses.uses("a@1") < 1e-9
    from_the_future, _ = fixture.restart(down_s=-5 * DAY_S)
    assert from_the_future.uses.uses("a@1") == 8


def test_what_was_counted_before_the_file_was_read_counts_too() -> None:
    fixture = PopularityFixture()
    fixture.count("a@1", 3)
    data = fixture.uses.to_json([])
    after = PopularityFixture(fixture.wall.now_s)
    after.count("a@1", 2)
    after.uses.restore(data, where="here")
    assert after.uses.uses("a@1") == 5


def test_so_many_are_kept_the_most_used_of_them() -> None:
    fixture = PopularityFixture()
    fixture.count("famous@1", 50)
    for n in range(1, 30_000):
        fixture.uses.count(f"v@{n}")
    assert len(fixture.uses._weights) <= 20_001
    assert fixture.uses.uses("famous@1") == 50
    data = fixture.uses.to_json([])
    assert len(json.loads(data)["uses"]) == 10_000
    assert len(data) < 1 << 20


@examples(50)
@given(
    st.lists(st.one_of(refs, st.floats(0, 3 * DAY_S)), max_size=40),
    st.lists(refs, max_size=6),
    st.floats(0, 100 * DAY_S),
)
def test_a_restart_changes_no_order_and_no_count_by_much(
    moves: list[str | float], resident: list[str], down_s: float
) -> None:
    fixture = PopularityFixture()
    for move in moves:
        if isinstance(move, str):
            fixture.count(move)
        else:
            fixture.wait(move)
    after, remembered = fixture.restart(down_s, tuple(resident))
    assert sorted(remembered) == sorted(set(resident))
    found = [after.uses.uses(ref) for ref in remembered]
    assert found == sorted(found, reverse=True)
    share = 0.5 ** (down_s / DAY_S)
    for ref in {move for move in moves if isinstance(move, str)}:
        assert after.uses.uses(ref) == pytest.approx(fixture.uses.uses(ref) * share, abs=1e-3)


SOUND: dict[str, Any] = {"schema": 1, "saved_s": 1.0, "uses": {"a@1": 2}, "resident": ["a@1"]}
HUGE = 10**400
UNSOUND: dict[str, Any] = {
    "empty": b"",
    "cut off": json.dumps(SOUND).encode()[:-5],
    "not UTF-8": b'{"schema": 1, "\xff": 2}',
    "zeros": b"\0" * 4096,
    "nested too deep": b"[" * 100_000,
    "another schema": SOUND | {"schema": 2},
    "a list": [SOUND],
    "no uses": {k: v for k, v in SOUND.items() if k != "uses"},
    "no residents": {k: v for k, v in SOUND.items() if k != "resident"},
    "no time": {k: v for k, v in SOUND.items() if k != "saved_s"},
    "uses that are a list": SOUND | {"uses": ["a@1"]},
    "residents that are an object": SOUND | {"resident": {"a@1": 1}},
    "a resident that is a number": SOUND | {"resident": [1]},
    "a resident that is a list": SOUND | {"resident": [["a@1"]]},
    "a resident without a version": SOUND | {"resident": ["a"]},
    "a resident by a label": SOUND | {"resident": ["a@stable"]},
    "a voice that is none": SOUND | {"uses": {"../../etc@1": 1}},
    "a negative count": SOUND | {"uses": {"a@1": -1}},
    "a count that is a text": SOUND | {"uses": {"a@1": "2"}},
    "a count that is infinite": json.dumps(SOUND).replace("2}", "1e999}").encode(),
    "a time that is infinite": SOUND | {"saved_s": None},
    "a time that is a text": SOUND | {"saved_s": "now"},
    "a count beyond a float": SOUND | {"uses": {"a@1": HUGE}},
    "a time beyond a float": SOUND | {"saved_s": HUGE},
    "true for a count": SOUND | {"uses": {"a@1": True}},
    "false for a time": SOUND | {"saved_s": False},
}


@pytest.mark.parametrize("what", sorted(UNSOUND))
def test_a_file_that_is_not_sound_is_refused_and_nothing_of_it_taken(what: str) -> None:
    found = UNSOUND[what]
    data = found if isinstance(found, bytes) else json.dumps(found).encode()
    fixture = PopularityFixture()
    fixture.count("a@1", 3)
    with pytest.raises(VoxswapError, match=r"residents\.json"):
        fixture.uses.restore(data, where="/var/cache/residents.json")
    assert fixture.uses.uses("a@1") == 3


def test_what_was_saved_can_be_restored_whatever_was_read_before() -> None:
    fixture = PopularityFixture()
    for count in (1e12, 1e14, 1.7e308):
        data = json.dumps(SOUND | {"uses": {"a@1": count}}).encode()
        for _ in range(3):
            with contextlib.suppress(VoxswapError):
                fixture.uses.restore(data, where="here")
    fixture.restart()


def test_too_large_a_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "residents.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    data = popularity.read(path)
    assert data is not None
    with pytest.raises(VoxswapError, match="more than 8388608 bytes"):
        PopularityFixture().uses.restore(data, where="here")


def test_no_file_is_nothing_to_speak_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert popularity.read(tmp_path / "missing.json") is None
    assert not caplog.text
    assert popularity.read(tmp_path) is None
    assert "no warm start" in caplog.text


def test_saving_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "residents.json"
    popularity.save(b"old", path)
    popularity.save(b"new", path)
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("call", ["write_bytes", "replace", "mkdir"])
def test_a_disk_that_refuses_leaves_the_old_file_and_a_line_in_the_log(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "residents.json"
    popularity.save(b"old", path)

    def refuse(self: Path, *args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, call, refuse)
        popularity.save(b"new", path)
    assert "cannot save what is resident" in caplog.text
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
