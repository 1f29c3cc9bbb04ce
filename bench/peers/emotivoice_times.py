"""Run by a Python that has torch and transformers: how long EmotiVoice's own code takes for a line.

numba, which it has for training, is stood in for. Reads one question a line and answers each with
one: first ``{"source", "release", "threads"}``, a checkout of EmotiVoice and a folder in the layout
of its release, answered ``{}``; then ``{"ids", "speaker", "prompt", "content", "keep"}``, symbols,
a row and tokens, answered ``{"whole_s", "style_s"}``; ``keep`` is a file to save the audio in, or
null.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
import yaml
from transformers import AutoModel, BertConfig, BertModel

_HEADS = {"pitch": 3, "speed": 3, "energy": 3, "emotion": 7}


def main() -> None:
    """Answer until there are no more questions."""
    setup = json.loads(sys.stdin.readline())
    torch.set_num_threads(setup["threads"])
    sys.path.insert(0, setup["source"])
    for name in ("numba", "numba.core"):
        sys.modules[name] = MagicMock(name=name)
    with contextlib.redirect_stdout(sys.stderr):  # what it prints is no answer
        generator, style = _models(Path(setup["release"]))
    _answer({})
    for question in map(json.loads, sys.stdin):
        _answer(_spoken(generator, style, question))


def _models(release: Path) -> tuple[torch.nn.Module, torch.nn.Module]:
    from models.prompt_tts_modified.jets import JETSGenerator
    from models.prompt_tts_modified.simbert import StyleEncoder

    config = yaml.safe_load((release / "config/joint/config.yaml").read_text("utf-8"))
    weights = _checkpoint(release, "prompt_tts_open_source_joint", "generator")
    described = _named({"segment_size": 32, **config})  # which only training reads
    described.n_vocab = len(weights["am.src_word_emb.weight"])
    described.n_speaker = len(weights["am.spk_tokenizer.weight"])
    generator = JETSGenerator(described)
    # A made-up release has a few tensors of what only training needs.
    missing, _ = generator.load_state_dict(
        {n: t for n, t in weights.items() if "alignment" not in n}, strict=False
    )
    assert all("alignment" in name for name in missing), missing
    folder = next(release.glob("*/simbert-base-chinese"))
    bert = BertModel(BertConfig.from_json_file(folder / "config.json"))
    AutoModel.from_pretrained = lambda _path: bert
    labels = {f"{name}_n_labels": count for name, count in _HEADS.items()}
    style = StyleEncoder(
        SimpleNamespace(
            bert_path="", bert_hidden_size=bert.config.hidden_size, style_dim=128, **labels
        )
    )
    tensors = _checkpoint(release, "style_encoder", "model")
    tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    missing, _ = style.load_state_dict(tensors, strict=False)
    assert not [name for name in missing if name.startswith("bert.")], missing
    return generator.eval(), style.eval()


def _checkpoint(release: Path, model: str, root: str) -> Any:
    (path,) = (release / "outputs" / model / "ckpt").iterdir()
    return torch.load(path, map_location="cpu", weights_only=True)[root]


class _Named(SimpleNamespace):
    """A mapping whose entries are attributes, as its configuration is read."""

    def __getattr__(self, name: str) -> float:
        """A made-up release has no dropout, which only training has."""
        if "dropout" in name:
            return 0.0
        raise AttributeError(name)


def _named(value: Any) -> Any:
    if isinstance(value, dict):
        return _Named(**{name: _named(inner) for name, inner in value.items()})
    return value


def _spoken(generator: Any, style: Any, question: Any) -> dict[str, float]:
    ids = torch.tensor([question["ids"]])
    with torch.no_grad():
        began = time.perf_counter()
        prompt, content = (_style(style, question[name]) for name in ("prompt", "content"))
        read = time.perf_counter()
        found = generator(
            inputs_ling=ids,
            inputs_style_embedding=prompt,
            input_lengths=torch.tensor([ids.shape[1]]),
            inputs_content_embedding=content,
            inputs_speaker=torch.tensor([question["speaker"]]),
            alpha=1.0,
        )
        audio = found["wav_predictions"].flatten()
        ended = time.perf_counter()
    if question["keep"]:
        np.save(question["keep"], audio.numpy())
    return {"whole_s": ended - began, "style_s": read - began}


def _style(style: Any, tokens: list[int]) -> torch.Tensor:
    ids = torch.tensor([tokens])
    types, mask = torch.zeros_like(ids), torch.ones_like(ids)
    found: torch.Tensor = style(input_ids=ids, token_type_ids=types, attention_mask=mask)[
        "pooled_output"
    ]
    return found


def _answer(answer: object) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
