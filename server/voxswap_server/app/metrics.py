"""Prometheus metrics. Labels never carry text, and no voice id: there may be thousands."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voxswap_families.contract import Engine
from voxswap_registry.catalog.watcher import Look
from voxswap_server.app.audio_cache_metrics import AudioCacheMetrics
from voxswap_server.app.prompt_metrics import PromptCollector
from voxswap_server.compute.hooks import Verdict
from voxswap_server.compute.workers.pool import PoolStatistics
from voxswap_server.memory.ledger import LedgerStatistics
from voxswap_server.residency.estimates import Tier
from voxswap_server.residency.events import EventKind, ResidencyEvent
from voxswap_server.speech.metrics import SECONDS, StreamMetrics

_AGES = (1, 10, 60, 300, 1800, 7200, 86400)


class Metrics:
    """All of the server's metrics, in a registry of their own. Thread-safe."""

    def __init__(self, device: str) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"voxswap_{name}", text, labels, registry=self.registry)

        def seconds(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(
                f"voxswap_{name}", text, labels, buckets=SECONDS, registry=self.registry
            )

        self._build = Info("voxswap_build", "The running server.", registry=self.registry)
        self._device = device
        self.show_build({})
        self._loads = counter("loads", "Voices made resident.")
        self._load_seconds = seconds("load_seconds", "From the first asking to being resident.")
        self._load_queue = seconds("load_queue_seconds", "Of these, waiting for memory.")
        self._load_failures = counter("load_failures", "Loads that came to nothing.", "reason")
        self._evictions = counter("evictions", "Components evicted.", "reason")
        self._unload_seconds = seconds("unload_seconds", "From withdrawing to freed memory.")
        self._eviction_age = Histogram(
            "voxswap_eviction_age_seconds",
            "Time since an evicted component was last used.",
            buckets=_AGES,
            registry=self.registry,
        )
        self._refused = counter(
            "refused", "Calls and connections that a limit ended or did not let in.", "reason"
        )
        self._quarantined = counter(
            "quarantined_components", "Components whose bytes were not those of their digest."
        )
        self._self_tests = counter("self_tests", "Versions that were tried, by outcome.", "outcome")
        self._undecodable = counter(
            "undecodable_messages", "Messages that could not be decoded as their method's."
        )
        self._look_failures = counter("registry_look_failures", "Looks at the store that failed.")
        self._changes = counter("registry_changes", "Voices found new, changed or gone.")
        self._replaced = counter(
            "registry_manifests_replaced", "Manifests found with other bytes under their number."
        )
        self._looked = Gauge(
            "voxswap_registry_look_time_seconds",
            "When the store was last read, in seconds since the epoch.",
            registry=self.registry,
        )
        self._gauges: dict[str, Gauge] = {}
        self._figures_beside: dict[str, Callable[[], int]] = {}
        self._steps = Histogram(
            "voxswap_step_seconds",
            "Steps of compute.",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.3, 0.6, 1.2, 2.5),
            registry=self.registry,
        )
        self._stuck = counter("stuck_steps", "Steps longer than any may be, by verdict.", "verdict")
        self.streams = StreamMetrics(self.registry)
        self.audio_cache = AudioCacheMetrics(self.registry)
        self._ledgers = _LedgerCollector(device)
        self.registry.register(self._ledgers)

    def show_build(self, decisions: Mapping[str, str]) -> None:
        """Tell what runs here, and what was decided on how it computes."""
        build = {"version": version("voxswap"), "python": platform.python_version()}
        self._build.info({**build, "device": self._device, **decisions})

    def show(self, name: str, text: str, figure: Callable[[], float], **labels: str) -> None:
        """Show ``figure`` as it is at a scrape. It is called from other threads."""
        if name not in self._gauges:
            gauge = Gauge(f"voxswap_{name}", text, list(labels), registry=self.registry)
            self._gauges[name] = gauge
        shown = self._gauges[name].labels(**labels) if labels else self._gauges[name]
        shown.set_function(figure)

    def watch_beside(self, what: str, size_bytes: Callable[[], int]) -> None:
        """Show what is held that is in no ledger, at a scrape. Called from other threads."""
        self._figures_beside[what] = size_bytes
        text = "Memory that is in no ledger; what of it may grow has a limit of its own."
        self.show("beside_bytes", text, size_bytes, what=what)

    def beside(self) -> dict[str, int]:
        """All of that now."""
        return {what: size_bytes() for what, size_bytes in self._figures_beside.items()}

    def watch_ledger(self, tier: Tier, books: Callable[[], LedgerStatistics]) -> None:
        """Show a ledger as it is at a scrape. ``books`` is called from other threads."""
        self._ledgers.add(tier, books)

    def watch_prompts(self, engines: Mapping[str, Engine]) -> None:
        """Show what became of the prompts of those of ``engines`` that have any."""
        self.registry.register(PromptCollector(engines))

    def watch_workers(self, program: str, figures: Callable[[], PoolStatistics | None]) -> None:
        """Show a program's worker processes as they are at a scrape."""
        self.registry.register(_WorkerCollector(program, figures))

    def observe_step(self, compute_s: float) -> None:
        """Count a step of compute. Called on the compute thread."""
        self._steps.observe(compute_s)

    def observe_stuck(self, verdict: Verdict) -> None:
        """Count what became of a step that took longer than any may. From any thread."""
        self._stuck.labels(verdict.value).inc()

    def observe_residency(self, event: ResidencyEvent) -> None:
        """Count an event of the `ModelManager`."""
        match event.kind:
            case EventKind.LOADED:
                self._loads.inc()
                self._load_seconds.observe(event.duration_s)
                self._load_queue.observe(event.queue_s)
            case EventKind.LOAD_FAILED:
                self._load_failures.labels(event.reason).inc()
            case EventKind.EVICTED:
                self._evictions.labels(event.reason).inc()
                self._unload_seconds.observe(event.duration_s)
                self._eviction_age.observe(event.age_s)
            case EventKind.QUARANTINED:
                self._quarantined.inc()
            case EventKind.LOAD_STARTED | EventKind.BUDGET_CHANGED | EventKind.BARRED:
                pass

    def observe_self_test(self, outcome: str) -> None:
        """Count a version that was tried: "passed", "failed", or "refused" for want of a place."""
        self._self_tests.labels(outcome).inc()

    def observe_undecodable(self) -> None:
        """Count a message that was none."""
        self._undecodable.inc()

    def observe_look(self, look: Look) -> None:
        """Count a look at the registry."""
        if look.error is not None:
            self._look_failures.inc()
            return
        self._looked.set_to_current_time()
        found = look.refreshed
        # Those that failed are looked at again each time, and count once they can be read.
        self._changes.inc(len(found.changed - found.failed) + len(found.gone))
        self._replaced.inc(len(found.replaced))

    def refused(self, reason: str) -> None:
        """Count a refusal."""
        self._refused.labels(reason).inc()


