"""Prometheus' text format, as far as a display needs it: samples, and quantiles of histograms."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+\S+)?\s*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"\s*,?')
_ESCAPE = re.compile(r"\\(.)")


class Sample(NamedTuple):
    """One line: a figure with its labels."""

    name: str
    labels: Mapping[str, str]
    value: float


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
                bound = _number(sample.labels["le"])
                counts[bound] = counts.get(bound, 0.0) + sample.value
        return Histogram(tuple(sorted(counts.items())))


def parse(text: str) -> Scrape:
    """Read a page of metrics. Raises `ValueError` for one that is none."""
    samples: dict[str, list[Sample]] = {}
    for sample in _samples(text):
        samples.setdefault(sample.name, []).append(sample)
    return Scrape({name: tuple(found) for name, found in samples.items()})


def _samples(text: str) -> Iterator[Sample]:
    for line in text.split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _SAMPLE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"no line of metrics: {line[:60]!r}")
        name, labels, value = match.groups()
        yield Sample(name, dict(_labels(labels or "")), _number(value))


def _labels(text: str) -> Iterator[tuple[str, str]]:
    end = 0
    while text[end:].strip():
        match = _LABEL.match(text, end)
        if match is None:
            raise ValueError(f"no labels of metrics: {text[:60]!r}")
        yield match[1], _ESCAPE.sub(lambda found: {"n": "\n"}.get(found[1], found[1]), match[2])
        end = match.end()


def _number(text: str) -> float:
    """A number as Prometheus writes it; ``+Inf`` and ``NaN`` are some."""
    return float(text)
