"""Rates, latencies and the monitor that gathers them, with a clock of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from tests.client.fake_server import FakeServer
from tests.fakes.clocks import FakeClock
from voxswap.v1 import residency_pb2
from voxswap_client import AsyncClient, RetryPolicy, UnavailableError
from voxswap_client.cli.top import figures
from voxswap_client.cli.top.figures import Churn, Speech, Taken
from voxswap_client.cli.top.monitor import Monitor
from voxswap_client.cli.top.prometheus import Scrape, parse
from voxswap_client.cli.top.scrape import ScrapeError, metrics_url
from voxswap_client.residency_types import ResidencyEvent, ResidencyEventKind

WHEN = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


def page(
    *,
    streams: int = 0,
    hits: int = 0,
    misses: int = 0,
    warm: tuple[int, int, int] = (0, 0, 0),
    cold: tuple[int, int, int] = (0, 0, 0),
    active: int = 2,
) -> Scrape:
    """Metrics; ``warm`` and ``cold`` count TTFA up to 0.1 s, up to 0.2 s, and all."""
    lines = [f"voxswap_active_streams {active}"]
    if streams:
        lines.append(f'voxswap_streams_total{{end="finished"}} {streams}')
    for outcome, count in (("hit", hits), ("miss", misses)):
        if count:
            lines.append(f'voxswap_cache_requests_total{{outcome="{outcome}"}} {count}')
    for swap, counts in (("warm", warm), ("cold", cold)):
        for bound, count in zip(("0.1", "0.2", "+Inf"), counts, strict=True):
            lines.append(f'voxswap_ttfa_seconds_bucket{{swap="{swap}",le="{bound}"}} {count}')
    return parse("\n".join(lines))


def test_without_metrics_there_are_no_figures() -> None:
    assert figures.speech([]) == Speech()


def test_one_scrape_has_no_rates() -> None:
    found = figures.speech([Taken(0.0, page(streams=9, hits=3, misses=1, warm=(2, 4, 4)))])
    assert (found.active_streams, found.streams_per_s, found.swaps_per_s) == (2, None, None)
    assert found.hit_ratio == 0.75
    assert found.over_s is None
    assert (found.warm.p50_ms, found.warm.p95_ms) == pytest.approx((100, 190))
    assert (found.warm.count, found.warm.most_ms) == (4, 200)
    assert (found.cold.p50_ms, found.cold.count) == (None, 0)


def test_rates_are_of_the_last_ten_seconds_and_latencies_of_the_window() -> None:
    taken = [
        Taken(100.0, page(streams=0, hits=10, misses=10, warm=(0, 0, 9))),
        Taken(145.0, page(streams=100, hits=30, misses=10, warm=(10, 10, 19))),
        Taken(150.0, page(streams=110, hits=40, misses=20, warm=(20, 20, 29))),
    ]
    found = figures.speech(taken)
    assert (found.streams_per_s, found.swaps_per_s) == (2.0, 2.0)
    assert found.hit_ratio == 0.75
    assert (found.warm.count, found.over_s) == (20, 50.0)
    assert found.warm.p95_ms == pytest.approx(95)
    since_start = figures.speech(taken, lately=False)
    assert (since_start.warm.count, since_start.over_s) == (29, None)
    assert since_start.hit_ratio == pytest.approx(40 / 60)
    assert since_start.streams_per_s == 2.0


def test_looks_that_are_far_apart_have_rates_too() -> None:
    taken = [Taken(0.0, page(streams=0)), Taken(40.0, page(streams=80))]
    assert figures.speech(taken).streams_per_s == 2.0


def test_a_window_without_speech_shows_what_was_before() -> None:
    quiet = page(streams=5, hits=5, warm=(5, 5, 5))
    found = figures.speech([Taken(0.0, quiet), Taken(5.0, quiet)])
    assert (found.warm.count, found.over_s, found.hit_ratio) == (5, None, 1.0)
    assert found.streams_per_s == 0


def test_counters_that_fall_are_of_another_server() -> None:
    assert figures.restarted(page(streams=5), page(streams=4))
    assert figures.restarted(page(hits=5), page())
    assert not figures.restarted(page(streams=5), page(streams=5))


def event(kind: str, ago_s: int, sequence: int = 1) -> ResidencyEvent:
    when = WHEN - timedelta(seconds=ago_s)
    return ResidencyEvent(sequence, 1, when, ResidencyEventKind(kind))


def test_events_are_counted_by_the_minute() -> None:
    events = [
        event("loaded", 90),
        event("loaded", 60),
        event("loaded", 1),
        event("evicted", 30),
        event("load_failed", 0),
        event("load_started", 0),
    ]
    assert figures.churn(events, now=WHEN, covered_s=60) == Churn(2, 1, 1)
    assert figures.churn(events, now=WHEN, covered_s=300) == Churn(2, 1, 1)
    assert figures.churn(events, now=WHEN, covered_s=30) == Churn(4, 2, 2)


@pytest.mark.parametrize(
    ("wanted", "address", "expected"),
    [
        (None, "127.0.0.1:50051", "http://127.0.0.1:9464/metrics"),
        (None, "voices.example:50051", "http://voices.example:9464/metrics"),
        (None, "dns:///voices.example:50051", "http://voices.example:9464/metrics"),
        (None, "[::1]:50051", "http://[::1]:9464/metrics"),
        (None, "unix:/run/voxswap.sock", "http://127.0.0.1:9464/metrics"),
        ("https://other/metrics", "127.0.0.1:50051", "https://other/metrics"),
        ("off", "127.0.0.1:50051", None),
    ],
)
def test_where_metrics_are(wanted: str | None, address: str, expected: str | None) -> None:
    assert metrics_url(wanted, address) == expected


# -- the monitor, against a server --------------------------------------------


class MonitorFixture:
    """A monitor of the fake server, and its time."""

    def __init__(self, server: FakeServer, fake_clock: FakeClock, stack: Any) -> None:
        self.pages: list[Scrape | ScrapeError] = [page()]
        self.time = fake_clock
        self.client = AsyncClient(server.address, retries=RetryPolicy(max_attempts=1))
        stack.push_async_callback(self.client.close)
        self.paused = asyncio.Event()
        self.monitor = Monitor(
            self.client,
            self.fetch,
            clock=fake_clock,
            wall_clock=lambda: WHEN,
            sleep=self.sleep,
        )

    def fetch(self) -> Scrape:
        found = self.pages[0] if len(self.pages) == 1 else self.pages.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def sleep(self, _seconds: float) -> None:
        self.paused.set()
        await asyncio.Event().wait()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[Any]:
        task = asyncio.create_task(self.monitor.follow())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def until(self, condition: Callable[..., Any]) -> None:
        async with asyncio.timeout(10):
            while not condition(self.monitor.frame()):  # noqa: ASYNC110 - any change, from anywhere
                await asyncio.sleep(0.005)


@pytest.fixture
async def fixture(server: FakeServer, fake_clock: FakeClock) -> AsyncIterator[Any]:
    async with contextlib.AsyncExitStack() as stack:
        yield MonitorFixture(server, fake_clock, stack)


def told(
    server: FakeServer, sequence: int, kind: str = "LOADED", **fields: int
) -> residency_pb2.WatchResponse:
    wire = server.event(sequence, kind, **fields)
    wire.event_time.FromDatetime(WHEN)
    return wire


async def test_a_look_has_residents_and_metrics(
    fixture: MonitorFixture, server: FakeServer
) -> None:
    server.loadable["npc/smith@3"] = 60
    await fixture.client.load("npc/smith@3")
    await fixture.monitor.look(first=True)
    frame = fixture.monitor.frame()
    assert frame.snapshot.residents[0].voices == ("npc/smith@3",)
    assert frame.speech.active_streams == 2
    assert (frame.now, frame.events, frame.problems) == (WHEN, (), ())


async def test_events_begin_with_those_that_are_kept(
    fixture: MonitorFixture, server: FakeServer
) -> None:
    server.events += [told(server, 1), told(server, 2), told(server, 3, "EVICTED")]
    async with fixture.following():
        await fixture.until(lambda frame: len(frame.events) == 3)
    assert fixture.monitor.frame().churn == Churn(2, 1, 0)


async def test_events_that_are_no_longer_kept_are_done_without(
    fixture: MonitorFixture, server: FakeServer
) -> None:
    server.events += [told(server, 900)]
    async with fixture.following():
        assert await asyncio.to_thread(server.watching.wait, server.patience_s)
        assert fixture.monitor.frame().events == ()
    assert not server.requests[-1].HasField("after_sequence")


async def test_another_run_of_the_server_begins_anew(
    fixture: MonitorFixture, server: FakeServer
) -> None:
    lost = server.fail(grpc.StatusCode.OUT_OF_RANGE, "gone", server.reason("EVENTS_LOST"))
    server.script += [server.play(told(server, 7)), lost]
    server.events += [told(server, 1, epoch=5), told(server, 2, epoch=5)]
    server.epoch = 5
    fixture.client._retries = RetryPolicy(initial_backoff_ms=0)
    fixture.client._sleep = lambda _seconds: asyncio.sleep(0)
    async with fixture.following():
        await fixture.until(lambda frame: [e.sequence for e in frame.events] == [1, 2])


@pytest.mark.parametrize(
    ("code", "reason", "problem"),
    [
        ("UNIMPLEMENTED", "NOT_BUILT", "this server does not tell its events"),
        ("RESOURCE_EXHAUSTED", "TOO_MANY_WATCHERS", "no events: 64 watch already"),
    ],
)
async def test_a_server_that_tells_no_events(
    fixture: MonitorFixture, server: FakeServer, code: str, reason: str, problem: str
) -> None:
    status = grpc.StatusCode[code]
    server.script.append(server.fail(status, "64 watch already", server.reason(reason)))
    async with fixture.following():
        await fixture.until(lambda frame: frame.problems == (problem,))


async def test_a_reader_that_was_too_slow_goes_on_from_now(
    fixture: MonitorFixture, server: FakeServer
) -> None:
    slow = server.reason("SLOW_WATCHER")
    status = grpc.StatusCode.RESOURCE_EXHAUSTED
    server.script.append(server.fail(status, "slow", slow, after=(told(server, 1),)))
    async with fixture.following():
        await fixture.until(lambda _frame: fixture.paused.is_set())
        assert fixture.monitor.frame().events == ()


async def test_metrics_come_and_go(fixture: MonitorFixture) -> None:
    fixture.pages[:] = [
        page(streams=5),
        ScrapeError("Connection refused"),
        page(streams=50),
        page(streams=60),
        page(streams=2),
        parse("other_metrics 1"),
    ]
    seen = []
    for _ in range(6):
        await fixture.monitor.look()
        frame = fixture.monitor.frame()
        seen.append((frame.speech.streams_per_s, frame.problems))
        fixture.time.sleep(1)
    refused = ("no metrics: Connection refused",)
    foreign = ("no metrics: they are not those of voxswap",)
    # No rate goes across a gap or a restart.
    assert seen == [
        (None, ()),
        (None, refused),
        (None, ()),
        (10.0, ()),
        (None, ()),
        (None, foreign),
    ]


async def test_the_window_is_a_minute(fixture: MonitorFixture) -> None:
    for n in range(100):
        fixture.pages[:] = [page(streams=n, warm=(n, n, n))]
        await fixture.monitor.look()
        fixture.time.sleep(1)
    speech = fixture.monitor.frame().speech
    assert (speech.over_s, speech.warm.count, speech.streams_per_s) == (60.0, 60.0, 1.0)


async def test_looks_that_are_further_apart_than_the_window(fixture: MonitorFixture) -> None:
    for n in range(3):
        fixture.pages[:] = [page(streams=120 * n)]
        await fixture.monitor.look()
        fixture.time.sleep(120)
    assert fixture.monitor.frame().speech.streams_per_s == 1.0


async def test_a_server_that_goes_away_is_told_and_one_that_never_was_is_an_error(
    fixture: MonitorFixture, server: FakeServer
) -> None:
    await fixture.monitor.look(first=True)
    server.stop()
    await fixture.monitor.look()
    (problem,) = fixture.monitor.frame().problems
    assert problem.startswith("the server cannot be reached")
    with pytest.raises(UnavailableError):
        await fixture.monitor.look(first=True)
