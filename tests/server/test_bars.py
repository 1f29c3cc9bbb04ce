"""Voices that may not speak for a while: how long, who hears of it, and what ends it."""

from __future__ import annotations

import pytest

from voxswap_server.residency.bars import Bar, Bars
from voxswap_server.residency.errors import VoiceBarredError


class BarsFixture:
    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[Bar] = []
        self.bars = Bars(lambda: self.now, self.told.append)


@pytest.fixture
def fixture() -> BarsFixture:
    return BarsFixture()


def test_a_voice_is_barred_for_a_minute_and_twice_as_long_each_time(fixture: BarsFixture) -> None:
    for _ in range(9):
        fixture.bars.bar("smith@1")
        fixture.now = fixture.told[-1].until_s
        fixture.bars.check("smith@1")
    assert [bar.for_s for bar in fixture.told] == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    fixture.now += 3_600.0
    fixture.bars.bar("smith@1")
    assert fixture.told[-1].for_s == 60, "an hour without another time forgets it"


def test_who_asks_for_it_learns_why_not_and_when(fixture: BarsFixture) -> None:
    fixture.bars.bar("smith@1")
    fixture.now = 20.0
    with pytest.raises(
        VoiceBarredError, match=r"smith@1 .* 40 s; .*voxswap load smith@1"
    ) as raised:
        fixture.bars.check("smith@1")
    assert raised.value.retry_s == 40.0
    assert len(fixture.bars) == 1
    fixture.bars.check("smith@2")


def test_streams_that_hang_together_count_once(fixture: BarsFixture) -> None:
    for _ in range(4):
        fixture.bars.bar("smith@1")
    assert len(fixture.told) == 1


def test_an_operator_may_have_it_tried(fixture: BarsFixture) -> None:
    fixture.bars.bar("smith@1")
    fixture.bars.lift("smith@1")
    fixture.bars.check("smith@1")
    assert len(fixture.bars) == 0


def test_so_many_are_remembered(fixture: BarsFixture) -> None:
    for n in range(1030):
        fixture.bars.bar(f"voice{n}@1")
    assert len(fixture.bars) == 1024
