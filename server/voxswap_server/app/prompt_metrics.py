"""Prometheus metrics of prompts: texts that style encoders were asked for, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voxswap_families.contract import Engine, PromptedEngine, PromptStatistics


class PromptCollector(Collector):
    """One look at each engine that is told in words how to speak, for each scrape."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._statistics: dict[str, Callable[[], PromptStatistics]] = {
            name: engine.prompts
            for name, engine in engines.items()
            if isinstance(engine, PromptedEngine)
        }

    def collect(self) -> Iterator[Metric]:
        """Nothing of engines that have no prompts."""
        read = CounterMetricFamily(
            "voxswap_prompts",
            "Prompts and sentences that voices asked their style encoder for, by outcome: found, "
            "or made anew. What was forgotten had to make room.",
            labels=("engine", "outcome"),
        )
        kept = GaugeMetricFamily(
            "voxswap_prompt_bytes",
            "Vectors of prompts that are kept; the ledger has room for them beside each encoder.",
            labels=("engine",),
        )
        for name, statistics in self._statistics.items():
            found = statistics()
            for outcome in ("found", "made", "forgotten"):
                read.add_metric((name, outcome), getattr(found, outcome))
            kept.add_metric((name,), found.size_bytes)
        yield read
        yield kept
