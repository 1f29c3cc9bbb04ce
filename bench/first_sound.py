"""First sound: how soon, how many at once, how quickly stopped; beside peers, in one run.

Everything is measured at a client in another process than the server, on the same cores. The
numbers behind the figures go to ``bench/results/first-sound.json``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from bench import first_sound_load
from bench.compute_watch import busy_threads, share_running, stopped_after_ms, watched
from bench.first_sound_stage import QUICK, USUAL, Sizes, Stage
from bench.lines import LINE, speeches
from bench.overload import overload
from bench.peers import peer_in_turns
from bench.peers.piper_server import piper_serving, post, say
from bench.report import Report
from bench.requests import CHANNEL_OPTIONS, refused_fields, speech_request
from bench.schedule import quantile
from bench.servers import serving
from voxswap.v1 import speech_pb2_grpc
from voxswap_families.embedded import import_embedded, installed_weights
from voxswap_families.vits.embedded import JOE
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

RESULTS = Path(__file__).parent / "results"
# onnxruntime's threads spin for a while after a run: whose turn is next shall not meet them.
_BREATH_S = 0.1
_WARM_UP = 5
_LONG_SENTENCES = 25
FIGURES = ("first-sound", "whole-line", "throughput", "cancel", "paced", "open-loop", "overload")


def run(
    report: Report,
    *,
    device: str,
    quick: bool = False,
    only: str | None = None,
    pictures: Path | None = None,
) -> None:
    """Measure everything, or one of `FIGURES`; about twelve minutes."""
    chosen = FIGURES if only is None else (only,)
    measures = {
        "first-sound": _first_sound,
        "whole-line": _whole_line,
        "throughput": first_sound_load.throughput,
        "cancel": _cancel,
        "paced": first_sound_load.paced,
        "open-loop": first_sound_load.open_loop,
        "overload": overload,
    }
    RESULTS.mkdir(exist_ok=True)
    sizes = QUICK if quick else USUAL
    with _stage(report, sizes, device, pictures or RESULTS) as stage:
        for name in chosen:
            measures[name](stage)
        (RESULTS / "first-sound.json").write_text(json.dumps(stage.raw, indent=1) + "\n")


@contextlib.contextmanager
def _stage(report: Report, sizes: Sizes, device: str, pictures: Path) -> Iterator[Stage]:
    weights = installed_weights(JOE)
    assert weights is not None
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as folder:
        registry = Registry(Path(folder) / "registry")
        import_embedded(registry, voices=(JOE,), dtype="auto")
        voices = _add_names(registry, sizes.voices)
        with (
            serving(
                registry.objects.name, cache_dir=Path(folder) / "cache", device=device
            ) as server,
            piper_serving(weights) as piper,
            grpc.insecure_channel(server.address, options=CHANNEL_OPTIONS) as channel,
        ):
            stub = speech_pb2_grpc.SpeechServiceStub(channel)
            leave_out = refused_fields(stub, "joe")
            if leave_out:
                print(f"  the server refuses {', '.join(leave_out)}: left out")
            stage = Stage(report, sizes, server, stub, piper, leave_out, voices, pictures, 0.0)
            for seed, text in enumerate([LINE] * _WARM_UP + speeches(0)[: sizes.warm_lines]):
                _unpaced(stage, text, seed)
                say(piper.address, text)
            alone_ms = _alone_ms(stage)
            report.add("idle server's TTFA, which others are measured by", alone_ms, "ms")
            yield dataclasses.replace(stage, alone_ms=alone_ms)


def _add_names(registry: Registry, n: int) -> list[str]:
    """``actor-0`` to ``actor-<n-1>``: voices of their own that share joe's components."""
    joe = registry.resolve(VoiceRef("joe"))
    shared = tuple(map(DraftComponent.stored, joe.components))
    names = [f"actor-{i}" for i in range(n)]
    for name in names:
        registry.publish(dataclasses.replace(VoiceDraft.of(joe, shared), voice_id=name))
    return names


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A whole line at the client, and what the server says of it."""

    wall_ms: float
    first_ms: float
    compute_ms: float
    audio_s: float


def _unpaced(stage: Stage, text: str, seed: int) -> _Spoken:
    request = speech_request("joe", text, seed=seed, paced=False, leave_out=stage.leave_out)
    first_ms, trailer, rate = 0.0, None, 0
    began = time.perf_counter()
    for message in stage.stub.Synthesize(request, timeout=120):
        match message.WhichOneof("part"):
            case "chunk":
                first_ms = first_ms or (time.perf_counter() - began) * 1e3
            case "header":
                rate = message.header.sample_rate_hertz
            case "trailer":
                trailer = message.trailer
    wall_ms = (time.perf_counter() - began) * 1e3
    assert trailer is not None
    return _Spoken(wall_ms, first_ms, trailer.compute_ms, trailer.total_samples / rate)


def _first_chunk_ms(stage: Stage, seed: int) -> float:
    """Ask as a game does for dialogue, hear the first chunk, hang up."""
    request = speech_request(
        *("joe", LINE),
        seed=seed,
        paced=True,
        line_class="dialogue",
        leave_out=stage.leave_out,
    )
    began = time.perf_counter()
    call = stage.stub.Synthesize(request, timeout=60)
    try:
        for message in call:
            if message.WhichOneof("part") == "chunk":
                return (time.perf_counter() - began) * 1e3
    finally:
        call.cancel()
    raise AssertionError("a line without audio")


def _alone_ms(stage: Stage) -> float:
    """Time to first audio of an idle server, median."""
    found = []
    for turn in range(stage.sizes.rounds):
        time.sleep(_BREATH_S)  # what was hung up on has ended
        found.append(_first_chunk_ms(stage, turn))
    return statistics.median(found)


def _piper_ms(stage: Stage, text: str) -> tuple[float, float]:
    """Time of the whole reply, and its audio in seconds."""
    began = time.perf_counter()
    audio_s = say(stage.piper.address, text)
    return (time.perf_counter() - began) * 1e3, audio_s


def _first_sound(stage: Stage) -> None:
    """In turns: ours, streaming-vits in process, Piper's whole reply (it does not stream)."""
    weights, threads = str(installed_weights(JOE)), os.cpu_count() or 1
    setup = {"weights": weights, "threads": threads, "calibrate": stage.sizes.calibrate}
    ours, piper = [], []
    with peer_in_turns("streaming-vits", "streaming_vits_times.py") as ask:
        profiles = ask(setup)["profiles"]
        vits: dict[str, list[dict[str, float]]] = {profile: [] for profile in profiles}
        for turn in range(stage.sizes.rounds + _WARM_UP):
            ours.append(_first_chunk_ms(stage, turn))
            time.sleep(_BREATH_S)
            for profile in profiles:
                vits[profile].append(ask({"line": LINE, "profile": profile}))
                time.sleep(_BREATH_S)
            piper.append(_piper_ms(stage, LINE)[0])
            time.sleep(_BREATH_S)
    ours_ms, piper_ms = ours[_WARM_UP:], statistics.median(piper[_WARM_UP:])
    first_ms = {
        profile: statistics.median(answer["first_ms"] for answer in answers[_WARM_UP:])
        for profile, answers in vits.items()
    }
    best = min(profiles, key=first_ms.__getitem__)
    stage.raw["first-sound"] = {"ours_ms": ours_ms, "streaming-vits": vits, "piper_ms": piper}
    add, median_ms = stage.report.add, statistics.median(ours_ms)
    add("length of the line", len(LINE), "characters")
    add("warm TTFA, median; peer: streaming-vits", median_ms, "ms", peer=first_ms[best])
    # That one runs in the process that asks: no server may come later for being one.
    add("warm TTFA / streaming-vits's", median_ms / first_ms[best], "times", 1)
    add("the same; peer: piper HTTP, which does not stream", median_ms, "ms", peer=piper_ms)
    add("warm TTFA, p95", quantile(ours_ms, 0.95), "ms")


