"""What native kernels cost in quality: each part, the audio, and how it is cut, beside float32.

The reference is torch in float32, with the same noise. Parts get its input: so their errors do not
add up. The audio is also compared with the reference's durations, lest frames lie beside frames;
as it is spoken in life, it is heard by a recogniser and by DNSMOS.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.audio_measures import Audio, dnsmos, log_spectral_distance, signal_to_noise_db
from bench.lines import TEN
from bench.recognise import recognise, word_error_rate
from bench.report import Report
from bench.voices import load_vits, one_thread
from voxswap_families.contract import Delivery, LoadedVoice
from voxswap_families.embedded import import_embedded
from voxswap_families.layers.native.memory import Block, address
from voxswap_families.layers.native.processor import ISAS
from voxswap_families.vits import native_voice, voice
from voxswap_families.vits.embedded import JOE
from voxswap_families.vits.native_voice import NativeVitsVoice
from voxswap_families.vits.packable import PACKED_INT8
from voxswap_families.vits.repack import repack
from voxswap_families.vits.voice import VitsVoice
from voxswap_families.work import finished
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_server.text.normalization import normalize

RATE = 22_050
# What the experiment of issue 15 reached with avx512_bf16, which rounds the most: means of lines.
_BOUNDS_DB = {"prior's mean": 51.5, "flow": 50.3, "flow and generator": 27.3}
_MOST_DISTANCE_DB, _MOST_MOS = 2.5, 0.02
_DRAWN_FRAMES, _PIECE = 64, 64
_TODAY, _INT8 = "torch, bfloat16", ", int8 feed-forward"
_CONTROLS = {"noise_scale": 0.667, "duration_noise_scale": 0.8}

Floats = npt.NDArray[np.float32]


@dataclass
class _Heard:
    """What one way to compute gave: dB by figure and line, audio by take and line."""

    snr: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    distance: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    moved: int = 0
    same_bits: int = 0
    audio: list[Audio] = field(default_factory=list)


def run_kernels(report: Report, names: Sequence[str], *, quick: bool) -> None:
    """Ten lines by torch in float32, in bfloat16, and by each of ``names``; minutes."""
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as folder:
        registry = Registry(Path(folder))
        import_embedded(registry, voices=[JOE])
        with one_thread():
            _compare(report, registry, names, *((TEN[:3], 1) if quick else (TEN, 3)))


def _compare(
    report: Report, registry: Registry, names: Sequence[str], lines: Sequence[str], takes: int
) -> None:
    reference = load_vits(registry, "joe", "float32")
    ways = {_TODAY: load_vits(registry, "joe", "bfloat16")}
    ways |= {name: load_vits(registry, "joe", "bfloat16", kernels=name) for name in names}
    if multiplying := [name for name in names if ISAS[name].multiplies_bytes]:
        joe = registry.resolve(VoiceRef("joe"))
        with registry.workdir() as workdir:
            repack(registry, joe, workdir=workdir, form=PACKED_INT8)
        ways |= {
            f"{name}{_INT8}": load_vits(registry, "joe", "bfloat16", kernels=name)
            for name in multiplying
        }
    heard = {name: _Heard() for name in ways}
    plain: list[Audio] = []
    symbols = 0
    for take in range(takes):
        delivery = Delivery(rate=1.0, seed=take, controls=_CONTROLS)
        for line in lines:
            ids = reference.front_end.symbols(normalize(line, "en-US")).ids
            audio, frames = _say(reference, ids, delivery)
            plain.append(audio)
            symbols += len(ids)
            for name, loaded in ways.items():
                found = heard[name]
                spoken, others = _say(loaded, ids, delivery)
                found.audio.append(spoken)
                found.moved += sum(a != b for a, b in zip(frames, others, strict=True))
                if not take:
                    with _durations(frames):
                        same, _ = _say(loaded, ids, delivery)
                    found.distance["all, same durations"].append(log_spectral_distance(audio, same))
                    _compare_parts(found, reference.voice, loaded.voice, ids, delivery)
                    if name != _TODAY:
                        found.same_bits += _is_one_in_any_cut(loaded, ids, delivery, spoken)
    _tell(report, heard, plain, [line for _ in range(takes) for line in lines], symbols)


def _tell(
    report: Report, heard: dict[str, _Heard], plain: list[Audio], said: list[str], symbols: int
) -> None:
    def errors(audios: list[Audio]) -> float:
        return 100 * word_error_rate(said, [recognise(audio, RATE) for audio in audios])

    plain_errors, plain_scores = errors(plain), dnsmos(plain, RATE)
    today = heard[_TODAY]
    for name, found in heard.items():
        is_native = found is not today
        for part, dbs in found.snr.items():
            is_rounded_more = name.endswith(_INT8) and part == "prior's mean"
            bound = None if is_rounded_more else _BOUNDS_DB.get(part)
            theirs = float(np.mean(today.snr[part]))
            report.add(
                f"{name}: SNR, {part}", float(np.mean(dbs)), "dB", bound if is_native else None,
                sense="at_least", peer=theirs,
            )  # fmt: skip
        for part, dbs in found.distance.items():
            bound, theirs = _MOST_DISTANCE_DB, float(np.mean(today.distance[part]))
            report.add(
                f"{name}: log-spectral distance, {part}", float(np.mean(dbs)), "dB",
                bound if is_native else None, peer=theirs,
            )  # fmt: skip
        report.add(
            f"{name}: durations moved", 100 * found.moved / symbols, "%",
            peer=100 * today.moved / symbols,
        )  # fmt: skip
        report.add(f"{name}: word error rate", errors(found.audio), "%", peer=plain_errors)
        scores = dnsmos(found.audio, RATE)
        for score in ("ovrl_mos", "sig_mos", "bak_mos", "p808_mos"):
            worse = plain_scores[score] - scores[score]
            bound = _MOST_MOS if is_native else None
            report.add(f"{name}: DNSMOS {score[:-4].upper()} worse by", worse, "MOS", bound)
        if is_native:
            lines = len(found.snr["flow"])
            report.add(
                f"{name}: the same bits for any cut", found.same_bits, f"of {lines}", lines,
                sense="at_least",
            )  # fmt: skip


def _say(
    loaded: LoadedVoice,
    ids: Sequence[int],
    delivery: Delivery,
    cuts: Callable[[int], Sequence[int]] = lambda frames: (),
) -> tuple[Audio, tuple[int, ...]]:
    """Audio and durations; ``cuts`` are the frames at which it is decoded in pieces."""
    utterance = finished(loaded.voice.prepare(ids, delivery))
    ends = (*cuts(utterance.frames), utterance.frames)
    pieces = [
        finished(utterance.decode(first, last))
        for first, last in zip((0, *ends), ends, strict=False)
    ]
    return np.concatenate(pieces), tuple(utterance.durations_frames)


def _is_one_in_any_cut(
    loaded: LoadedVoice, ids: Sequence[int], delivery: Delivery, whole: Audio
) -> bool:
    """Whether pieces of one frame, of growing ones, and of any lengths are the same bits."""
    rng = np.random.default_rng(delivery.seed)
    ways: list[Callable[[int], Sequence[int]]] = [
        lambda frames: range(1, frames),
        lambda frames: [7 * (2**i - 1) for i in range(1, 9) if 7 * (2**i - 1) < frames],
        lambda frames: sorted({int(cut) for cut in rng.integers(1, frames, 9)}),
    ]
    return all(np.array_equal(whole, _say(loaded, ids, delivery, way)[0]) for way in ways)


@contextlib.contextmanager
def _durations(frames: Sequence[int]) -> Iterator[None]:
    """Have whatever is prepared last as many frames."""
    with contextlib.ExitStack() as stack:
        for module in (voice, native_voice):
            stack.enter_context(
                mock.patch.object(module, "bounded", return_value=torch.tensor(frames))
            )
        yield


def _compare_parts(
    found: _Heard, reference: Any, other: Any, ids: Sequence[int], delivery: Delivery
) -> None:
    """``reference`` is a `VitsVoice` of one speaker, as all are here."""
    with torch.inference_mode():
        prepared, again = (finished(v.prepare(ids, delivery)) for v in (reference, other))
        prior = prepared._prior
        frames = prepared.frames
        latents = torch.cat(
            [
                prior.sample(first, min(first + _DRAWN_FRAMES, frames))
                for first in range(0, frames, _DRAWN_FRAMES)
            ],
            dim=3,
        )
        decodable = _flow(reference, latents)
        audio, undone = _generator(reference, decodable), _flow(other, latents)
        pairs = {
            "prior's mean": (_rows(prior.mean), _mean(again)),
            "flow": (_rows(decodable), _rows(undone)),
            "generator": (audio, _generator(other, decodable)),
            "flow and generator": (audio, _generator(other, undone)),
        }
    for part, pair in pairs.items():
        found.snr[part].append(signal_to_noise_db(*pair))
    both = "flow and generator"
    found.distance[both].append(log_spectral_distance(*pairs[both]))


def _mean(utterance: Any) -> Floats:
    """A prepared segment's, (symbols, inter)."""
    prior = utterance._prior
    if isinstance(prior, np.ndarray):
        mean: Floats = prior[:, : prior.shape[1] // 2]
        return mean
    return _rows(prior.mean)


def _flow(voice: VitsVoice | NativeVitsVoice, z: Tensor) -> Tensor:
    """All of it, undone: ``(1, inter, 1, frames)`` to the same."""
    if isinstance(voice, VitsVoice):
        for coupling in voice.model.flow.inverse:
            z = coupling(z, None)
        return z
    call, flow = voice.library.functions, voice.model.spoken_by(0).flow
    state = Block(call.vxk_flow_state_bytes(flow))
    call.vxk_flow_begin(flow, state.address)
    memory = Block(call.vxk_flow_bytes(flow, _PIECE))
    rows, made, delay = _rows(z), 0, voice.model.architecture.flow_reach_frames
    out = np.empty_like(rows)
    for first in range(0, len(rows), _PIECE):
        piece = rows[first : first + _PIECE]
        is_last = first + len(piece) == len(rows)
        room = np.empty((len(piece) + delay, rows.shape[1]), np.float32)
        n = call.vxk_flow(
            flow, state.address, memory.address, is_last, len(piece), address(piece), address(room)
        )
        out[made : made + n] = room[:n]
        made += n
    return torch.from_numpy(out.T[None, :, None])


def _generator(voice: VitsVoice | NativeVitsVoice, y: Tensor) -> Audio:
    """All of it: ``(1, inter, 1, frames)`` to ``(samples,)``."""
    if isinstance(voice, VitsVoice):
        kind = voice.model.dec.conv_pre.weight.dtype
        audio: Audio = voice.model.dec(y.to(kind)).float().flatten().numpy()
        return audio
    call, generator = voice.library.functions, voice.model.spoken_by(0).generator
    a = voice.model.architecture
    state = Block(call.vxk_generator_state_bytes(generator))
    rows, pieces = _rows(y), []
    call.vxk_generator_begin(generator, state.address, len(rows))
    memory = Block(call.vxk_generator_bytes(generator, _PIECE))
    room = np.empty((_PIECE + a.generator_reach_frames) * a.hop_length_samples, np.float32)
    # As far behind the end as a sample depends on.
    for first in range(0, len(rows) + a.generator_reach_frames, _PIECE):
        piece = rows[first : first + _PIECE]
        n = call.vxk_generate(
            generator, state.address, memory.address, _PIECE, address(piece), address(room)
        )
        pieces.append(room[:n].copy())
    return np.concatenate(pieces)


def _rows(signal: Tensor) -> Floats:
    """``(1, channels, 1, time)`` as ``(time, channels)``."""
    return np.ascontiguousarray(signal[0, :, 0].T.float().numpy())
