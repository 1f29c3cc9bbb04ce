"""Reads `cases.md`, whose lines say how what was misread once is spoken, and where it is parted."""

from __future__ import annotations

from pathlib import Path

from voxswap_server.text.normalization import normalize
from voxswap_server.text.segmentation.segments import segment

_CASES = Path(__file__).with_name("cases.md")


def cases() -> list[tuple[str, str, str]]:
    """The tag of each case, what is written and what is right; ⏎ is a line break."""
    return [
        (tag, written.replace("⏎", "\n"), right)
        for line in _CASES.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
        for tag, written, right in [line.split(" | ")]
    ]


def read(tag: str, text: str) -> str:
    """``text`` as it is spoken; for the tag "cut", as it is parted, with the pauses in between."""
    if tag != "cut":
        return normalize(text, tag).text
    return " ".join(f"{part.text} {part.pause_ms or ''}".strip() for part in segment(text))


def misread() -> list[str]:
    """The cases that are misread."""
    return [
        f"{tag}: {written!r} is {right!r}, read as {heard!r}"
        for tag, written, right in cases()
        if (heard := read(tag, written)) != right
    ]
