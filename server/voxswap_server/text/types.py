"""What a text is cut into."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """One sentence of the request. ``start`` counts characters (code points) of the whole text.

    ``pause_ms`` is the silence after it, on top of what the model itself leaves: 0 after the last.
    """

    text: str
    start: int
    pause_ms: int
