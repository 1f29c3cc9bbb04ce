"""The parser of metrics and its quantiles, against prometheus_client and against plain counting."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client import Histogram as RealHistogram
from prometheus_client.parser import text_string_to_metric_families

from voxswap_client.cli.top.prometheus import Histogram, parse

BOUNDS = (0.005, 0.02, 0.1, 0.5, 2.0)
OBSERVATIONS = st.lists(st.floats(0, 5), max_size=40)
SHARES = st.floats(0, 1)


def counted(observations: list[float]) -> Histogram:
    """A histogram by definition."""
    bounds = (*BOUNDS, math.inf)
    return Histogram(tuple((b, float(sum(x <= b for x in observations))) for b in bounds))


def bucket(value: float) -> tuple[float, float]:
    """The bounds that ``value`` lies between."""
    upper = next(bound for bound in (*BOUNDS, math.inf) if value <= bound)
    return max((bound for bound in BOUNDS if bound < upper), default=0.0), upper


@given(OBSERVATIONS.filter(len), SHARES)
def test_a_quantile_is_in_the_bucket_of_the_true_one(observations: list[float], q: float) -> None:
    found = counted(observations).quantile(q)
    rank = max(1, math.ceil(q * len(observations)))
    low, high = bucket(sorted(observations)[rank - 1])
    assert found is not None
    assert low <= found <= high


@given(OBSERVATIONS.filter(len), SHARES, SHARES)
def test_quantiles_rise(observations: list[float], one: float, other: float) -> None:
    histogram = counted(observations)
    low, high = sorted((one, other))
    lower, upper = histogram.quantile(low), histogram.quantile(high)
    assert lower is not None
    assert upper is not None
    assert lower <= upper or math.isclose(lower, upper)


@given(OBSERVATIONS, OBSERVATIONS)
def test_what_was_observed_since(before: list[float], after: list[float]) -> None:
    whole = counted([*before, *after])
    assert whole.since(counted(before)) == counted(after)
    assert whole.since(Histogram()) == whole


def test_observations_are_spread_over_their_bucket() -> None:
    histogram = Histogram(((0.1, 10.0), (0.2, 10.0), (0.4, 30.0), (math.inf, 30.0)))
    assert histogram.quantile(0.5) == pytest.approx(0.25)
    assert histogram.quantile(1.0) == pytest.approx(0.4)
    assert histogram.quantile(1 / 6) == pytest.approx(0.05)


def test_beyond_the_largest_bound_nothing_is_known() -> None:
    histogram = Histogram(((0.1, 1.0), (math.inf, 10.0)))
    assert histogram.quantile(0.5) == math.inf
    assert histogram.largest_bound == 0.1


@pytest.mark.parametrize("empty", [Histogram(), counted([])])
def test_without_observations_there_is_no_quantile(empty: Histogram) -> None:
    assert empty.quantile(0.5) is None
    assert empty.count == 0


@given(
    st.dictionaries(st.text(max_size=9), st.floats(0, 1e12), min_size=1, max_size=4),
    st.lists(st.floats(0, 20), max_size=9),
    st.floats(allow_nan=False),
)
def test_a_page_is_read_as_prometheus_reads_it(
    counts: dict[str, float], observations: list[float], level: float
) -> None:
    registry = CollectorRegistry()
    counter = Counter("voxswap_things", "Any \\ kind.", ["what", "how"], registry=registry)
    for name, count in counts.items():
        counter.labels(name, 'a "b" \\ c\n{d}').inc(count)
    histogram = RealHistogram("voxswap_s", "s", ["swap"], buckets=BOUNDS, registry=registry)
    for seconds in observations:
        histogram.labels("warm").observe(seconds)
    Gauge("voxswap_level", "x", registry=registry).set(level)
    text = generate_latest(registry).decode()
    page = parse(text)
    theirs = [s for family in text_string_to_metric_families(text) for s in family.samples]
    ours = [sample for found in page.samples.values() for sample in found]
    assert sorted((s.name, sorted(s.labels.items()), s.value) for s in ours) == sorted(
        (s.name, sorted(s.labels.items()), s.value) for s in theirs
    )
    assert page.total("voxswap_things_total") == pytest.approx(sum(counts.values()))
    if observations:
        assert page.histogram("voxswap_s", swap="warm") == counted(observations)
    assert page.histogram("voxswap_s", swap="cold").count == 0


def test_totals_go_by_labels() -> None:
    page = parse('a{x="1",y="2"} 3\na{x="1",y="3"} 4 1700000000\na{x="2"} 5\nb 1e3\nc +Inf\n')
    assert page.total("a") == 12
    assert page.total("a", x="1") == 7
    assert page.total("a", x="9") == 0
    assert (page.total("b"), page.total("c"), page.total("d")) == (1000, math.inf, 0)


@pytest.mark.parametrize("text", ["<html>", "a b c d", "a{x=1} 2", 'a{x="1} 2', "a", "a two"])
def test_what_is_no_page_of_metrics(text: str) -> None:
    with pytest.raises(ValueError, match=r"metrics|convert"):
        parse(text)
