"""What a report may bound, and how it looks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bench.report import MACHINES, Report

_BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.parametrize("unit", sorted(MACHINES))
def test_times_and_rates_are_printed_and_not_bounded(unit: str) -> None:
    report = Report("a benchmark")
    report.add("as it is", 3, unit)
    with pytest.raises(ValueError, match="too slow"):
        report.add("too slow", 3, unit, 4)
    assert [figure.figure for figure in report.figures] == ["as it is"]


def test_no_benchmark_bounds_a_time_or_a_rate() -> None:
    """Seen in the source, since a benchmark would raise after minutes."""
    bounded = []
    for path in _BENCH.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or _name(node) != "add" or len(node.args) < 3:
                continue
            has_bound = len(node.args) > 3 or any(word.arg == "bound" for word in node.keywords)
            if has_bound:
                unit = node.args[2]
                bounded.append((path.name, node.lineno))
                assert not (isinstance(unit, ast.Constant) and unit.value in MACHINES), bounded[-1]
    assert len(bounded) > 30, "the search finds nothing: it looks for something else"


def _name(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def test_a_bound_is_kept_or_missed() -> None:
    report = Report("a benchmark")
    report.add("half", 0.5, "times", 0.5)
    report.add("twice", 2, "times", 2, sense="at_least")
    assert report.ok
    report.add("more than half", 0.51, "times", 0.5)
    assert not report.ok
    (line,) = [line for line in report.table().splitlines() if "MISSED" in line]
    assert line.startswith("more than half")


def test_a_report_fits_into_a_hundred_columns() -> None:
    report = Report("first-sound")
    name = "first page of ListVoices, 100 of 10,000; peer: e249645"
    report.add(name, 1234.5, "audio s/s", peer=12345.6)
    report.add("the same / that of e249645", 1.5, "times", 0.9999)
    lines = report.table().splitlines()
    assert max(map(len, lines)) <= 100
    assert " ".join(" ".join(lines).split()).count("10,000; peer: e249645") == 1
