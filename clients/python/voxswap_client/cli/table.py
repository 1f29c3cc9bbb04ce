"""Plain tables: columns aligned by what a terminal shows, no wider than 100 columns."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence

WIDTH = 100
_GAP = "  "
_ELLIPSIS = "…"
_MIN_COLUMN = 8
_GOOD_NAMES = 24
_LEAST_WRAPPED = 20
_NO_BREAK = "\N{NO-BREAK SPACE}"
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:[KMGT]iB|B|ms|s)\b)")


def render(
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[str] = (),
    names: str = "",
    optional: Sequence[str] = (),
    width: int = WIDTH,
) -> str:
    """The table as lines. Columns named in ``right`` are aligned to the right.

    If it is too wide, cells of the widest column are cut with an ellipsis. The first column names
    the row, and is cut last. But if there is a column ``names``, that is the one that gives way:
    names are cut in the middle, and before they have little room, columns of ``optional`` are left
    out, one after the other.
    """
    cells = [[printable(str(cell)) for cell in row] for row in (headings, *rows)]
    kept = list(range(len(headings)))
    room = _widths(cells, kept)
    if names:
        column = headings.index(names)
        enough = min(_GOOD_NAMES, room[column])
        for name in optional:
            if _total(room) - room[column] + enough > width:
                kept.remove(headings.index(name))
                room = _widths(cells, kept)
                column = kept.index(headings.index(names))
        if (over := _total(room) - width) > 0:
            room[column] = max(min(_MIN_COLUMN, room[column]), room[column] - over)
    while _total(room) > width and max(room) > _MIN_COLUMN:
        first = 1 if max(room[1:], default=0) > _MIN_COLUMN else 0
        room[room.index(max(room[first:]), first)] -= 1
    lines = []
    for row in cells:
        parts = []
        for i, limit in zip(kept, room, strict=True):
            cut = cut_middle if headings[i] == names else _cut
            shown = cut(row[i], limit)
            padding = " " * (limit - columns(shown))
            parts.append(padding + shown if headings[i] in right else shown + padding)
        lines.append(_GAP.join(parts).rstrip())
    return "\n".join(lines)


def terminal_width() -> int:
    """Columns that stdout has, 100 at most; 100 if it is no terminal."""
    return min(WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else WIDTH


def _widths(cells: Sequence[Sequence[str]], kept: Sequence[int]) -> list[int]:
    return [max(columns(row[i]) for row in cells) for i in kept]


def _total(room: Sequence[int]) -> int:
    return sum(room) + len(_GAP) * (len(room) - 1)


def columns(text: str) -> int:
    """How many columns ``text`` takes on a terminal: none for a combining mark, two for CJK."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def wrapped(line: str, width: int, *, indent: str = "    ") -> list[str]:
    """``line`` in lines of ``width``: paths, digests, and numbers with their units stay whole.

    All but the first begin with ``indent``.
    """
    rows = textwrap.wrap(
        _BEFORE_UNIT.sub(_NO_BREAK, line),
        max(width, _LEAST_WRAPPED),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [row.replace(_NO_BREAK, " ") for row in rows]


def printable(text: str) -> str:
    """``text`` without what could move the cursor: names and marks come from elsewhere."""
    return "".join(char if char.isprintable() else "�" for char in text)


def cut_middle(text: str, room: int) -> str:
    """``text`` in at most ``room`` columns: both ends of a voice's id tell more than its middle."""
    if columns(text) <= room:
        return text
    head, tail = text[: len(text) // 2], text[len(text) // 2 :]
    while columns(head) + columns(tail) > room - 1:
        if columns(head) > columns(tail):
            head = head[:-1]
        else:
            tail = tail[1:]
    return head + _ELLIPSIS + tail


def _cut(text: str, room: int) -> str:
    if columns(text) <= room:
        return text
    while text and columns(text) > room - 1:
        text = text[:-1]
    return text.rstrip() + _ELLIPSIS
