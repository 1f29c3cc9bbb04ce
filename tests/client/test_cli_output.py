"""Tables, sizes and the progress bar."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.clocks import FakeClock
from voxswap_client.cli.output import human_bytes, human_duration, human_ms
from voxswap_client.cli.progress import LineProgress, ProgressBar
from voxswap_client.cli.table import columns, render, wrapped


def test_columns_are_aligned_by_what_a_terminal_shows() -> None:
    rows = [["你好", 1], ["ˈmaɪ̯nd", 22], ["x", 333]]
    assert render(["TEXT", "N"], rows, right=["N"]) == (
        "TEXT      N\n你好      1\nˈmaɪ̯nd   22\nx       333"
    )


def test_a_table_without_rows_has_its_headings() -> None:
    assert render(["A", "B"], []) == "A  B"


def test_numbers_stay_with_their_units() -> None:
    line = "cpu: 878.4 MiB resident, 12 s old"
    assert wrapped(line, 20) == ["cpu: 878.4 MiB", "    resident, 12 s", "    old"]
    assert " ".join(wrapped(line, 20, indent="")) == line


def test_nothing_moves_the_cursor() -> None:
    assert render(["A"], [["x\x1b[2J\ny"]]) == "A\nx�[2J�y"


def test_the_first_column_is_cut_last() -> None:
    assert render(["ID", "NOTE"], [["a" * 20, "b" * 60]], width=40).splitlines()[1] == (
        "a" * 20 + "  " + "b" * 17 + "…"
    )
    assert render(["ID", "NOTE"], [["a" * 90, "b" * 60]], width=40).splitlines()[1] == (
        "a" * 29 + "…  " + "b" * 7 + "…"
    )


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=5))
def test_a_table_is_never_too_wide(rows: list[tuple[str, str, str]]) -> None:
    table = render(["A", "B", "C"], rows, right=["B"], width=40)
    assert all(columns(line) <= 40 for line in table.split("\n"))
    assert len(table.split("\n")) == len(rows) + 1


def test_names_give_way_and_are_cut_in_the_middle() -> None:
    rows = [["npc/castle/north-gate/guard@12", "60.0 MiB", "412 ms"]]
    headings = ["VOICE", "SIZE", "LOAD"]

    def shown(width: int) -> str:
        options: dict[str, Any] = {"right": headings[1:], "names": "VOICE", "optional": ["LOAD"]}
        return render(headings, rows, width=width, **options).splitlines()[1]

    assert shown(48) == "npc/castle/north-gate/guard@12  60.0 MiB  412 ms"
    assert shown(44) == "npc/castle/no…ate/guard@12  60.0 MiB  412 ms"
    assert shown(40) == "npc/castle/north-gate/guard@12  60.0 MiB"
    assert shown(30) == "npc/castle…/guard@12  60.0 MiB"
    assert shown(18) == "npc/…@12  60.0 MiB"


def test_short_names_stay_as_they_are() -> None:
    assert render(["VOICE", "N"], [["joe", 1]], names="VOICE", width=4) == "VOICE  N\njoe    1"


@pytest.mark.parametrize(
    ("n_bytes", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (63 << 20, "63.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (3 << 50, "3072.0 TiB"),
    ],
)
def test_sizes(n_bytes: int, expected: str) -> None:
    assert human_bytes(n_bytes) == expected


@pytest.mark.parametrize(("ms", "expected"), [(0.4, "0 ms"), (999.4, "999 ms"), (999.6, "1.00 s")])
def test_times(ms: float, expected: str) -> None:
    assert human_ms(ms) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3723, "1:02:03")]
)
def test_durations(seconds: float, expected: str) -> None:
    assert human_duration(seconds) == expected


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def work(bar: ProgressBar, total_bytes: int = 1000, step_bytes: int = 10) -> None:
    bar.start("verifying", total_bytes)
    for _ in range(total_bytes // step_bytes):
        bar.advance(step_bytes)
    bar.finish()


def test_a_bar_on_a_terminal() -> None:
    stream = Terminal()
    work(ProgressBar(stream))
    shown = stream.getvalue().removesuffix("\n").split("\r")[1:]
    assert len(shown) == 101
    assert shown[50] == f"verifying [{'#' * 15}{'.' * 15}]  50% 500 B of 1000 B\x1b[K"
    assert stream.getvalue().endswith("1000 B of 1000 B\x1b[K\n")


def test_plain_lines_elsewhere() -> None:
    stream = io.StringIO()
    work(ProgressBar(stream))
    assert stream.getvalue().splitlines() == [
        "verifying: 0%, 0 B of 1000 B",
        "verifying: 25%, 250 B of 1000 B",
        "verifying: 50%, 500 B of 1000 B",
        "verifying: 75%, 750 B of 1000 B",
        "verifying: 100%, 1000 B of 1000 B",
    ]


def test_a_new_stretch_ends_the_one_before() -> None:
    stream = Terminal()
    bar = ProgressBar(stream)
    bar.start("one", 10)
    bar.start("two", 10)
    bar.finish()
    bar.finish()
    assert stream.getvalue().count("\n") == 2


def test_more_than_was_said_is_100_percent() -> None:
    stream = io.StringIO()
    bar = ProgressBar(stream)
    bar.start("read", 10)
    bar.advance(25)
    assert stream.getvalue().splitlines()[-1] == "read: 100%, 10 B of 10 B"


def test_a_stretch_of_nothing_shows_nothing() -> None:
    stream = io.StringIO()
    bar = ProgressBar(stream)
    bar.start("read", 0)
    bar.advance(1)
    assert stream.getvalue() == ""


def lines_of(stream: io.StringIO, *efforts: int, seconds: float) -> None:
    clock = FakeClock()
    with LineProgress("rendering", len(efforts), sum(efforts), stream=stream, clock=clock) as bar:
        for done, effort in enumerate(efforts):
            clock.now_s += seconds
            bar.advance(effort, ", 1 failed" if done else "")


def test_time_that_is_left_goes_by_effort() -> None:
    stream = Terminal()
    lines_of(stream, 10, 30, 20, 60, seconds=10)
    assert stream.getvalue().split("\r")[1:] == [
        f"rendering [{'.' * 30}]   0% 0 of 4 lines\x1b[K",
        f"rendering [{'#' * 2}{'.' * 28}]   8% 1 of 4 lines, 1:50 left\x1b[K",
        f"rendering [{'#' * 9}{'.' * 21}]  33% 2 of 4 lines, 1 failed, 0:40 left\x1b[K",
        f"rendering [{'#' * 15}{'.' * 15}]  50% 3 of 4 lines, 1 failed, 0:30 left\x1b[K",
        f"rendering [{'#' * 30}] 100% 4 of 4 lines, 1 failed\x1b[K",
        f"rendering [{'#' * 30}] 100% 4 of 4 lines, 1 failed\x1b[K\n",
    ]


def test_a_terminal_is_not_flooded() -> None:
    stream = Terminal()
    lines_of(stream, *[1] * 1000, seconds=0.01)
    assert 90 <= stream.getvalue().count("\r") <= 105


def test_a_file_gets_a_line_every_ten_seconds() -> None:
    stream = io.StringIO()
    lines_of(stream, *[1] * 10, seconds=4)
    assert stream.getvalue().splitlines() == [
        "rendering: 30%, 3 of 10 lines, 1 failed, 0:28 left",
        "rendering: 60%, 6 of 10 lines, 1 failed, 0:16 left",
        "rendering: 90%, 9 of 10 lines, 1 failed, 0:04 left",
    ]
