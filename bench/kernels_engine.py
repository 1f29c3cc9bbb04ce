"""The VITS engine on native kernels beside torch and onnxruntime, on one thread each, in turns.

joe says the line of 203 symbols. onnxruntime computes Piper's own file for the same symbols. Noise
of durations is off, so that all of them have as many frames; the other noise is on.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import math
import os
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from bench.lines import LINE
from bench.report import Report
from bench.residency_stage import add_twins
from bench.servers import BenchServer
from bench.turns import in_turns
from bench.voices import load_vits, one_thread
from voxswap_families.arithmetic import fastest_dtype
from voxswap_families.contract import Delivery, LoadedVoice
from voxswap_families.embedded import installed_weights
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.duration import StochasticDurationPredictor
from voxswap_families.vits.embedded import JOE
from voxswap_families.vits.encoder import TextEncoder
from voxswap_families.vits.native_voice import NativeVitsUtterance, NativeVitsVoice
from voxswap_families.vits.packed import packed_shapes
from voxswap_families.vits.voice import VitsUtterance
from voxswap_families.work import finished
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_server.speech.chunking import Chunking
from voxswap_server.text.normalization import normalize

# A first chunk beside torch's and a line beside onnxruntime's, at most: of a processor that has
# the set, and none that is better.
_BOUNDS = {"amx": (0.40, 0.30), "avx512_bf16": (0.45, 0.40), "avx2": (1.0, 0.80)}
# What computes each part, with torch and with native kernels.
_PARTS: dict[str, tuple[tuple[type, str], ...]] = {
    "encoder": ((TextEncoder, "steps"), (NativeVitsVoice, "_encoded")),
    "durations": ((StochasticDurationPredictor, "steps"), (NativeVitsVoice, "_durations")),
    "flow": ((VitsUtterance, "_run_flow"), (NativeVitsUtterance, "_run_flow")),
    "generator": ((VitsUtterance, "_generated"), (NativeVitsUtterance, "_generated")),
}
_FRAME_MS = 256 / 22.05
_TWINS = 4


def measure_engine(report: Report, registry: Registry, names: Sequence[str], turns: int) -> None:
    """First chunks, lines and their parts, of torch and of ``names``."""
    torch_dtype = fastest_dtype()
    voices = {name: load_vits(registry, "joe", "bfloat16", kernels=name) for name in names}
    voices = {"torch": load_vits(registry, "joe", torch_dtype), **voices}
    ids = voices["torch"].front_end.symbols(normalize(LINE, "en-US")).ids
    told: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in voices}
    with one_thread(), _clocked() as clock:
        measures = [_line(voice, ids, clock, told[name]) for name, voice in voices.items()]
        measures.append(_onnxruntime_line(ids))
        in_turns(2, *measures)
        for found in told.values():
            found.clear()
        *_, peer = in_turns(turns, *measures)
    peer_ms = statistics.median(peer)
    ms = {n: {k: statistics.median(v) for k, v in found.items()} for n, found in told.items()}
    plain = ms.pop("torch")
    report.add(f"symbols of the line; torch's arithmetic: {torch_dtype}", len(ids), "")
    report.add("torch: line; peer: onnxruntime", plain["line"], "ms", peer=peer_ms)
    for name, ours in ms.items():
        first, line = _BOUNDS.get(name, (None, None))
        ratio = ours["first chunk"] / plain["first chunk"]
        report.add(f"{name}: first chunk / torch's", ratio, "times", first)
        report.add(f"{name}: line / onnxruntime's", ours["line"] / peer_ms, "times", line)
        report.add("  line; peer: onnxruntime", ours.pop("line"), "ms", peer=peer_ms)
        for what, taken in ours.items():
            report.add(f"  {what}; peer: torch", taken, "ms", peer=plain[what])


def _line(
    loaded: LoadedVoice, ids: Sequence[int], clock: Counter[str], told: dict[str, list[float]]
) -> Callable[[], float]:
    delivery = Delivery(
        rate=1.0, seed=1, controls={"noise_scale": 0.667, "duration_noise_scale": 0.0}
    )

    def say() -> float:
        clock.clear()
        began = time.thread_time()
        utterance = finished(loaded.voice.prepare(ids, delivery))
        first, *others = Chunking().windows(utterance.frames, _FRAME_MS, 0)
        finished(utterance.decode(*first))
        first_ms = (time.thread_time() - began) * 1e3
        for window in others:
            finished(utterance.decode(*window))
        line_ms = (time.thread_time() - began) * 1e3
        for what, taken in {"line": line_ms, "first chunk": first_ms, **clock}.items():
            told[what].append(taken)
        return line_ms

    return say


def _onnxruntime_line(ids: Sequence[int]) -> Callable[[], float]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(installed_weights(JOE)), options, providers=["CPUExecutionProvider"]
    )
    inputs = {
        "input": np.array([ids]),
        "input_lengths": np.array([len(ids)]),
        "scales": np.array([0.667, 1.0, 0.0], np.float32),  # noise, length, noise of durations
    }

    def say() -> float:
        began = time.thread_time()
        session.run(None, inputs)
        return (time.thread_time() - began) * 1e3

    return say


@contextlib.contextmanager
def _clocked() -> Iterator[Counter[str]]:
    """Milliseconds of each part, whichever way it is computed, for as long as the block lasts."""
    clock: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        for part, places in _PARTS.items():
            for owner, name in places:
                timed = _timed(getattr(owner, name), part, clock)
                stack.enter_context(mock.patch.object(owner, name, timed))
        yield clock


def _timed(function: Callable[..., Any], part: str, clock: Any) -> Callable[..., Any]:
    if inspect.isgeneratorfunction(function):

        def steps(*arguments: Any) -> Any:
            began = time.thread_time()
            made = yield from function(*arguments)
            clock[part] += (time.thread_time() - began) * 1e3
            return made

        return steps

    def call(*arguments: Any) -> Any:
        began = time.thread_time()
        made = function(*arguments)
        clock[part] += (time.thread_time() - began) * 1e3
        return made

    return call


def measure_memory(report: Report, registry: Registry, folder: Path, name: str) -> None:
    """What a further voice takes that has spoken: anonymous, and pages of the registry's files.

    By one instruction set, since it is the same for all, and what others leave would be counted.
    """
    joe = registry.resolve(VoiceRef("joe"))
    architecture = VitsArchitecture.from_config(joe.engine_config, where=joe.ref)
    packed = sum(
        math.prod(shape) * kind.itemsize for kind, shape in packed_shapes(architecture).values()
    )
    add_twins(registry, joe, 1 + _TWINS)
    ours, kept, before = BenchServer("", os.getpid()), list[LoadedVoice](), 0
    with one_thread():
        for i in range(1 + _TWINS):
            loaded = load_vits(registry, f"twin-{i}", "bfloat16", kernels=name)
            ids = loaded.front_end.symbols(normalize(LINE, "en-US")).ids
            utterance = finished(loaded.voice.prepare(ids, Delivery(rate=1.0, seed=1)))
            finished(utterance.decode(0, utterance.frames))
            del utterance
            kept.append(loaded)
            gc.collect()
            # The first one's heap is everybody's.
            before = before or ours.own_bytes(folder)
    each = (ours.own_bytes(folder) - before) / _TWINS
    report.add(f"{name}: memory of a further voice / packed", each / packed, "times", 1.01)
