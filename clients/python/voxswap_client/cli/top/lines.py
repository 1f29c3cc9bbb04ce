"""What is on the screen, as lines of styled text. Pure, and free of Rich."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from voxswap_client.cli.events import event_line, local_time
from voxswap_client.cli.output import human_bytes, human_ms
from voxswap_client.cli.ps import ledger_name, ledger_notes, residents_table
from voxswap_client.cli.table import columns, cut_middle, printable
from voxswap_client.cli.top.figures import Churn, Frame, Latency, Speech
from voxswap_client.residency_types import (
    Ledger,
    ResidencyEventKind,
    ResidencySnapshot,
    Resident,
    ResidentState,
)

_MOST_RESIDENTS, _MOST_EVENTS = 20, 8
_LEAST_RESIDENTS = 3
_LEFT, _GAP, _RIGHT = 46, 3, 31  # the figures' two blocks
_LEAST_BAR, _MOST_BAR = 8, 48
KEYS = {"r": "recent", "b": "bytes", "l": "leases", "u": "uses", "a": "age"}


class Span(NamedTuple):
    """Text in one style: "" or a name that `screen` gives a colour."""

    text: str
    style: str = ""


Line = tuple[Span, ...]

_ORDERS: dict[str, Callable[[Resident], Any]] = {
    "bytes": lambda r: -r.size_bytes,
    "leases": lambda r: -r.leases,
    "uses": lambda r: -r.uses,
    "age": lambda r: (r.load_time is None, r.load_time.timestamp() if r.load_time else 0.0),
}
_STATE_STYLES = {
    ResidentState.LOADING: "loading",
    ResidentState.EVICTING: "evicting",
    ResidentState.ABANDONED: "evicting",
    ResidentState.FAILED: "bad",
}
_EVENT_STYLES = {
    ResidencyEventKind.LOADED: "resident",
    ResidencyEventKind.LOAD_FAILED: "bad",
    ResidencyEventKind.QUARANTINED: "bad",
    ResidencyEventKind.BARRED: "bad",
    ResidencyEventKind.EVICTED: "evicting",
    ResidencyEventKind.BUDGET_CHANGED: "heading",
}


def lines(
    frame: Frame,
    *,
    address: str,
    width: int,
    height: int | None = None,
    sort: str = "recent",
    with_keys: bool = False,
    ascii_only: bool = False,
) -> list[Line]:
    """The whole screen: at most ``width`` columns, and ``height`` lines if that is given."""
    clock = local_time(frame.now)
    head = _ends("voxswap top", address, clock, width)
    books = [
        line
        for ledger in frame.snapshot.ledgers
        for line in _books(ledger, width, ascii_only=ascii_only)
    ]
    troubles = [(Span(_fit(f"! {text}", width), "bad"),) for text in frame.problems]
    top = [head, *books, (), *_figures(frame.speech, frame.churn, width), *troubles, ()]
    keys = [(), _key_line(sort, width)] if with_keys else []
    room = None if height is None else height - len(top) - len(keys)
    residents, events = _shares(len(frame.snapshot.residents), len(frame.events), room)
    body = [
        *top,
        *_residents(frame, width, sort, residents),
        *_events(frame, width, events),
    ]
    if height is None:
        return [*body, *keys]
    # The keys stand in the last line, whatever goes on above.
    padding: list[Line] = [()] * (height - len(body) - len(keys))
    return [*body, *padding, *keys][:height]


def _ends(name: str, address: str, right: str, width: int) -> Line:
    room = width - len(name) - len(right) - 4
    where = cut_middle(printable(address), max(room, 1)) if room > 0 else ""
    padding = " " * max(1, width - len(name) - 2 - columns(where) - len(right))
    return (Span(name, "title"), Span(f"  {where}"), Span(padding), Span(right, "faint"))


# -- the books ---------------------------------------------------------------


def _books(ledger: Ledger, width: int, *, ascii_only: bool) -> list[Line]:
    """A bar against the budget, what its parts are, and what is out of the ordinary."""
    accounts = (
        (ledger.resident_bytes, "resident", "#" if ascii_only else "█"),
        (ledger.reserved_bytes - ledger.workspace_bytes, "loading", "+" if ascii_only else "▓"),
        (ledger.workspace_bytes, "workspace", "=" if ascii_only else "▒"),
        (ledger.evicting_bytes, "evicting", "-" if ascii_only else "▚"),
        (ledger.free_bytes, "free", "." if ascii_only else "░"),
    )
    budget = max(1, ledger.budget_bytes)
    used = ledger.budget_bytes - ledger.free_bytes
    name = cut_middle(ledger_name(ledger), 16)
    told = (
        f"{human_bytes(used)} of {human_bytes(ledger.budget_bytes)}  {100 * used / budget:3.0f} %"
    )
    cells = min(_MOST_BAR, max(_LEAST_BAR, width - columns(name) - len(told) - 4))
    bar: list[Span] = []
    end = 0
    for n_bytes, style, cell in accounts:
        # Rounding the sums, and not the parts, makes the bar as long as it should be.
        begin, end = end, end + n_bytes
        count = round(cells * end / budget) - round(cells * begin / budget)
        bar.append(Span(cell * count, style))
    indent = " " * (columns(name) + 2)
    whole = (Span(f"{name}  ", "heading"), *bar, Span(f"  {told}"))
    notes = [_fit(indent + note.strip(), width) for note in ledger_notes(ledger)]
    return [
        _clipped(whole, width),
        *_legend(accounts, indent, width),
        *((Span(note, "faint"),) for note in notes),
    ]


def _legend(accounts: Sequence[tuple[int, str, str]], indent: str, width: int) -> list[Line]:
    """What the cells of a bar stand for, in as few lines as there is room for."""
    found: list[Line] = []
    for n_bytes, style, cell in accounts:
        if not n_bytes and style not in ("resident", "free"):
            continue
        entry = (Span(cell, style), Span(f" {human_bytes(n_bytes)} {style}", "faint"))
        if found and _columns(found[-1]) + 3 + _columns(entry) <= width:
            found[-1] = (*found[-1], Span("   "), *entry)
        else:
            found.append((Span(indent), *entry))
    return [_clipped(line, width) for line in found]


# -- the figures -------------------------------------------------------------


def _figures(speech: Speech, churn: Churn, width: int) -> list[Line]:
    """Rates on the left, TTFA on the right, or below where there is no room."""
    active = _number(speech.active_streams, "")
    streams = f"{active} now, {_number(speech.streams_per_s, '/s')}"
    hits = "-" if speech.hit_ratio is None else f"{100 * speech.hit_ratio:.1f} %"
    left = [
        _pair("swaps", _number(speech.swaps_per_s, "/s"), "streams", streams),
        _pair("loads", f"{churn.loads_per_min:.0f}/min", "hit rate", hits),
        _pair(
            "evictions",
            f"{churn.evictions_per_min:.0f}/min",
            "failures",
            f"{churn.failures_per_min:.0f}/min",
        ),
    ]
    over = "since the start" if speech.over_s is None else f"last {speech.over_s:.0f} s"
    right: list[Line] = [
        (Span(f"{'TTFA':<5}{'p50':>8}{'p95':>9}{'streams':>9}", "heading"),),
        _latency("warm", speech.warm),
        _latency("cold", speech.cold),
        (Span(f"{over:>{_RIGHT}}" if speech.warm else "", "faint"),),
    ]
    if width >= _LEFT + _GAP + _RIGHT:
        return [
            (*one, Span(" " * (_LEFT + _GAP - _columns(one))), *other)
            for one, other in zip((*left, ()), right, strict=True)
        ]
    return [_clipped(line, width) for line in (*left, (), *right)]


def _pair(name: str, value: str, other: str, other_value: str) -> Line:
    return (
        Span(f"{name:<10}", "faint"),
        Span(f"{value:>9}"),
        Span(f"   {other:<9}", "faint"),
        Span(f"{other_value:>15}"),
    )


def _latency(name: str, found: Latency | None) -> Line:
    p50 = p95 = count = "-"
    if found is not None:
        p50, p95 = (_beyond(value, found.most_ms) for value in (found.p50_ms, found.p95_ms))
        count = f"{found.count:.0f}"
    return (Span(f"{name:<5}", "faint"), Span(f"{p50:>8}{p95:>9}{count:>9}"))


def _beyond(ms: float | None, most_ms: float) -> str:
    if ms is None:
        return "-"
    return f">{human_ms(most_ms)}" if ms == math.inf else human_ms(ms)


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}{unit}" if not unit or value >= 99.95 else f"{value:.1f}{unit}"


# -- residents and events ----------------------------------------------------


def _shares(residents: int, events: int, room: int | None) -> tuple[int, int]:
    """How many residents and events are shown in ``room`` lines; their headings are besides."""
    if room is None:
        return min(residents, _MOST_RESIDENTS), min(events, _MOST_EVENTS)
    left = max(0, room - 4)  # two headings, an empty line, and the count of residents
    fair = max((left - min(residents, _LEAST_RESIDENTS)) // 2, left - max(residents, 1))
    shown = max(0, min(events, _MOST_EVENTS, fair))
    return max(0, min(residents, left - shown)), shown


def _residents(frame: Frame, width: int, sort: str, count: int) -> list[Line]:
    found = frame.snapshot.residents
    if sort in _ORDERS:
        found = tuple(sorted(found, key=_ORDERS[sort]))
    if not found:
        return [(Span("no voice is in memory", "faint"),)]
    left_out = f"; {count} are shown" if count < len(found) else ""
    counted = (Span(_fit(_counts(frame.snapshot) + left_out, width), "faint"),)
    if not count:
        return [counted]
    shown = found[:count]
    heading, *rows = residents_table(shown, now=frame.now, width=width).splitlines()
    table: list[Line] = [(Span(heading, "heading"),)]
    for resident, row in zip(shown, rows, strict=True):
        style = "pinned" if resident.pinned else ""
        table.append((Span(row, _STATE_STYLES.get(resident.state, style)),))
    return [*table, counted]


def _counts(snapshot: ResidencySnapshot) -> str:
    """Such as ``12 voices: 9 resident, 2 loading, 1 failed; 15 components``."""
    counts = {
        state: sum(resident.state is state for resident in snapshot.residents)
        for state in ResidentState
    }
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    voices = "1 voice" if len(snapshot.residents) == 1 else f"{len(snapshot.residents)} voices"
    parts = len(snapshot.components)
    components = "1 component" if parts == 1 else f"{parts} components"
    return f"{voices}: {told}" + (f"; {components}" if parts else "")


def _events(frame: Frame, width: int, count: int) -> list[Line]:
    if not count:
        return []
    shown: list[Line] = [(), (Span("EVENTS", "heading"),)]
    for event in frame.events[-count:]:
        style = _EVENT_STYLES.get(event.kind, "faint")
        shown.append((Span(_fit(event_line(event, width=width), width), style),))
    return shown


# -- the keys ----------------------------------------------------------------


def _key_line(sort: str, width: int) -> Line:
    spans = [Span("q", "heading"), Span(" leave   sort:", "faint")]
    for key, name in KEYS.items():
        spans += [Span(f"  {key}", "heading"), Span(f" {name}", "" if name == sort else "faint")]
    return _clipped(tuple(spans), width)


def _columns(line: Sequence[Span]) -> int:
    return sum(columns(span.text) for span in line)


def _fit(text: str, width: int) -> str:
    text = printable(" ".join(text.split()) if "\n" in text else text)
    return text if columns(text) <= width else text[: max(0, width - 1)] + "…"


def _clipped(line: Line, width: int) -> Line:
    """``line`` without what goes beyond ``width`` columns."""
    kept: list[Span] = []
    for span in line:
        text = span.text
        while text and columns(text) > width:
            text = text[:-1]
        width -= columns(text)
        kept.append(Span(text, span.style))
    return tuple(kept)
