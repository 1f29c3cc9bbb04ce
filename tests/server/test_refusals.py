"""Refusals are all counted, and a flood of them is a line a second in the log."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

import pytest

from voxswap_server.doors.refusals import Refusals


async def test_a_flood_is_counted_and_told_in_a_few_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    timers: list[tuple[Callable[..., object], tuple[object, ...]]] = []

    def later(after_s: float, call: Callable[..., object], *args: object) -> None:
        assert after_s == 1.0
        timers.append((call, args))

    def ring() -> None:
        call, args = timers.pop(0)
        call(*args)

    refusals = Refusals(lambda reason: counted.update([reason]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "call_later", later)
        with caplog.at_level(logging.WARNING):
            for n in range(1000):
                refusals.note("FULL", f"the {n}th")
            refusals.note("LATE", "another kind")
            assert [record.message for record in caplog.records] == [
                "refused, FULL: the 0th",
                "refused, LATE: another kind",
            ]
            ring()
            assert caplog.records[-1].message == "refused 999 more, FULL; the latest: the 999th"
            ring()  # of LATE: nothing more came
            ring()  # of FULL: nothing more either
            assert len(caplog.records) == 3
            assert not timers, "nothing is kept of what is over"
            refusals.note("FULL", "again")
            assert caplog.records[-1].message == "refused, FULL: again"
    assert counted == {"FULL": 1001, "LATE": 1}
