"""The first voice: is it the same voice as Piper's, and how soon is it heard?"""

from __future__ import annotations

import base64
import contextlib
import json
import operator
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.lines import LINE, TAKES, TEN
from bench.peers import ask_peer
from bench.recognise import recognise, word_error_rate
from bench.report import Report
from bench.residency_stage import make_room
from bench.servers import serving
from bench.turns import in_turns
from bench.voices import load_vits, one_thread
from voxswap_client import Client, SpeechResult
from voxswap_families.arithmetic import fastest_dtype
from voxswap_families.contract import Delivery, LoadedVoice
from voxswap_families.embedded import import_embedded, installed_weights
from voxswap_families.importing.detect import import_voice
from voxswap_families.text import NormalizedText, Word
from voxswap_families.vits.embedded import JOE
from voxswap_families.work import finished
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_server.speech.chunking import Chunking
from voxswap_server.text.normalization import normalize

_SENTENCES = Path(__file__).parents[1] / "tests/text/piper_ids.json"


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Repetitions, ours and the peer's."""

    warm: int = 40
    cold: int = 15
    takes: int = TAKES
    piper_runs: int = 20
    piper_loads: int = 5


_USUAL = _Sizes()
_QUICK = _Sizes(warm=8, cold=4, takes=1, piper_runs=5, piper_loads=1)


def run(report: Report, *, device: str, quick: bool = False) -> None:
    """Measure everything; about two minutes."""
    sizes = _QUICK if quick else _USUAL
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as folder:
        registry = Registry(Path(folder))
        import_embedded(registry)
        _add_other(registry)
        voice = load_vits(registry, "joe", None, device=device)
        with one_thread():
            _parity(report, voice)
        _symbols(report, voice)
        question: dict[str, Any] = {
            "line": LINE,
            "runs": sizes.piper_runs,
            "loads": sizes.piper_loads,
        }
        question["speak"] = TEN * sizes.takes
        _times(report, sizes, registry, device, ask_peer("piper", "piper_times.py", question))


def _add_other(registry: Registry) -> None:
    """joe in bfloat16: other bytes, so that the two can take turns in one place."""
    weights = installed_weights(JOE)
    assert weights is not None
    with registry.workdir() as workdir:
        registry.publish(import_voice(weights, "other", dtype="bfloat16", workdir=workdir))


def _parity(report: Report, loaded: LoadedVoice) -> None:
    import onnxruntime

    weights = installed_weights(JOE)
    session = onnxruntime.InferenceSession(str(weights))
    quiet = Delivery(rate=1.0, seed=0)
    lively = Delivery(
        rate=1.0, seed=1, controls={"noise_scale": 0.667, "duration_noise_scale": 0.8}
    )
    against_ort, against_whole = 0.0, 0.0
    for text in TEN:
        ids = loaded.front_end.symbols(normalize(text, "en-US")).ids
        utterance = finished(loaded.voice.prepare(ids, quiet))
        feeds = {
            "input": np.array([ids]),
            "input_lengths": np.array([len(ids)]),
            "scales": np.array([0, 1, 0], np.float32),
        }
        reference = session.run(None, feeds)[0].ravel()
        ours = finished(utterance.decode(0, utterance.frames))
        against_ort = max(against_ort, float(np.abs(ours - reference).max()))

        utterance = finished(loaded.voice.prepare(ids, lively))
        whole = finished(utterance.decode(0, utterance.frames))
        utterance = finished(loaded.voice.prepare(ids, lively))
        windows = Chunking().windows(utterance.frames, 256 / 22.05, 0)
        joined = np.concatenate([finished(utterance.decode(*window)) for window in windows])
        against_whole = max(against_whole, float(np.abs(joined - whole).max()))
    report.add("against onnxruntime, no noise, ten sentences", against_ort, "max |diff|", 1e-4)
    report.add("chunks against the whole, ten sentences", against_whole, "max |diff|", 1e-5)


