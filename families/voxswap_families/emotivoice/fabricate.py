"""Makes up EmotiVoice's release, with random weights, in the layout in which it is published.

It says nothing, and sounds like it; but durations, mels and level are about those of speech, so a
real one costs what EmotiVoice costs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxswap_families.contract import Fabricator, Size
from voxswap_families.emotivoice import directory
from voxswap_families.emotivoice.architecture import VocoderArchitecture
from voxswap_families.emotivoice.config import PROMPTS
from voxswap_families.emotivoice.configuration import (
    acoustic_architecture,
    style_architecture,
    vocoder_architecture,
)
from voxswap_families.emotivoice.shapes import acoustic_shapes, style_shapes, vocoder_shapes
from voxswap_families.emotivoice.tokens import made_up_tokens
from voxswap_families.importing.source import Fields
from voxswap_families.made_up import mark, random_tensors, with_weight_norm, write_json
from voxswap_registry.os_errors import as_registry_errors

if TYPE_CHECKING:
    from torch import Tensor

_MODEL: Final = "outputs/prompt_tts_open_source_joint/ckpt/g_00140000"
_ENCODER: Final = "outputs/style_encoder/ckpt/checkpoint_163431"
_PROMPT: Final = "WangZeJun/simbert-base-chinese"
_SYMBOL_FRAMES: Final = 6.0
_LEVEL: Final = 0.12  # root of the mean square of the audio
_LEVEL_FRAMES: Final = 48
_CONFIG: Final[Mapping[str, Any]] = {"sr": 16_000, "hop_length": 256, "n_fft": 1024}
_MODELS: Final[Mapping[Size, Mapping[str, Any]]] = {
    "real": {
        "speaker_embed_dim": 384,
        "bert_embedding": 768,
        "encoder_n_layers": 4,
        "encoder_n_heads": 8,
        "encoder_n_hidden": 384,
        "decoder_n_layers": 4,
        "decoder_n_heads": 8,
        "decoder_n_hidden": 384,
        "variance_n_hidden": 384,
        "initial_channel": 80,
        "upsample_initial_channel": 512,
        "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    },
    "tiny": {
        "speaker_embed_dim": 384,
        "bert_embedding": 12,
        "encoder_n_layers": 2,
        "encoder_n_heads": 2,
        "encoder_n_hidden": 16,
        "decoder_n_layers": 2,
        "decoder_n_heads": 2,
        "decoder_n_hidden": 16,
        "variance_n_hidden": 16,
        "initial_channel": 8,
        "upsample_initial_channel": 32,
        "resblock_kernel_sizes": [3, 5],
        "resblock_dilation_sizes": [[1, 3], [1, 3]],
    },
}
_ALIKE: Final[Mapping[str, Any]] = {
    "encoder_kernel_size_conv_mod": 3,
    "decoder_kernel_size_conv_mod": 3,
    "variance_n_layers": 3,
    "variance_kernel_size": 3,
    "variance_embed_kernel_size": 9,
    "duration_n_layers": 2,
    "duration_kernel_size": 3,
    "postnet_layers": 0,
    "resblock": "1",
    "r": 1,
    "upsample_rates": [8, 8, 2, 2],
    "upsample_kernel_sizes": [16, 16, 4, 4],
}
_ENCODERS: Final[Mapping[Size, Mapping[str, int]]] = {
    "real": {
        "vocab_size": 13_685,
        "max_position_embeddings": 512,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
    "tiny": {
        "vocab_size": 200,
        "max_position_embeddings": 512,
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
    },
}
_SPEAKERS: Final[Mapping[Size, int]] = {"real": 2014, "tiny": 3}
_FIRST_SPEAKER: Final = 8051


def fabricate_emotivoice(folder: Path, seed: int, size: Size) -> None:
    """Fill ``folder`` with a release. Blocks, for some ten seconds if it is a real size.

    Raises `RegistryError` if the disk refuses.
    """
    speakers = [str(_FIRST_SPEAKER + row) for row in range(_SPEAKERS[size])]
    with as_registry_errors("write into", folder):
        mark(folder, seed, size)
        config = {
            **_CONFIG,
            "n_mels": _MODELS[size]["initial_channel"],
            "model": {**_MODELS[size], **_ALIKE},
        }
        _write_yaml(folder / directory.CONFIG, config)
        _write_names(folder / directory.TOKENS, made_up_tokens())
        _write_names(folder / directory.SPEAKERS, speakers)
        _write_names(folder / directory.EMOTIONS, list(PROMPTS.values()))
        (folder / directory.PEOPLE).write_text(
            f"| ID | Voice Name | Gender |\n|---|---|---|\n| {speakers[0]} | Nobody | F | None |\n",
            "utf-8",
        )
        encoder = {
            **_ENCODERS[size],
            "type_vocab_size": 2,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-12,
        }
        write_json(folder / _PROMPT / "config.json", encoder)
        _write_names(folder / _PROMPT / "vocab.txt", _pieces(_ENCODERS[size]["vocab_size"]))
        _save(folder / _MODEL, {"generator": _joint(config, len(speakers), seed)})
        _save(folder / _ENCODER, {"model": _encoder(encoder, seed), "steps": 163_431})


def _write_yaml(path: Path, value: Mapping[str, Any]) -> None:
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(value), sort_keys=False), "utf-8")


def _write_names(path: Path, names: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(names), "utf-8")


def _save(path: Path, checkpoint: Mapping[str, Any]) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)


def _pieces(count: int) -> list[str]:
    """A vocabulary: letters and marks, the characters of prompts, others until it is full."""
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    known = [*marks, *letters, *(f"##{letter}" for letter in letters), *",.!?，。！？、"]
    known += dict.fromkeys("".join(PROMPTS.values()))
    others = (chr(code) for code in itertools.count(0x4E00) if chr(code) not in known)
    return [*known, *itertools.islice(others, count - len(known))]


def _joint(config: Mapping[str, Any], speakers: int, seed: int) -> dict[str, Tensor]:
    """Acoustic model and vocoder as training leaves them."""
    fields = Fields(config, "made up")
    acoustic = acoustic_architecture(fields, n_symbols=len(made_up_tokens()))
    vocoder = vocoder_architecture(fields)
    units, mels = acoustic.units, acoustic.mels
    tensors = random_tensors(
        {
            **acoustic_shapes(acoustic),
            "am.spk_tokenizer.weight": (speakers, units),
            "am.alignment_module.t_conv1.weight": (units, units, 3),
            "am.alignment_module.f_conv1.weight": (units, mels, 3),
        },
        f"emotivoice {seed}",
    )
    for which in ("encoder", "decoder"):
        tensors[f"am.{which}.embed.0.alpha"].fill_(1.0)
    # Durations are the logarithm of frames and one: about as long as symbols are, each another.
    last = "am.duration_predictor.linear"
    tensors[f"{last}.weight"].mul_(0.4)
    tensors[f"{last}.bias"].fill_(math.log(_SYMBOL_FRAMES + 1))
    return tensors | with_weight_norm(_vocoder(vocoder, seed))


def _vocoder(architecture: VocoderArchitecture, seed: int) -> dict[str, Tensor]:
    """Weights, such that audio is about as loud as speech."""
    import torch

    from voxswap_families.emotivoice.vocoder import load_vocoder
    from voxswap_families.layers.stored import as_stored

    tensors = random_tensors(vocoder_shapes(architecture), f"emotivoice vocoder {seed}")
    last, quiet = "generator.conv_post", 1e-3  # where a tangent is a line
    tensors[f"{last}.bias"].zero_()
    scaled = {**tensors, f"{last}.weight": tensors[f"{last}.weight"] * quiet}
    generator = load_vocoder(as_stored(scaled), architecture)
    mel = torch.randn(
        (1, architecture.mels, 1, _LEVEL_FRAMES), generator=torch.Generator().manual_seed(0)
    )
    with torch.inference_mode():
        level = float(generator(mel).square().mean().sqrt()) / quiet
    tensors[f"{last}.weight"].mul_(_LEVEL / level)
    return tensors


def _encoder(config: Mapping[str, Any], seed: int) -> dict[str, Tensor]:
    """The style encoder as training leaves it, with a head."""
    style = style_architecture(Fields(config, "made up"))
    shapes = {**style_shapes(style), "emotion_clf.classifier.weight": (len(PROMPTS), style.units)}
    tensors = random_tensors(shapes, f"emotivoice style {seed}")
    return {f"module.{name}": tensor for name, tensor in tensors.items()}


FABRICATORS: Final[Mapping[str, Fabricator]] = {
    "emotivoice": Fabricator(
        "EmotiVoice's release: 2,014 speakers of one model (tiny: 3), seven emotions, 16 kHz",
        fabricate_emotivoice,
    )
}
