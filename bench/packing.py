"""What the packed form of a VITS voice costs where it is not used in place: packing, and unpacking.

Times are those of one thread's own processor, so that neighbours do not count; peers copy as many
bytes into a fresh map, which is what taking up anything but a mapped file costs at the least.
"""

from __future__ import annotations

import mmap
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from bench.report import Report
from bench.turns import in_turns
from voxswap_families.arithmetic import Dtype
from voxswap_families.embedded import import_embedded
from voxswap_families.layers.mapping import map_tensors
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.embedded import JOE
from voxswap_families.vits.forms import as_plain
from voxswap_families.vits.model import in_canonical_shape
from voxswap_families.vits.packed import check_packed, pack
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

_DTYPES: tuple[Dtype, ...] = ("bfloat16", "float32")


def run(report: Report, *, device: str, quick: bool = False) -> None:
    """joe, a voice of Piper's medium; ten seconds."""
    del device
    torch.set_num_threads(1)
    rounds = 3 if quick else 15
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as folder:
        registry = Registry(Path(folder))
        import_embedded(registry, voices=(JOE,))
        manifest = registry.resolve(VoiceRef("joe"))
        architecture = VitsArchitecture.from_config(manifest.engine_config, where=manifest.ref)
        with registry.components.hold(manifest.component("model")) as file:
            tensors = in_canonical_shape(map_tensors(file))
        packed = pack(architecture, tensors)
        _beside_a_copy(
            report,
            "packing from float32",
            rounds,
            partial(pack, architecture, tensors),
            _bytes(packed),
        )
        for dtype in _DTYPES:
            plain, size_bytes = as_plain(architecture, packed, dtype)
            del plain
            unpack = partial(as_plain, architecture, packed, dtype)
            _beside_a_copy(report, f"unpacking to {dtype}", rounds, unpack, size_bytes)
        check = partial(_took_ms, partial(check_packed, architecture, packed))
        checks_ms = statistics.median(check() for _ in range(rounds))
        report.add("checking names, types, shapes and strides", checks_ms, "ms")


def _beside_a_copy(
    report: Report, what: str, rounds: int, work: Callable[[], object], size_bytes: int
) -> None:
    source = torch.ones(size_bytes, dtype=torch.uint8)
    found = in_turns(rounds, partial(_took_ms, work), partial(_took_ms, partial(_copied, source)))
    ours_ms, copy_ms = map(statistics.median, found)
    report.add(
        f"{what}, median; peer: a copy of {size_bytes / 1e6:.0f} MB", ours_ms, "ms", peer=copy_ms
    )
    report.add(f"{what} / copying", ours_ms / copy_ms, "times", 5)


def _copied(source: Tensor) -> Tensor:
    block = torch.frombuffer(mmap.mmap(-1, source.numel()), dtype=torch.uint8)
    return block.copy_(source)


def _took_ms(work: Callable[[], object]) -> float:
    began = time.thread_time()
    made = work()
    took_s = time.thread_time() - began
    del made  # giving memory back is no part of it
    return took_s * 1e3


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())
