from __future__ import annotations

from bench.memory_soak import forecast, step_all, trace_all
from bench.report import Report


def test_a_short_soak_says_what_it_did_and_keeps_its_bounds() -> None:
    report = Report("memory soak")
    trace_all(report, 3, seed=2)
    step_all(report, 2_000, seed=2, ends_s=None)
    found = {figure.figure: figure.value for figure in report.figures}
    assert report.ok
    assert found["events judged, all sound"] == 2_000
    assert found["traces: requests granted"] > 100
    assert found["traces: fits into free and idle, waits for one that does not"] == 0
    assert found["traces: refused, MEMORY_BUSY"] > 0, "nobody ever waited in vain: too easy"


def test_a_soak_ends_when_its_time_is_over() -> None:
    report = Report("memory soak")
    step_all(report, 10**9, seed=3, ends_s=0.0)
    assert report.figures[0].value == 0


def test_the_forecast_is_measured() -> None:
    report = Report("memory soak")
    forecast(report)
    assert len(report.figures) == 2
