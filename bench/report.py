"""Figures with their bounds and peers: a table for people, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import textwrap
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

_COLUMNS = 100
# Units of times and rates: as many as the machine makes them.
MACHINES = frozenset({"s", "ms", "us", "per s", "MB/s", "audio s/s", "cores", "GFLOPS", "GOPS"})


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. ``bound`` is what it must be ``at_most`` or ``at_least``, if anything."""

    figure: str
    value: float
    unit: str
    bound: float | None
    sense: Literal["at_most", "at_least"]
    peer: float | None

    @property
    def ok(self) -> bool:
        """Whether the bound is kept."""
        if self.bound is None:
            return True
        return self.value <= self.bound if self.sense == "at_most" else self.value >= self.bound

    @property
    def ratio(self) -> float | None:
        """This value as a share of the peer's."""
        return self.value / self.peer if self.peer else None


class Report:
    """Collects the figures of one benchmark."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.figures: list[Figure] = []

    def add(
        self,
        figure: str,
        value: float,
        unit: str,
        bound: float | None = None,
        *,
        sense: Literal["at_most", "at_least"] = "at_most",
        peer: float | None = None,
    ) -> None:
        """Add one figure and say so: benchmarks take minutes.

        A bound on what depends on the machine is a ValueError: bound its ratio to something that
        was measured in the same run.
        """
        if bound is not None and unit in MACHINES:
            raise ValueError(f"{figure}: a bound in {unit!r} would be one for a machine")
        self.figures.append(Figure(figure, value, unit, bound, sense, peer))
        print(f"  {figure}: {_number(value)} {unit}", flush=True)

    @property
    def ok(self) -> bool:
        """Whether every bound is kept."""
        return all(figure.ok for figure in self.figures)

    def table(self) -> str:
        """The figures in columns, below what describes the machine."""
        rows = [("figure", "value", "unit", "bound", "peer", "ratio", "")]
        for f in self.figures:
            sign = "<=" if f.sense == "at_most" else ">="
            rows.append(
                (
                    f.figure,
                    _number(f.value),
                    f.unit,
                    "" if f.bound is None else f"{sign} {_number(f.bound)}",
                    "" if f.peer is None else _number(f.peer),
                    "" if f.ratio is None else f"{f.ratio:.2f}",
                    "" if f.bound is None else ("ok" if f.ok else "MISSED"),
                )
            )
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        widths[0] = min(widths[0], _COLUMNS - sum(2 + width for width in widths[1:]))
        lines = []
        for name, *others in rows:
            indent = " " * (len(name) - len(name.lstrip()) + 2)
            *above, last = textwrap.wrap(name, widths[0], subsequent_indent=indent) or [""]
            cells = zip((last, *others), widths, strict=True)
            lines += [*above, "  ".join(cell.ljust(width) for cell, width in cells)]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join(
            ["", f"{self.name} on {machine()},", versions(), "", *map(str.rstrip, lines)]
        )

    def json(self) -> str:
        """A list of ``{"figure", "value", "unit", "bound", "ok", "peer"}``."""
        rows = [
            {
                "figure": f.figure,
                "value": f.value,
                "unit": f.unit,
                "bound": f.bound,
                "ok": f.ok,
                "peer": f.peer,
            }
            for f in self.figures
        ]
        return json.dumps(rows, indent=1) + "\n"


def machine() -> str:
    """Processor, cores and memory."""
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory_gib:.0f} GiB"


def versions() -> str:
    """Python's, and those of the packages that matter."""
    packages = (f"{name} {version(name)}" for name in ("torch", "grpcio", "onnxruntime"))
    return f"Python {platform.python_version()}, {', '.join(packages)}"


def _number(value: float) -> str:
    if value and abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
