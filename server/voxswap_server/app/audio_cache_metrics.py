"""Prometheus metrics of the audio cache."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from voxswap_server.speech.cache.cache import AudioCacheStatistics
from voxswap_server.speech.cache.flight import Outcome
from voxswap_server.speech.cache.store import MemoryStatistics, StoreFault


class AudioCacheMetrics:
    """Counts for an `AudioCache` and its stores. Thread-safe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._requests = Counter(
            "voxswap_audio_cache_requests",
            "Requests to speak, by what the audio cache had for them.",
            ("outcome",),
            registry=registry,
        )
        self._faults = Counter(
            "voxswap_audio_cache_faults",
            "Times that a store of audio did not do what it was asked.",
            ("reason",),
            registry=registry,
        )
        self._evictions = Counter(
            "voxswap_audio_cache_evictions",
            "Recordings that left memory for others.",
            registry=registry,
        )
        for outcome in Outcome:
            self._requests.labels(outcome.value)
        for fault in StoreFault:
            self._faults.labels(fault.value)

    def request(self, outcome: Outcome) -> None:
        """Count a request."""
        self._requests.labels(outcome.value).inc()

    def fault(self, fault: StoreFault) -> None:
        """Count a fault."""
        self._faults.labels(fault.value).inc()

    def evicted(self) -> None:
        """Count an eviction."""
        self._evictions.inc()

    def watch(
        self, memory: Callable[[], MemoryStatistics], flights: Callable[[], AudioCacheStatistics]
    ) -> None:
        """Show what is held at a scrape. The callables are called from other threads."""
        for name, text, figure in (
            ("bytes", "Bytes of recordings in memory.", lambda: memory().bytes),
            ("entries", "Recordings in memory.", lambda: memory().entries),
            (
                "held_bytes",
                "Bytes held for streams that share what is being made, or are sent a recording.",
                lambda: flights().held_bytes,
            ),
        ):
            gauge = Gauge(f"voxswap_audio_cache_{name}", text, registry=self._registry)
            gauge.set_function(figure)
