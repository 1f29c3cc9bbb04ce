"""What bfloat16 costs in quality: DNSMOS, word error rate and log-spectral distance beside float32;
what native kernels do (`quality_kernels`), and first segments that are parted (`clause_cuts`).

Feed-forward layers may move a duration by a frame, and then frames would not lie over each other;
so the distance is told with theirs in float32, and how often they move is told beside it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from bench import clause_cuts
from bench.audio_measures import Audio, dnsmos, log_spectral_distance
from bench.lines import LINE, TEN
from bench.quality_kernels import RATE, run_kernels
from bench.recognise import recognise, word_error_rate
from bench.report import Report
from bench.voices import instruction_sets
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

FIGURES = ("arithmetic", "kernels", "clauses")
_TAKES = 3


def run(
    report: Report,
    *,
    device: str,
    quick: bool = False,
    only: str | None = None,
    isa: str | None = None,
) -> None:
    """What ``only`` names, or all of `FIGURES`; ``isa``: these instruction sets, by commas."""
    if only in {None, "arithmetic"}:
        _arithmetic(report, device, quick=quick)
    if only in {None, "kernels"}:
        run_kernels(report, instruction_sets(isa), quick=quick)
    if only in {None, "clauses"}:
        clause_cuts.measure(report, device=device, quick=quick)


def _arithmetic(report: Report, device: str, *, quick: bool) -> None:
    """Speak the same lines in both; two minutes."""
    takes, lines = (1, TEN[:3]) if quick else (_TAKES, (LINE, *TEN))
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as folder:
        registry = Registry(Path(folder))
        import_embedded(registry)
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
                distance.append(log_spectral_distance(a, c))
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
            ours, theirs = scores["bfloat16"][name], scores["float32"][name]
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