def _whole_line(stage: Stage) -> None:
    """In turns with Piper's server.

    Framing is what the client waits beyond ``Trailer.compute_ms``, the time in the engine's steps,
    reading the text among them: handing steps to their thread and results back, encoding audio,
    protobuf, HTTP/2 and the client. What these take from a step that runs beside them lengthens it,
    and is not seen here.
    """
    ours, piper = [], []
    for turn in range(stage.sizes.rounds + _WARM_UP):
        ours.append(_unpaced(stage, LINE, turn))
        time.sleep(_BREATH_S)
        piper.append(_piper_ms(stage, LINE))
        time.sleep(_BREATH_S)
    ours, piper = ours[_WARM_UP:], piper[_WARM_UP:]
    stage.raw["whole-line"] = {
        "ours": [[s.wall_ms, s.first_ms, s.compute_ms, s.audio_s] for s in ours],
        "piper": piper,
    }
    wall_ms = statistics.median(spoken.wall_ms for spoken in ours)
    piper_ms = statistics.median(ms for ms, _ in piper)
    beyond = statistics.median((s.wall_ms - s.compute_ms) / s.compute_ms for s in ours)
    add = stage.report.add
    add("whole line, unpaced, median", wall_ms, "ms", peer=piper_ms)
    add("whole line / piper HTTP's", wall_ms / piper_ms, "times", 0.8)
    per_s = statistics.median(s.wall_ms / s.audio_s for s in ours)
    piper_per_s = statistics.median(ms / audio_s for ms, audio_s in piper)
    add("  for each second of audio", per_s, "ms", peer=piper_per_s)
    add("  of it the engine's steps", statistics.median(s.compute_ms for s in ours), "ms")
    add("gRPC and framing beyond the engine's steps", 100 * beyond, "%", 10)