class _LedgerCollector(Collector):
    """One look at each ledger for each scrape: its accounts make the budget, whatever moves."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._books: dict[Tier, Callable[[], LedgerStatistics]] = {}

    def add(self, tier: Tier, books: Callable[[], LedgerStatistics]) -> None:
        """Show ``books`` as well."""
        self._books[tier] = books

    def collect(self) -> Iterator[Metric]:
        memory = GaugeMetricFamily(
            "voxswap_memory_bytes",
            "The ledger: free, carved, reserved, resident and evicting make the budget. Carved is "
            "kept to compute in and, for_streams, for what these hold; streams is how much they "
            "do. The target is what a shrinking budget comes to.",
            labels=("device", "tier", "account"),
        )
        accounts = (
            *("budget", "free", "carved", "reserved", "resident", "evicting"),
            *("for_streams", "streams", "target"),
        )
        for tier, statistics in self._books.items():
            books = statistics()
            for account in accounts:
                labels = (self._device, tier.value, account)
                memory.add_metric(labels, getattr(books, f"{account}_bytes"))
        yield memory


class _WorkerCollector(Collector):
    """One look at a pool of worker processes for each scrape."""

    def __init__(self, program: str, figures: Callable[[], PoolStatistics | None]) -> None:
        self._program = program
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Nothing before the pool is started."""
        found = self._figures()
        if found is None:
            return
        of = [self._program]
        ready = GaugeMetricFamily(
            "voxswap_workers", "Worker processes that are ready.", labels=["program"]
        )
        ready.add_metric(of, found.ready)
        yield ready
        memory = GaugeMetricFamily(
            "voxswap_worker_resident_bytes",
            "Memory of worker processes, which no ledger counts.",
            labels=["program"],
        )
        memory.add_metric(of, found.resident_bytes)
        yield memory
        calls = CounterMetricFamily(
            "voxswap_worker_calls", "What worker processes were asked.", labels=["program"]
        )
        calls.add_metric(of, found.calls)
        yield calls
        restarts = CounterMetricFamily(
            "voxswap_worker_restarts",
            "Worker processes that were replaced, by why they ended.",
            labels=["program", "reason"],
        )
        for end, count in found.restarts.items():
            restarts.add_metric([*of, end.value], count)
        yield restarts
