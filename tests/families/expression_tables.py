"""The tables of docs/expression.md, made of what the code says: ``python -m`` this writes them."""

from __future__ import annotations

import dataclasses
import importlib
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.fakes.manifests import make_manifest
from voxswap_families.kokoro.embedded import STEERABLE
from voxswap_registry.controls import CONTROLS, ON_AUDIO
from voxswap_registry.emotions import AFFECT, ALIASES, EMOTIONS, NEUTRAL
from voxswap_registry.families import carried_of, style_prompts_of, style_size_of
from voxswap_server.speech.prosody_table import PARTS, PROSODY

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/expression.md"
BEGIN, END = "<!-- made by tests/families/expression_tables.py: {} -->", "<!-- end of it -->"
_PLACE = re.compile(
    r"<!-- made by tests/families/expression_tables\.py: (\w+) -->\n(.*?)" + END, re.S
)


def families() -> Iterator[tuple[str, Any]]:
    """Those that ship, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for name, place in sorted(project["entry-points"]["voxswap.families"].items()):
        module, _, attribute = place.partition(":")
        yield name, getattr(importlib.import_module(module), attribute)


def controls() -> str:
    """Families against controls, emotions and styles."""
    head = ["", *(name for name, _ in families())]
    rows = [[f"`{name}`", *(_carried(n, f, name) for n, f in families())] for name in CONTROLS]
    rows.append(["emotions", *("NATIVE" if f.emotions else "PROSODY" for _, f in families())])
    rows.append(["a style in words", *(_yes(style_prompts_of(f)) for _, f in families())])
    rows.append(["a style off a recording", *(_yes(style_size_of(f) > 0) for _, f in families())])
    return _table(head, rows)


def _carried(engine: str, family: Any, control: str) -> str:
    if control not in ON_AUDIO:
        return "model" if control in family.controls else "—"
    plain = dataclasses.replace(make_manifest("a"), engine=engine)
    (first, *_) = plain.components
    known = dataclasses.replace(first, digest=next(iter(STEERABLE)))
    found = control in carried_of(family, dataclasses.replace(plain, components=(known,)))
    return "model" if found else "audio"


def vocabulary() -> str:
    """Names, other words for them, and where they lie."""
    rows = []
    for name in (NEUTRAL, *EMOTIONS):
        words = ", ".join(alias for alias, meant in ALIASES.items() if meant == name)
        rows.append([f"`{name}`", words or "—", *map(_signed, AFFECT.get(name, (0.0, 0.0)))])
    return _table(["name", "other words", "valence", "arousal"], rows)


def prosody() -> str:
    """What an intensity of 1 makes of a voice."""
    rows = [
        [f"`{name}`", *(_signed(v) if n in _SUMS else f"{v:g}" for n, v in row.items())]
        for name, row in PROSODY.items()
    ]
    return _table(["", *(f"`{part}`" for part in PARTS)], rows)


_SUMS = ("pitch_semitones", "volume_db")
TABLES = {table.__name__: table for table in (controls, vocabulary, prosody)}


def written(document: str) -> str:
    """``document`` with its tables as they are now."""
    return _PLACE.sub(
        lambda place: f"{BEGIN.format(place[1])}\n{TABLES[place[1]]()}{END}", document
    )


def _signed(value: float) -> str:
    return f"{value:+g}" if value else "0"


def _yes(value: object) -> str:
    return "yes" if value else "—"


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text("utf-8")), "utf-8")
