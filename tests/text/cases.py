"""Reads the lines that say how what is written is spoken: the cases, and the corpus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxswap_server.text.normalization import normalize
from voxswap_server.text.segmentation.segments import segment

CASES = Path(__file__).with_name("cases.md")
CORPUS = Path(__file__).with_name("corpus")


def rows(path: Path) -> Iterator[list[str]]:
    """The fields of each line; "#" begins a comment, and ⏎ is a line break."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("# "):
            yield line.replace("⏎", "\n").split(" | ")


def read(tag: str, text: str) -> str:
    """``text`` as it is spoken; for the tag "cut", as it is parted."""
    if tag != "cut":
        return normalize(text, tag).text
    pieces = segment(text)
    return " ".join(f"{part.text} {part.pause_ms or ''}".strip() for part in pieces)


def misread(path: Path, tag: str = "") -> tuple[list[str], int]:
    """What a file has that is misread, and its lines' number. Without ``tag`` lines have theirs."""
    found, count = [], 0
    for row in rows(path):
        count += 1
        own, written, spoken = [tag, *row] if tag else row
        if (heard := read(own, written)) != spoken:
            found.append(f"{own}: {written!r} is {spoken!r}, read as {heard!r}")
    return found, count
