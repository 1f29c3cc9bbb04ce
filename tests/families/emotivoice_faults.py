"""What may be wrong with EmotiVoice's release, and what is told of it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tests.families.sambert_directories import (
    Change,
    cut_short,
    edit_lines,
    edit_yaml,
    gone,
    renamed,
    swapped,
    written,
)

TEXT = "data/youdao/text"
JOINT = "outputs/prompt_tts_open_source_joint/ckpt/g_00140000"
STYLE = "outputs/style_encoder/ckpt/checkpoint_163431"
CONFIG = "config/joint/config.yaml"
SIMBERT = "WangZeJun/simbert-base-chinese"


class _Code:
    """What runs a function when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (eval, ("__import__('os').mkdir('was_run')",))


def edit(path: str, key: str, change: Callable[[dict[str, Any]], object]) -> Change:
    """The tensors under ``key`` of a checkpoint."""

    def edited(folder: Path) -> None:
        checkpoint = torch.load(folder / path, weights_only=True)
        change(checkpoint[key])
        torch.save(checkpoint, folder / path)

    return edited


def joint(name: str, change: Callable[[torch.Tensor], torch.Tensor | None]) -> Change:
    """A tensor of the joint model as ``change`` gives it; left out if that is None."""

    def changed(tensors: dict[str, Any]) -> None:
        new = change(tensors.pop(name, torch.zeros(1)))
        if new is not None:
            tensors[name] = new

    return edit(JOINT, "generator", changed)


def configured(key: str, value: object) -> Change:
    """A number of SimBERT's configuration."""

    def edited(folder: Path) -> None:
        path = folder / SIMBERT / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {key: value}), "utf-8")

    return edited


