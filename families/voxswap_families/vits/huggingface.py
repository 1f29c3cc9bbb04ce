"""Imports a Hugging Face ``VitsModel`` folder: MMS, VITS-LJS, VITS-VCTK and their fine-tunings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxswap_families.importing.request import (
    ImportRequest,
    check_symbols,
    find_licence,
    language_tag,
    no_style,
    table_json,
)
from voxswap_families.importing.source import (
    MAX_JSON_BYTES,
    MAX_WEIGHTS_BYTES,
    Fields,
    SourceFile,
    parse_json,
    read_source,
)
from voxswap_families.importing.weights import read_pickle, strip_module
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.checkpoint import canonical_tensors
from voxswap_families.vits.draft import make_draft
from voxswap_registry.controls import DEFAULTS
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import ImportSourceError
from voxswap_registry.manifest import FrontEndSpec
from voxswap_registry.rates import MAX_RATE_HERTZ, MIN_RATE_HERTZ

if TYPE_CHECKING:
    import torch

_LICENCE_LINE = r"^license:\s*(.+)$"

# In order: each rule works on what the ones before it left.
_RENAMES = (
    (r"^posterior_encoder\.", "enc_q."),
    (r"^embed_speaker\.", "emb_g."),
    (r"^decoder\.upsampler\.", "dec.ups."),
    (r"^decoder\.", "dec."),
    (r"^text_encoder\.embed_tokens\.", "enc_p.emb."),
    (r"^text_encoder\.project\.", "enc_p.proj."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.attention\.out_proj\.",
     r"enc_p.encoder.attn_layers.\1.conv_o."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.attention\.([qkv])_proj\.",
     r"enc_p.encoder.attn_layers.\1.conv_\2."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.attention\.", r"enc_p.encoder.attn_layers.\1."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.feed_forward\.", r"enc_p.encoder.ffn_layers.\1."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.layer_norm\.", r"enc_p.encoder.norm_layers_1.\1."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.final_layer_norm\.",
     r"enc_p.encoder.norm_layers_2.\1."),
    (r"^duration_predictor\.", "dp."),
    (r"^dp\.flows\.0\.log_scale$", "dp.flows.0.logs"),
    (r"^dp\.flows\.0\.translate$", "dp.flows.0.m"),
    (r"^((?:dp|flow)\..*?)conv_(pre|post|proj)\.", r"\1\2."),
    (r"^(dp\..*?)conv_dds\.", r"\1convs."),
    (r"\.convs_dilated\.", ".convs_sep."),
    (r"\.convs_pointwise\.", ".convs_1x1."),
    (r"^(flow\.flows\.\d+)\.wavenet\.", r"\1.enc."),
    (r"\.(norms?_(?:layers_)?[12]\.\d+)\.weight$", r".\1.gamma"),
    (r"\.(norms?_(?:layers_)?[12]\.\d+)\.bias$", r".\1.beta"),
)  # fmt: skip
_SPEAKING_RATES = 0.1, 10.0  # one over them is within the bounds of a length_scale
_INDEXED = re.compile(r"(dp|flow)\.flows\.(\d+)\.")

# What voxswap's VITS computes, and transformers lets a configuration change.
_FIXED: Mapping[str, Any] = {
    "hidden_act": "relu",
    "layer_norm_eps": 1e-5,
    "leaky_relu_slope": 0.1,
    "wavenet_dilation_rate": 1,
    "duration_predictor_tail_bound": 5.0,
}


def find_huggingface_vits(source: Path) -> Path | None:
    """``source`` if it is a folder with a configuration."""
    return source if (source / "config.json").exists() else None


def import_huggingface_vits(folder: Path, request: ImportRequest) -> VoiceDraft:
    """Convert the voice in ``folder``. Blocks for seconds; raises `ImportSourceError`."""
    no_style(request, folder)
    config_file = _read_json(folder / "config.json", request)
    config = parse_json(config_file)
    if config.raw.get("model_type") != "vits":
        raise config.fault(
            "model_type", f"is {str(config.raw.get('model_type'))[:40]!r}; voxswap reads 'vits'"
        )
    if not config.flag("use_stochastic_duration_prediction", default=True):
        raise config.fault(
            "use_stochastic_duration_prediction",
            "is false; only the stochastic duration predictor of VITS is supported",
        )
    tokenizer_file = _read_json(folder / "tokenizer_config.json", request)
    vocabulary_file = _read_json(folder / "vocab.json", request)
    tokenizer = parse_json(tokenizer_file)
    front_end = _front_end(tokenizer)
    weights, raw = _read_weights(folder, request)
    tensors, architecture = canonical_tensors(original_names(raw), where=str(weights.path))
    _cross_check(config, architecture)
    files = [weights, config_file, tokenizer_file, vocabulary_file]
    phonemized = "en-US" if front_end.kind == "espeak" else None
    return make_draft(
        request,
        source=folder.resolve().name,
        files=files,
        tensors=tensors,
        architecture=architecture,
        symbols=_symbols(folder, parse_json(vocabulary_file), architecture, files, request),
        sample_rate_hertz=config.whole("sampling_rate", low=MIN_RATE_HERTZ, high=MAX_RATE_HERTZ),
        language=language_tag(
            request.language, tokenizer.text("language", ""), phonemized, where=str(folder)
        ),
        front_end=front_end,
        speakers={str(i): i for i in range(architecture.n_speakers)},
        defaults={
            "noise_scale": config.number(
                "noise_scale", default=0.667, within=DEFAULTS["noise_scale"]
            ),
            "length_scale": 1 / config.number("speaking_rate", default=1.0, within=_SPEAKING_RATES),
            "noise_w": config.number(
                "noise_scale_duration", default=0.8, within=DEFAULTS["noise_w"]
            ),
        },
        code_licence="MIT (VITS), Apache-2.0 (transformers)",
        licence=request.licence or find_licence(folder, ["README.md"], _LICENCE_LINE),
        display_name=folder.resolve().name,
    )


def original_names(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the tensors of a ``VitsModel`` to those of the original VITS code.

    transformers drops the flips between flows, so its indices are closer together, and its
    attention projections are Linear layers where VITS has convolutions of kernel 1.
    """
    renamed = {}
    for old, tensor in strip_module(tensors).items():
        name = old
        for pattern, replacement in _RENAMES:
            name = re.sub(pattern, replacement, name)
        if match := _INDEXED.match(name):
            kind, index = match.group(1), int(match.group(2))
            spread = 2 * index if kind == "flow" else max(0, 2 * index - 1)
            name = f"{kind}.flows.{spread}.{name[match.end() :]}"
        is_projection = re.search(r"\.conv_[qkvo]\.weight$", name) is not None
        renamed[name] = tensor.unsqueeze(-1) if is_projection and tensor.dim() == 2 else tensor
    return renamed


