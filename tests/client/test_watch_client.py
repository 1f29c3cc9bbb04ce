"""Events, and what becomes of a watch whose stream breaks, through both clients."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from tests.client.fake_server import FakeServer
from tests.client.sync_face import SyncWatch
from tests.client.terminal import Connect
from tests.fakes.clocks import FakeClock
from voxswap_client import (
    AsyncClient,
    AsyncResidencyWatch,
    CallCancelledError,
    Client,
    EventsLostError,
    InvalidRequestError,
    NotImplementedByServerError,
    ResidencyEvent,
    ResidencyEventKind,
    ResourceExhaustedError,
    SlowWatcherError,
    UnavailableError,
    VoxswapClientError,
)
from voxswap_client.retry import DEFAULT_RETRIES, Attempts
from voxswap_client.watching import WatchProgress

WHEN = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
DOWN = grpc.StatusCode.UNAVAILABLE
EPOCH = 1_900_000_000_000_000


async def take(watch: AsyncResidencyWatch | SyncWatch, count: int) -> list[ResidencyEvent]:
    return [await watch.__anext__() for _ in range(count)]


def sequences(events: list[ResidencyEvent]) -> list[int]:
    return [event.sequence for event in events]


async def test_an_event_is_typed(server: FakeServer, connect: Connect) -> None:
    wire = server.event(
        7,
        "EVICTED",
        reason="memory",
        duration_ms=3.5,
        size_bytes=60,
        role="model",
        digest="sha256:ab",
        age_ms=9000,
        queue_ms=1.5,
    )
    wire.event_time.FromDatetime(WHEN)
    server.events.append(wire)
    async with connect().watch(after=6) as events:
        assert await take(events, 1) == [
            ResidencyEvent(
                sequence=7,
                epoch=EPOCH,
                time=WHEN,
                kind=ResidencyEventKind.EVICTED,
                voices=("npc/smith@3",),
                reason="memory",
                duration_ms=3.5,
                queue_ms=1.5,
                size_bytes=60,
                role="model",
                digest="sha256:ab",
                age_ms=9000,
            )
        ]
    assert await asyncio.to_thread(server.unwatched.wait, server.patience_s)


async def test_from_now_on_unless_told_otherwise(server: FakeServer, connect: Connect) -> None:
    async with connect().watch():
        assert await asyncio.to_thread(server.watching.wait, server.patience_s)
    async with connect().watch(after=41, epoch=EPOCH):
        pass
    assert not server.requests[0].HasField("after_sequence")
    assert not server.requests[0].epoch


async def test_from_a_list_on_there_is_no_gap(server: FakeServer, connect: Connect) -> None:
    """What happens between the list and the watch comes first; what the list has does not."""
    client = connect()
    server.events += [server.event(n) for n in range(1, 4)]
    seen = await client.residents()
    assert (seen.last_sequence, seen.epoch) == (3, EPOCH)
    server.events += [server.event(4), server.event(5)]
    async with client.watch(after=seen.last_sequence, epoch=seen.epoch) as events:
        assert sequences(await take(events, 2)) == [4, 5]


async def test_from_an_empty_list_on_there_is_no_gap_either(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    """0 with an epoch is a place like any other, also where the stream breaks before an event."""
    client = connect(time=fake_clock)
    seen = await client.residents()
    assert (seen.last_sequence, seen.epoch) == (0, EPOCH)
    server.script += [server.fail(DOWN, "broken before the first event")]
    server.events += [server.event(1), server.event(2)]
    async with client.watch(after=seen.last_sequence, epoch=seen.epoch) as events:
        assert sequences(await take(events, 2)) == [1, 2]
    asked = [(r.after_sequence, r.epoch) for r in server.requests[1:]]
    assert asked == [(0, EPOCH), (0, EPOCH)]


async def test_a_first_event_that_does_not_follow_the_list_is_a_gap(
    server: FakeServer, connect: Connect
) -> None:
    """Of a server that keeps no more than its latest, and does not say so."""
    server.script.append(server.play(server.event(2)))
    async with connect().watch(after=0, epoch=EPOCH) as events:
        with pytest.raises(EventsLostError, match="after event 0 came event 2"):
            await take(events, 1)


@pytest.mark.parametrize("known", [0, 2])
async def test_a_server_that_was_started_between_list_and_watch_is_told(
    server: FakeServer, connect: Connect, known: int
) -> None:
    client = connect()
    server.events += [server.event(n) for n in range(1, known + 1)]
    seen = await client.residents()
    server.epoch = EPOCH + 1
    server.events = [server.event(n, epoch=server.epoch) for n in range(1, 4)]
    async with client.watch(after=seen.last_sequence, epoch=seen.epoch) as events:
        with pytest.raises(EventsLostError):
            await take(events, 1)
    anew = await client.residents()
    assert (anew.last_sequence, anew.epoch) == (3, EPOCH + 1)
    server.events.append(server.event(4, epoch=server.epoch))
    async with client.watch(after=anew.last_sequence, epoch=anew.epoch) as events:
        assert sequences(await take(events, 1)) == [4]


async def test_a_kind_that_is_not_known_is_passed_over(
    server: FakeServer, connect: Connect
) -> None:
    new = server.event(2)
    new.kind = 99  # type: ignore[assignment]
    server.events += [server.event(1), new, server.event(3)]
    async with connect().watch(after=0) as events:
        assert sequences(await take(events, 2)) == [1, 3]


async def test_a_broken_stream_is_resumed_after_the_last_event(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.events += [server.event(n) for n in range(1, 5)]
    server.script += [
        server.fail(DOWN, "broken", after=(server.event(1), server.event(2))),
        server.fail(DOWN, "still broken"),
        server.fail(DOWN, "broken again", after=(server.event(3),)),
    ]
    client = connect(time=fake_clock, random=lambda: 0.5)
    async with client.watch(after=0) as events:
        assert sequences(await take(events, 4)) == [1, 2, 3, 4]
    asked = [(r.after_sequence, r.epoch) for r in server.requests]
    assert asked == [(0, 0), (2, EPOCH), (2, EPOCH), (3, EPOCH)]
    assert fake_clock.sleeps == [0.05, 0.1, 0.05]  # an event begins the count anew


async def test_a_stream_that_ends_well_is_resumed(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.events += [server.event(1), server.event(2)]
    server.script.append(server.play(server.event(1)))
    async with connect(time=fake_clock).watch(after=0) as events:
        assert sequences(await take(events, 2)) == [1, 2]
    assert len(fake_clock.sleeps) == 1


async def test_a_server_that_stays_away_ends_the_watch(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.script += [server.fail(DOWN, "broken", after=(server.event(1),))]
    server.script += [server.fail(DOWN, f"away {n}") for n in range(9)]
    async with connect(time=fake_clock).watch(after=0) as events:
        assert sequences(await take(events, 1)) == [1]
        with pytest.raises(UnavailableError, match="away 2"):
            await take(events, 1)
    assert len(server.requests) == DEFAULT_RETRIES.max_attempts


async def test_a_server_that_was_started_anew_has_lost_the_events(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.script.append(server.fail(DOWN, "restarting", after=(server.event(1),)))
    server.epoch = EPOCH + 1
    async with connect(time=fake_clock).watch(after=0) as events:
        with pytest.raises(EventsLostError, match="events after 1 are no longer kept") as caught:
            await take(events, 2)
    assert (caught.value.code, caught.value.reason) == ("OUT_OF_RANGE", "EVENTS_LOST")


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"sequence": 2, "epoch": EPOCH + 1}, "was started anew"),
        ({"sequence": 3}, "after event 1 came event 3"),
        ({"sequence": 1}, "after event 1 came event 1"),
    ],
    ids=["another epoch", "a gap", "a repetition"],
)
async def test_events_that_do_not_follow(
    server: FakeServer, connect: Connect, second: dict[str, Any], told: str
) -> None:
    server.events += [server.event(1), server.event(**second)]
    watch = connect().watch(after=0)
    assert sequences(await take(watch, 1)) == [1]
    with pytest.raises(EventsLostError, match=told):
        await take(watch, 1)
    assert await asyncio.to_thread(server.unwatched.wait, server.patience_s)


async def test_the_first_of_all_that_are_kept_may_be_any(
    server: FakeServer, connect: Connect
) -> None:
    server.script.append(server.play(server.event(900)))
    async with connect().watch(after=0) as events:
        assert sequences(await take(events, 1)) == [900]


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        ("OUT_OF_RANGE", "EVENTS_LOST", EventsLostError),
        ("RESOURCE_EXHAUSTED", "SLOW_WATCHER", SlowWatcherError),
        ("RESOURCE_EXHAUSTED", "TOO_MANY_WATCHERS", ResourceExhaustedError),
        ("UNIMPLEMENTED", "NOT_BUILT", NotImplementedByServerError),
    ],
)
async def test_what_ends_a_watch_for_good(
    server: FakeServer,
    connect: Connect,
    fake_clock: FakeClock,
    code: str,
    reason: str,
    kind: type[Any],
) -> None:
    status, why = grpc.StatusCode[code], server.reason(reason)
    server.script.append(server.fail(status, "told by the server", why, after=(server.event(1),)))
    async with connect(time=fake_clock).watch() as events:
        assert sequences(await take(events, 1)) == [1]
        with pytest.raises(kind, match="told by the server") as caught:
            await take(events, 1)
    assert type(caught.value) is kind
    assert (len(server.requests), fake_clock.sleeps) == (1, [])


async def test_cancel_ends_it(server: FakeServer, connect: Connect) -> None:
    watch = connect().watch()
    watch.cancel()
    watch.cancel()
    with pytest.raises(CallCancelledError):
        await take(watch, 1)


async def test_cancel_while_waiting_for_the_next_try(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.script += [server.fail(DOWN, "down")] * 2
    watch = connect(time=fake_clock).watch()
    fake_clock.on_sleep = watch.cancel
    with pytest.raises(CallCancelledError):
        await take(watch, 1)
    assert len(server.requests) == 1


async def test_another_thread_may_cancel_a_blocked_watch(server: FakeServer) -> None:
    with Client(server.address) as client, client.watch() as events:
        task = asyncio.ensure_future(asyncio.to_thread(next, events))
        assert await asyncio.to_thread(server.watching.wait, server.patience_s)
        events.cancel()
        with pytest.raises(CallCancelledError):
            await task
    assert await asyncio.to_thread(server.unwatched.wait, server.patience_s)


async def test_cancelling_the_task_ends_the_watch(server: FakeServer) -> None:
    async with AsyncClient(server.address) as client:
        task = asyncio.create_task(take(client.watch(), 1))
        assert await asyncio.to_thread(server.watching.wait, server.patience_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.unwatched.wait, server.patience_s)


async def test_closing_the_client_ends_a_watch_that_waits_for_its_next_try(
    server: FakeServer, fake_clock: FakeClock
) -> None:
    server.script += [server.fail(DOWN, "down")] * 2
    with Client(server.address, clock=fake_clock, sleep=fake_clock.sleep) as client:
        fake_clock.on_sleep = client.close
        with pytest.raises(CallCancelledError):
            next(client.watch())
    server.script.clear()
    server.script += [server.fail(DOWN, "down")] * 2

    async def close(_seconds: float) -> None:
        await other.close()

    other = AsyncClient(server.address, clock=fake_clock, sleep=close)
    with pytest.raises(CallCancelledError):
        await take(other.watch(), 1)


async def test_a_place_that_does_not_fit_its_field(server: FakeServer, connect: Connect) -> None:
    with pytest.raises(InvalidRequestError, match="after and epoch"):
        connect().watch(after=2**70)


def progress(fake_clock: FakeClock) -> WatchProgress:
    attempts = Attempts.begin(DEFAULT_RETRIES, clock=fake_clock, random=lambda: 1.0, timeout_s=None)
    return WatchProgress(attempts, clock=fake_clock, after=None, epoch=0)


def test_a_stream_that_stood_for_a_minute_begins_the_count_anew(fake_clock: FakeClock) -> None:
    watch = progress(fake_clock)
    for _ in range(20):
        watch.begin()
        fake_clock.sleep(60)
        assert watch.delay_s(UnavailableError("broken")) == 0.1


def test_streams_that_never_stood_are_counted(fake_clock: FakeClock) -> None:
    watch = progress(fake_clock)
    delays = []
    for _ in range(4):
        watch.begin()
        fake_clock.sleep(20)  # as long as gRPC tries to connect
        delays.append(watch.delay_s(UnavailableError("away")))
    assert delays == [0.1, 0.2, 0.4, None]


def test_only_what_is_unavailable_is_waited_for(fake_clock: FakeClock) -> None:
    watch = progress(fake_clock)
    watch.begin()
    assert watch.delay_s(VoxswapClientError("lost")) is None