# What is wrong; what is done to a release; what is told.
FAULTS: Mapping[str, tuple[Change, str]] = {
    "no configuration": (gone(CONFIG), "config/joint/config.yaml is missing"),
    "no tokens": (gone(f"{TEXT}/tokenlist"), "tokenlist is missing .* holds .*emotion"),
    "no speakers": (gone(f"{TEXT}/speaker2"), "speaker2 is missing"),
    "no emotions": (gone(f"{TEXT}/emotion"), "text/emotion is missing"),
    "no joint model": (gone(JOINT), r"ckpt/g_N is missing \(.* is empty, or not there"),
    "a renamed joint model": (renamed(JOINT, "model.pt"), r"g_N is missing .* holds 'model.pt'"),
    "two joint models": (
        written("outputs/mine/ckpt/g_00000010", b"x"),
        "holds models in outputs/mine/ckpt and outputs/prompt_tts_open_source_joint/ckpt",
    ),
    "no style encoder": (gone(STYLE), "checkpoint_N is missing"),
    "no vocabulary": (gone(f"{SIMBERT}/vocab.txt"), "vocab.txt is missing .* holds 'config.json'"),
    "no configuration of SimBERT": (gone(f"{SIMBERT}/config.json"), "config.json is missing"),
    "two SimBERTs": (
        written("simbert-mine/vocab.txt", b"x"),
        "holds WangZeJun/simbert-base-chinese and simbert-mine, which both have a vocab.txt",
    ),
    "a model that runs code": (written(JOINT, pickle.dumps({"generator": _Code()})), "is refused"),
    "an encoder that runs code": (written(STYLE, pickle.dumps(_Code())), "is refused"),
    "half a model": (cut_short(JOINT), "is refused: it is damaged"),
    "another checkpoint": (
        lambda folder: torch.save({"discriminator": {"a": torch.zeros(1)}}, folder / JOINT),
        "has no 'generator'.* g_N, do_N and the style encoder's checkpoint were exchanged",
    ),
    "a model in half precision": (
        joint("am.to_mel.bias", lambda tensor: tensor.half()),
        "tensors that are not float32, such as 'am.to_mel.bias' in float16",
    ),
    "a model that diverged": (
        joint("am.to_mel.bias", lambda tensor: tensor * float("nan")),
        "am.to_mel.bias holds NaN",
    ),
    "a tensor that is away": (
        joint("am.to_mel.bias", lambda _: None),
        "missing tensors: am.to_mel.bias",
    ),
    "a tensor too many": (
        joint("am.postnet.weight", lambda _: torch.zeros(3)),
        "unknown tensors: am.postnet.weight",
    ),
    "a vocoder of another shape": (
        joint("generator.conv_post.bias", lambda _: torch.zeros(2)),
        r"generator.conv_post.bias is \[2\], not \[1\]",
    ),
    "torn weight norm": (
        joint("generator.conv_pre.weight_v", lambda _: None),
        "the weight norm of generator.conv_pre is torn",
    ),
    "no table of speakers": (joint("am.spk_tokenizer.weight", lambda _: None), "has no table of"),
    "a table of other speakers": (
        joint("am.spk_tokenizer.weight", lambda tensor: tensor[:, :8]),
        "has no table of speakers with 16 numbers each",
    ),
    "a speaker beyond the table": (
        edit_lines(f"{TEXT}/speaker2", lambda lines: [*lines, "9999"]),
        "speaker2 has 4 speakers, and the table in g_00140000 has 3 rows",
    ),
    "a token beyond the table": (
        edit_lines(f"{TEXT}/tokenlist", lambda lines: [*lines, "new"]),
        "tokenlist has 503 tokens, and the table in g_00140000 has 502 rows",
    ),
    "a speaker twice": (
        edit_lines(f"{TEXT}/speaker2", lambda lines: [*lines[:2], lines[0]]),
        "has '8051' twice",
    ),
    "a blank token": (edit_lines(f"{TEXT}/tokenlist", lambda lines: ["", *lines[1:]]), "line 1 is"),
    "tokens without the edge": (
        edit_lines(f"{TEXT}/tokenlist", lambda lines: [lines[0], "edge", *lines[2:]]),
        "has no <sos/eos>",
    ),
    "tokens in another code": (written(f"{TEXT}/tokenlist", b"\xff\xfe_"), "no text in UTF-8"),
    "an emotion of others": (
        edit_lines(f"{TEXT}/emotion", lambda lines: [*lines, "骄傲"]),
        "has '骄傲', which is none of EmotiVoice's emotions",
    ),
    "emotions without neutral": (
        edit_lines(f"{TEXT}/emotion", lambda lines: [line for line in lines if line != "普通"]),
        "has no 普通",
    ),
    "a configuration that runs code": (
        written(CONFIG, "a: !!python/object/apply:os.mkdir [was_run]"),
        "config.yaml is refused",
    ),
    "a configuration without a model": (
        edit_yaml(CONFIG, "model", to=None),
        "'model' must be an object",
    ),
    "a configuration without heads": (
        edit_yaml(CONFIG, "model", "encoder_n_heads", to=None),
        "'encoder_n_heads' must be a whole number",
    ),
    "heads that do not divide": (
        edit_yaml(CONFIG, "model", "encoder_n_heads", to=3),
        "encoder_heads must divide units",
    ),
    "a layer more than there is": (
        edit_yaml(CONFIG, "model", "decoder_n_layers", to=3),
        "missing tensors: .* checkpoint that config/joint/config.yaml describes",
    ),
    "a decoder of another width": (
        edit_yaml(CONFIG, "model", "decoder_n_hidden", to=24),
        "'decoder_n_hidden' must be encoder_n_hidden, 16",
    ),
    "another kind of blocks": (
        edit_yaml(CONFIG, "model", "resblock", to="2"),
        "'resblock' is '2', and voxswap computes '1' alone",
    ),
    "a hop of another length": (edit_yaml(CONFIG, "hop_length", to=200), "'hop_length' is 200"),
    "mels that do not fit": (edit_yaml(CONFIG, "n_mels", to=80), "'initial_channel' is 8, and"),
    "rates that are none": (edit_yaml(CONFIG, "model", "upsample_rates", to="8"), "rates has '8'"),
    "styles that do not fit": (
        edit_yaml(CONFIG, "model", "bert_embedding", to=24),
        "takes styles of 24 numbers, and a style encoder that gives 12",
    ),
    "SimBERT with another activation": (
        configured("hidden_act", "relu"),
        "'hidden_act' is 'relu', and voxswap computes 'gelu' alone",
    ),
    "SimBERT with a layer more": (
        configured("num_hidden_layers", 3),
        "checkpoint that WangZeJun/simbert-base-chinese/config.json describes",
    ),
    "a vocabulary that is too long": (
        edit_lines(f"{SIMBERT}/vocab.txt", lambda lines: [*lines, "鑫"]),
        "has 201 pieces, and the style encoder's table 200 rows",
    ),
    "a vocabulary without marks": (
        edit_lines(f"{SIMBERT}/vocab.txt", lambda lines: lines[4:]),
        r"has no \[UNK\]",
    ),
    "a vocabulary without emotions": (
        edit_lines(f"{SIMBERT}/vocab.txt", lambda lines: ["噢" if x == "普" else x for x in lines]),
        "has no pieces for 普通",
    ),
}
# Another order is no fault that anybody could see.
UNSEEN: Change = edit_lines(f"{TEXT}/speaker2", swapped)
