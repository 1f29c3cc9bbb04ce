"""The screen of `voxswap top`, line by line, in terminals of several sizes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from voxswap_client.cli.table import columns
from voxswap_client.cli.top.figures import Churn, Frame, Latency, Speech
from voxswap_client.cli.top.lines import lines
from voxswap_client.residency_types import (
    Ledger,
    ResidencyEvent,
    ResidencyEventKind,
    ResidencySnapshot,
    Resident,
    ResidentState,
    Tier,
)

pytestmark = pytest.mark.usefixtures("in_utc")
NOW = datetime(2031, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC)
MIB = 1 << 20


def resident(
    name: str,
    state: str = "resident",
    *,
    ago_s: int = 0,
    age_s: int = 600,
    mib: int = 60,
    leases: int = 0,
    uses: int = 1,
    **changes: Any,
) -> Resident:
    return Resident(
        (name,),
        ResidentState(state),
        size_bytes=mib * MIB,
        leases=leases,
        uses=uses,
        load_time=NOW - timedelta(seconds=age_s),
        last_use_time=NOW - timedelta(seconds=ago_s),
        load_ms=87.0,
        pinned=changes.pop("pinned", False),
        **changes,
    )


def event(sequence: int, kind: str, **changes: Any) -> ResidencyEvent:
    fields: dict[str, Any] = {"voices": ("npc/village/smith@3",), "size_bytes": 60 * MIB}
    return ResidencyEvent(sequence, 1, NOW, ResidencyEventKind(kind), **(fields | changes))


LEDGER = Ledger(
    "cpu",
    budget_bytes=400 * MIB,
    free_bytes=100 * MIB,
    reserved_bytes=100 * MIB,
    resident_bytes=150 * MIB,
    evicting_bytes=50 * MIB,
    workspace_bytes=60 * MIB,
    target_bytes=350 * MIB,
    held_bytes=500 * MIB,
)
FRAME = Frame(
    now=NOW,
    snapshot=ResidencySnapshot(
        residents=(
            resident("npc/village/smith@3", leases=2, uses=12),
            resident("npc/village/baker@1", ago_s=4, age_s=60, mib=90),
            resident("narrator@7", ago_s=125, pinned=True, leases=1),
            resident("npc/forest/witch@2", "loading", leases=0, uses=0),
            resident("npc/castle/guard@1", "failed", mib=0, uses=0, error="it is broken"),
        ),
        components=(),
        ledgers=(LEDGER,),
    ),
    speech=Speech(
        active_streams=3,
        streams_per_s=4.25,
        swaps_per_s=0.4,
        hit_ratio=0.931,
        warm=Latency(38.4, 61.0, 210, 10_000),
        cold=Latency(112.0, float("inf"), 14, 10_000),
        over_s=60.0,
    ),
    churn=Churn(18, 12, 1),
    events=(
        event(41, "load_started"),
        event(42, "loaded", duration_ms=87.2),
        event(43, "evicted", role="model", reason="memory", age_ms=190_000),
    ),
)


def shown(frame: Frame = FRAME, **options: Any) -> list[str]:
    usual: dict[str, Any] = {"address": "127.0.0.1:50051", "width": 100}
    found = lines(frame, **(usual | options))
    return ["".join(span.text for span in line).rstrip() for line in found]


def from_figures(found: list[str]) -> list[str]:
    """The lines from the figures on."""
    return found[next(i for i, line in enumerate(found) if line.startswith("swaps")) :]


def test_a_whole_screen_in_100_columns() -> None:
    assert shown() == [
        "voxswap top  127.0.0.1:50051" + " " * 64 + "07:08:09",
        "cpu  ██████████████████▓▓▓▓▓▒▒▒▒▒▒▒▚▚▚▚▚▚░░░░░░░░░░░░  300.0 MiB of 400.0 MiB   75 %",
        (
            "     █ 150.0 MiB resident   ▓ 40.0 MiB loading   ▒ 60.0 MiB workspace   "
            "▚ 50.0 MiB evicting"
        ),
        "     ░ 100.0 MiB free",
        "     shrinking to 350.0 MiB as memory comes free; the process holds 500.0 MiB",
        "",
        "swaps         0.4/s   streams     3 now, 4.2/s   TTFA      p50      p95  streams",
        "loads        18/min   hit rate          93.1 %   warm    38 ms    61 ms      210",
        "evictions    12/min   failures           1/min   cold   112 ms >10.00 s       14",
        " " * 71 + "last 60 s",
        "",
        "VOICE                STATE         SIZE  LEASES  USES  LAST USE   LOAD",
        "npc/village/smith@3  resident  60.0 MiB       2    12       now  87 ms",
        "npc/village/baker@1  resident  90.0 MiB       0     1    4s ago  87 ms",
        "narrator@7           pinned    60.0 MiB       1     1    2m ago  87 ms",
        "npc/forest/witch@2   loading   60.0 MiB       0     0       now  87 ms",
        "npc/castle/guard@1   failed         0 B       0     0       now  87 ms",
        "5 voices: 1 loading, 3 resident, 1 failed",
        "",
        "EVENTS",
        "    41  07:08:09.123  loading      npc/village/smith@3              60.0 MiB at most",
        "    42  07:08:09.123  loaded       npc/village/smith@3              60.0 MiB, 87 ms",
        (
            "    43  07:08:09.123  evicted      npc/village/smith@3 model        "
            "60.0 MiB, memory, idle 3m"
        ),
    ]


def test_a_screen_in_80_columns_by_24_lines_with_keys() -> None:
    found = shown(width=80, height=24, with_keys=True)
    assert len(found) == 24
    assert from_figures(found)[:4] == [
        "swaps         0.4/s   streams     3 now, 4.2/s   TTFA      p50      p95  streams",
        "loads        18/min   hit rate          93.1 %   warm    38 ms    61 ms      210",
        "evictions    12/min   failures           1/min   cold   112 ms >10.00 s       14",
        " " * 71 + "last 60 s",
    ]
    assert found[-7:-1] == [
        "5 voices: 1 loading, 3 resident, 1 failed",
        "",
        "EVENTS",
        "    42  07:08:09  loaded       npc/village/smith@3      60.0 MiB, 87 ms",
        "    43  07:08:09  evicted      npc/village…ith@3 model  60.0 MiB, memory",
        "",
    ]
    assert found[-1] == "q leave   sort:  r recent  b bytes  l leases  u uses  a age"


def test_figures_stand_below_one_another_where_it_is_narrow() -> None:
    found = shown(width=50)
    assert from_figures(found)[:8] == [
        "swaps         0.4/s   streams     3 now, 4.2/s",
        "loads        18/min   hit rate          93.1 %",
        "evictions    12/min   failures           1/min",
        "",
        "TTFA      p50      p95  streams",
        "warm    38 ms    61 ms      210",
        "cold   112 ms >10.00 s       14",
        "                      last 60 s",
    ]


def names(**options: Any) -> list[str]:
    return [line.split()[0] for line in shown(**options) if line.startswith(("npc", "narrator"))]


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("recent", "npc/village/smith@3"),
        ("bytes", "npc/village/baker@1"),
        ("leases", "npc/village/smith@3"),
        ("uses", "npc/village/smith@3"),
        ("age", "npc/village/smith@3"),
    ],
)
def test_sorting(sort: str, first: str) -> None:
    assert names(sort=sort)[0] == first
    assert sorted(names(sort=sort)) == sorted(names())


def test_the_youngest_is_last_and_who_was_never_loaded_after_it() -> None:
    residents = FRAME.snapshot.residents
    never = replace(residents[0], voices=("npc/new@1",), load_time=None)
    snapshot = replace(FRAME.snapshot, residents=(never, never, *residents))
    found = names(frame=replace(FRAME, snapshot=snapshot), sort="age")
    assert found[-3:] == ["npc/village/baker@1", "npc/new@1", "npc/new@1"]


def test_states_and_problems_have_their_styles() -> None:
    troubled = replace(FRAME, problems=("no metrics: Connection refused",), speech=Speech())
    styles = {
        span.text.split()[0]: span.style
        for line in lines(troubled, address="a:1", width=100)
        for span in line
        if span.text.strip()
    }
    assert styles["!"] == "bad"
    assert styles["npc/castle/guard@1"] == "bad"
    assert styles["npc/forest/witch@2"] == "loading"
    assert styles["narrator@7"] == "pinned"
    assert styles["npc/village/smith@3"] == ""
    text = shown(troubled)
    assert from_figures(text)[:5] == [
        "swaps             -   streams         - now, -   TTFA      p50      p95  streams",
        "loads        18/min   hit rate               -   warm        -        -        -",
        "evictions    12/min   failures           1/min   cold        -        -        -",
        "",
        "! no metrics: Connection refused",
    ]


def test_a_terminal_without_blocks() -> None:
    text = "\n".join(shown(ascii_only=True))
    assert text.isascii()
    assert "cpu  ##################+++++=======------............  300.0 MiB" in text


def test_an_empty_server() -> None:
    ledger = Ledger("cuda:0", 0, 0, 0, 0, 0, tier=Tier.DEVICE)
    nothing = Frame(NOW, ResidencySnapshot((), (), (ledger,)), Speech(), Churn(0, 0, 0), ())
    found = shown(nothing)
    assert found[1].endswith("0 B of 0 B    0 %")
    assert found[-1] == "no voice is in memory"


def test_more_than_there_is_room_for() -> None:
    many = tuple(resident(f"npc/crowd/{n}@1") for n in range(50))
    crowd = replace(
        FRAME, snapshot=replace(FRAME.snapshot, residents=many), events=FRAME.events * 9
    )
    found = shown(crowd, height=30, with_keys=True)
    assert len(found) == 30
    assert sum(line.startswith("npc/crowd") for line in found) == 8
    assert sum("07:08:09.123" in line for line in found) == 5
    assert "50 voices: 50 resident; 8 are shown" in found
    assert found[-1].startswith("q leave")
    assert sum(line.startswith("npc/crowd") for line in shown(crowd)) == 20


SIZES = st.integers(0, 1 << 34)


@examples(60)
@given(
    width=st.integers(24, 160),
    height=st.none() | st.integers(1, 60),
    residents=st.lists(
        st.builds(
            resident,
            st.text(min_size=1, max_size=90),
            st.sampled_from([str(state) for state in ResidentState]),
            mib=st.integers(0, 1 << 20),
            shared_bytes=SIZES,
            waiting=st.integers(0, 9),
        ),
        max_size=9,
    ),
    accounts=st.tuples(SIZES, SIZES, SIZES, SIZES),
    problems=st.lists(st.text(max_size=200), max_size=2),
    address=st.text(max_size=150),
)
def test_no_screen_is_too_large(
    width: int,
    height: int | None,
    residents: list[Resident],
    accounts: tuple[int, ...],
    problems: list[str],
    address: str,
) -> None:
    free, reserved, kept, evicting = accounts
    ledger = Ledger("cpu", sum(accounts), free, reserved, kept, evicting, reserved // 2)
    frame = replace(
        FRAME,
        snapshot=ResidencySnapshot(tuple(residents), (), (ledger,)),
        problems=tuple(problems),
    )
    found = shown(frame, address=address, width=width, height=height, with_keys=True)
    assert height is None or len(found) == height
    # A table has columns that cannot be narrower; the terminal crops those.
    table = next((i for i, line in enumerate(found) if line.startswith("VOICE")), len(found))
    assert all(columns(line) <= width for line in found[:table])
    assert all(columns(line) <= max(width, 60) for line in found)
    assert all(line.isprintable() for line in found)


@given(st.tuples(SIZES, SIZES, SIZES, SIZES, SIZES))
def test_the_bar_is_as_long_as_the_budget_and_its_parts_as_they_are(
    accounts: tuple[int, ...],
) -> None:
    kept, loading, workspace, evicting, free = accounts
    ledger = Ledger("cpu", sum(accounts), free, loading + workspace, kept, evicting, workspace)
    frame = replace(FRAME, snapshot=ResidencySnapshot((), (), (ledger,)))
    bar = lines(frame, address="", width=100)[1][1:-1]
    lengths = [len(span.text) for span in bar]
    whole = sum(accounts)
    if not whole:
        assert lengths == [0] * 5
        return
    assert sum(lengths) == max(sum(lengths), 8)
    for length, n_bytes in zip(lengths, accounts, strict=True):
        assert abs(length - sum(lengths) * n_bytes / whole) <= 1
