"""What shortcuts cost in quality: bfloat16 beside float32, and first segments that are parted.

DNSMOS is Reddy et al., "DNSMOS P.835" (2022), as the package speechmos runs it. The log-spectral
distance is Gray and Markel's (1976): the root mean square difference of log power spectra, averaged
over frames. Feed-forward layers may move a duration by a frame, and then frames would not lie over
each other; so it is told with theirs in float32, and how often they move is told beside it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from bench import clause_cuts
from bench.lines import LINE, TEN
from bench.recognise import recognise, word_error_rate
from bench.report import Report
from bench.scores import dnsmos
from voxswap_families.contract import Delivery, Voice
from voxswap_families.embedded import import_embedded
from voxswap_families.layers.mapping import map_tensors
from voxswap_families.layers.tensors import as_dtype
from voxswap_families.symbols import SymbolTable
from voxswap_families.text import FrontEnd
from voxswap_families.vits.architecture import VitsArchitecture, may_be_rounded
from voxswap_families.vits.model import in_canonical_shape, load_model
from voxswap_families.vits.voice import VitsVoice, VitsWeights
from voxswap_families.work import finished
from voxswap_registry.layout import blob_key
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.frontends import make_front_end
from voxswap_server.text.normalization import normalize

RATE = 22_050
_TAKES = 3
_WINDOW, _HOP = 1024, 256

Audio = npt.NDArray[np.float32]


def run(report: Report, *, device: str, quick: bool = False, only: str = "") -> None:
    """``only`` "arithmetic", two minutes, or "clauses", five; else both."""
    groups = {"arithmetic": _arithmetic, "clauses": clause_cuts.measure}
    if only and only not in groups:
        raise SystemExit(f"--only {only}: there are {', '.join(groups)}")
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as folder:
        registry = Registry(Path(folder))
        import_embedded(registry)
        for name, measure in groups.items():
            if only in ("", name):
                measure(report, registry, device=device, quick=quick)


def _arithmetic(report: Report, registry: Registry, *, device: str, quick: bool) -> None:
    """The same lines in both."""
    takes, lines = (1, TEN[:3]) if quick else (_TAKES, (LINE, *TEN))
    plain, rounded, half, front_end = _voices(registry, device)
    distance, moved, symbols = [], 0, 0
    spoken: dict[str, list[Audio]] = {"float32": [], "bfloat16": []}
    for take in range(takes):
        for line in lines:
            ids = front_end.symbols(normalize(line, "en")).ids
            a, lengths = _say(plain, ids, take)
            b, others = _say(rounded, ids, take)
            c, same = _say(half, ids, take)
            assert same == lengths, "only feed-forward layers may move a duration"
            distance.append(_log_spectral_distance(a, c))
            moved += sum(x != y for x, y in zip(lengths, others, strict=True))
            symbols += len(lengths)
            spoken["float32"].append(a)
            spoken["bfloat16"].append(b)
    report.add("log-spectral distance, flow and generator", float(np.mean(distance)), "dB")
    report.add("durations that feed-forward layers moved", 100 * moved / symbols, "%")
    said = [line for _ in range(takes) for line in lines]
    errors = {
        name: 100 * word_error_rate(said, [recognise(audio, RATE) for audio in audios])
        for name, audios in spoken.items()
    }
    report.add(
        f"word error rate, {len(said)} lines", errors["bfloat16"], "%", peer=errors["float32"]
    )
    scores = {name: dnsmos(audios, RATE) for name, audios in spoken.items()}
    for name in ("ovrl_mos", "sig_mos", "bak_mos", "p808_mos"):
        ours, theirs = (float(scores[way][name].mean()) for way in ("bfloat16", "float32"))
        report.add(f"DNSMOS {name[:-4].upper()}, bfloat16", ours, "MOS", peer=theirs)
        report.add("  worse than float32 by", theirs - ours, "MOS", 0.05)


def _voices(registry: Registry, device: str) -> tuple[Voice, Voice, Voice, FrontEnd]:
    """joe in float32, in bfloat16, and in bfloat16 but for its feed-forward layers."""
    manifest = registry.resolve(VoiceRef("joe"))
    architecture = VitsArchitecture.from_config(manifest.engine_config, where=manifest.ref)
    with registry.components.hold(manifest.component("model")) as file:
        stored = map_tensors(file)

    def voice(rounds: Callable[[str], bool]) -> Voice:
        tensors: Mapping[str, torch.Tensor] = as_dtype(stored, torch.bfloat16, rounds)[0]
        canonical = {n: t.to(device) for n, t in in_canonical_shape(tensors).items()}
        return VitsVoice(VitsWeights(load_model(architecture, canonical), architecture, device))

    symbols = registry.objects.path(blob_key(manifest.component("symbols").digest))
    assert symbols is not None
    front_end = make_front_end(
        manifest.front_end,
        SymbolTable.from_json(symbols.read_bytes()),
        manifest.language,
        espeak=Espeak(),
    )
    return (
        voice(lambda name: False),
        voice(may_be_rounded),
        voice(lambda name: name.startswith(("flow.", "dec."))),
        front_end,
    )


def _say(voice: Voice, ids: tuple[int, ...], seed: int) -> tuple[Audio, tuple[int, ...]]:
    delivery = Delivery(
        rate=1.0, seed=seed, controls={"noise_scale": 0.667, "duration_noise_scale": 0.8}
    )
    utterance = finished(voice.prepare(ids, delivery))
    audio = finished(utterance.decode(0, utterance.frames))
    return audio, tuple(utterance.durations_frames)


def _log_spectral_distance(a: Audio, b: Audio) -> float:
    """In dB, of signals of one length."""
    spectra = [20 * np.log10(np.maximum(_magnitudes(signal), 1e-4)) for signal in (a, b)]
    return float(np.sqrt(((spectra[0] - spectra[1]) ** 2).mean(axis=1)).mean())


def _magnitudes(signal: Audio) -> Audio:
    frames = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)[::_HOP]
    magnitudes: Audio = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1))
    return magnitudes
