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
from voxswap_families.symbols import SymbolTable
from voxswap_families.text import FrontEnd, NormalizedText, SymbolSequence
from voxswap_families.vits.engine import VitsEngine
from voxswap_registry.graphs import GraphTrust
from voxswap_registry.manifest import FrontEndSpec, Manifest
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


class _Silent:
    """A front-end that nobody asks."""

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        raise NotImplementedError(text)


def silent_front_ends(spec: FrontEndSpec, table: SymbolTable, language: str) -> FrontEnd:
    """Of voices whose lines are symbols already."""
    del spec, table, language
    return _Silent()


def windows(frames: int, manifest: Manifest) -> Iterator[tuple[int, int]]:
    """As the pipeline asks for them: the first for 80 ms, each twice as long as the one before."""
    frame_ms = 1e3 * manifest.audio.hop_length_samples / manifest.audio.sample_rate_hertz
    first, wanted_ms = 0, 80.0
    while first < frames:
        last = min(frames, first + max(1, round(wanted_ms / frame_ms)))
        yield first, last
        first, wanted_ms = last, min(2 * wanted_ms, 1_500.0)
