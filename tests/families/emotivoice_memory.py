"""Measures, in a process of its own, what preparing the longest EmotiVoice line takes; JSON.

``python -m tests.families.emotivoice_memory``: published shapes, random weights. Linux alone.
"""

from __future__ import annotations

import json
import sys

import torch

from tests.families.kokoro_memory import measured
from voxswap_families.emotivoice import usual
from voxswap_families.emotivoice.acoustic import MOST_FRAMES, Acoustic, Asked
from voxswap_families.emotivoice.bert import StyleEncoder
from voxswap_families.emotivoice.engine import _preparing_bytes
from voxswap_families.emotivoice.voice import MOST_SYMBOLS
from voxswap_families.work import Steps, Work, finished
from voxswap_server.residency.device import HostDevice


def peak_bytes(steps: Steps[object]) -> int:
    """Of all of them, from a heap that was trimmed."""
    HostDevice().give_back(1 << 30)
    work = Work(steps, around=torch.inference_mode)
    return int(measured(lambda: finished(work))[1]["peak_bytes"])


def main() -> None:
    """Layers are alike, and what one takes is free for the next: one of each is enough."""
    torch.set_num_threads(1)
    weights = dict(usual.acoustic_weights("cpu"))
    weights["am.duration_predictor.linear.bias"] += 4.0  # as long as a line may be
    acoustic = Acoustic(weights, usual.CONFIG.acoustic)
    style = StyleEncoder(usual.style_weights("cpu"), usual.CONFIG.style)
    zeros, a = torch.zeros, usual.CONFIG.acoustic

    def line(symbols: int) -> Steps[object]:
        units, styles = a.speaker_units, a.style_units
        ids = zeros(symbols, dtype=torch.int64)
        return acoustic.steps(Asked(ids, zeros(units), zeros(styles), zeros(styles)))

    peak_bytes(line(4))  # libraries are loaded by it, and silent weights touched
    positions = usual.CONFIG.style.positions
    told = {
        "frames": MOST_FRAMES,
        "bound_bytes": _preparing_bytes(usual.CONFIG),
        "line_bytes": peak_bytes(line(MOST_SYMBOLS)),
        "style_bytes": peak_bytes(style.steps([0] * positions)),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