def _cancel(stage: Stage) -> None:
    """Cancel somewhere in a long unpaced line, and watch the threads that were computing it."""
    chance = random.Random(1)
    text = " ".join(speeches(1)[:_LONG_SENTENCES])
    stopped_ms = []
    for turn in range(stage.sizes.cancels + 2):
        request = speech_request("joe", text, seed=turn, paced=False, leave_out=stage.leave_out)
        call = stage.stub.Synthesize(request, timeout=120)
        reader = threading.Thread(target=_read, args=(call,))
        reader.start()
        threads = busy_threads(stage.server.pid, 0.25)
        with watched(stage.server.pid, threads) as runs:
            time.sleep(chance.uniform(0.05, 0.25))
            assert share_running(runs) > 1 / 3, "it was to be computing when it was cancelled"
            began = time.perf_counter()
            call.cancel()
            stopped_ms.append(stopped_after_ms(runs, began, quiet_s=0.15, most_s=10))
        reader.join()
    stopped_ms = stopped_ms[2:]
    piper_ms = [_piper_stopped_ms(stage, text) for _ in range(stage.sizes.piper_cancels)]
    stage.raw["cancel"] = {"ours_ms": stopped_ms, "piper_ms": piper_ms}
    median_ms, peer = statistics.median(stopped_ms), statistics.median(piper_ms)
    add = stage.report.add
    add("cancel to compute stopped, median; peer: piper HTTP", median_ms, "ms", peer=peer)
    # Whoever speaks next is held up by a part of what his own first chunk takes.
    add("cancel to compute stopped / an idle TTFA", median_ms / stage.alone_ms, "times", 0.25)
    add("cancel to compute stopped, p95", quantile(stopped_ms, 0.95), "ms")


def _read(call: Any) -> None:
    with contextlib.suppress(grpc.RpcError):
        for _ in call:
            pass


def _piper_stopped_ms(stage: Stage, text: str) -> float:
    """Hang up on Piper's server in the middle of the same text."""
    connection = http.client.HTTPConnection(stage.piper.address, timeout=60)
    post(connection, text)
    threads = busy_threads(stage.piper.pid, 0.3)
    with watched(stage.piper.pid, threads) as runs:
        began = time.perf_counter()
        connection.close()
        return stopped_after_ms(runs, began, quiet_s=0.3, most_s=120)
