"""Events of residency as lines of a terminal."""

from __future__ import annotations

from datetime import datetime

from voxswap_client.cli.output import human_bytes, human_ms
from voxswap_client.cli.ps import several, short_digest
from voxswap_client.cli.table import columns, cut_middle, printable
from voxswap_client.residency_types import ResidencyEvent, ResidencyEventKind

_WORDS = {
    ResidencyEventKind.LOAD_STARTED: "loading",
    ResidencyEventKind.LOADED: "loaded",
    ResidencyEventKind.LOAD_FAILED: "failed",
    ResidencyEventKind.EVICTED: "evicted",
    ResidencyEventKind.QUARANTINED: "quarantined",
    ResidencyEventKind.BUDGET_CHANGED: "budget",
    ResidencyEventKind.BARRED: "barred",
}
_WORD = max(map(len, _WORDS.values()))
_SEQUENCE, _LEAST_WHOM = 6, 12
_DETAILS, _NARROW_DETAILS = 32, 24
_PIPED_WHOM = 32


def event_line(event: ResidencyEvent, *, width: int | None) -> str:
    """One event: its number, local time, what happened, to whom, and details.

    Names are cut and the last details left out where ``width`` is too small; None: never.
    """
    narrow = width is not None and width < 100
    head = "  ".join(
        [
            f"{event.sequence:>{_SEQUENCE}}",
            local_time(event.time, with_ms=not narrow),
            _WORDS[event.kind].ljust(_WORD),
        ]
    )
    whom, details = printable(_whom(event)), [printable(part) for part in _details(event)]
    if width is None:
        return _joined(head, whom.ljust(_PIPED_WHOM), ", ".join(details))
    room = width - columns(head) - 2
    if room < _LEAST_WHOM:
        return head[:width]
    whom_room = max(_LEAST_WHOM, room - 2 - (_NARROW_DETAILS if narrow else _DETAILS))
    whom = cut_middle(whom, whom_room)
    whom += " " * (whom_room - columns(whom))
    while details and columns(", ".join(details)) > room - 2 - whom_room:
        details.pop()
    return _joined(head, whom, ", ".join(details))


def local_time(when: datetime | None, *, with_ms: bool = False) -> str:
    """Such as ``07:08:09`` or ``07:08:09.123``, in this machine's zone."""
    if when is None:
        return "--:--:--" + (".---" if with_ms else "")
    local = when.astimezone()
    clock = f"{local:%H:%M:%S}"
    return f"{clock}.{local.microsecond // 1000:03}" if with_ms else clock


def _joined(*parts: str) -> str:
    return "  ".join(parts).rstrip()


def _whom(event: ResidencyEvent) -> str:
    if event.kind is ResidencyEventKind.BUDGET_CHANGED:
        return ""
    name = several(event.voices) if event.voices else short_digest(event.digest)
    return " ".join(filter(None, (name, event.role)))


def _details(event: ResidencyEvent) -> list[str]:
    """What else there is to say, the most telling first."""
    size, took = human_bytes(event.size_bytes), human_ms(event.duration_ms)
    match event.kind:
        case ResidencyEventKind.LOAD_STARTED:
            return [f"{size} at most"]
        case ResidencyEventKind.LOADED:
            queued = human_ms(event.queue_ms) + " waiting"
            return [size, took, *([queued] if event.queue_ms >= 1 else [])]
        case ResidencyEventKind.LOAD_FAILED:
            return [event.reason, f"after {took}"]
        case ResidencyEventKind.EVICTED:
            age = [f"idle {human_age(event.age_ms)}"] if event.age_ms else []
            return [size, event.reason, *age]
        case ResidencyEventKind.QUARANTINED:
            return [event.reason or "damaged"]
        case ResidencyEventKind.BUDGET_CHANGED:
            return [f"now {size}"]
        case ResidencyEventKind.BARRED:
            return [f"for {human_age(event.duration_ms)}", event.reason]


def human_age(ms: float) -> str:
    """Such as ``350 ms``, ``42s`` or ``3m``."""
    seconds = int(ms / 1000)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return human_ms(ms)
