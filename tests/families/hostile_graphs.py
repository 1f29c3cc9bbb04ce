"""Runs hostile graphs as a server would, in a process of its own; prints what became of them.

``python -m tests.families.hostile_graphs SEED COUNT`` checks ``COUNT`` graphs, loads and runs those
that the check takes, and ends each after four seconds. If the process dies, the last line that it
has printed names the graph.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.hostile.graphs import hostile_graphs
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.engine import _ARENA_BYTES, _WORKSPACE_BYTES
from voxswap_families.kokoro.session import Run, Session
from voxswap_families.onnx_graphs.check import parse_graph
from voxswap_registry.errors import EngineError
from voxswap_registry.families import GraphError

_ENDED_AFTER_S = 4.0
FEEDS: dict[str, npt.NDArray[Any]] = {
    "tokens": np.array([[0, 50, 60, 0]], np.int64),
    "style": np.zeros((1, 256), np.float32),
    "speed": np.ones(1, np.float32),
    "most_frames": np.array(800, np.float32),
}


def outcome(graph: bytes) -> str:
    """What the check, onnxruntime or the watchdog made of ``graph``."""
    try:
        kokoro.check_base(parse_graph(graph))
    except GraphError:
        return "refused"
    run = Run()
    timer = threading.Timer(_ENDED_AFTER_S, run.end)
    timer.start()
    try:
        Session(graph, threads=1, arena_bytes=_ARENA_BYTES).run(
            FEEDS, run, workspace_bytes=_WORKSPACE_BYTES
        )
    except EngineError:
        return "ended" if run.is_ended else "failed"
    finally:
        timer.cancel()
    return "spoke"


def main(seed: int, count: int) -> None:
    """Count outcomes."""
    found: Counter[str] = Counter()
    for graph in hostile_graphs(seed, count):
        print(graph.name, flush=True)  # noqa: T201
        found[outcome(graph.data)] += 1
    print(json.dumps({**found, "peak_bytes": peak_bytes()}))  # noqa: T201


def peak_bytes() -> int:
    """The most memory that this process had. Not getrusage's: that begins with its parent's."""
    (line,) = re.findall(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(line) << 10


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
