"""The tensors of an EmotiVoice voice's components, by EmotiVoice's names and shapes.

What only training needs is not among them, nor the table of speakers: a voice has its row.
"""

from __future__ import annotations

from collections.abc import Iterator

from voxswap_families.emotivoice.architecture import (
    AcousticArchitecture,
    StyleArchitecture,
    VocoderArchitecture,
)

_Named = Iterator[tuple[str, tuple[int, ...]]]


def acoustic_shapes(a: AcousticArchitecture) -> dict[str, tuple[int, ...]]:
    """Every tensor of an acoustic model with this architecture, in the shape of a checkpoint."""
    return dict([*_transformer("encoder", a), *_transformer("decoder", a), *_between(a)])


def _layer(name: str, *shape: int) -> _Named:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (shape[0],)


def _norm(name: str, channels: int) -> _Named:
    yield from _layer(name, channels)


def _transformer(which: str, a: AcousticArchitecture) -> _Named:
    layers, inner = getattr(a, f"{which}_layers"), getattr(a, f"{which}_inner")
    kernel, d = getattr(a, f"{which}_kernel"), a.units
    yield f"am.{which}.embed.0.alpha", ()
    for i in range(layers):
        block = f"am.{which}.encoders.{i}"
        for projection in ("q", "k", "v", "out"):
            yield from _layer(f"{block}.self_attn.linear_{projection}", d, d)
        yield from _layer(f"{block}.feed_forward.w_1", inner, d, kernel)
        yield from _layer(f"{block}.feed_forward.w_2", d, inner, kernel)
        yield from _norm(f"{block}.norm1", d)
        yield from _norm(f"{block}.norm2", d)
    yield from _norm(f"am.{which}.after_norm", d)


def _between(a: AcousticArchitecture) -> _Named:
    yield "am.src_word_emb.weight", (a.n_symbols, a.units)
    yield from _layer("am.embed_projection1", a.units, a.joined_units)
    for what in ("duration", "pitch", "energy"):
        layers, kernel = getattr(a, f"{what}_layers"), getattr(a, f"{what}_kernel")
        for i in range(layers):
            width = a.predictor_units if i else a.units
            convolution = f"am.{what}_predictor.conv.{i}"
            yield from _layer(f"{convolution}.0", a.predictor_units, width, kernel)
            yield from _norm(f"{convolution}.2", a.predictor_units)
        yield from _layer(f"am.{what}_predictor.linear", 1, a.predictor_units)
    for what in ("pitch", "energy"):
        yield from _layer(f"am.{what}_embed.0", a.units, 1, a.embedding_kernel)
    yield from _layer("am.to_mel", a.mels, a.units)


def vocoder_shapes(a: VocoderArchitecture) -> dict[str, tuple[int, ...]]:
    """Those of a vocoder; its weight norm is folded."""
    return dict(_vocoder(a))


def _vocoder(a: VocoderArchitecture) -> _Named:
    channels = a.channels
    yield from _layer("generator.conv_pre", channels, a.mels, 7)
    for stage, kernel in enumerate(a.kernels):
        half = channels // 2
        yield f"generator.ups.{stage}.weight", (channels, half, kernel)
        yield f"generator.ups.{stage}.bias", (half,)
        channels = half
        for j, taps in enumerate(a.resblock_kernels):
            block = f"generator.resblocks.{stage * len(a.resblock_kernels) + j}"
            for branch in ("convs1", "convs2"):
                for i in range(len(a.resblock_dilations[j])):
                    yield from _layer(f"{block}.{branch}.{i}", channels, channels, taps)
    yield from _layer("generator.conv_post", 1, channels, 7)


def style_shapes(a: StyleArchitecture) -> dict[str, tuple[int, ...]]:
    """Those of a style encoder, without the heads that it was trained with."""
    return dict(_style(a))


def _style(a: StyleArchitecture) -> _Named:
    d, embeddings = a.units, "bert.embeddings"
    yield f"{embeddings}.word_embeddings.weight", (a.vocabulary, d)
    yield f"{embeddings}.position_embeddings.weight", (a.positions, d)
    yield f"{embeddings}.token_type_embeddings.weight", (a.types, d)
    yield from _norm(f"{embeddings}.LayerNorm", d)
    for i in range(a.layers):
        layer = f"bert.encoder.layer.{i}"
        for projection in ("query", "key", "value"):
            yield from _layer(f"{layer}.attention.self.{projection}", d, d)
        yield from _layer(f"{layer}.attention.output.dense", d, d)
        yield from _norm(f"{layer}.attention.output.LayerNorm", d)
        yield from _layer(f"{layer}.intermediate.dense", a.inner, d)
        yield from _layer(f"{layer}.output.dense", d, a.inner)
        yield from _norm(f"{layer}.output.LayerNorm", d)
    yield from _layer("bert.pooler.dense", d, d)
