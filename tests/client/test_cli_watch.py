"""`voxswap watch`, and how events are told in a line."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.fake_server import FakeServer
from tests.client.terminal import Voxswap
from voxswap_client.cli.events import event_line
from voxswap_client.cli.table import columns, cut_middle
from voxswap_client.cli.watch import event_lines
from voxswap_client.residency_types import (
    ResidencyEvent,
    ResidencyEventKind,
)

pytestmark = pytest.mark.usefixtures("in_utc")
MIB = 1 << 20
WHEN = datetime(2031, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC)


def event(kind: ResidencyEventKind | str, **changes: Any) -> ResidencyEvent:
    fields: dict[str, Any] = {"sequence": 41, "epoch": 1, "time": WHEN, "voices": ("npc/smith@3",)}
    return ResidencyEvent(kind=ResidencyEventKind(kind), **(fields | changes))


EVENTS = [
    event("load_started", size_bytes=60 * MIB),
    event("loaded", size_bytes=60 * MIB, duration_ms=412.4, queue_ms=300),
    event("loaded", size_bytes=60 * MIB, duration_ms=412.4, queue_ms=0.2),
    event("load_failed", reason="DIGEST_MISMATCH", duration_ms=12),
    event(
        "evicted",
        voices=("npc/clerk@1", "npc/clerk@2"),
        role="model",
        reason="memory",
        size_bytes=60 * MIB,
        age_ms=190_000,
    ),
    event("evicted", voices=(), role="symbols", digest="sha256:" + "ab" * 32, reason="unload"),
    event("quarantined", role="model", reason="DIGEST_MISMATCH"),
    event("budget_changed", voices=(), size_bytes=1 << 30),
]


def test_events_in_100_columns() -> None:
    shown = [event_line(each, width=100) for each in EVENTS]
    assert {line[:21] for line in shown} == {"    41  07:08:09.123 "}
    assert [line[22:] for line in shown] == [
        "loading      npc/smith@3                      60.0 MiB at most",
        "loaded       npc/smith@3                      60.0 MiB, 412 ms, 300 ms waiting",
        "loaded       npc/smith@3                      60.0 MiB, 412 ms",
        "failed       npc/smith@3                      DIGEST_MISMATCH, after 12 ms",
        "evicted      npc/clerk@1 +1 model             60.0 MiB, memory, idle 3m",
        "evicted      abababababab symbols             0 B, unload",
        "quarantined  npc/smith@3 model                DIGEST_MISMATCH",
        "budget                                        now 1.0 GiB",
    ]


def test_events_in_80_columns() -> None:
    assert [event_line(each, width=80) for each in EVENTS[:5]] == [
        "    41  07:08:09  loading      npc/smith@3              60.0 MiB at most",
        "    41  07:08:09  loaded       npc/smith@3              60.0 MiB, 412 ms",
        "    41  07:08:09  loaded       npc/smith@3              60.0 MiB, 412 ms",
        "    41  07:08:09  failed       npc/smith@3              DIGEST_MISMATCH",
        "    41  07:08:09  evicted      npc/clerk@1 +1 model     60.0 MiB, memory",
    ]


VOICES = st.lists(st.text(min_size=1, max_size=120), max_size=3).map(tuple)


@given(
    kind=st.sampled_from(ResidencyEventKind),
    voices=VOICES,
    role=st.text(max_size=20),
    reason=st.text(max_size=60),
    width=st.integers(10, 120),
)
def test_an_event_is_never_too_wide(
    kind: ResidencyEventKind, voices: tuple[str, ...], role: str, reason: str, width: int
) -> None:
    line = event_line(event(kind, voices=voices, role=role, reason=reason), width=width)
    assert columns(line) <= width
    assert "\n" not in line


@given(text=st.text(max_size=80), room=st.integers(1, 80))
def test_a_name_that_is_cut_keeps_both_ends(text: str, room: int) -> None:
    shown = cut_middle(text, room)
    assert columns(shown) <= room
    if shown == text:
        return
    head, _, tail = shown.partition("…")
    assert text.startswith(head)
    assert text.endswith(tail)


def test_a_new_day_has_a_line() -> None:
    events = [EVENTS[0], EVENTS[0], event("loaded", time=WHEN + timedelta(days=1))]
    days = [line for line in event_lines(events, 100, today=date(2031, 5, 6)) if len(line) == 10]
    assert days == ["2031-05-07"]
    assert next(event_lines(events, 100)) == "2031-05-06"


def test_watch_prints_events_as_they_come(voxswap: Voxswap, server: FakeServer) -> None:
    slow = server.reason("SLOW_WATCHER")
    told = server.event(1, "LOADED", size_bytes=60 * MIB, duration_ms=412.4)
    server.script.append(
        server.fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "too slow", slow, after=(told,))
    )
    assert voxswap("watch", "--since-start") == (
        1,
        ["     1  --:--:--.---  loaded       npc/smith@3                       60.0 MiB, 412 ms"],
        [
            "voxswap: error: too slow",
            "  let something fast read it, such as a file, and watch again",
        ],
    )
    assert server.requests[-1].HasField("after_sequence")


def test_watch_as_json_and_from_an_event_on(voxswap: Voxswap, server: FakeServer) -> None:
    told = server.event(42, "EVICTED", reason="memory")
    told.event_time.FromDatetime(WHEN)
    lost = server.reason("EVENTS_LOST")
    server.script.append(server.fail(grpc.StatusCode.OUT_OF_RANGE, "gone", lost, after=(told,)))
    code, out, err = voxswap("watch", "--after", "41", "--epoch", "7", "--json")
    assert (code, len(out)) == (1, 0)  # the event is of another run than was asked for
    assert err[0].startswith("voxswap: error: the server is another one, or was started anew")
    server.script.append(server.fail(grpc.StatusCode.OUT_OF_RANGE, "gone", lost, after=(told,)))
    code, out, err = voxswap("watch", "--after", "41", "--json")
    document = json.loads(out[0])
    assert (document["sequence"], document["kind"]) == (42, "evicted")
    assert document["time"] == "2031-05-06T07:08:09.123000+00:00"
    assert (code, err) == (
        1,
        [
            "voxswap: error: gone",
            "  see what is in memory with `voxswap ps`, then watch from now on",
        ],
    )
