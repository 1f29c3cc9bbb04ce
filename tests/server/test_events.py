"""The event log: nothing is missed, nothing is told twice, and nobody is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.fakes.executors import settle
from voxswap_server.residency.errors import (
    EventsLostError,
    SlowWatcherError,
    TooManyWatchersError,
)
from voxswap_server.residency.events import EventKind, EventLog, Numbered, ResidencyEvent

EVENT = ResidencyEvent(EventKind.LOADED, ("a@1",))


def told(log: EventLog, n: int) -> None:
    for _ in range(n):
        log.tell(EVENT)


async def take(events: AsyncGenerator[Numbered, None], n: int) -> list[int]:
    return [(await anext(events)).sequence for _ in range(n)]


async def test_a_watcher_sees_what_is_told_from_now_on() -> None:
    now = [12.5]
    log = EventLog(wall_clock=lambda: now[0])
    told(log, 3)
    events = log.watch()
    first = asyncio.ensure_future(anext(events))
    await settle()
    assert not first.done()
    now[0] = 13.0
    log.tell(EVENT)
    assert await first == Numbered(4, 13.0, EVENT)
    await events.aclose()
    assert log.watchers == 0
    assert log.last_sequence == 4


async def test_a_watcher_goes_on_where_it_was() -> None:
    log = EventLog()
    told(log, 5)
    assert await take(log.watch(3, log.epoch), 2) == [4, 5]
    assert await take(log.watch(0), 5) == [1, 2, 3, 4, 5]
    # After the latest there is nothing yet: it waits.
    events = log.watch(5, log.epoch)
    waiting = asyncio.ensure_future(anext(events))
    await settle()
    told(log, 1)
    assert (await waiting).sequence == 6
    await events.aclose()


async def test_a_number_of_a_new_log_may_be_nought() -> None:
    log = EventLog()
    events = log.watch(0, log.epoch)
    waiting = asyncio.ensure_future(anext(events))
    await settle()
    told(log, 1)
    assert (await waiting).sequence == 1
    await events.aclose()


@pytest.mark.parametrize(
    ("after", "other_epoch", "message"),
    [
        (3, True, "event 3 is of another run"),
        (11, False, "event 11 has not happened: the latest is 10"),
        (5, False, r"events after 5 are no longer kept, the oldest is 7"),
    ],
)
async def test_what_cannot_be_told_any_more_is_lost_and_said_to_be(
    after: int, *, other_epoch: bool, message: str
) -> None:
    log = EventLog(kept=4)
    told(log, 10)
    with pytest.raises(EventsLostError, match=message):
        await anext(log.watch(after, log.epoch + other_epoch))
    assert log.watchers == 0


async def test_nought_alone_is_every_event_that_is_kept() -> None:
    log = EventLog(kept=4)
    told(log, 10)
    assert await take(log.watch(0), 4) == [7, 8, 9, 10]


@pytest.mark.parametrize("later", [0, 1])
async def test_nought_of_an_epoch_is_a_number_like_any_other(later: int) -> None:
    """Whoever lists the residents of a new server and then watches from there."""
    log = EventLog(kept=4)
    told(log, 10 if not later else 3)
    with pytest.raises(EventsLostError):
        await anext(log.watch(0, log.epoch + later))


async def test_the_oldest_event_that_is_kept_can_still_be_had() -> None:
    log = EventLog(kept=4)
    told(log, 10)
    assert await take(log.watch(6, log.epoch), 4) == [7, 8, 9, 10]


async def test_a_slow_watcher_is_told_that_it_was_and_slows_nobody() -> None:
    log = EventLog(kept=4)
    slow, quick = log.watch(0), log.watch(0)
    told(log, 1)
    assert await take(slow, 1) == [1]
    seen = await take(quick, 1)
    for _ in range(5):
        told(log, 1)
        seen += await take(quick, 1)
    assert seen == [1, 2, 3, 4, 5, 6]
    with pytest.raises(SlowWatcherError, match=r"event 2 was dropped, the oldest kept is 3"):
        await anext(slow)
    assert log.watchers == 1
    await quick.aclose()


async def test_a_watcher_that_waits_is_not_slow_whatever_comes_at_once() -> None:
    log = EventLog(kept=4)
    events = log.watch()
    waiting = asyncio.ensure_future(anext(events))
    await settle()
    told(log, 4)
    assert (await waiting).sequence == 1
    assert await take(events, 3) == [2, 3, 4]
    waiting = asyncio.ensure_future(anext(events))
    await settle()
    told(log, 5)
    with pytest.raises(SlowWatcherError):
        await waiting


async def test_so_many_may_watch_and_one_that_ends_makes_room() -> None:
    log = EventLog(most_watchers=2)
    watchers = [log.watch() for _ in range(3)]
    waiting = [asyncio.ensure_future(anext(events)) for events in watchers]
    await settle()
    with pytest.raises(TooManyWatchersError, match="2 watch already"):
        await waiting[2]
    assert log.watchers == 2
    waiting[0].cancel()
    await settle()
    assert log.watchers == 1
    late = asyncio.ensure_future(anext(log.watch()))
    await settle()
    told(log, 1)
    assert (await late).sequence == (await waiting[1]).sequence == 1


async def test_one_that_never_begins_takes_no_place() -> None:
    log = EventLog(most_watchers=1)
    idle = log.watch()
    events = log.watch(0)
    told(log, 1)
    assert await take(events, 1) == [1]
    await events.aclose()
    await idle.aclose()
    assert log.watchers == 0


async def test_when_the_log_closes_watchers_read_the_rest_and_end() -> None:
    log = EventLog()
    behind, waiting = log.watch(0), log.watch()
    pending = asyncio.ensure_future(anext(waiting))
    await settle()
    told(log, 2)
    assert (await pending).sequence == 1
    log.close()
    assert [event.sequence async for event in behind] == [1, 2]
    assert [event.sequence async for event in waiting] == [2]
    assert [event async for event in log.watch()] == []
    # What is told on the way down can still be read by its number.
    told(log, 1)
    assert [event.sequence async for event in log.watch(2, log.epoch)] == [3]
    assert log.watchers == 0


async def test_closing_wakes_whoever_waits() -> None:
    log = EventLog()
    waiting = [asyncio.ensure_future(anext(log.watch(), None)) for _ in range(3)]
    await settle()
    log.close()
    assert await asyncio.gather(*waiting) == [None] * 3
    assert log.watchers == 0


async def test_a_cancelled_watcher_leaves_nothing() -> None:
    log = EventLog()
    events = log.watch()
    waiting = asyncio.ensure_future(anext(events))
    await settle()
    waiting.cancel()
    told(log, 1)  # in the same instant
    await settle()
    assert waiting.cancelled()
    assert log.watchers == 0


def test_two_logs_have_two_epochs_that_fit_the_wire() -> None:
    first, second = (EventLog(wall_clock=lambda at=at: at) for at in (4e9, 4e9 + 1e-3))  # type: ignore[misc]
    assert first.epoch != second.epoch
    assert 0 < first.epoch < 2**63


@examples(60)
@given(
    kept=st.integers(1, 6),
    moves=st.lists(st.tuples(st.sampled_from(["tell", "take", "watch"]), st.integers(0, 3))),
)
def test_every_watcher_sees_a_run_of_numbers_without_a_gap_until_it_is_told_of_one(
    kept: int, moves: list[tuple[str, int]]
) -> None:
    async def run() -> None:
        log = EventLog(kept=kept, most_watchers=99)
        watchers: list[tuple[AsyncGenerator[Numbered, None], list[int]]] = []
        ended: set[int] = set()
        for move, which in moves:
            if move == "tell":
                told(log, 1 + which)
            elif move == "watch" and log.last_sequence:
                after = max(1, log.last_sequence - which)
                watchers.append((log.watch(after, log.epoch), [after]))
            elif move == "take" and which < len(watchers) and which not in ended:
                events, seen = watchers[which]
                if len(seen) == 1 and log.last_sequence - seen[-1] > kept:
                    with pytest.raises(EventsLostError):
                        await anext(events)
                    ended.add(which)
                elif log.last_sequence - seen[-1] > kept:
                    with pytest.raises(SlowWatcherError):
                        await anext(events)
                    ended.add(which)
                elif log.last_sequence > seen[-1]:
                    seen += await take(events, 1)
        for events, seen in watchers:
            assert seen == list(range(seen[0], seen[0] + len(seen)))
            await events.aclose()
        assert log.watchers == 0

    asyncio.run(run())


def test_an_event_reads_as_a_line_of_the_log() -> None:
    voices = tuple(f"v{n}@1" for n in range(6))
    event = ResidencyEvent(EventKind.EVICTED, voices, "base", size_bytes=7, reason="memory")
    assert str(event) == "v0@1, v1@1, v2@1, v3@1 base evicted: 7 bytes, memory"
    assert str(ResidencyEvent(EventKind.BUDGET_CHANGED, size_bytes=9)).endswith("9 bytes")
