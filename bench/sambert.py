"""Sambert voices: first audio, whole lines and swaps, beside KAN-TTS's own code and a VITS voice.

The voices are made up: as large as published ones, with random weights, so that what they say is
noise and what it costs is what a voice costs. KAN-TTS is measured where ``VOXSWAP_KANTTS`` names a
checkout of github.com/alibaba-damo-academy/KAN-TTS.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from bench.peers import answering
from bench.report import Report
from bench.servers import serving
from bench.voices import load_vits, load_voice, one_thread, silent_front_ends, windows
from voxswap_client import Client
from voxswap_families.contract import Delivery, LoadedVoice
from voxswap_families.embedded import import_embedded
from voxswap_families.importing.detect import import_voice
from voxswap_families.importing.weights import write_safetensors
from voxswap_families.layers.native.fastest import fastest
from voxswap_families.sambert.architecture import AcousticArchitecture
from voxswap_families.sambert.config import SPEAKER, SambertConfig
from voxswap_families.sambert.engine import SambertEngine
from voxswap_families.sambert.family import FAMILY
from voxswap_families.vits.embedded import JOE
from voxswap_families.work import finished
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.progress import NullProgress
from voxswap_registry.store import Registry

#: A character has two symbols, and every fifth word a pause after it.
_CHARACTERS: Final = 30
_SYMBOLS: Final = 2 * _CHARACTERS + 6
_VOICE: Final = "made/up"

_Audio = npt.NDArray[np.float32]


def run(report: Report, *, device: str, quick: bool = False) -> None:
    """One thread each; medians of turns. A minute."""
    turns = 3 if quick else 9
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as name, one_thread():
        folder = Path(name)
        source = folder / "model"
        source.mkdir()
        FAMILY.fabricators["sambert"].write(source, 0, "real")
        registry = Registry(folder / "registry")
        manifest = registry.publish(import_voice(source, _VOICE, workdir=folder / "work"))
        import_embedded(registry, voices=[JOE])
        library = fastest() if device == "cpu" else None
        kernels = "torch" if library is None else library.isa
        print(f"  kernels: {kernels}")
        engine = SambertEngine(device, kernels=kernels, front_ends=silent_front_ends)
        engine.warm_up()
        ids = _line(manifest)
        _lines(report, load_voice(registry, _VOICE, engine), manifest, ids, turns)
        if checkout := os.environ.get("VOXSWAP_KANTTS"):
            _beside(report, checkout, source, registry, engine, ids, turns)
        else:
            print("  KAN-TTS: not measured, VOXSWAP_KANTTS names no checkout of it")
        _swaps(report, registry, engine, manifest, ids, kernels, device, turns)
        _speakers(report, folder, device, turns)


def _line(manifest: Manifest) -> list[int]:
    a, chance = SambertConfig.of(manifest).acoustic, random.Random(0)
    return [chance.randrange(a.n_symbols) for _ in range(_SYMBOLS)]


def _rows(a: AcousticArchitecture, symbol: int) -> list[int]:
    rows = []
    for n in (a.n_sy, a.n_tone, a.n_syllable_flag, a.n_word_segment):
        symbol, row = divmod(symbol, n)
        rows.append(row)
    return rows


def _spoken(
    loaded: LoadedVoice, manifest: Manifest, ids: Sequence[int]
) -> tuple[float, float, _Audio]:
    """Seconds to the first audio and to the last, and the audio."""
    began = time.perf_counter()
    utterance = finished(loaded.voice.prepare(ids, Delivery(rate=1.0, seed=0)))
    pieces, first_s = list[_Audio](), 0.0
    for window in windows(utterance.frames, manifest):
        pieces.append(finished(utterance.decode(*window)))
        first_s = first_s or time.perf_counter() - began
    return first_s, time.perf_counter() - began, np.concatenate(pieces)


def _lines(
    report: Report, loaded: LoadedVoice, manifest: Manifest, ids: Sequence[int], turns: int
) -> None:
    found = [_spoken(loaded, manifest, ids) for _ in range(turns + 1)][1:]
    first_s = statistics.median(first_s for first_s, _, _ in found)
    whole_s = statistics.median(whole_s for _, whole_s, _ in found)
    audio_s = len(found[0][2]) / manifest.audio.sample_rate_hertz
    prepared = [_seconds(lambda: loaded.voice.prepare(ids, Delivery(1.0, 0))) for _ in range(turns)]
    report.add(f"a line of {_CHARACTERS} characters: encoding and durations", *_ms(prepared))
    report.add("first audio", 1e3 * first_s, "ms")
    report.add("first audio, of the time for all of it", first_s / whole_s, "share", 0.35)
    report.add("RTF", whole_s / audio_s, "s of compute a s")


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    finished(work())
    return time.perf_counter() - began


def _ms(times_s: Sequence[float]) -> tuple[float, str]:
    return 1e3 * statistics.median(times_s), "ms"


@contextlib.contextmanager
def _reference(checkout: str, voice: Path) -> Iterator[Callable[[object], Any]]:
    """KAN-TTS in a process of its own, with as many threads as we have."""
    with answering(sys.executable, "kantts_times.py") as ask:
        threads = torch.get_num_threads()
        ask({"source": checkout, "voice": str(voice), "threads": threads})
        yield ask


def _beside(
    report: Report,
    checkout: str,
    source: Path,
    registry: Registry,
    engine: SambertEngine,
    ids: Sequence[int],
    turns: int,
) -> None:
    """The same line in turns; how far frames' and audio's numbers are from each other."""
    manifest = registry.resolve(VoiceRef(_VOICE))
    loaded = load_voice(registry, _VOICE, engine)
    config = SambertConfig.of(manifest)
    rows = [_rows(config.acoustic, i) for i in ids]
    felt = [config.pausing if row[0] in config.pauses else config.neutral for row in rows]
    kept = source.parent / "theirs.npz"
    question = {"rows": rows, "emotion": felt, "speaker": [0] * len(ids), "keep": None}
    (voice,) = (path.parent for path in (source / "voices").glob("*/am"))
    ours, theirs = list[float](), list[float]()
    with _reference(checkout, voice) as ask:
        ask({**question, "keep": str(kept)})
        for _ in range(turns):
            theirs.append(ask(question)["whole_s"])
            ours.append(_spoken(loaded, manifest, ids)[1])
    with np.load(kept) as found:
        reference = found["audio"]
    exact = load_voice(registry, _VOICE, SambertEngine(front_ends=silent_front_ends))
    for speaking, what, bound in ((exact, "in torch", 1e-4), (loaded, "as it is served", None)):
        audio = _spoken(speaking, manifest, ids)[2]
        assert audio.shape == reference.shape, "durations differ"
        furthest = float(np.abs(audio - reference).max())
        report.add(f"furthest sample from KAN-TTS's, {what}", furthest, "", bound)
    ours_s, theirs_s = statistics.median(ours), statistics.median(theirs)
    report.add("a line, beside KAN-TTS", 1e3 * ours_s, "ms", peer=1e3 * theirs_s)
    report.add("RTF as a share of KAN-TTS's", ours_s / theirs_s, "share", 0.5)


def _swapped(load: Callable[[], LoadedVoice], manifest: Manifest, ids: Sequence[int]) -> float:
    """Seconds from nothing to the first audio."""
    gc.collect()
    began = time.perf_counter()
    utterance = finished(load().voice.prepare(ids, Delivery(rate=1.0, seed=0)))
    finished(utterance.decode(*next(windows(utterance.frames, manifest))))
    return time.perf_counter() - began


def _swaps(
    report: Report,
    registry: Registry,
    engine: SambertEngine,
    manifest: Manifest,
    ids: Sequence[int],
    kernels: str,
    device: str,
    turns: int,
) -> None:
    """From nothing loaded to the first audio, in turns with a VITS voice."""
    joe = registry.resolve(VoiceRef(JOE.id))
    joe_ids = [1, 0, *(i for n in range(30) for i in (20 + n, 0)), 2]
    ours, vits = list[float](), list[float]()
    for _ in range(turns + 1):
        ours.append(_swapped(lambda: load_voice(registry, _VOICE, engine), manifest, ids))
        vits.append(
            _swapped(
                lambda: load_vits(registry, JOE.id, None, kernels=kernels, device=device),
                joe,
                joe_ids,
            )
        )
    ours_s, vits_s = statistics.median(ours[1:]), statistics.median(vits[1:])
    report.add("swap to first audio", 1e3 * ours_s, "ms", peer=1e3 * vits_s)
    per_byte = (ours_s / manifest.size_bytes) / (vits_s / joe.size_bytes)
    report.add("swap per megabyte, of a VITS voice's", per_byte, "share", 1.3)


def _speakers(report: Report, folder: Path, device: str, turns: int) -> None:
    """A further speaker whose models are resident: all that is loaded is a vector."""
    source = folder / "vectors"
    source.mkdir()
    FAMILY.fabricators["sambert-se"].write(source, 0, "real")
    registry = Registry(folder / "speakers")
    first = registry.publish(import_voice(source, "made/first", workdir=folder / "work"))
    vector = folder / "vector.safetensors"
    units = SambertConfig.of(first).acoustic.speaker_units
    write_safetensors({SPEAKER: torch.ones(units)}, vector, progress=NullProgress())
    components = tuple(
        DraftComponent.instead(c, vector) if c.role == SPEAKER else DraftComponent.stored(c)
        for c in first.components
    )
    registry.publish(dataclasses.replace(VoiceDraft.of(first, components), voice_id="made/second"))
    with (
        serving(
            folder / "speakers",
            cache_dir=folder / "cache",
            device=device,
            allow_fabricated="true",
        ) as server,
        Client(server.address, timeout_s=60) as client,
    ):
        models_ms = client.load("made/first").load_ms
        load_ms = []
        for _ in range(5 * turns):
            load_ms.append(client.load("made/second").load_ms)
            client.unload("made/second")  # the models stay: the first voice uses them
    further_ms = statistics.median(load_ms)
    report.add(
        "a further speaker; peer: a first one, with its models", further_ms, "ms", peer=models_ms
    )
