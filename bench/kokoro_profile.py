"""Where a line of Kokoro spends its time: onnxruntime's profile on one thread, and the products.

Multiply-adds are counted from the shapes that the nodes had; GOPS are two for each of them.
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from bench.lines import LINE, TEN
from bench.report import Report
from bench.voices import load_voice
from voxswap_families.contract import Delivery
from voxswap_families.embedded import import_embedded
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.engine import KokoroEngine
from voxswap_families.onnx_graphs.check import parse_graph
from voxswap_families.work import finished
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_server.text.frontends import make_front_end
from voxswap_server.text.normalization import normalize

_VOICE = "kokoro/jm_kumo"
# A node belongs to the first of these that its name holds, and else to the predictor.
_PARTS = {
    "generator": "generator, STFT and iSTFT",
    "decoder": "decoder",
    "predictor": "predictor",
    "text_encoder": "text encoder",
    **dict.fromkeys(("bert", "FastGelu", "SkipLayerNormalization"), "PL-BERT"),
}
_KINDS = {
    "ConvInteger": "convolutions, int8",
    "MatMulInteger": "products, int8",
    "DynamicQuantizeLSTM": "LSTM",
    "STFT": "STFT",
    **dict.fromkeys(("Conv", "ConvTranspose", "MatMul", "FusedMatMul"), "products, float"),
    **dict.fromkeys(("DynamicQuantizeLinear", "DequantizeLinear"), "quantising"),
    **dict.fromkeys(("Sin", "Pow", "Cos"), "sines and their squares"),
}


def run(report: Report, *, quick: bool = False) -> None:
    """A short and a long line in turns, medians; a minute."""
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as folder:
        registry = Registry(Path(folder))
        import_embedded(registry)
        component = registry.resolve(VoiceRef(_VOICE)).component("base")
        with registry.components.hold(component) as file:
            graph = parse_graph(file.read_bytes()).graph
        weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        constant = {node.name: [weights.get(of, ()) for of in node.input] for node in graph.node}
        runs = _profiles(registry, (TEN[0], LINE), 3 if quick else 9, f"{folder}/profile")
        _tell(report, "short line", runs[2::2], constant)
        _tell(report, "long line", runs[3::2], constant)


def _profiles(registry: Registry, lines: Sequence[str], turns: int, prefix: str) -> list[list[Any]]:
    """The nodes of each run in their order: the lines take turns, and one more at first."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, prefix
    with mock.patch.object(onnxruntime, "SessionOptions", return_value=options):
        loaded = load_voice(registry, _VOICE, KokoroEngine(threads=1, front_ends=make_front_end))
    voice: Any = loaded.voice
    spoken = [loaded.front_end.symbols(normalize(line, "en-US")).ids for line in lines]
    for _ in range(turns + 1):
        for ids in spoken:
            finished(voice.prepare(ids, Delivery(rate=1.0, seed=0)))
    profile = Path(voice._session._session.end_profiling())
    nodes = [event for event in json.loads(profile.read_text()) if event.get("cat") == "Node"]
    each = len(nodes) // (len(lines) * (turns + 1))
    return [nodes[i : i + each] for i in range(0, len(nodes), each)]


def _tell(
    report: Report, line: str, runs: list[list[Any]], constant: Mapping[str, Sequence[Any]]
) -> None:
    us: Counter[tuple[str, str]] = Counter()
    products: Counter[tuple[str, str]] = Counter()
    for same in zip(*runs, strict=True):
        name, args = same[0]["name"].removesuffix("_kernel_time"), same[0]["args"]
        taken = round(statistics.median(event["dur"] for event in same))
        part = next((part for known, part in _PARTS.items() if known in name), "predictor")
        for of in ("all", ""), ("part", part), ("kind", _kind(name, args["op_name"])):
            us[of] += taken
            products[of] += _products(args, constant[name])
    audio_s = _shapes(runs[0][-1]["args"], "output")[0][0] / kokoro.SAMPLE_RATE_HERTZ
    whole, made = us.pop(("all", "")), products["all", ""]
    report.add(f"{line} of {audio_s:.1f} s: RTF of one thread", whole / 1e6 / audio_s, "")
    report.add("  products for a second", made / 1e9 / audio_s, "10^9")
    for (by, what), taken in sorted(us.items(), key=lambda item: (item[0][0] < "p", -item[1])):
        report.add(f"  {what}", 100 * taken / whole, "%")
        if products[by, what] > made / 1000:
            report.add("    of all products", 100 * products[by, what] / made, "%")
            report.add("    their rate", 2 * products[by, what] / taken / 1e3, "GOPS")


def _kind(name: str, op: str) -> str:
    if op not in _KINDS and ("_quant" in name or "bias_" in name):
        return "quantising"
    return _KINDS.get(op) or ("norms" if "norm" in name.lower() or "adain" in name else "the rest")


def _shapes(args: Mapping[str, Any], side: str) -> list[Any]:
    return [tuple(shape) for tensor in args[f"{side}_type_shape"] for shape in tensor.values()]


def _products(args: Mapping[str, Any], constant: Sequence[Any]) -> int:
    """Multiply-adds of a node; ``constant`` are the shapes of those inputs that are weights."""
    op, taken, given = args["op_name"], _shapes(args, "input"), _shapes(args, "output")
    if "MatMul" in op:  # a fused one's first factor is transposed
        return int(math.prod(given[0]) * taken[0][-2 if op == "FusedMatMul" else -1])
    if op in ("Conv", "ConvInteger", "ConvTranspose"):
        return int(math.prod((taken if op == "ConvTranspose" else given)[0] + constant[1][1:]))
    if op == "DynamicQuantizeLSTM":
        return int(taken[0][0]) * sum(map(math.prod, constant[1:3]))
    return 0
