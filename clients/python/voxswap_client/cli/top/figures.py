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
    since_start: bool


@dataclass(frozen=True, slots=True)
class Speech:
    """What metrics tell. None is what they do not."""

    active_streams: float | None = None
    streams_per_s: float | None = None
    swaps_per_s: float | None = None
    hit_ratio: float | None = None
    warm: Latency | None = None
    cold: Latency | None = None


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


def speech(taken: Sequence[Taken]) -> Speech:
    """The figures of the newest scrape, the last of ``taken``; a window's older ones are before."""
    if not taken:
        return Speech()
    now = taken[-1]
    return Speech(
        active_streams=now.scrape.total("voxswap_active_streams"),
        streams_per_s=_rate(taken, "voxswap_streams_total"),
        swaps_per_s=_rate(taken, _REQUESTS, outcome="miss"),
        hit_ratio=_hit_ratio(taken[0].scrape, now.scrape),
        warm=_latency(taken[0].scrape, now.scrape, "warm"),
        cold=_latency(taken[0].scrape, now.scrape, "cold"),
    )


def restarted(before: Scrape, now: Scrape) -> bool:
    """Whether the server that counts is another one: counters never fall."""
    names = (_REQUESTS, "voxswap_streams_total", "voxswap_loads_total")
    return any((now.total(name) or 0.0) < (before.total(name) or 0.0) for name in names)


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
    now = taken[-1]
    base = next(t for t in taken if now.time_s - t.time_s <= RATE_S)
    before, after = base.scrape.total(name, **labels), now.scrape.total(name, **labels)
    elapsed_s = now.time_s - base.time_s
    if before is None or after is None or elapsed_s <= 0:
        return None
    return max(0.0, after - before) / elapsed_s


def _hit_ratio(before: Scrape, now: Scrape) -> float | None:
    all_now, hits_now = now.total(_REQUESTS), now.total(_REQUESTS, outcome="hit")
    if not all_now or hits_now is None:
        return None
    since = all_now - (before.total(_REQUESTS) or 0.0)
    hits = hits_now - (before.total(_REQUESTS, outcome="hit") or 0.0)
    return hits / since if since > 0 else hits_now / all_now


def _latency(before: Scrape, now: Scrape, swap: str) -> Latency:
    whole = now.histogram(_TTFA, swap=swap)
    lately = whole.since(before.histogram(_TTFA, swap=swap))
    shown = lately if lately.count > 0 else whole
    return Latency(
        _ms(shown, 0.5), _ms(shown, 0.95), shown.count, whole.largest_bound * 1e3, shown is whole
    )


def _ms(histogram: Histogram, q: float) -> float | None:
    seconds = histogram.quantile(q)
    return None if seconds is None else seconds * 1e3
