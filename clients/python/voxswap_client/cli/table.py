"""Plain tables: columns aligned by what a terminal shows, no wider than 100 columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

WIDTH = 100
_GAP = "  "
_ELLIPSIS = "…"
_MIN_COLUMN = 8


def render(
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[str] = (),
    width: int = WIDTH,
) -> str:
    """The table as lines. Columns named in ``right`` are aligned to the right.

    If it is too wide, cells of the widest column are cut with an ellipsis. The first column names
    the row, and is cut last.
    """
    cells = [[_printable(str(cell)) for cell in row] for row in (headings, *rows)]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    while sum(widths) + len(_GAP) * (len(widths) - 1) > width and max(widths) > _MIN_COLUMN:
        first = 1 if max(widths[1:], default=0) > _MIN_COLUMN else 0
        widths[widths.index(max(widths[first:]), first)] -= 1
    lines = []
    for row in cells:
        parts = []
        for heading, cell, room in zip(headings, row, widths, strict=True):
            shown = _cut(cell, room)
            padding = " " * (room - columns(shown))
            parts.append(padding + shown if heading in right else shown + padding)
        lines.append(_GAP.join(parts).rstrip())
    return "\n".join(lines)


def columns(text: str) -> int:
    """How many columns ``text`` takes on a terminal: none for a combining mark, two for CJK."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _printable(text: str) -> str:
    """``text`` without what could move the cursor: names and marks come from elsewhere."""
    return "".join(char if char.isprintable() else "�" for char in text)


def _cut(text: str, room: int) -> str:
    if columns(text) <= room:
        return text
    while text and columns(text) > room - 1:
        text = text[:-1]
    return text.rstrip() + _ELLIPSIS