def _symbols(report: Report, loaded: LoadedVoice) -> None:
    """Our front-end and Piper, live and side by side, on the same text.

    Once on one espeak-ng build, the one inside piper-tts: whatever differs is ours. And once on
    the release that espeakng-loader ships, whose dictionary and rules differ from that build's.
    """
    golden = json.loads(_SENTENCES.read_text())
    english = [entry for entry in golden["sentences"] if entry["voice"] == "en-us"]
    # Evenly spread: the file goes from plain sentences to odd ones.
    chosen = [english[i * len(english) // 100] for i in range(100)]
    question = {"symbols": golden["symbols"], "sentences": chosen}
    theirs = [row["ids"] for row in ask_peer("piper", "piper_ids.py", question)["sentences"]]
    same_build = ask_peer("piper", "our_ids.py", question)
    released = [list(loaded.front_end.symbols(_verbatim(row["text"])).ids) for row in chosen]
    report.add(
        "symbol ids equal to Piper's, one espeak-ng build",
        sum(map(operator.eq, same_build, theirs)),
        "of 100",
        100,
        sense="at_least",
    )
    report.add(
        "symbol ids equal to Piper's, espeak-ng 1.52.0",
        sum(map(operator.eq, released, theirs)),
        "of 100",
    )


def _verbatim(text: str) -> NormalizedText:
    """Text as it is: Piper does not normalise, so neither may the comparison."""
    words = [
        Word(match.group(), *match.span(), *match.span()) for match in re.finditer(r"\S+", text)
    ]
    return NormalizedText(text, tuple(words))


def _first_chunk_ms(loaded: LoadedVoice) -> float:
    """The bare engine: symbols, preparation and the first window, on this thread."""
    began = time.perf_counter()
    ids = loaded.front_end.symbols(normalize(LINE, "en-US")).ids
    utterance = finished(
        loaded.voice.prepare(
            ids, Delivery(1.0, 1, {"noise_scale": 0.667, "duration_noise_scale": 0.8})
        )
    )
    finished(utterance.decode(*next(iter(Chunking().windows(utterance.frames, 256 / 22.05, 0)))))
    return (time.perf_counter() - began) * 1e3


def _times(
    report: Report, sizes: _Sizes, registry: Registry, device: str, peer: dict[str, Any]
) -> None:
    report.add("length of the line", len(LINE), "characters")
    warm: list[SpeechResult] = []

    def say(client: Client) -> float:
        warm.append(client.say("joe", LINE))
        return warm[-1].ttfa_ms

    dtype = fastest_dtype(device)  # as a server decides for itself
    bare = load_vits(registry, "joe", dtype, device=device)
    with _talking(registry, device, arithmetic=dtype) as client, one_thread():
        first = client.say("joe", LINE)
        turns = partial(say, client), partial(_first_chunk_ms, bare)
        in_turns(5, *turns)
        warm.clear()
        warm_ms, bare_ms = in_turns(sizes.warm, *turns)
        heard = [
            recognise(*_audio(client.say("joe", text, seed=take)))
            for take in range(sizes.takes)
            for text in TEN
        ]
    warm_median, bare_median = statistics.median(warm_ms), statistics.median(bare_ms)
    piper_warm_ms = statistics.median(peer["warm_ms"])
    report.add("warm TTFA, median; peer: piper's line", warm_median, "ms", peer=piper_warm_ms)
    report.add("the same; peer: the bare engine", warm_median, "ms", peer=bare_median)
    # Pipeline, threads, gRPC and the client may take half of what the engine does.
    report.add("warm TTFA / the bare engine's", warm_median / bare_median, "times", 1.5)
    report.add("warm TTFA, p95", float(np.quantile(warm_ms, 0.95)), "ms")
    whole_ms = statistics.median(result.trailer.compute_ms for result in warm)
    report.add("compute for the whole line, median", whole_ms, "ms", peer=piper_warm_ms)
    report.add("RTF, median", statistics.median(result.rtf for result in warm), "")

    size_bytes = registry.resolve(VoiceRef("joe")).component("model").size_bytes
    # One voice fits at a time: each request evicts the other voice and loads its own anew.
    with _talking(registry, device, arithmetic="float32") as client:
        make_room(client, 1, like="joe", size_bytes=size_bytes)
        cold = []
        for _ in range(sizes.cold):
            client.say("other", LINE)
            cold.append(client.say("joe", LINE))
    assert all(result.header.cold for result in cold)
    piper_cold_ms = statistics.median(peer["cold_ms"])
    cold_ms = [result.ttfa_ms for result in cold]
    cold_median = statistics.median(cold_ms)
    report.add("cold TTFA, median; peer: piper, cold", cold_median, "ms", peer=piper_cold_ms)
    # Whoever waits for a voice that is not there is to notice it less than with any other server.
    report.add("cold TTFA / piper's, cold", cold_median / piper_cold_ms, "times", 0.2)
    report.add("cold TTFA, worst", max(cold_ms), "ms")
    report.add("  of it the swap, median", statistics.median(r.header.swap_ms for r in cold), "ms")
    report.add("cold TTFA of a server's first request", first.ttfa_ms, "ms", peer=piper_cold_ms)

    piper_audio = [np.frombuffer(base64.b64decode(audio), "<i2") / 32767 for audio in peer["audio"]]
    piper_heard = [recognise(audio.astype(np.float32), 22050) for audio in piper_audio]
    report.add(
        f"word error rate, ten lines, {sizes.takes} takes",
        word_error_rate(TEN * sizes.takes, heard) * 100,
        "%",
        25,
        peer=word_error_rate(TEN * sizes.takes, piper_heard) * 100,
    )


def _audio(result: SpeechResult) -> tuple[npt.NDArray[np.float32], int]:
    samples = np.frombuffer(result.audio, "<i2").astype(np.float32) / np.float32(32767)
    return samples, result.header.sample_rate_hertz


@contextlib.contextmanager
def _talking(registry: Registry, device: str, **settings: Any) -> Iterator[Client]:
    name = registry.objects.name
    with (
        serving(name, cache_dir=f"{name}/cache", device=device, **settings) as server,
        Client(server.address, timeout_s=60) as client,
    ):
        yield client
