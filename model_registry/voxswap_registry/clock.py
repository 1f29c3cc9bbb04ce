"""The wall clock, passed in wherever a time is written down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of real life."""
    return datetime.now(UTC)