def _read_json(path: Path, request: ImportRequest) -> SourceFile:
    return read_source(path, limit_bytes=MAX_JSON_BYTES, progress=request.progress)


def _read_weights(
    folder: Path, request: ImportRequest
) -> tuple[SourceFile, dict[str, torch.Tensor]]:
    for name, load in (
        ("model.safetensors", _load_safetensors),
        ("pytorch_model.bin", _named_tensors),
    ):
        path = folder / name
        if path.exists():
            file = read_source(path, limit_bytes=MAX_WEIGHTS_BYTES, progress=request.progress)
            return file, load(file)
    raise ImportSourceError(
        f"{folder} has neither model.safetensors nor pytorch_model.bin; fetch the weights too "
        "(with git, that takes git-lfs)"
    )


def _load_safetensors(file: SourceFile) -> dict[str, torch.Tensor]:
    import safetensors.torch

    try:
        return safetensors.torch.load(bytes(file.data))
    except Exception as error:
        raise ImportSourceError(
            f"{file.path} is not a safetensors file, or it is cut short ({error}); fetch it again"
        ) from error


def _named_tensors(file: SourceFile) -> dict[str, torch.Tensor]:
    import torch

    loaded = read_pickle(file, remedy="Ask its author for a model.safetensors")
    if not isinstance(loaded, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor)
        for name, tensor in loaded.items()
    ):
        raise ImportSourceError(
            f"{file.path} holds something other than named tensors; export the model with "
            "save_pretrained"
        )
    return dict(loaded)


