"""What may be wrong with a directory of ModelScope's, and what is told of it."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from tests.families.sambert_directories import (
    AM,
    NAME,
    VOC,
    VOICE,
    Change,
    cut_short,
    edit_lines,
    edit_weights,
    edit_yaml,
    gone,
    renamed,
    saved,
    swapped,
    written,
)


class _Code:
    """What runs a function when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (eval, ("__import__('os').mkdir('was_run')",))


GENERATOR = ("Model", "Generator", "params")
SAMBERT = ("Model", "KanTtsSAMBERT", "params")
SY = f"{VOICE}/dict/sy_dict.txt"
BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
)

# What is wrong; the sort of voice; what is done to it; what is told.
FAULTS: Mapping[str, tuple[str, Change, str]] = {
    "no list of voices": ("sambert", gone("voices/voices.json"), "has no voices/voices.json"),
    "a list that is none": (
        "sambert",
        written("voices/voices.json", '{"voices": "zhitian"}'),
        "'voices' must be a list",
    ),
    "a listed voice that is away": (
        "sambert",
        written("voices/voices.json", json.dumps({"voices": [NAME, "zhida"]})),
        "lists 'zhida', and there is no folder voices/zhida",
    ),
    "a listed voice that leads elsewhere": (
        "sambert",
        written("voices/voices.json", json.dumps({"voices": ["../../etc"]})),
        "has '../../etc', which is no name of a voice",
    ),
    "a voice that is not listed": (
        "sambert",
        written("voices/zhida/am/config.yaml", "a: 1"),
        "voices/'zhida' is not listed",
    ),
    "no acoustic configuration": (
        "sambert",
        renamed(f"{VOICE}/am/config.yaml", "config.yml"),
        "am/config.yaml is missing .* holds config.yml",
    ),
    "no vocoder configuration": (
        "sambert",
        gone(f"{VOICE}/voc/config.yaml"),
        "voc/config.yaml is missing",
    ),
    "no acoustic checkpoint": (
        "sambert",
        gone(AM),
        r"am/ckpt/checkpoint_N.pth is missing \(.* is empty, or not there",
    ),
    "a renamed checkpoint": (
        "sambert",
        renamed(VOC, "best.pth"),
        "voc/ckpt/'best.pth' is no checkpoint_N.pth",
    ),
    "a surplus checkpoint": (
        "sambert",
        written(f"{VOICE}/am/ckpt/model.pth", b"x"),
        "am/ckpt/'model.pth' is no checkpoint_N.pth",
    ),
    "two configurations of audio": (
        "sambert",
        written(f"{VOICE}/audio_config_24k.yaml", "audio_config: {}"),
        "holds audio_config.yaml and audio_config_24k.yaml",
    ),
    "a dictionary that is away": (
        "sambert",
        gone(f"{VOICE}/dict/tone_dict.txt"),
        "dict/tone_dict.txt is missing",
    ),
    "a surplus dictionary": (
        "sambert",
        written(f"{VOICE}/dict/sy_dict.txt.bak", "a"),
        "'sy_dict.txt.bak' is no dictionary",
    ),
    "a dictionary in another order": (
        "sambert",
        edit_lines(SY, swapped),
        "sy_dict.txt is in another order .* line 1 is 'ai_c', where 'a_c' belongs",
    ),
    "speakers in another order": (
        "sambert-speakers",
        edit_lines(f"{VOICE}/dict/speaker_dict.txt", swapped),
        "speaker_dict.txt is in another order",
    ),
    "a dictionary that is far too short": (
        "sambert",
        edit_lines(SY, lambda lines: lines[20:]),
        "has 124 names, and the table 'sy' in the checkpoint has 147 rows",
    ),
    "a dictionary that lacks one": (
        "sambert",
        edit_lines(SY, lambda lines: lines[1:]),
        "has 143 names, and the table 'sy' in the checkpoint has 147 rows",
    ),
    "a dictionary with one more": (
        "sambert",
        edit_lines(SY, lambda lines: [*lines, "new_c"]),
        "sy_dict.txt has one name more than its table",
    ),
    "a dictionary with one twice": (
        "sambert",
        edit_lines(SY, lambda lines: [*lines[:-5], lines[0], *lines[-4:]]),
        "has 'a_c' twice",
    ),
    "a dictionary that is empty": ("sambert", written(SY, ""), "sy_dict.txt is empty"),
    "a dictionary in another encoding": (
        "sambert",
        written(SY, "阿".encode("gb18030")),
        "is no text in UTF-8",
    ),
    "a dictionary with what stands behind it": (
        "sambert",
        edit_lines(SY, lambda lines: [*lines, "_"]),
        "line 145 is '_', which stands behind every dictionary",
    ),
    "a dictionary without pauses": (
        "sambert",
        edit_lines(SY, lambda lines: [line.replace("#", "%") for line in lines]),
        "lacks #1, a pause",
    ),
    "another language": (
        "sambert",
        edit_yaml(f"{VOICE}/am/config.yaml", "linguistic_unit", "language", to="Sichuan"),
        "'language' is 'Sichuan'; voxswap reads Mandarin",
    ),
    "no speakers": (
        "sambert",
        edit_yaml(f"{VOICE}/am/config.yaml", "linguistic_unit", "speaker_list", to=None),
        "'speaker_list' must be names",
    ),
    "a wrong shape": (
        "sambert",
        edit_weights(AM, "mel_postnet.fc.bias", lambda t: t[:-1]),
        r"tensors of another shape: mel_postnet.fc.bias is \[7\], not \[8\]",
    ),
    "a wrong shape of the vocoder": (
        "sambert",
        edit_weights(VOC, "conv_pre.conv1d.bias", lambda t: t[:-1]),
        r"conv_pre.conv1d.bias is \[31\], not \[32\]",
    ),
    "a tensor that is away": (
        "sambert",
        edit_weights(AM, "mel_postnet.fc.bias", lambda t: None),
        r"missing tensors: mel_postnet.fc.bias\.",
    ),
    "a table that is away": (
        "sambert",
        edit_weights(AM, "spk_tokenizer.weight", lambda t: None),
        "spk_tokenizer.weight is missing",
    ),
    "a surplus tensor": (
        "sambert",
        edit_weights(VOC, "conv_extra.weight", lambda t: torch.zeros(3, 3, 3)),
        r"unknown tensors: conv_extra.weight\.",
    ),
    "half a weight norm": (
        "sambert",
        edit_weights(VOC, "conv_pre.conv1d.weight_v", lambda t: None),
        "weight norm of conv_pre.conv1d is torn",
    ),
    "half precision": (
        "sambert",
        edit_weights(AM, "mel_postnet.fc.weight", lambda t: t.half()),
        "1 tensors that are not float32, such as 'mel_postnet.fc.weight' in float16",
    ),
    "another half precision": (
        "sambert",
        edit_weights(VOC, "conv_post.conv1d.bias", lambda t: t.bfloat16()),
        "in bfloat16: .* Import the float32 checkpoint",
    ),
    "quantised": (
        "sambert",
        edit_weights(AM, "mel_postnet.fc.weight", lambda t: t.to(torch.int8)),
        "in int8",
    ),
    "not finite": (
        "sambert",
        edit_weights(AM, "mel_postnet.fc.bias", lambda t: t * torch.nan),
        "mel_postnet.fc.bias holds NaN or infinity",
    ),
    "no tensor": (
        "sambert",
        edit_weights(AM, "mel_postnet.fc.bias", lambda t: "text"),
        "holds 'mel_postnet.fc.bias', which is no tensor",
    ),
    "an acoustic model for a vocoder": (
        "sambert",
        lambda folder: shutil.copy(folder / AM, folder / VOC),
        "has no 'model.generator'; .* were exchanged",
    ),
    "a checkpoint with code": (
        "sambert",
        written(AM, pickle.dumps({"model": _Code()})),
        "checkpoint_980000.pth is refused: it is damaged, or holds more than tensors",
    ),
    "a truncated highest checkpoint": (
        "sambert",
        lambda folder: (
            shutil.copy(folder / AM, (folder / AM).with_name("checkpoint_1.pth")),
            cut_short(AM)(folder),
        ),
        "checkpoint_980000.pth is refused: it is damaged",
    ),
    "a checkpoint that is empty": (
        "sambert",
        written(VOC, b""),
        "checkpoint_980000.pth is refused",
    ),
    "yaml with a tag": (
        "sambert",
        written(f"{VOICE}/voc/config.yaml", "a: !!python/object/apply:os.system ['true']\n"),
        "config.yaml is refused: line 1: could not determine a constructor for the tag",
    ),
    "yaml that is none": (
        "sambert",
        written(f"{VOICE}/am/config.yaml", "a: [1\nb: 2"),
        "config.yaml is no YAML: line 2",
    ),
    "yaml that is text": (
        "sambert",
        written(f"{VOICE}/am/config.yaml", "hello"),
        "config.yaml holds a str",
    ),
    "yaml without end": (
        "sambert",
        written(f"{VOICE}/am/config.yaml", BOMB),
        "more than 16 aliases",
    ),
    "yaml that is deep": (
        "sambert",
        written(f"{VOICE}/am/config.yaml", "[" * 5000),
        "more than 64 levels",
    ),
    "yaml that is long": (
        "sambert",
        written(f"{VOICE}/am/config.yaml", "# " + "x" * (1 << 19)),
        "262144 at most are read",
    ),
    "rates that differ": (
        "sambert",
        edit_yaml(f"{VOICE}/voc/config.yaml", "audio_config", "sampling_rate", to=24_000),
        "'sampling_rate' is 24000, and 16000 in .*audio_config.yaml",
    ),
    "hops that differ": (
        "sambert",
        edit_yaml(f"{VOICE}/voc/config.yaml", "audio_config", "hop_length", to=240),
        "'hop_length' is 240, and 200 in",
    ),
    "a hop that is not the vocoder's": (
        "sambert",
        edit_yaml(f"{VOICE}/voc/config.yaml", *GENERATOR, "upsample_scales", to=[10, 4, 2, 2]),
        "'hop_length' is 200, and the vocoder makes 160",
    ),
    "a source of another rate": (
        "sambert-nsf",
        edit_yaml(f"{VOICE}/voc/config.yaml", *GENERATOR, "nsf_params", "sampling_rate", to=24_000),
        "'nsf_params' have the sampling_rate 24000, and the audio of the vocoder has 16000",
    ),
    "no rate at all": (
        "sambert",
        lambda folder: (
            gone(f"{VOICE}/audio_config.yaml")(folder),
            edit_yaml(f"{VOICE}/voc/config.yaml", "audio_config", to=None)(folder),
        ),
        "no configuration says the sampling_rate",
    ),
    "a vocoder of several bands": (
        "sambert",
        edit_yaml(f"{VOICE}/voc/config.yaml", *GENERATOR, "out_channels", to=4),
        "'out_channels' is 4, and voxswap computes 1 alone",
    ),
    "a vocoder with what nobody knows": (
        "sambert",
        edit_yaml(f"{VOICE}/voc/config.yaml", *GENERATOR, "attention", to=True),
        "'attention' is no parameter of KAN-TTS's generator",
    ),
    "a vocoder that is too large": (
        "sambert",
        edit_yaml(f"{VOICE}/voc/config.yaml", *GENERATOR, "channels", to=1 << 40),
        "channels has 1099511627776 where a whole number from 2 to 2048 belongs",
    ),
    "mels that differ": (
        "sambert",
        lambda folder: (
            edit_yaml(f"{VOICE}/voc/config.yaml", *GENERATOR, "in_channels", to=7)(folder),
            edit_weights(VOC, "conv_pre.conv1d.weight_v", lambda t: t[:, :7])(folder),
        ),
        "its acoustic model makes 8 numbers a frame, and its vocoder takes 7",
    ),
    "filled pauses": (
        "sambert",
        edit_yaml(f"{VOICE}/am/config.yaml", *SAMBERT, "FP", to=True),
        "FP: true",
    ),
    "bytes for phones": (
        "sambert",
        edit_yaml(f"{VOICE}/am/config.yaml", *SAMBERT, "using_byte", to=True),
        "using_byte: true",
    ),
    "a parameter that is away": (
        "sambert",
        edit_yaml(f"{VOICE}/am/config.yaml", *SAMBERT, "postnet_shift", to=None),
        "lacks postnet_shift",
    ),
    "no pitch of a voice with a source": (
        "sambert-nsf",
        gone(f"{VOICE}/am/mvn.npy"),
        "no mvn.npy",
    ),
    "pitch of another shape": (
        "sambert-nsf",
        saved(f"{VOICE}/am/mvn.npy", np.zeros(3, np.float32)),
        r"mvn.npy has the shape \[3\] in 12 bytes, where 2 numbers belong",
    ),
    "pitch without deviation": (
        "sambert-nsf",
        saved(f"{VOICE}/am/mvn.npy", np.array([200.0, 0.0])),
        "has the deviation 0",
    ),
    "pitch that is not finite": (
        "sambert-nsf",
        saved(f"{VOICE}/am/mvn.npy", np.array([np.nan, 1.0])),
        "mvn.npy holds NaN",
    ),
    "pitch in a pickle": (
        "sambert-nsf",
        saved(f"{VOICE}/am/mvn.npy", np.array([_Code(), 1], dtype=object)),
        "mvn.npy holds object, where float32 or float64 belongs",
    ),
    "pitch that is no array": (
        "sambert-nsf",
        written(f"{VOICE}/am/mvn.npy", b"hello"),
        "mvn.npy is no NumPy array",
    ),
    "a speaker in half precision": (
        "sambert-se",
        saved(f"{VOICE}/am/se.npy", np.zeros((1, 6), np.float16)),
        "se.npy holds float16",
    ),
    "a speaker of another model": (
        "sambert-se",
        saved(f"{VOICE}/am/se.npy", np.zeros((1, 5), np.float32)),
        "where 6 numbers belong",
    ),
}
