"""Voices in this process, for benchmarks that measure without a server."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import torch

from voxswap_families.arithmetic import Dtype
from voxswap_families.contract import Engine, LoadedVoice
from voxswap_families.layers.native.library import fault
from voxswap_families.layers.native.processor import EMULATED, runnable
from voxswap_families.vits.engine import VitsEngine
from voxswap_registry.graphs import GraphTrust
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_server.residency.loader import VoiceLoader
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.frontends import make_front_end


def load_voice(registry: Registry, name: str, engine: Engine) -> LoadedVoice:
    """The newest version of the voice called ``name``, as a server loads it. Blocks."""
    trusted = GraphTrust(registry.objects)
    loader = VoiceLoader(
        registry.components, {engine.name: engine}, graphs=trusted, allow_fabricated=True
    )
    plan = loader.plan(registry.resolve(VoiceRef(name)))
    parts = {part.role: loader.load(plan, part, lambda: False) for part in plan.parts}
    return loader.assemble(plan, parts)


def load_vits(
    registry: Registry,
    name: str,
    dtype: Dtype | None,
    *,
    kernels: str = "torch",
    device: str = "cpu",
) -> LoadedVoice:
    """The same of a VITS voice that is computed by ``kernels``: torch, or an instruction set."""
    front_ends = functools.partial(make_front_end, espeak=Espeak())
    engine = VitsEngine(device, dtype, kernels=kernels, front_ends=front_ends)
    return load_voice(registry, name, engine)


def instruction_sets(asked: str | None) -> list[str]:
    """The names in ``asked``, or all that this machine has. Exits if one cannot be loaded."""
    if asked is None:
        return [name for name in runnable() if name not in EMULATED and not fault(name)]
    names = asked.split(",")
    if faults := [reason for name in names if (reason := fault(name))]:
        raise SystemExit(f"--isa: {'; '.join(faults)}")
    return names


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """torch's, as a step has in the server."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
