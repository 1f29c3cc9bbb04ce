"""Memory under churn beside the books: what counts as too much."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from bench.load import Outcome, Row
from bench.report import Report
from bench.residency_churn import _Churners, _Look, _lru_hits, _tell_of_books
from bench.residency_stage import QUICK, Stage

MIB = 1 << 20


def told(looks: list[_Look], *, statuses: tuple[str, ...] = ("OK",), **ended: int) -> Report:
    report = Report("residency")
    stage = Stage(report, QUICK, Path(), cast("Any", None), cast("Any", None), "cpu")
    voices = [f"twin-{i}" for i in range(QUICK.book_voices)]
    churners = _Churners("", voices, 0.0, 50, set(voices), Counter(ended))
    rows = [Row("dialogue", 0.0, status=status) for status in statuses]
    after = _Look(300 * MIB, 60 * MIB, 250 * MIB)
    _tell_of_books(stage, looks, 0.1 * len(looks), churners, Outcome(rows, 1, 0, 0), after)
    return report


def value(report: Report, name: str) -> float:
    (found,) = [figure.value for figure in report.figures if figure.figure == name]
    return found


def test_memory_within_the_books_is_well() -> None:
    report = told([_Look(700 * MIB, 500 * MIB, 250 * MIB)] * 20, OK=60)
    assert report.ok
    assert value(report, "books: memory / books, at the highest") == pytest.approx(700 / 750)


def test_a_single_look_with_more_is_too_much() -> None:
    looks = [_Look(700 * MIB, 500 * MIB, 250 * MIB)] * 20
    # Not the highest that it ever had, but its books were lower then.
    report = told([*looks, _Look(620 * MIB, 350 * MIB, 250 * MIB)], OK=60)
    assert not report.ok
    assert value(report, "books: looks with more memory than books") == 1
    assert value(report, "books: memory at its highest; peer: books") == 700


def test_too_few_looks_are_told_of() -> None:
    report = Report("residency")
    stage = Stage(report, QUICK, Path(), cast("Any", None), cast("Any", None), "cpu")
    voices = [f"twin-{i}" for i in range(QUICK.book_voices)]
    churners = _Churners("", voices, 0.0, 50, set(voices), Counter(OK=60))
    look = _Look(700 * MIB, 500 * MIB, 250 * MIB)
    _tell_of_books(stage, [look] * 20, 4.0, churners, Outcome([], 1, 0, 0), look)
    assert not report.ok


def test_refusals_are_counted_and_failures_are_not_forgiven() -> None:
    looks = [_Look(700 * MIB, 500 * MIB, 250 * MIB)] * 20
    refused = told(looks, statuses=("OK", "CUT", "RESOURCE_EXHAUSTED"), OK=50, UNAVAILABLE=10)
    assert refused.ok
    assert value(refused, "books: calls refused") == 10
    assert not told(looks, OK=60, INTERNAL=1).ok
    assert not told(looks, statuses=("INTERNAL",), OK=60).ok


def test_the_offline_cache_drops_what_was_used_longest_ago() -> None:
    assert _lru_hits([1, 2, 1, 3, 2, 1], 2) == 1
    assert _lru_hits([1, 2, 1, 3, 1, 2], 2) == 2
