"""What it costs to part a long first segment at a clause, and what it gains.

The same lines with the same seeds, parted as a server parts them and whole: DNSMOS and word error
rate of the lines; at the place of the cut the pause, and the steps of level and pitch over it; and
how soon a bare engine has the first chunk. Pitch is the lag of the strongest autocorrelation. There
are no bounds: the figures decide whether `first_segment` is on.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from bench.audio_measures import Audio, dnsmos_each
from bench.lines import CLAUSES
from bench.recognise import recognise, word_error_rate
from bench.report import Report
from bench.turns import in_turns
from voxswap_families.arithmetic import fastest_dtype
from voxswap_families.contract import LoadedVoice, Utterance
from voxswap_families.embedded import import_embedded
from voxswap_families.kokoro.embedded import VOICES as KOKORO
from voxswap_families.kokoro.engine import KokoroEngine
from voxswap_families.vits.engine import VitsEngine
from voxswap_families.work import finished
from voxswap_registry.graphs import GraphTrust
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_server.residency.loader import VoiceLoader
from voxswap_server.speech.chunking import Chunking
from voxswap_server.speech.reader import Read, Reader
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.frontends import make_front_end
from voxswap_server.text.segmentation.segments import segments

# Kokoro has no noise, and one take is as good as many.
_TAKES = {"joe": 3, KOKORO[0].id: 1}
_FRAME_S = 0.01
# Below its line's level by so much, a frame is part of a pause.
_SILENCE_DB = 25.0
_AROUND_S, _BESIDE_S = 0.35, 0.3
_PITCH_S, _PITCHES_HERTZ = 0.04, (60.0, 400.0)
_OCTAVE = 1.8  # farther from a line's own pitch than this is an octave mistaken


@dataclass(frozen=True, slots=True)
class _Join:
    """What is heard where a line is parted: the pause, and the steps over it."""

    pause_ms: float
    level_db: float
    pitch_semitones: float


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A line; the clause ends at sample ``place``."""

    audio: Audio
    place: int


class _Bench:
    """One voice, and the lines that it says in both ways."""

    def __init__(self, manifest: Manifest, loaded: LoadedVoice) -> None:
        self.manifest, self.loaded = manifest, loaded
        self.rate = manifest.audio.sample_rate_hertz
        self.hop = manifest.audio.hop_length_samples

    def read(self, line: str, take: int, *, parts: bool) -> Iterator[Read]:
        """As a stream reads it."""
        request = SpeechRequest(VoiceRef("a"), line, seed=take)
        reader = Reader(request, self.manifest, is_awaited=parts)
        left = list(segments(line))
        while left:
            found = reader.read(left.pop(0), self.loaded)
            if isinstance(found, Read):
                yield found
            else:
                left = [*found, *left]

    def say(self, line: str, take: int) -> tuple[_Spoken, _Spoken]:
        """Parted, and whole."""
        first, rest = self.read(line, take, parts=True)
        before, after = (self._audio(finished(part.preparation)) for part in (first, rest))
        parted = _Spoken(np.concatenate([before, after]), len(before))
        (read,) = self.read(line, take, parts=False)
        utterance = finished(read.preparation)
        begins = next(
            phone.first
            for phone in read.symbols.phones
            if phone.word is not None
            and read.text.words[phone.word].source_start >= rest.segment.start
        )
        place = sum(utterance.durations_frames[:begins]) * self.hop
        return parted, _Spoken(self._audio(utterance), place)

    def first_chunk_s(self, line: str, *, parts: bool) -> float:
        """From the text to the first audio, on this thread."""
        began = time.perf_counter()
        utterance = finished(next(self.read(line, 0, parts=parts)).preparation)
        frame_ms = 1e3 * self.hop / self.rate
        finished(utterance.decode(*next(Chunking().windows(utterance.frames, frame_ms, 0))))
        return time.perf_counter() - began

    def rest_s(self, line: str) -> float:
        """How long the rest takes to prepare, as a share of the audio before it."""
        first, rest = self.read(line, 0, parts=True)
        audio = self._audio(finished(first.preparation))
        began = time.perf_counter()
        finished(rest.preparation)
        return (time.perf_counter() - began) * self.rate / len(audio)

    def _audio(self, utterance: Utterance) -> Audio:
        return finished(utterance.decode(0, utterance.frames))