def _front_end(tokenizer: Fields) -> FrontEndSpec:
    """transformers' VitsTokenizer in voxswap's words; the defaults are transformers' own."""
    if tokenizer.flag("is_uroman", default=False):
        raise tokenizer.fault(
            "is_uroman",
            "is true: the voice reads text romanised by uroman, which voxswap does not have. "
            "Choose a voice of this language that reads its own script",
        )
    if not tokenizer.flag("add_blank", default=True):
        raise tokenizer.fault("add_blank", "is false; voxswap reads voices with blanks")
    if tokenizer.flag("phonemize", default=True):
        # transformers phonemizes with this espeak-ng voice, whatever the language.
        return FrontEndSpec("espeak", {"voice": "en-us"})
    return FrontEndSpec("characters", {"lowercase": tokenizer.flag("normalize", default=True)})


def _symbols(
    folder: Path,
    vocabulary: Fields,
    architecture: VitsArchitecture,
    files: list[SourceFile],
    request: ImportRequest,
) -> bytes:
    """One id for each character. Tokens such as ``<unk>`` are never met in text: left out."""
    table = dict(vocabulary.raw)
    if (folder / "added_tokens.json").exists():
        added_file = _read_json(folder / "added_tokens.json", request)
        files.append(added_file)
        table |= parse_json(added_file).raw
    characters = {symbol: i for symbol, i in table.items() if len(symbol) == 1}
    symbols = check_symbols(
        Fields(characters, vocabulary.where), layout="blanks", n_symbols=architecture.n_symbols
    )
    return table_json("blanks", symbols)


def stated(a: VitsArchitecture) -> dict[str, Any]:
    """What a configuration says of that architecture."""
    return {
        "vocab_size": a.n_symbols,
        "hidden_size": a.hidden,
        "flow_size": a.inter,
        "ffn_dim": a.filter_hidden,
        "ffn_kernel_size": a.kernel_size,
        "num_hidden_layers": a.n_layers,
        "num_attention_heads": a.n_heads,
        "window_size": a.attention_window,
        "prior_encoder_num_flows": a.flow_layers,
        "prior_encoder_num_wavenet_layers": a.flow_wavenet_layers,
        "wavenet_kernel_size": a.flow_kernel_size,
        "duration_predictor_kernel_size": a.dp_kernel_size,
        "duration_predictor_flow_bins": a.dp_bins,
        "depth_separable_num_layers": a.dp_dds_layers,
        "upsample_initial_channel": a.upsample_initial,
        "upsample_rates": list(a.upsample_rates),
        "upsample_kernel_sizes": list(a.upsample_kernels),
        "resblock_kernel_sizes": list(a.resblock_kernels),
        "resblock_dilation_sizes": [list(dilations) for dilations in a.resblock_dilations],
        "num_speakers": max(1, a.n_speakers),
        **_FIXED,
    }


def _cross_check(config: Fields, a: VitsArchitecture) -> None:
    """What shapes cannot tell, or tell otherwise than the configuration, is refused."""
    for key, value in stated(a).items():
        found = config.raw.get(key, _FIXED.get(key))
        if found is None:
            raise config.fault(key, "is missing, and it cannot be read off the weights for sure")
        if found != value:
            raise config.fault(
                key, f"is {str(found)[:80]}, and voxswap would compute {value} from the weights"
            )
