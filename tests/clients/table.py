"""The table of docs/clients.md: what the tours found, row by row."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "clients.md"
BEGIN = "<!-- made by scripts/tour-clients -->"
END = "<!-- end of what scripts/tour-clients made -->"

#: Columns, each with the check of a tour that answers it.
COLUMNS = {
    "whole line": "speaks",
    "audio as it is made": "streams",
    "text as it is written": "takes text as it comes",
    "word times": "times words",
    "stops": "cancels",
    "changes voice": "changes voice",
    "lists voices": "lists voices",
}
_UNKNOWN = "refuses an unknown voice"
_HEAD = ["client", *COLUMNS, "an unknown voice is"]


def row(name: str, version: str, tried: Mapping[str, str]) -> str:
    """A row. ``tried`` has what was found for each check that went well."""
    cells = ["yes" if check in tried else "—" for check in COLUMNS.values()]
    return _line([f"{name} {version}".strip(), *cells, f"`{tried[_UNKNOWN]}`"])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def rows() -> list[str]:
    """Those that stand in the document, without the head."""
    _, _, rest = DOCUMENT.read_text().partition(f"{BEGIN}\n")
    table, found, _ = rest.partition(END)
    assert found, f"{DOCUMENT} lacks the marks of its table"
    return table.split("\n")[2:-1]


def write(names: list[str], found: str) -> None:
    """Put ``found`` in its place among rows in the order of ``names``; others are dropped."""
    with DOCUMENT.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another process of the tests may be writing
        text = file.read()
        before, _, rest = text.partition(f"{BEGIN}\n")
        table, _, after = rest.partition(END)
        kept = {name_of(line): line for line in [*table.split("\n")[2:-1], found]}
        ordered = [kept[name] for name in names if name in kept]
        lines = [_line(_HEAD), _line(["---"] * len(_HEAD)), *ordered, ""]
        file.seek(0)
        file.truncate()
        file.write(f"{before}{BEGIN}\n" + "\n".join(lines) + END + after)


def name_of(line: str) -> str:
    """Whose row it is: what stands before the version."""
    return line.removeprefix("| ").partition(" | ")[0].rpartition(" ")[0]