def measure(report: Report, *, device: str, quick: bool) -> None:
    """Both voices; five minutes."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="voxswap-bench-"))
        registry = Registry(Path(folder))
        import_embedded(registry)
        espeak = Espeak()
        stack.callback(espeak.close)
        front_ends = partial(make_front_end, espeak=espeak)
        vits = VitsEngine(device, fastest_dtype(device), front_ends=front_ends)
        kokoro = KokoroEngine(front_ends=front_ends)
        torch.set_num_threads(1)  # as in a server
        for name, takes in _TAKES.items():
            manifest = registry.resolve(VoiceRef.parse(name))
            loader = VoiceLoader(
                registry.components,
                {engine.name: engine for engine in (vits, kokoro)},
                graphs=GraphTrust(registry.objects),
            )
            plan = loader.plan(manifest)
            parts = {part.role: loader.load(plan, part, lambda: False) for part in plan.parts}
            bench = _Bench(manifest, loader.assemble(plan, parts))
            _measure(report, bench, name, *((CLAUSES[:3], 1) if quick else (CLAUSES, takes)))


def _measure(report: Report, bench: _Bench, name: str, lines: tuple[str, ...], takes: int) -> None:
    report.add(f"{name}: lines that are parted", len(lines), "lines")
    said = [line for _ in range(takes) for line in lines]
    spoken = [bench.say(line, take) for take in range(takes) for line in lines]
    parted, whole = [a for a, _ in spoken], [b for _, b in spoken]
    errors = [
        100 * word_error_rate(said, [recognise(one.audio, bench.rate) for one in way])
        for way in (parted, whole)
    ]
    report.add(f"{name}: word error rate, {len(said)} lines", errors[0], "%", peer=errors[1])
    _scores(report, bench, name, parted, whole)
    joins = [[_join(one, bench.rate) for one in way] for way in (parted, whole)]
    picks: tuple[tuple[str, str, Callable[[_Join], float]], ...] = (
        ("pause", "ms", lambda join: join.pause_ms),
        ("step of level, upwards", "dB", lambda join: join.level_db),
        ("step of level, either way", "dB", lambda join: abs(join.level_db)),
        ("step of pitch, upwards", "semitones", lambda join: join.pitch_semitones),
        ("step of pitch, either way", "semitones", lambda join: abs(join.pitch_semitones)),
    )
    for what, unit, pick in picks:
        ours, theirs = (float(np.nanmedian([pick(join) for join in way])) for way in joins)
        report.add(f"{name}: {what}, median", ours, unit, peer=theirs)
    # Lines of these lengths were spoken by now: new ones take longer.
    is_long = next(bench.read(lines[0], 0, parts=False)).preparation.may_be_long
    ways = [
        [partial(bench.first_chunk_s, line, parts=parts) for parts in (True, False)]
        for line in lines
    ]
    times = [in_turns(1 if is_long else 5, *way) for way in ways]
    ours, theirs = (statistics.median(chain(*(way[i] for way in times))) for i in (0, 1))
    report.add(f"{name}: first chunk of the engine", 1e3 * ours, "ms", peer=1e3 * theirs)
    shares = [bench.rest_s(line) for line in lines]
    report.add(f"{name}: the rest takes, of what is heard before it", max(shares), "of 1, worst")


def _scores(
    report: Report, bench: _Bench, name: str, parted: list[_Spoken], whole: list[_Spoken]
) -> None:
    ours, theirs = (dnsmos_each([one.audio for one in way], bench.rate) for way in (parted, whole))
    for score in ("ovrl_mos", "sig_mos", "bak_mos", "p808_mos"):
        label = f"{name}: DNSMOS {score[:-4].upper()}, parted"
        worse = theirs[score] - ours[score]
        report.add(label, ours[score].mean(), "MOS", peer=theirs[score].mean())
        report.add("  worse than whole by", worse.mean(), "MOS")
        error = worse.std(ddof=1) / len(worse) ** 0.5
        report.add("  standard error of that, by pairs", error, "MOS")


def _join(spoken: _Spoken, rate: int) -> _Join:
    size = round(_FRAME_S * rate)
    frames = spoken.audio[: len(spoken.audio) // size * size].reshape(-1, size)
    level = 10 * np.log10(np.maximum(np.square(frames).mean(axis=1), 1e-10))
    quiet = level < 10 * np.log10(np.square(spoken.audio).mean()) - _SILENCE_DB
    first, last = _longest_run(quiet, spoken.place // size, round(_AROUND_S / _FRAME_S))
    beside = round(_BESIDE_S / _FRAME_S)
    before, after = slice(max(0, first - beside), first), slice(last, last + beside)
    loudness = [10 * np.log10(np.square(frames[side]).mean()) for side in (before, after)]
    usual = statistics.median(_pitches(spoken.audio, rate, _PITCHES_HERTZ))
    near = usual / _OCTAVE, usual * _OCTAVE
    pitches = [
        statistics.median(_pitches(frames[side].ravel(), rate, near) or [float("nan")])
        for side in (before, after)
    ]
    return _Join(
        pause_ms=1e3 * _FRAME_S * (last - first),
        level_db=float(loudness[1] - loudness[0]),
        pitch_semitones=float(12 * np.log2(pitches[1] / pitches[0])),
    )


def _longest_run(quiet: npt.NDArray[np.bool_], place: int, around: int) -> tuple[int, int]:
    """The longest run of quiet frames near ``place``; an empty one if there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]])))
    runs = [
        (int(first), int(last))
        for first, last in edges.reshape(-1, 2)
        if first <= place + around and last >= place - around
    ]
    return max(runs, key=lambda run: run[1] - run[0], default=(place, place))


def _pitches(audio: Audio, rate: int, around: tuple[float, float]) -> list[float]:
    """Of the voiced windows, in hertz; none of them beyond ``around``."""
    size = round(_PITCH_S * rate)
    lowest, highest = round(rate / around[1]), min(round(rate / around[0]), size * 3 // 4)
    found = []
    for start in range(0, len(audio) - size, size // 4):
        window = audio[start : start + size] - audio[start : start + size].mean()
        spectrum = np.abs(np.fft.rfft(window, 2 * size)) ** 2
        likeness = np.fft.irfft(spectrum)[:size] / np.arange(size, 0, -1)
        lag = lowest + int(np.argmax(likeness[lowest:highest]))
        if likeness[lag] > 0.5 * likeness[0] > 1e-6:
            found.append(rate / lag)
    return found
