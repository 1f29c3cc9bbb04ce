"""Run by a Python that has speechmos: DNSMOS scores of clips.

Reads ``{"clips"}``, Base64 of float32 at 16 kHz; writes lists, ``{"ovrl_mos", "sig_mos", …}``.
"""

from __future__ import annotations

import base64
import json
import sys

import numpy as np
from speechmos import dnsmos


def main() -> None:
    """See above."""
    clips = [
        np.frombuffer(base64.b64decode(clip), "<f4").astype(np.float64)
        for clip in json.load(sys.stdin)["clips"]
    ]
    scores = [dnsmos.run(clip, sr=16_000) for clip in clips]
    names = ("ovrl_mos", "sig_mos", "bak_mos", "p808_mos")
    print(json.dumps({name: [float(score[name]) for score in scores] for name in names}))


if __name__ == "__main__":
    main()
