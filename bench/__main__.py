"""``scripts/bench NAME [--json FILE] …``: run one benchmark."""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import sys
from pathlib import Path

from bench.report import Report

# Some benchmarks import onnxruntime, which reports to its makers otherwise.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

BENCHMARKS = {
    "front-ends": "espeak-ng and the Apache-licensed English front-end side by side",
    "text": "cases and corpus read right; what an English line takes; the slowest of 20,000 texts",
    "mandarin": "polyphones read right, beside pypinyin; what a sentence takes",
    "registry": "ten thousand voices: start, listing, memory; publishing beside copying",
    "residency": "swaps; warm voices beside them; what voices and churn cost; true books",
    "first-sound": "TTFA, whole lines, throughput, paced readers, cancelling, a game's load; peers",
    "doors": "first audio over HTTP and WebSocket beside gRPC; paced readers; starts with all on",
    "page": "the page in headless Chromium: from press to sound, its main thread, its size",
    "commits": "this tree beside another commit: first sounds, lines, swaps, load, starts, memory",
    "kernels": "native kernels beside torch and onnxruntime; rows of the table; a line of Kokoro",
    "sambert": "Sambert voices: first audio, lines and swaps beside KAN-TTS's own code and VITS",
    "expression": "emotions by instruments, beside plain speech; pitch in cents, ceiling, costs",
    "style": "styles off recordings: found again, spoken nearer to the clip, DNSMOS, word errors",
    "emotivoice": "EmotiVoice voices: lines and prompts beside EmotiVoice's code; more speakers",
    "packing": "packing and unpacking the weights of a voice, beside copying them",
    "quality": "bfloat16, native kernels, lines parted at a clause: DNSMOS, word errors, distances",
    "first-voice": "parity with onnxruntime and Piper, warm and cold TTFA, word error rate",
}


_OPTIONS = ("quick", "only", "against", "pictures", "isa")


def main() -> int:
    """Run it; 0 if every bound is kept."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:14} {text}" for name, text in BENCHMARKS.items()),
    )
    parser.add_argument("name", choices=BENCHMARKS, metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:0 (default: cpu)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: few repetitions")
    parser.add_argument("--only", metavar="FIGURE", help="one group of figures")
    parser.add_argument("--against", metavar="COMMIT", help="compare with its server, in turns")
    parser.add_argument("--isa", metavar="NAME,…", help="these instruction sets alone")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="put its pictures there")
    arguments = parser.parse_args()
    module = importlib.import_module(f"bench.{arguments.name.replace('-', '_')}")
    options = {name: getattr(arguments, name) for name in _OPTIONS}
    options = {name: value for name, value in options.items() if value}
    if unknown := options.keys() - inspect.signature(module.run).parameters:
        parser.error(f"{arguments.name} does not take --{', --'.join(sorted(unknown))}")
    if arguments.only and arguments.only not in module.FIGURES:
        parser.error(f"--only takes one of {', '.join(module.FIGURES)}; found {arguments.only!r}")
    report = Report(arguments.name)
    module.run(report, device=arguments.device, **options)
    print(report.table())
    if arguments.json:
        arguments.json.write_text(report.json())
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
