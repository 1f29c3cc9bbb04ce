"""In which order lines are rendered: those of one voice together, so that it is loaded once."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from voxswap_client.render.script import Line


def in_order(lines: Iterable[Line], resident: Collection[str] = ()) -> list[Line]:
    """``lines`` by voice: those in memory first, others as the script first names them.

    ``resident`` are ``id@version``. Versions and labels of one voice stand together, since they may
    mean the same; within one of them the script's order holds.
    """
    found = list(lines)
    here = {name for ref in resident for name in (ref, ref.partition("@")[0])}
    seen: dict[str, int] = {}
    for line in found:
        for name in (line.voice.partition("@")[0], line.voice):
            seen.setdefault(name, len(seen))

    def place(line: Line) -> tuple[bool, int, int]:
        voice = line.voice.partition("@")[0]
        return voice not in here, seen[voice], seen[line.voice]

    return sorted(found, key=place)
