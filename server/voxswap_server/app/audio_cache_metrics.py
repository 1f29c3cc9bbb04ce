"""Prometheus metrics of the audio cache."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from voxswap_server.speech.cache.flight import Outcome
from voxswap_server.speech.cache.store import StoreFault


class AudioCacheMetrics:
    """Counts for an `AudioCache` and its stores. Thread-safe."""

    def __init__(self, registry: CollectorRegistry) -> None:
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
