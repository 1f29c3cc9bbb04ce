"""What computes: native kernels beside torch and onnxruntime, and the rows of the table by which
torch convolves, with each of them and without it; in turns, on one thread.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch

from bench import kokoro_profile
from bench.kernels_engine import measure_engine, measure_int8, measure_memory
from bench.kernels_products import measure_products
from bench.report import Report
from bench.voices import instruction_sets, one_thread
from voxswap_families.embedded import import_embedded
from voxswap_families.layers import kernels
from voxswap_families.layers.kernels import KERNELS, Filter, convolved
from voxswap_families.vits.embedded import JOE
from voxswap_registry.store import Registry

# Of a medium Piper voice: in, out, kernel, dilation, groups, samples, type, and whether another
# signal is added.
_CASES = {
    "fused": (64, 64, 7, 3, 1, 2048, torch.float32, True),
    "channels": (192, 192, 1, 1, 1, 64, torch.float32, False),
    "taps": (192, 192, 3, 3, 192, 64, torch.float32, False),
    "onednn": (128, 128, 3, 5, 1, 512, torch.float32, False),
}


FIGURES = ("rows", "engine", "memory", "int8", "products", "kokoro")


def run(
    report: Report,
    *,
    device: str,
    quick: bool = False,
    only: str | None = None,
    isa: str | None = None,
) -> None:
    """What ``only`` names, or all of `FIGURES`; ``isa``: these instruction sets, by commas."""
    chosen = FIGURES if only is None else (only,)
    names = instruction_sets(isa)
    if "rows" in chosen:
        _rows(report, device, 5 if quick else 40)
    if not {"engine", "memory", "int8"}.isdisjoint(chosen):
        with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as folder:
            registry = Registry(Path(folder))
            import_embedded(registry, voices=[JOE])
            if "engine" in chosen:
                measure_engine(report, registry, names, 3 if quick else 15)
            if "memory" in chosen and names:
                measure_memory(report, registry, Path(folder), names[0])
            if "int8" in chosen:
                measure_int8(report, registry, names, 3 if quick else 15)
    if "products" in chosen:
        measure_products(report, names, 3 if quick else 9)
    if "kokoro" in chosen:
        kokoro_profile.run(report, quick=quick)


def _rows(report: Report, device: str, turns: int) -> None:
    """Each row's time beside the same convolution without it: the best of all turns."""
    with one_thread(), torch.inference_mode():
        for row in KERNELS[:-1]:
            _measure(report, row.name, device, turns)


def _measure(report: Report, name: str, device: str, turns: int) -> None:
    channels_in, channels_out, size, dilation, groups, samples, dtype, adds = _CASES[name]
    x = torch.randn(1, 1, samples, channels_in, device=device, dtype=dtype).permute(0, 3, 1, 2)
    weight = torch.randn(channels_out, size, channels_in // groups, device=device, dtype=dtype)
    filter_ = Filter(weight.permute(0, 2, 1), weight.new_zeros(channels_out), dilation, groups)
    left = samples - dilation * (size - 1)
    addend = x.new_zeros(1, 1, left, channels_out).permute(0, 3, 1, 2) if adds else None
    others = tuple(row for row in KERNELS if row.name != name)
    suiting = next(row for row in KERNELS if row.suits(x, filter_, adds))
    if suiting.name != name:
        print(f"  {name}: not used on this machine")
        return
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(turns):
        for has_row in (True, False):
            with mock.patch.object(kernels, "KERNELS", KERNELS if has_row else others):
                times[has_row].append(_seconds(lambda: convolved(x, filter_, addend)))
    us = {has_row: 1e6 * min(found) for has_row, found in times.items()}
    report.add(f"{name}, beside the table without it", us[True], "us", peer=us[False])


def _seconds(work: Callable[[], object], calls: int = 20) -> float:
    work()
    began = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - began) / calls
