"""Run by a Python that has streaming-vits: how soon it is heard, called in process.

Reads one question a line and answers each with one: first ``{"weights", "threads", "calibrate"}``,
answered ``{"profiles"}``; then ``{"line", "profile"}``, answered ``{"first_ms", "whole_ms",
"audio_s"}``. Its cached-state decoder is not among them: 0.4.2 cannot export it for voices with one
speaker (KeyError: 'flow.flows.0.enc.cond_layer').
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from streaming_vits import StreamingTTS
from streaming_vits.profile import Profile


def main() -> None:
    """Answer until there are no more questions."""
    setup = json.loads(sys.stdin.readline())
    with tempfile.TemporaryDirectory(prefix="streaming-vits-") as name:
        model = Path(name) / "voice.onnx"  # its graphs are written beside it
        shutil.copyfile(setup["weights"], model)
        shutil.copyfile(f"{setup['weights']}.json", f"{model}.json")
        threads = setup["threads"]
        voices = {"default": _voice(model, threads, Profile(threads=threads))}
        if setup["calibrate"]:
            command = [str(Path(sys.executable).with_name("streaming-vits")), "calibrate"]
            command += [f"--vits-model={model}", f"--num-threads={threads}"]
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            voices["calibrated"] = _voice(model, threads, None)
        _answer({"profiles": list(voices)})
        for question in map(json.loads, sys.stdin):
            _answer(_speak(voices[question["profile"]], question["line"]))


def _voice(model: Path, threads: int, profile: Profile | None) -> StreamingTTS:
    return StreamingTTS(str(model), threads=threads, profile=profile, verbose=False)


def _speak(voice: StreamingTTS, line: str) -> dict[str, float]:
    first_ms, samples = 0.0, 0
    began = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):  # its warnings are no answers
        for chunk in voice.stream(line):
            first_ms = first_ms or (time.perf_counter() - began) * 1e3
            samples += len(chunk.audio)
    whole_ms = (time.perf_counter() - began) * 1e3
    return {"first_ms": first_ms, "whole_ms": whole_ms, "audio_s": samples / voice.sample_rate}


def _answer(answer: object) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
