"""Run by a Python that has torch, scipy and PyYAML: how long KAN-TTS's own code takes for a line.

Its packages for training and for its closed front-end are stood in for: nothing of them is used.
Reads one question a line and answers each with one: first ``{"source", "voice", "threads"}``, a
checkout of KAN-TTS and a folder of ``voices/``, answered ``{}``; then ``{"rows", "emotion",
"speaker", "keep"}``, answered ``{"whole_s", "acoustic_s"}``; ``keep`` is a file to save frames and
audio in, or null.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import json
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import scipy.signal
import torch
import yaml

_ABSENT = (
    *("ttsfrd", "unidecode", "inflect", "pytorch_wavelets", "numba", "librosa", "tqdm"),
    *("matplotlib", "tensorboardX", "soundfile", "pysptk", "sox", "bitstring"),
)
_DROPOUTS = (
    *(f"{part}_dropout" for part in ("encoder", "predictor", "decoder", "postnet")),
    *(
        f"{part}_{kind}_dropout"
        for part in ("encoder", "decoder")
        for kind in ("attention", "relu")
    ),
)
_TABLES = {
    "sy": "text_encoder.sy_emb.weight",
    "tone": "text_encoder.tone_emb.weight",
    "syllable_flag": "text_encoder.syllable_flag_emb.weight",
    "word_segment": "text_encoder.ws_emb.weight",
    "emotion": "emo_tokenizer.weight",
    "speaker": "spk_tokenizer.weight",
}


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules that take whatever is asked of them."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        del path, target
        if name.partition(".")[0] not in _ABSENT:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> Any:
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__, module.__name__ = [], spec, spec.name
        return module

    def exec_module(self, module: Any) -> None:
        """Nothing."""


def main() -> None:
    """Answer until there are no more questions."""
    setup = json.loads(sys.stdin.readline())
    torch.set_num_threads(setup["threads"])
    sys.path.insert(0, setup["source"])
    sys.meta_path.append(_StandIns())
    scipy.signal.kaiser = scipy.signal.windows.kaiser  # as it was called when that was written
    with contextlib.redirect_stdout(sys.stderr):  # what it prints is no answer
        acoustic, vocoder = _models(Path(setup["voice"]))
    _answer({})
    for question in map(json.loads, sys.stdin):
        _answer(_spoken(acoustic, vocoder, question))


def _models(voice: Path) -> tuple[torch.nn.Module, torch.nn.Module]:
    from kantts.models.hifigan.hifigan import Generator
    from kantts.models.sambert.kantts_sambert import KanTtsSAMBERT

    weights = _checkpoint(voice / "am")["model"]
    # A made-up voice has no dropout, which only training has.
    params = dict.fromkeys(_DROPOUTS, 0.0) | _config(voice / "am")["KanTtsSAMBERT"]["params"]
    params |= {name: len(weights[key]) for name, key in _TABLES.items() if key in weights}
    acoustic = KanTtsSAMBERT(params)
    computed = {k for k in acoustic.state_dict() if k.endswith(("position_enc", "timescales"))}
    missing, surplus = acoustic.load_state_dict(weights, strict=False)
    assert set(missing) <= computed
    assert not surplus
    vocoder = Generator(**_config(voice / "voc")["Generator"]["params"])
    vocoder.load_state_dict(_checkpoint(voice / "voc")["model"]["generator"])
    vocoder.remove_weight_norm()
    return acoustic.eval(), vocoder.eval()


def _checkpoint(folder: Path) -> Any:
    (path,) = (folder / "ckpt").glob("checkpoint_*.pth")
    return torch.load(path, map_location="cpu", weights_only=True)


def _config(folder: Path) -> Any:
    return yaml.safe_load((folder / "config.yaml").read_text("utf-8"))["Model"]


def _spoken(acoustic: Any, vocoder: Any, question: Any) -> dict[str, float]:
    rows, emotion, speaker = (
        torch.tensor(question[name])[None] for name in ("rows", "emotion", "speaker")
    )
    lengths = torch.tensor([rows.shape[1]])
    with torch.no_grad():
        began = time.perf_counter()
        found = acoustic(rows, emotion, speaker, lengths)
        frames = found["postnet_outputs"][0, : int(found["LR_length_rounded"][0])]
        made = time.perf_counter()
        audio = vocoder(frames.t()[None])[0, 0]
        ended = time.perf_counter()
    if question["keep"]:
        np.savez(question["keep"], frames=frames.numpy(), audio=audio.numpy())
    return {"whole_s": ended - began, "acoustic_s": made - began}


def _answer(answer: object) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
