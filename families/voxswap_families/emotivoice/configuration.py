"""What EmotiVoice's config.yaml and SimBERT's config.json say of architectures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voxswap_families.emotivoice.architecture import (
    AcousticArchitecture,
    StyleArchitecture,
    VocoderArchitecture,
)
from voxswap_families.importing.source import Fields
from voxswap_registry.errors import ImportSourceError

_MOST: Final = 1 << 20
_REMEDY: Final = "the file must be the one that the model was trained with"
# Mean and deviation of the pitch that it learned, in Hertz: in EmotiVoice's code and nowhere else.
_PITCH: Final = (225.089, 53.78)
# Of its energy predictor no configuration says anything.
_ENERGY_LAYERS, _ENERGY_KERNEL = 2, 3
# What configurations may say, and voxswap computes in one way alone.
_FIXED: Final[Mapping[str, Any]] = {"resblock": "1", "r": 1, "postnet_layers": 0}
_FIXED_STYLE: Final[Mapping[str, Any]] = {
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "position_embedding_type": "absolute",
}


def acoustic_architecture(config: Fields, *, n_symbols: int) -> AcousticArchitecture:
    """The acoustic model that it describes. Raises `ImportSourceError`."""
    model = _Whole(config.object("model"))
    _check_fixed(model.fields, _FIXED, "a model")
    units = model("encoder_n_hidden")
    if model("decoder_n_hidden") != units:
        raise model.fields.fault("decoder_n_hidden", f"must be encoder_n_hidden, {units}")
    read: dict[str, Any] = {
        "n_symbols": n_symbols,
        "units": units,
        # EmotiVoice's own configuration has a speaker_embed_dim, which it does not read.
        "speaker_units": units,
        "style_units": model("bert_embedding"),
        "predictor_units": model("variance_n_hidden"),
        "duration_layers": model("duration_n_layers"),
        "duration_kernel": model("duration_kernel_size"),
        "pitch_layers": model("variance_n_layers"),
        "pitch_kernel": model("variance_kernel_size"),
        "energy_layers": _ENERGY_LAYERS,
        "energy_kernel": _ENERGY_KERNEL,
        "embedding_kernel": model("variance_embed_kernel_size"),
        "mels": _Whole(config)("n_mels"),
        "f0_mean_hertz": _PITCH[0],
        "f0_deviation_hertz": _PITCH[1],
    }
    for which in ("encoder", "decoder"):
        read |= {
            f"{which}_layers": model(f"{which}_n_layers"),
            f"{which}_heads": model(f"{which}_n_heads"),
            f"{which}_inner": 4 * units,
            f"{which}_kernel": model(f"{which}_kernel_size_conv_mod"),
        }
    acoustic: AcousticArchitecture = _of(AcousticArchitecture, read, model.fields)
    return acoustic


def vocoder_architecture(config: Fields) -> VocoderArchitecture:
    """The vocoder that it describes. Raises `ImportSourceError`."""
    model = config.object("model")
    read = {
        "mels": _Whole(model)("initial_channel"),
        "channels": _Whole(model)("upsample_initial_channel"),
        "rates": model.raw.get("upsample_rates"),
        "kernels": model.raw.get("upsample_kernel_sizes"),
        "resblock_kernels": model.raw.get("resblock_kernel_sizes"),
        "resblock_dilations": model.raw.get("resblock_dilation_sizes"),
        "sample_rate_hertz": _Whole(config)("sr"),
    }
    vocoder: VocoderArchitecture = _of(VocoderArchitecture, read, model)
    if (mels := _Whole(config)("n_mels")) != vocoder.mels:
        raise model.fault("initial_channel", f"is {vocoder.mels}, and n_mels is {mels}")
    if (hop := _Whole(config)("hop_length")) != vocoder.hop_samples:
        raise config.fault(
            "hop_length", f"is {hop}, and upsample_rates make {vocoder.hop_samples} samples of one"
        )
    return vocoder


def style_architecture(config: Fields) -> StyleArchitecture:
    """The encoder that SimBERT's configuration describes. Raises `ImportSourceError`."""
    _check_fixed(config, _FIXED_STYLE, "an encoder")
    whole = _Whole(config)
    read = {
        "vocabulary": whole("vocab_size"),
        "positions": whole("max_position_embeddings"),
        "types": whole("type_vocab_size"),
        "units": whole("hidden_size"),
        "layers": whole("num_hidden_layers"),
        "heads": whole("num_attention_heads"),
        "inner": whole("intermediate_size"),
    }
    style: StyleArchitecture = _of(StyleArchitecture, read, config)
    return style


class _Whole:
    """Whole numbers of a configuration, each of which must be there."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields

    def __call__(self, key: str) -> int:
        return self.fields.whole(key, low=1, high=_MOST)


def _check_fixed(fields: Fields, fixed: Mapping[str, Any], what: str) -> None:
    for key, value in fixed.items():
        if fields.raw.get(key, value) != value:
            raise ImportSourceError(
                f"{fields.where}: {key!r} is {str(fields.raw[key])[:60]!a}, and voxswap computes "
                f"{value!r} alone; choose {what} of another kind"
            )


def _of(kind: Any, read: Mapping[str, Any], fields: Fields) -> Any:
    try:
        return kind.read(read)
    except ValueError as error:
        raise ImportSourceError(f"{fields.where}: {error}; {_REMEDY}") from error
