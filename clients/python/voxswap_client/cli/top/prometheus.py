"""What a display needs of a page of Prometheus' metrics: sums, and quantiles of histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_MOST_TOLD = 80  # characters of what is no page of metrics


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of observations at or below each bound, in rising order; the last bound is infinite.

    Empty if there is no such histogram.
    """

    buckets: tuple[tuple[float, float], ...] = ()

    @property
    def count(self) -> float:
        """Observations."""
        return self.buckets[-1][1] if self.buckets else 0.0

    @property
    def largest_bound(self) -> float:
        """The largest that is finite: beyond it nothing is told apart."""
        return max((bound for bound, _ in self.buckets if bound < math.inf), default=0.0)

    def since(self, earlier: Histogram) -> Histogram:
        """What was observed after ``earlier`` was taken."""
        before = dict(earlier.buckets)
        return Histogram(tuple((b, max(0.0, n - before.get(b, 0.0))) for b, n in self.buckets))

    def quantile(self, q: float) -> float | None:
        """The ``q``-quantile, taking observations as spread evenly over their bucket.

        That is Prometheus' histogram_quantile: the first bucket begins at 0. Above the largest
        finite bound nothing is known, and the answer is infinite. None without observations.
        """
        if self.count <= 0:
            return None
        rank = q * self.count
        low, below = 0.0, 0.0
        for bound, cumulative in self.buckets:
            # An empty bucket holds nothing, not even the 0-quantile.
            if cumulative >= rank and cumulative > below:
                if bound == math.inf:
                    return math.inf
                return low + (bound - low) * (rank - below) / (cumulative - below)
            low, below = bound, max(below, cumulative)
        return math.inf


@dataclass(frozen=True, slots=True)
class Scrape:
    """All figures of one instant, by name."""

    samples: Mapping[str, tuple[Sample, ...]]

    def total(self, name: str, **labels: str) -> float:
        """The sum of what has these labels: 0 before anything was counted with them."""
        found = self.samples.get(name, ())
        return sum(sample.value for sample in found if labels.items() <= sample.labels.items())

    def histogram(self, name: str, **labels: str) -> Histogram:
        """The histogram with these labels; several that have them count as one."""
        counts: dict[float, float] = {}
        for sample in self.samples.get(f"{name}_bucket", ()):
            if labels.items() <= sample.labels.items() and "le" in sample.labels:
                bound = float(sample.labels["le"])
                counts[bound] = counts.get(bound, 0.0) + sample.value
        return Histogram(tuple(sorted(counts.items())))


def parse(text: str) -> Scrape:
    """Read a page of metrics. Raises `ValueError` for one that is none."""
    samples: dict[str, list[Sample]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append(sample)
    except ValueError as error:
        raise ValueError(f"no page of metrics: {str(error)[:_MOST_TOLD]}") from error
    return Scrape({name: tuple(found) for name, found in samples.items()})
