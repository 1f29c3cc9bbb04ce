"""Measures, in a process of its own, what a Kokoro base takes; prints it as JSON.

``python -m tests.families.kokoro_memory BASE STYLE SYMBOLS RATE``, of which 160 and 0.1 make the
longest segment that there can be. Linux alone: its kernel keeps the peak of a process's memory, and
lets it be reset.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.families.files import assembled, read
from tests.families.kokoro_voices import manifest_of
from voxswap_families.contract import Delivery, Voice
from voxswap_families.errors import DeviceMemoryError
from voxswap_families.kokoro.engine import KokoroEngine, frames_bytes
from voxswap_families.work import finished
from voxswap_server.residency.device import HostDevice


def memory(name: str) -> int:
    """``VmRSS``, ``VmHWM`` or ``VmSize`` of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) << 10
    raise LookupError(name)


def measured(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What ``work`` gives, and what it took: at its peak, and after it."""
    Path("/proc/self/clear_refs").write_text("5")
    before, began = memory("VmRSS"), time.perf_counter()
    result = work()
    took = {
        "peak_bytes": memory("VmHWM") - before,
        "kept_bytes": memory("VmRSS") - before,
        "seconds": time.perf_counter() - began,
    }
    return result, took


def refused(work: Callable[[], Any]) -> str:
    """The name of the error when ``work`` has 16 MiB of address space left."""
    HostDevice().give_back(1 << 30)  # what the heap keeps would be more
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize") + (16 << 20), hard))
    try:
        work()
    except DeviceMemoryError as error:
        return type(error).__name__
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return "nothing"


def heard(voice: Voice, ids: list[int], delivery: Delivery) -> np.ndarray[Any, Any]:
    """The first ten frames."""
    return finished(finished(voice.prepare(ids, delivery)).decode(0, 10))


def main(base: Path, style: Path, n_symbols: int, rate: float) -> dict[str, Any]:
    """Load, speak one segment, then both with too little memory."""
    engine = KokoroEngine(threads=2)
    manifest = manifest_of({"base": base, "style": style})
    found: dict[str, Any] = {}
    parts = {}
    for spec, path in zip(engine.parts(manifest), (base, style), strict=False):
        part, took = measured(lambda: read(engine, manifest, spec.role, path).place())  # noqa: B023
        parts[spec.role] = part
        found[spec.role] = {
            **took,
            "footprint_bytes": spec.footprint_bytes,
            "resident_bytes": part.resident_bytes,
        }
    voice: Voice = assembled(engine, manifest, **parts)
    ids = [0, *map(int, np.random.default_rng(0).integers(43, 150, n_symbols - 2)), 0]
    usual = Delivery(rate=1.0, seed=0)
    slow = dataclasses.replace(usual, rate=rate)
    utterance, found["slow"] = measured(lambda: finished(voice.prepare(ids, slow)))
    found["slow"]["frames"] = utterance.frames
    found["slow"]["bound_bytes"] = frames_bytes(utterance.frames)
    del utterance
    found["speaking"] = refused(lambda: finished(voice.prepare(ids, usual)))
    found["loading"] = refused(lambda: read(engine, manifest, "base", base))
    found["audible"] = float(np.abs(heard(voice, ids[:20], usual)).max())
    return found


if __name__ == "__main__":
    _, BASE, STYLE, SYMBOLS, RATE = sys.argv
    print(json.dumps(main(Path(BASE), Path(STYLE), int(SYMBOLS), float(RATE))))  # noqa: T201
