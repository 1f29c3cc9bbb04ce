"""What commands print: JSON documents, and sizes and times as people read them."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any


def print_json(document: Any) -> None:
    """Print one JSON document. Dataclasses become objects, times ISO 8601."""
    print(json.dumps(document, default=_plain, ensure_ascii=False, indent=2))


def json_line(document: Any) -> str:
    """The same on one line."""
    return json.dumps(document, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def human_bytes(n_bytes: int) -> str:
    """Such as ``60.3 MiB``."""
    if n_bytes < 1024:
        return f"{n_bytes} B"
    size = float(n_bytes)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        # 1023.95 would be shown as 1024.0.
        if size < 1023.95 or unit == "TiB":
            break
    return f"{size:.1f} {unit}"


def human_time(when: datetime | None) -> str:
    """Such as ``2031-05-06 07:08:09``, in UTC; a dash if it is not known."""
    return "-" if when is None else f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def human_ago(when: datetime | None, now: datetime) -> str:
    """Such as ``3s ago``; a clock that differs from the server's makes it ``now``."""
    if when is None:
        return "never"
    seconds = int((now - when).total_seconds())
    if seconds < 1:
        return "now"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"


def human_ms(ms: float) -> str:
    """Such as ``42 ms`` or ``1.25 s``."""
    return f"{ms:.0f} ms" if ms < 999.5 else f"{ms / 1000:.2f} s"


def human_duration(seconds: float) -> str:
    """Such as ``0:07`` or ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
