"""Makes up VITS voices: folders as Hugging Face has them, with random weights."""

from __future__ import annotations

import dataclasses
import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxswap_families.contract import Fabricator, Size
from voxswap_families.importing.weights import write_safetensors
from voxswap_families.made_up import mark, random_tensors, write_json
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.huggingface import stated
from voxswap_families.vits.presets import MEDIUM
from voxswap_families.vits.shapes import expected_shapes
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.progress import NullProgress

if TYPE_CHECKING:
    from torch import Tensor

_SYMBOLS: Final = ("_", *string.ascii_lowercase, " ", "'", "-")
_RATE_HERTZ: Final = 16_000
_LEVEL: Final = 0.12  # root of the mean square of the audio
_LEVEL_FRAMES: Final = 32
# The logarithm of a symbol's frames is (noise - _MEAN) / e^_LOG_SCALE: five frames, more or less.
_MEAN, _LOG_SCALE = -4.4, 1.0

_REAL: Final = dataclasses.replace(
    MEDIUM,
    n_symbols=len(_SYMBOLS),
    resblock=1,
    resblock_kernels=(3, 7, 11),
    resblock_dilations=((1, 3, 5),) * 3,
    upsample_rates=(8, 8, 2, 2),
    upsample_kernels=(16, 16, 4, 4),
    upsample_initial=512,
)
_TINY: Final = dataclasses.replace(
    _REAL, hidden=16, inter=16, filter_hidden=32, n_layers=2, dp_hidden=16, upsample_initial=32
)
# Linear layers, where VITS has convolutions of kernel 1.
_LINEAR: Final = re.compile(r"\.attention\.(?:[qkv]|out)_proj\.weight$")
_ARCHITECTURES: Final[Mapping[Size, VitsArchitecture]] = {"real": _REAL, "tiny": _TINY}

# From a canonical name to transformers' own; in order, as `huggingface` has them the other way.
_RENAMES: Final = (
    (r"^(dp|flow)\.flows\.(\d+)\.", lambda m: f"{m[1]}.flows.{_closer(m[1], int(m[2]))}."),
    (r"\.(norms?_(?:layers_)?[12]\.\d+)\.gamma$", r".\1.weight"),
    (r"\.(norms?_(?:layers_)?[12]\.\d+)\.beta$", r".\1.bias"),
    (r"^enc_p\.emb\.", "text_encoder.embed_tokens."),
    (r"^enc_p\.proj\.", "text_encoder.project."),
    (r"^enc_p\.encoder\.attn_layers\.(\d+)\.conv_o\.",
     r"text_encoder.encoder.layers.\1.attention.out_proj."),
    (r"^enc_p\.encoder\.attn_layers\.(\d+)\.conv_([qkv])\.",
     r"text_encoder.encoder.layers.\1.attention.\2_proj."),
    (r"^enc_p\.encoder\.attn_layers\.(\d+)\.", r"text_encoder.encoder.layers.\1.attention."),
    (r"^enc_p\.encoder\.ffn_layers\.(\d+)\.", r"text_encoder.encoder.layers.\1.feed_forward."),
    (r"^enc_p\.encoder\.norm_layers_1\.(\d+)\.", r"text_encoder.encoder.layers.\1.layer_norm."),
    (r"^enc_p\.encoder\.norm_layers_2\.(\d+)\.",
     r"text_encoder.encoder.layers.\1.final_layer_norm."),
    (r"^dp\.flows\.0\.logs$", "dp.flows.0.log_scale"),
    (r"^dp\.flows\.0\.m$", "dp.flows.0.translate"),
    (r"^((?:dp|flow)\.(?:flows\.\d+\.)?)(pre|post|proj)\.", r"\1conv_\2."),
    (r"^((?:dp)\.(?:flows\.\d+\.)?)convs\.", r"\1conv_dds."),
    (r"\.convs_sep\.", ".convs_dilated."),
    (r"\.convs_1x1\.", ".convs_pointwise."),
    (r"^(flow\.flows\.\d+)\.enc\.", r"\1.wavenet."),
    (r"^dp\.", "duration_predictor."),
    (r"^dec\.ups\.", "decoder.upsampler."),
    (r"^dec\.", "decoder."),
)  # fmt: skip


def _closer(kind: str, index: int) -> int:
    """transformers leaves out the flips between flows."""
    return index // 2 if kind == "flow" else (index + 1) // 2


def published_name(name: str) -> str:
    """What transformers calls the tensor that VITS calls ``name``."""
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def fabricate_vits(folder: Path, seed: int, size: Size) -> None:
    """Fill ``folder`` with a voice like those of MMS. Blocks, for seconds if it is a real size.

    Raises `RegistryError` if the disk refuses.
    """
    architecture = _ARCHITECTURES[size]
    tensors = random_tensors(expected_shapes(architecture), f"vits {seed}")
    tensors["dp.flows.0.m"].fill_(_MEAN)
    tensors["dp.flows.0.logs"].fill_(_LOG_SCALE)
    tensors["dec.conv_post.weight"].mul_(_LEVEL / _level(tensors, architecture))
    published = {published_name(name): tensor for name, tensor in tensors.items()}
    for name in (name for name in published if _LINEAR.search(name)):
        published[name] = published[name].squeeze(-1)
    with as_registry_errors("write into", folder):
        mark(folder, seed, size)
        write_json(folder / "config.json", _config(architecture))
        write_json(folder / "vocab.json", {s: i for i, s in enumerate(_SYMBOLS)})
        write_json(
            folder / "tokenizer_config.json",
            {
                "add_blank": True,
                "is_uroman": False,
                "language": "eng",
                "normalize": True,
                "phonemize": False,
            },
        )
    write_safetensors(published, folder / "model.safetensors", progress=NullProgress())


def _level(tensors: Mapping[str, Tensor], architecture: VitsArchitecture) -> float:
    """How loud they are, before the last tangent, for latents of unit variance."""
    import torch

    from voxswap_families.vits.model import load_model

    quiet = 1e-3  # where a tangent is a line
    last = "dec.conv_post.weight"
    model = load_model(architecture, {**tensors, last: tensors[last] * quiet})
    shape = (1, architecture.inter, 1, _LEVEL_FRAMES)
    with torch.inference_mode():
        audio = model.dec(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    return float(audio.square().mean().sqrt()) / quiet


def _config(a: VitsArchitecture) -> dict[str, Any]:
    return {
        **stated(a),
        "model_type": "vits",
        "sampling_rate": _RATE_HERTZ,
        "use_stochastic_duration_prediction": True,
        "wavenet_dilation_rate": 1,
        "duration_predictor_tail_bound": 5.0,
    }


FABRICATORS: Final[Mapping[str, Fabricator]] = {
    "vits": Fabricator("a Hugging Face folder like those of MMS: 16 kHz, letters", fabricate_vits)
}
