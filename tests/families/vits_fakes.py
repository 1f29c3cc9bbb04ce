"""Small VITS checkpoints with random weights, in the canonical, the Piper and the HF layout."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from safetensors.torch import load_file

from voxswap_families.vits.architecture import VitsArchitecture, stored_channels_last
from voxswap_families.vits.shapes import expected_shapes

_KERNELS = {1: (3, 7, 11), 2: (3, 5, 7)}
_DILATIONS = {1: ((1, 3, 5),) * 3, 2: ((1, 2), (2, 6), (3, 12))}
# Of the table in Piper's training code: hidden, ffn, resblock, rates, kernels, channels.
_PRESETS = {
    "x_low": (96, 384, 2, (8, 8, 4), (16, 16, 8), 256),
    "low": (192, 768, 2, (8, 8, 4), (16, 16, 8), 256),
    "medium": (192, 768, 2, (8, 8, 4), (16, 16, 8), 256),
    "high": (192, 768, 1, (8, 8, 2, 2), (16, 16, 4, 4), 512),
}
PRESETS = tuple(_PRESETS)
SAMPLE_RATES_HERTZ = {"x_low": 16_000, "low": 16_000, "medium": 22_050, "high": 22_050}
SYMBOLS = {s: [i] for i, s in enumerate("_^$ !,.?abdefhijklmnoprstuvwzæðŋɐɑɔəɛɪʃʊʌʒˈˌːθ")}


def preset(name: str, *, n_speakers: int = 0, shrink: int = 12) -> VitsArchitecture:
    """The architecture of a Piper preset, its channels divided by ``shrink`` (1: full size)."""
    hidden, filter_hidden, resblock, rates, kernels, initial = _PRESETS[name]
    return VitsArchitecture(
        n_symbols=256,
        hidden=hidden // shrink,
        inter=hidden // shrink,
        filter_hidden=filter_hidden // shrink,
        n_layers=6 if shrink == 1 else 2,
        n_heads=2,
        kernel_size=3,
        attention_window=4,
        flow_layers=4,
        flow_wavenet_layers=4,
        flow_kernel_size=5,
        dp_hidden=hidden // shrink,
        dp_kernel_size=3,
        dp_flows=4,
        dp_dds_layers=3,
        dp_bins=10,
        resblock=resblock,
        resblock_kernels=_KERNELS[resblock],
        resblock_dilations=_DILATIONS[resblock],
        upsample_rates=rates,
        upsample_kernels=kernels,
        upsample_initial=initial if shrink == 1 else 32,
        n_speakers=n_speakers,
        gin=(512 if shrink == 1 else 8) if n_speakers else 0,
    )


def canonical(architecture: VitsArchitecture, *, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random float32 tensors of a complete canonical checkpoint; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in expected_shapes(architecture).items():
        noise = torch.randn(shape, generator=generator)
        fan_in = max(1, int(np.prod(shape[1:])))
        tensors[name] = 1 + 0.1 * noise if name.endswith("gamma") else noise * fan_in**-0.5
    return tensors


def read_component(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of an imported model in their canonical shapes."""
    return {
        name: tensor.transpose(1, 2) if stored_channels_last(name, tensor.dim()) else tensor
        for name, tensor in load_file(path).items()
    }


def _attributes(a: VitsArchitecture, layer: str, kernel: int) -> dict[str, Any]:
    """Strides and dilations as the papers give them; written apart from the importer's check."""
    numbers = [int(n) for n in re.findall(r"\.(\d+)", layer)]
    stride = dilation = group = 1
    if layer.startswith("dec.ups"):
        stride = a.upsample_rates[numbers[0]]
    elif "convs_sep" in layer:
        dilation, group = {0: 1, 1: 3, 2: 9}[numbers[-1]], a.dp_hidden
    elif re.match(r"dec\.resblocks\.\d+\.convs1?\.\d+$", layer):
        dilation = _DILATIONS[a.resblock][numbers[0] % 3][numbers[1]]
    padding = (kernel - stride) // 2 if stride > 1 else dilation * (kernel - 1) // 2
    if "ffn" in layer:
        padding = 0
    return {"strides": [stride], "dilations": [dilation], "group": group, "pads": [padding] * 2}


def piper_model(
    a: VitsArchitecture, tensors: Mapping[str, torch.Tensor], *, log_scale: str = "folded"
) -> onnx.ModelProto:
    """An ONNX graph named as torch's exporter names a Piper voice. It is read, and cannot run.

    ``log_scale`` is how ``dp.flows.0.logs`` comes: ``folded`` into ``exp(-logs)``, ``plain`` under
    its name, or ``anonymous`` behind Neg and Exp nodes.
    """
    nodes, constants = list[onnx.NodeProto](), dict[str, Any]()
    for name, tensor in tensors.items():
        layer = name.removesuffix(".weight")
        if name == "dp.flows.0.logs":
            nodes += _log_scale_nodes(log_scale, tensor.numpy(), constants)
        elif name in {"emb_g.weight", "enc_p.emb.weight"}:
            stored = "sid" if name == "enc_p.emb.weight" and not a.n_speakers else name
            constants[stored] = tensor.numpy()
            path = "/" + layer.replace(".", "/")
            nodes.append(helper.make_node("Gather", [stored, "ids"], [layer], f"{path}/Gather"))
        elif name.endswith(".weight") and tensor.dim() == 3:
            anonymous = re.match(r"flow\.flows\.\d\.enc\.", name) is not None
            stored = f"onnx::Conv_{len(nodes)}" if anonymous else name
            constants[stored] = tensor.numpy()
            kind = "ConvTranspose" if layer.startswith("dec.ups") else "Conv"
            inputs = ["x", stored] + [f"{layer}.bias"] * (f"{layer}.bias" in tensors)
            path = "/" + re.sub(r"\.(?!\d)", "/", layer)
            attributes = _attributes(a, layer, tensor.shape[2])
            nodes.append(helper.make_node(kind, inputs, [layer], f"{path}/{kind}", **attributes))
        else:
            constants[name] = tensor.numpy()
    constants["/dec/Constant_output_0"] = np.float32(0.1)
    initializers = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "vits", [], [], initializers)
    return helper.make_model(graph, producer_name="pytorch")


