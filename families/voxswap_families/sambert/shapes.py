"""The tensors of a SAMBERT acoustic model, by KAN-TTS's names and shapes.

What is computed in place of being stored (position tables) and what only training needs is not
among them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from voxswap_families.sambert.architecture import (
    EMBEDDING_KERNEL,
    ENCODER_KERNEL,
    AcousticArchitecture,
)

#: What a checkpoint may have beside them: tables that are computed, and counters.
COMPUTED: Final = ("position_enc", "inv_timescales", "num_batches_tracked")

_Named = Iterator[tuple[str, tuple[int, ...]]]


def acoustic_shapes(a: AcousticArchitecture) -> dict[str, tuple[int, ...]]:
    """Every tensor of an acoustic model with this architecture, and its shape in a checkpoint."""
    return dict([*_text(a), *_tables(a), *_variance(a), *_decoder(a), *_postnet(a)])


def _linear(name: str, *shape: int, bias: bool = True) -> _Named:
    yield f"{name}.weight", shape
    if bias:
        yield f"{name}.bias", (shape[0],)


def _norm(name: str, channels: int) -> _Named:
    yield f"{name}.weight", (channels,)
    yield f"{name}.bias", (channels,)


def _feed_forward(name: str, channels: int, inner: int, kernel: int) -> _Named:
    yield from _linear(f"{name}.w_1", inner, channels, kernel)
    yield from _linear(f"{name}.w_2", channels, inner, 1)
    yield from _norm(f"{name}.layer_norm", channels)


def _text(a: AcousticArchitecture) -> _Named:
    yield "text_encoder.sy_emb.weight", (a.n_sy, a.embedding)
    yield "text_encoder.tone_emb.weight", (a.n_tone, a.embedding)
    yield "text_encoder.syllable_flag_emb.weight", (a.n_syllable_flag, a.embedding)
    yield "text_encoder.ws_emb.weight", (a.n_word_segment, a.embedding)
    for i in range(a.encoder_layers):
        width = a.encoder_units if i else a.embedding
        block = f"text_encoder.ling_enc.fft.{i}"
        yield from _norm(f"{block}.slf_attn.layer_norm", width)
        yield from _linear(f"{block}.slf_attn.w_qkv", 3 * a.encoder_units, width)
        yield from _linear(f"{block}.slf_attn.fc", a.encoder_units, a.encoder_units)
        yield from _feed_forward(
            f"{block}.pos_ffn", a.encoder_units, a.encoder_inner, ENCODER_KERNEL
        )
    yield from _norm("text_encoder.ling_enc.ln", a.encoder_units)
    yield "text_encoder.ling_proj.weight", (a.text_units, a.encoder_units)


def _tables(a: AcousticArchitecture) -> _Named:
    if a.n_speakers:
        yield "spk_tokenizer.weight", (a.n_speakers, a.speaker_units)
    yield "emo_tokenizer.weight", (a.n_emotions, a.emotion_units)


def _fsmn(name: str, width: int, memory: int, inner: int, taps: int, layers: int) -> _Named:
    for i in range(layers):
        yield from _linear(f"{name}.ffn_lst.{i}.w_1", inner, memory if i else width, 1)
        yield from _linear(f"{name}.ffn_lst.{i}.w_2", memory, inner, 1, bias=False)
        yield f"{name}.memory_block_lst.{i}.conv_dw.weight", (memory, 1, taps)


def _lstm(name: str, widths: Sequence[int], hidden: int, *, both_ways: bool = False) -> _Named:
    for layer, width in enumerate(widths):
        for way in ("", "_reverse") if both_ways else ("",):
            yield f"{name}.weight_ih_l{layer}{way}", (4 * hidden, width)
            yield f"{name}.weight_hh_l{layer}{way}", (4 * hidden, hidden)
            yield f"{name}.bias_ih_l{layer}{way}", (4 * hidden,)
            yield f"{name}.bias_hh_l{layer}{way}", (4 * hidden,)


def _prenet(name: str, widths: Sequence[int]) -> _Named:
    """Linear, ReLU and dropout for each width; so indices go by three."""
    for i, (width, units) in enumerate(itertools.pairwise(widths)):
        yield from _linear(f"{name}.fcs.{3 * i}", units, width)


def _variance(a: AcousticArchitecture) -> _Named:
    for what in ("pitch", "energy"):
        predictor = f"variance_adaptor.{what}_predictor"
        yield from _fsmn(
            f"{predictor}.fsmn",
            a.predicted_from,
            a.predictor_memory,
            a.predictor_inner,
            a.predictor_filter,
            len(a.predictor_shifts),
        )
        yield from _lstm(
            f"{predictor}.blstm", [a.predictor_memory], a.predictor_lstm, both_ways=True
        )
        yield from _linear(f"{predictor}.fc", 1, 2 * a.predictor_lstm)
        yield from _linear(f"variance_adaptor.{what}_emb", a.text_units, 1, EMBEDDING_KERNEL)
    predictor = "variance_adaptor.duration_predictor"
    yield from _prenet(f"{predictor}.prenet", [1, *a.duration_prenet])
    widths = [a.duration_prenet[-1] + a.predicted_from, a.duration_lstm]
    yield from _lstm(f"{predictor}.lstm", widths, a.duration_lstm)
    yield from _linear(f"{predictor}.fc", 1, a.duration_lstm)


def _decoder(a: AcousticArchitecture) -> _Named:
    name, d = "mel_decoder.mel_dec", a.decoder_units
    yield from _prenet(f"{name}.prenet", [a.mels, *a.decoder_prenet, d])
    yield from _linear(f"{name}.dec_in_proj", d, d + a.memory_units)
    for i in range(a.decoder_layers):
        attention = f"{name}.pnca.{i}.pnca_attn"
        yield from _norm(f"{attention}.layer_norm", d)
        yield from _linear(f"{attention}.w_x_qkv", 3 * d, d)
        yield from _linear(f"{attention}.fc_x", d, d)
        yield from _linear(f"{attention}.w_h_kv", 2 * d, a.memory_units)
        yield from _linear(f"{attention}.fc_h", d, d)
        yield from _feed_forward(f"{name}.pnca.{i}.pos_ffn", d, a.decoder_inner, 1)
    yield from _norm(f"{name}.ln", d)
    yield from _linear(f"{name}.dec_out_proj", a.step_frames * a.mels, d)


def _postnet(a: AcousticArchitecture) -> _Named:
    yield from _fsmn(
        "mel_postnet.fsmn",
        a.mels,
        a.postnet_memory,
        a.postnet_inner,
        a.postnet_filter,
        len(a.postnet_shifts),
    )
    yield from _lstm("mel_postnet.lstm", [a.postnet_memory], a.postnet_lstm)
    yield from _linear("mel_postnet.fc", a.mels, a.postnet_lstm)
