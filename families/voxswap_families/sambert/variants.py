"""The sorts of voices that are published, as their configurations say: what one is made up by."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from voxswap_families.contract import Size

_ACOUSTIC: Final[Mapping[Size, Mapping[str, Any]]] = {
    "real": {
        "max_len": 800,
        "embedding_dim": 512,
        "encoder_num_layers": 8,
        "encoder_num_heads": 8,
        "encoder_num_units": 128,
        "encoder_ffn_inner_dim": 1024,
        "encoder_projection_units": 32,
        "speaker_units": 32,
        "emotion_units": 32,
        "predictor_filter_size": 41,
        "predictor_fsmn_num_layers": 3,
        "predictor_num_memory_units": 128,
        "predictor_ffn_inner_dim": 256,
        "predictor_shift": 0,
        "predictor_lstm_units": 128,
        "dur_pred_prenet_units": [128, 128],
        "dur_pred_lstm_units": 128,
        "decoder_prenet_units": [256, 256],
        "decoder_num_layers": 12,
        "decoder_num_heads": 8,
        "decoder_num_units": 128,
        "decoder_ffn_inner_dim": 1024,
        "outputs_per_step": 3,
        "postnet_filter_size": 41,
        "postnet_fsmn_num_layers": 4,
        "postnet_num_memory_units": 256,
        "postnet_ffn_inner_dim": 512,
        "postnet_shift": 17,
        "postnet_lstm_units": 128,
    },
    "tiny": {
        "max_len": 20,
        "embedding_dim": 24,
        "encoder_num_layers": 2,
        "encoder_num_heads": 2,
        "encoder_num_units": 16,
        "encoder_ffn_inner_dim": 32,
        "encoder_projection_units": 8,
        "speaker_units": 6,
        "emotion_units": 4,
        "predictor_filter_size": 9,
        "predictor_fsmn_num_layers": 3,
        "predictor_num_memory_units": 16,
        "predictor_ffn_inner_dim": 20,
        "predictor_shift": 0,
        "predictor_lstm_units": 10,
        "dur_pred_prenet_units": [12, 10],
        "dur_pred_lstm_units": 10,
        "decoder_prenet_units": [18, 14],
        "decoder_num_layers": 3,
        "decoder_num_heads": 2,
        "decoder_num_units": 16,
        "decoder_ffn_inner_dim": 32,
        "outputs_per_step": 3,
        "postnet_filter_size": 9,
        "postnet_fsmn_num_layers": 3,
        "postnet_num_memory_units": 16,
        "postnet_ffn_inner_dim": 20,
        "postnet_shift": 3,
        "postnet_lstm_units": 10,
    },
}
_TINY_MELS, _TINY_CHANNELS = 8, 32


@dataclass(frozen=True, slots=True)
class Variant:
    """What they differ in. ``source``: whether F0 is told by its mean or by bounds, if at all."""

    description: str

    rate_hertz: int
    rates: tuple[int, ...]
    kernels: tuple[int, ...]
    dilations: tuple[int, ...] = (1, 3, 5, 7)
    channels: int = 256
    mels: int = 80
    is_causal: bool = True
    source: str | None = None
    has_vector: bool = False
    speakers: tuple[str, ...] = ("F7",)
    voices: tuple[str, ...] = ("fabricated_emo",)
    max_len: int = 800

    def generator(self, size: Size) -> dict[str, Any]:
        """``Model.Generator.params``."""
        return {
            "in_channels": _TINY_MELS if size == "tiny" else self.mels,
            "out_channels": 1,
            "channels": _TINY_CHANNELS if size == "tiny" else self.channels,
            "kernel_size": 7,
            "upsample_scales": list(self.rates),
            "upsample_kernal_sizes": list(self.kernels),
            "resblock_kernel_sizes": [3, 7, 11],
            "resblock_dilations": [list(self.dilations)] * 3,
            "bias": True,
            "causal": self.is_causal,
            "nonlinear_activation": "LeakyReLU",
            "nonlinear_activation_params": {"negative_slope": 0.1},
            "use_weight_norm": True,
            **(
                {"nsf_params": {"nb_harmonics": 7, "sampling_rate": self.rate_hertz}}
                if self.source
                else {}
            ),
        }

    def acoustic(self, size: Size) -> dict[str, Any]:
        """``Model.KanTtsSAMBERT.params``."""
        params = dict(_ACOUSTIC[size])
        if size == "real":
            params["max_len"] = self.max_len
            if self.has_vector:
                params["speaker_units"] = 192
        mels = _TINY_MELS if size == "tiny" else self.mels
        params |= {"num_mels": mels + (2 if self.source else 0), "MAS": False}
        if self.source:
            params |= {"NSF": True, "nsf_norm_type": self.source}
        if self.source == "global":
            params |= {"nsf_f0_global_minimum": 30.0, "nsf_f0_global_maximum": 730.0}
        if self.has_vector:
            params["SE"] = True
        return params


_16K: Final = Variant(
    "16 kHz, as most are: the vocoder looks ahead",
    rate_hertz=16_000,
    rates=(10, 5, 2, 2),
    kernels=(20, 11, 4, 4),
    is_causal=False,
)
_24K: Final = Variant(
    "24 kHz, causal vocoder",
    rate_hertz=24_000,
    rates=(8, 5, 3, 2),
    kernels=(16, 10, 6, 4),
    dilations=(1, 3, 5),
    channels=512,
)
VARIANTS: Final[Mapping[str, Variant]] = {
    "sambert": _16K,
    "sambert-causal": dataclasses.replace(
        _16K, description="16 kHz, causal vocoder", kernels=(20, 10, 4, 4), is_causal=True
    ),
    "sambert-speakers": dataclasses.replace(
        _16K, description="16 kHz, three speakers in one voice", speakers=("F7", "F74", "M7")
    ),
    "sambert-shared": dataclasses.replace(
        _16K,
        description="16 kHz, four voices with one vocoder",
        voices=("first_emo", "second_emo", "third", "fourth"),
    ),
    "sambert-nsf": dataclasses.replace(
        _16K, description="16 kHz, harmonic source", source="mean_std"
    ),
    "sambert-se": dataclasses.replace(
        _16K,
        description="16 kHz, harmonic source, the speaker a vector",
        source="global",
        has_vector=True,
    ),
    "sambert-24k": _24K,
    "sambert-24k-nsf": dataclasses.replace(
        _24K, description="24 kHz, causal vocoder, harmonic source", source="mean_std"
    ),
    "sambert-48k": Variant(
        "48 kHz, causal vocoder",
        rate_hertz=48_000,
        rates=(10, 5, 3, 2, 2),
        kernels=(20, 10, 6, 4, 4),
        channels=512,
        mels=128,
        max_len=900,
    ),
}