def _log_scale_nodes(style: str, logs: Any, constants: dict[str, Any]) -> list[onnx.NodeProto]:
    node = helper.make_node
    if style == "folded":
        constants["/dp/flows.0/Exp_output_0"] = np.exp(-logs)
        return [node("Mul", ["y", "/dp/flows.0/Exp_output_0"], ["m"], "/dp/flows.0/Mul")]
    stored = "dp.flows.0.logs" if style == "plain" else "onnx::Neg_7"
    constants[stored] = logs
    return [
        node("Neg", [stored], ["negated"], "/dp/flows.0/Neg"),
        node("Exp", ["negated"], ["scale"], "/dp/flows.0/Exp"),
        node("Mul", ["y", "scale"], ["m"], "/dp/flows.0/Mul"),
    ]


def piper_config(a: VitsArchitecture, name: str = "medium") -> dict[str, Any]:
    """The ``.onnx.json`` that Piper would write for such a voice."""
    return {
        "audio": {"sample_rate": SAMPLE_RATES_HERTZ[name], "quality": name},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.5, "length_scale": 1.1, "noise_w": 0.7},
        "phoneme_type": "espeak",
        "phoneme_id_map": SYMBOLS,
        "num_symbols": a.n_symbols,
        "num_speakers": max(1, a.n_speakers),
        "speaker_id_map": {f"p{i}": i for i in range(a.n_speakers)},
        "language": {"code": "en_GB"},
        "dataset": "fake",
    }


def write_piper(
    directory: Path,
    architecture: VitsArchitecture,
    *,
    name: str = "medium",
    seed: int = 0,
    log_scale: str = "folded",
    edit: Callable[[onnx.ModelProto], None] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``en_GB-fake-<name>.onnx`` and its JSON; ``edit`` may spoil the model first."""
    model = piper_model(architecture, canonical(architecture, seed=seed), log_scale=log_scale)
    if edit is not None:
        edit(model)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"en_GB-fake-{name}.onnx"
    path.write_bytes(model.SerializeToString())
    described = piper_config(architecture, name) | dict(config or {})
    path.with_name(f"{path.name}.json").write_text(json.dumps(described), encoding="utf-8")
    return path


def make_hf_vits(
    directory: Path,
    *,
    seed: int = 0,
    weights: str = "safetensors",
    tokenizer: Mapping[str, Any] | None = None,
    **config: Any,
) -> Path:
    """Write a tiny random transformers `VitsModel` with its tokenizer files into ``directory``.

    ``weights`` is ``safetensors``, or ``bin`` for a pickle of tensors with the key names of old
    transformers (``weight_g``, ``weight_v``). ``config`` goes into `transformers.VitsConfig`.
    """
    from transformers import VitsConfig, VitsModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    small: dict[str, Any] = {
        "vocab_size": 30,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "ffn_dim": 32,
        "flow_size": 16,
        "spectrogram_bins": 9,
        "upsample_initial_channel": 32,
        "upsample_rates": [4, 2, 2],
        "upsample_kernel_sizes": [8, 4, 4],
        "posterior_encoder_num_wavenet_layers": 1,
        "speaker_embedding_size": 8 if config.get("num_speakers", 1) > 1 else 0,
    }
    torch.manual_seed(seed)
    model = VitsModel(VitsConfig(**(small | config)))
    with torch.no_grad():
        for parameter in model.parameters():
            # Zeros at the start of training would hide a sign or a scale that was lost.
            parameter.add_(torch.randn_like(parameter) * 0.05)
    directory.mkdir(parents=True, exist_ok=True)
    if weights == "safetensors":
        model.save_pretrained(directory)
    else:
        model.config.save_pretrained(directory)
        torch.save(
            {
                name.replace("parametrizations.weight.original0", "weight_g").replace(
                    "parametrizations.weight.original1", "weight_v"
                ): tensor
                for name, tensor in model.state_dict().items()
            },
            directory / "pytorch_model.bin",
        )
    vocabulary = {c: i for i, c in enumerate("k'abcdefghijlmnopqrstuvwxyz ")}
    _write_json(directory / "vocab.json", vocabulary)
    _write_json(directory / "added_tokens.json", {"<unk>": len(vocabulary)})
    described = {"add_blank": True, "is_uroman": False, "language": "eng", "normalize": True,
                 "phonemize": False} | dict(tokenizer or {})  # fmt: skip
    _write_json(directory / "tokenizer_config.json", described)
    return directory


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
