"""What effects do to the audio of a voice, by instruments; what they cost, how soon it sounds."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import soxr
from scipy.signal import resample_poly

from bench.audio_measures import Audio
from bench.lines import LINE
from bench.report import Report
from bench.requests import CHANNEL_OPTIONS, speech_request
from bench.servers import serving
from voxswap.v1 import speech_pb2, speech_pb2_grpc
from voxswap_families.prosody_measures import RATE_HERTZ, Floats, frames_of
from voxswap_families.work import Work, finished
from voxswap_registry.store import Registry
from voxswap_server.audio.effects.chain import Effects
from voxswap_server.audio.effects.limiter import CEILING_DB

_MOST_CENTS = 10.0
_LEAST_HERTZ = 75.0
_CHUNK_S = 0.08
_SHIFTS = (-7.0, -3.0, -1.0, 1.0, 3.0, 7.0)


def done(audio: Audio, rate_hertz: int, **asked: float) -> Audio:
    """A segment with its effects."""
    effects = Effects(rate_hertz)
    effects.begin(asked)
    return effects.run(audio, is_last=True)


def _pitches(audio: Audio, rate_hertz: int) -> Floats:
    clip = soxr.resample(audio, rate_hertz, RATE_HERTZ)
    return finished(Work(frames_of(clip))).pitch_hertz


def pitch(report: Report, name: str, audios: Sequence[Audio], rate_hertz: int) -> None:
    """How far the median of all voiced frames is from what was asked, frame by frame."""
    worst = 0.0
    for semitones in _SHIFTS:
        off: list[float] = []
        for audio in audios:
            before = _pitches(audio, rate_hertz)
            after = _pitches(done(audio, rate_hertz, pitch_semitones=semitones), rate_hertz)
            # The instrument hears nothing below 60 Hz.
            both = (before * 2 ** (semitones / 12) > _LEAST_HERTZ) & (after > 0)
            off += list(1200 * np.log2(after[both] / before[both]) - 100 * semitones)
        cents = statistics.median(off)
        print(f"  {name} {semitones:+g} semitones: {cents:+.1f} cents off", flush=True)
        worst = max(worst, abs(cents))
    report.add(f"{name}: pitch off by, of {len(_SHIFTS)} shifts", worst, "cents", _MOST_CENTS)


def level(report: Report, name: str, audios: Sequence[Audio], rate_hertz: int) -> None:
    """The highest peak, between samples too, at the loudest that may be asked for."""
    peaks = [
        20 * np.log10(np.abs(resample_poly(done(a, rate_hertz, volume_db=12.0), 8, 1)).max())
        for a in audios
    ]
    report.add(f"{name}: true peak at +12 dB", float(max(peaks)), "dB", CEILING_DB)


def costs(report: Report, name: str, audios: Sequence[Audio], rate_hertz: int) -> None:
    """Seconds of a core for a second of audio, in chunks; and what is held back."""
    for asked in ({"pitch_semitones": 2.0}, {"volume_db": 3.0}):
        effects, took_s, held = Effects(rate_hertz), 0.0, list[int]()
        size = round(_CHUNK_S * rate_hertz)
        for audio in audios:
            effects.begin(asked)
            given = 0
            for first in range(0, len(audio), size):
                began = time.process_time()
                made = effects.run(audio[first : first + size], is_last=first + size >= len(audio))
                took_s += time.process_time() - began
                given += len(made)
                held.append(min(first + size, len(audio)) - given)
        (what,) = asked
        seconds = sum(map(len, audios)) / rate_hertz
        report.add(f"{name}: {what}, of a core for a second", took_s / seconds, "s")
        report.add(f"{name}: {what}, held back at most", 1e3 * max(held) / rate_hertz, "ms")


def first_sound(report: Report, registry: Registry, *, rounds: int) -> None:
    """joe at a client, shifted and not, in turns."""
    asked = {
        "plain": speech_pb2.Controls(),
        "pitch": speech_pb2.Controls(pitch_semitones=2.0),
        "volume": speech_pb2.Controls(volume_db=3.0),
    }
    found: dict[str, list[float]] = {what: [] for what in asked}
    with (
        tempfile.TemporaryDirectory(prefix="voxswap-bench-") as folder,
        serving(registry.objects.name, cache_dir=Path(folder)) as server,
        grpc.insecure_channel(server.address, options=CHANNEL_OPTIONS) as channel,
    ):
        synthesize = speech_pb2_grpc.SpeechServiceStub(channel).Synthesize
        first = partial(_first_ms, synthesize)
        for n in range(rounds + 3):
            for what, controls in asked.items():
                took_ms = first(n, controls)
                if n >= 3:
                    found[what].append(took_ms)
    medians = {what: statistics.median(times) for what, times in found.items()}
    for what in ("pitch", "volume"):
        report.add(f"joe: first sound, {what}", medians[what], "ms", peer=medians["plain"])
        report.add(f"  as a share of plain, {what}", medians[what] / medians["plain"], "")


def _first_ms(
    synthesize: Callable[..., Iterable[speech_pb2.SynthesizeResponse]],
    seed: int,
    controls: speech_pb2.Controls,
) -> float:
    request = speech_request("joe", LINE, seed=seed, paced=False)
    request.controls.CopyFrom(controls)
    began, sounded = time.perf_counter(), 0.0
    for message in synthesize(request, timeout=60):
        if not sounded and message.WhichOneof("part") == "chunk":
            sounded = time.perf_counter()
    return 1e3 * (sounded - began)
