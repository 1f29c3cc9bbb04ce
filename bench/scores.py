"""How natural speech sounds to DNSMOS, by a Python that has the model."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import soxr

from bench.peers import ask_peer

DNSMOS_RATE = 16_000


def dnsmos(
    audios: Sequence[npt.NDArray[np.float32]], rate: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Scores of each clip, at ``rate`` hertz, by their names."""
    clips = []
    for audio in audios:
        clip = soxr.resample(audio, rate, DNSMOS_RATE).clip(-1, 1).astype("<f4")
        clips.append(base64.b64encode(clip.tobytes()).decode())
    scores = ask_peer("dnsmos", "dnsmos.py", {"clips": clips})
    return {name: np.array(found) for name, found in scores.items()}
