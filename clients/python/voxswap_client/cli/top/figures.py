"""What the display says of speed: rates and quantiles from scrapes and events. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from voxswap_client.cli.top.prometheus import Histogram, Scrape
from voxswap_client.residency_types import (
    ResidencyEvent,
    ResidencyEventKind,
    ResidencySnapshot,
)

RATE_S = 10.0  # over which rates are taken
WINDOW_S = 60.0  # over which quantiles, the hit rate and events are
_REQUESTS = "voxswap_cache_requests_total"
_STREAMS = "voxswap_streams_total"
_LOADS = "voxswap_loads_total"
_ACTIVE = "voxswap_active_streams"
_TTFA = "voxswap_ttfa_seconds"


@dataclass(frozen=True, slots=True)
class Taken:
    """A scrape, and when it was taken, in seconds on the display's own clock."""

    time_s: float
    scrape: Scrape


@dataclass(frozen=True, slots=True)
class Latency:
    """TTFA of ``count`` streams: None without any, infinite where it is more than ``most_ms``."""

    p50_ms: float | None
    p95_ms: float | None
    count: float
    most_ms: float


@dataclass(frozen=True, slots=True)
class Speech:
    """What metrics tell. None is what they do not.

    Hits and latencies are of the last ``over_s`` seconds, or since the server's start.
    """

    active_streams: float | None = None
    streams_per_s: float | None = None
    swaps_per_s: float | None = None
    hit_ratio: float | None = None
    warm: Latency | None = None
    cold: Latency | None = None
    over_s: float | None = None


@dataclass(frozen=True, slots=True)
class Churn:
    """What events tell."""

    loads_per_min: float
    evictions_per_min: float
    failures_per_min: float


@dataclass(frozen=True, slots=True)
class Frame:
    """What is shown at one time. ``problems`` say what is missing from it."""

    now: datetime
    snapshot: ResidencySnapshot
    speech: Speech
    churn: Churn
    events: tuple[ResidencyEvent, ...]
    problems: tuple[str, ...] = ()


def speech(taken: Sequence[Taken], *, lately: bool = True) -> Speech:
    """The figures of the newest scrape, the last of ``taken``; a window's older ones are before.

    Hits and latencies are those of the window, unless nothing began to speak in it, or ``lately``
    is False.
    """
    if not taken:
        return Speech()
    now, base = taken[-1], taken[0]
    before = base.scrape
    if not lately or not now.scrape.histogram(_TTFA).since(before.histogram(_TTFA)).count:
        before = Scrape({})
    return Speech(
        active_streams=now.scrape.total(_ACTIVE),
        streams_per_s=_rate(taken, _STREAMS),
        swaps_per_s=_rate(taken, _REQUESTS, outcome="miss"),
        hit_ratio=_hit_ratio(before, now.scrape),
        warm=_latency(before, now.scrape, "warm"),
        cold=_latency(before, now.scrape, "cold"),
        over_s=now.time_s - base.time_s if before is base.scrape else None,
    )


def restarted(before: Scrape, now: Scrape) -> bool:
    """Whether the server that counts is another one: counters never fall."""
    names = (_REQUESTS, _STREAMS, _LOADS)
    return any(now.total(name) < before.total(name) for name in names)


def are_voxswaps(scrape: Scrape) -> bool:
    """Whether these metrics are of a voxswap server."""
    return _ACTIVE in scrape.samples


def churn(events: Iterable[ResidencyEvent], *, now: datetime, covered_s: float) -> Churn:
    """Events a minute, of those that are at most a minute old. ``covered_s`` were watched."""
    latest = [e for e in events if e.time and (now - e.time).total_seconds() <= WINDOW_S]
    minutes = max(1.0, min(WINDOW_S, covered_s)) / 60

    def per_min(kind: ResidencyEventKind) -> float:
        return sum(event.kind is kind for event in latest) / minutes

    return Churn(
        per_min(ResidencyEventKind.LOADED),
        per_min(ResidencyEventKind.EVICTED),
        per_min(ResidencyEventKind.LOAD_FAILED),
    )


def _rate(taken: Sequence[Taken], name: str, **labels: str) -> float | None:
    *earlier, now = taken
    if not earlier:
        return None
    base = next((t for t in earlier if now.time_s - t.time_s <= RATE_S), earlier[-1])
    elapsed_s = now.time_s - base.time_s
    if elapsed_s <= 0:
        return None
    return (now.scrape.total(name, **labels) - base.scrape.total(name, **labels)) / elapsed_s


def _hit_ratio(before: Scrape, now: Scrape) -> float | None:
    requests = now.total(_REQUESTS) - before.total(_REQUESTS)
    hits = now.total(_REQUESTS, outcome="hit") - before.total(_REQUESTS, outcome="hit")
    return hits / requests if requests > 0 else None


def _latency(before: Scrape, now: Scrape, swap: str) -> Latency:
    found = now.histogram(_TTFA, swap=swap).since(before.histogram(_TTFA, swap=swap))
    return Latency(_ms(found, 0.5), _ms(found, 0.95), found.count, found.largest_bound * 1e3)


def _ms(histogram: Histogram, q: float) -> float | None:
    seconds = histogram.quantile(q)
    return None if seconds is None else seconds * 1e3
