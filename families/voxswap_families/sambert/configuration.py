"""What KAN-TTS's own configuration says of an acoustic model, beside the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voxswap_families.entries import MAX_ENTRIES
from voxswap_families.sambert.architecture import AcousticArchitecture, Shapes

# Of each field of the architecture that is a number: KAN-TTS's name for it.
_NUMBERS: Final = {
    "speaker_units": "speaker_units",
    "emotion_units": "emotion_units",
    "embedding": "embedding_dim",
    "encoder_layers": "encoder_num_layers",
    "encoder_heads": "encoder_num_heads",
    "encoder_units": "encoder_num_units",
    "encoder_inner": "encoder_ffn_inner_dim",
    "text_units": "encoder_projection_units",
    "predictor_filter": "predictor_filter_size",
    "predictor_memory": "predictor_num_memory_units",
    "predictor_inner": "predictor_ffn_inner_dim",
    "predictor_lstm": "predictor_lstm_units",
    "duration_lstm": "dur_pred_lstm_units",
    "decoder_layers": "decoder_num_layers",
    "decoder_heads": "decoder_num_heads",
    "decoder_units": "decoder_num_units",
    "decoder_inner": "decoder_ffn_inner_dim",
    "step_frames": "outputs_per_step",
    "mels": "num_mels",
    "postnet_filter": "postnet_filter_size",
    "postnet_memory": "postnet_num_memory_units",
    "postnet_inner": "postnet_ffn_inner_dim",
    "postnet_lstm": "postnet_lstm_units",
}
_LISTS: Final = {
    "duration_prenet": "dur_pred_prenet_units",
    "decoder_prenet": "decoder_prenet_units",
}
# A shift is one number for all layers, or a list of one for each.
_SHIFTS: Final = {
    "predictor_shifts": ("predictor_shift", "predictor_fsmn_num_layers"),
    "postnet_shifts": ("postnet_shift", "postnet_fsmn_num_layers"),
}
# Rows of tables: their number depends on the dictionaries, and on `has_mask`.
_TABLES: Final = {
    "n_sy": "text_encoder.sy_emb.weight",
    "n_tone": "text_encoder.tone_emb.weight",
    "n_syllable_flag": "text_encoder.syllable_flag_emb.weight",
    "n_word_segment": "text_encoder.ws_emb.weight",
    "n_emotions": "emo_tokenizer.weight",
}
# Bounds of pitch where a configuration has none, as ModelScope has them.
_USUAL_HERTZ: Final = (30.0, 730.0)
_SPEAKERS: Final = "spk_tokenizer.weight"
# What is not carried out, and would not be heard if it was left out in silence.
_REFUSED: Final = {
    "FP": "it puts filled pauses into a text by itself (FP: true), which is not carried out here",
    "using_byte": "it reads bytes in place of phones (using_byte: true), which no front-end here "
    "gives it",
}


def architecture_of(
    params: Mapping[str, Any], shapes: Shapes, pitch: tuple[float, float] | None = None
) -> AcousticArchitecture:
    """From ``Model.KanTtsSAMBERT.params`` and the shapes of a checkpoint.

    ``pitch`` is the mean and the deviation of a voice's pitch (``mvn.npy``), which one with a
    source has, unless its configuration has bounds (``nsf_norm_type: global``). Raises ValueError
    that names the setting or the tensor which is missing or cannot be right, or what is not carried
    out.
    """
    for name, told in _REFUSED.items():
        if params.get(name):
            raise ValueError(told)
    config: dict[str, Any] = {field: _of(params, name) for field, name in _NUMBERS.items()}
    for field, name in _LISTS.items():
        config[field] = _of(params, name)
    for field, (name, count) in _SHIFTS.items():
        config[field] = _shifts(params, name, count)
    for field, name in _TABLES.items():
        config[field] = _rows(shapes, name)
    config["n_speakers"] = 0 if params.get("SE") else _rows(shapes, _SPEAKERS)
    config["has_source"] = bool(params.get("NSF"))
    offset, scale = _pitch(params, pitch) if config["has_source"] else (0.0, 0.0)
    return AcousticArchitecture.read({**config, "f0_offset_hertz": offset, "f0_scale_hertz": scale})


def _of(params: Mapping[str, Any], name: str) -> Any:
    if name not in params:
        raise ValueError(f"its configuration lacks {name}")
    return params[name]


def _shifts(params: Mapping[str, Any], name: str, count: str) -> list[Any]:
    shift, layers = _of(params, name), _of(params, count)
    if not isinstance(layers, int) or not 1 <= layers <= MAX_ENTRIES:
        raise ValueError(f"{count} is {layers!r:.40}; 1 to {MAX_ENTRIES} layers are taken")
    if not isinstance(shift, list):
        return [shift] * layers
    if len(shift) != layers:
        raise ValueError(f"{name} has {len(shift)} numbers, and {count} is {layers}")
    return shift


def _rows(shapes: Shapes, name: str) -> int:
    shape = shapes.get(name)
    if shape is None or len(shape) != 2:
        raise ValueError(f"{name} is missing, or no table: this is no SAMBERT acoustic model")
    return shape[0]


def _pitch(
    params: Mapping[str, Any], mean_and_deviation: tuple[float, float] | None
) -> tuple[float, float]:
    """What is added to a pitch, and what it is multiplied by before."""
    kind = params.get("nsf_norm_type", "mean_std")
    if kind == "mean_std":
        if mean_and_deviation is None:
            raise ValueError(
                "it has a harmonic source (NSF: true) and no mvn.npy beside its configuration, "
                "which has the mean and the deviation of its pitch"
            )
        return mean_and_deviation
    if kind != "global":
        raise ValueError(f"nsf_norm_type is {kind!r:.40}; mean_std and global are known")
    least = params.get("nsf_f0_global_minimum", _USUAL_HERTZ[0])
    most = params.get("nsf_f0_global_maximum", _USUAL_HERTZ[1])
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in (least, most)):
        raise ValueError("nsf_f0_global_minimum and nsf_f0_global_maximum must be numbers")
    if not least < most:
        raise ValueError("nsf_f0_global_minimum must be less than nsf_f0_global_maximum")
    return float(least), float(most - least)
