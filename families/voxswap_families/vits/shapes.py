"""The tensors of a VITS model, by name and shape, as its architecture says."""

from __future__ import annotations

from collections.abc import Iterator

from voxswap_families.vits.architecture import VitsArchitecture


def expected_shapes(architecture: VitsArchitecture) -> dict[str, tuple[int, ...]]:
    """Every tensor of a canonical checkpoint with this architecture, and its shape."""
    return dict(
        [
            *_text_encoder(architecture),
            *_duration_predictor(architecture),
            *_flow(architecture),
            *_generator(architecture),
            *_speakers(architecture),
        ]
    )


_Named = Iterator[tuple[str, tuple[int, ...]]]


def _conv(name: str, *shape: int, bias: int | None = None) -> _Named:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (shape[0] if bias is None else bias,)


def _norm(name: str, channels: int) -> _Named:
    yield f"{name}.gamma", (channels,)
    yield f"{name}.beta", (channels,)


def _text_encoder(a: VitsArchitecture) -> _Named:
    h = a.hidden
    yield "enc_p.emb.weight", (a.n_symbols, h)
    for i in range(a.n_layers):
        attention = f"enc_p.encoder.attn_layers.{i}"
        for relative in ("emb_rel_k", "emb_rel_v"):
            yield f"{attention}.{relative}", (1, 2 * a.attention_window + 1, h // a.n_heads)
        for projection in ("conv_q", "conv_k", "conv_v", "conv_o"):
            yield from _conv(f"{attention}.{projection}", h, h, 1)
        ffn = f"enc_p.encoder.ffn_layers.{i}"
        yield from _conv(f"{ffn}.conv_1", a.filter_hidden, h, a.kernel_size)
        yield from _conv(f"{ffn}.conv_2", h, a.filter_hidden, a.kernel_size)
        yield from _norm(f"enc_p.encoder.norm_layers_1.{i}", h)
        yield from _norm(f"enc_p.encoder.norm_layers_2.{i}", h)
    yield from _conv("enc_p.proj", 2 * a.inter, h, 1)


def _dds(name: str, a: VitsArchitecture) -> _Named:
    for i in range(a.dp_dds_layers):
        yield from _conv(f"{name}.convs_sep.{i}", a.dp_hidden, 1, a.dp_kernel_size)
        yield from _conv(f"{name}.convs_1x1.{i}", a.dp_hidden, a.dp_hidden, 1)
        yield from _norm(f"{name}.norms_1.{i}", a.dp_hidden)
        yield from _norm(f"{name}.norms_2.{i}", a.dp_hidden)


def _duration_predictor(a: VitsArchitecture) -> _Named:
    yield from _conv("dp.pre", a.dp_hidden, a.hidden, 1)
    yield from _dds("dp.convs", a)
    yield from _conv("dp.proj", a.dp_hidden, a.dp_hidden, 1)
    yield "dp.flows.0.m", (2, 1)
    yield "dp.flows.0.logs", (2, 1)
    for i in range(3, 2 * a.dp_flows, 2):
        yield from _conv(f"dp.flows.{i}.pre", a.dp_hidden, 1, 1)
        yield from _dds(f"dp.flows.{i}.convs", a)
        yield from _conv(f"dp.flows.{i}.proj", 3 * a.dp_bins - 1, a.dp_hidden, 1)


def _flow(a: VitsArchitecture) -> _Named:
    h, half, layers = a.hidden, a.inter // 2, a.flow_wavenet_layers
    for i in range(0, 2 * a.flow_layers, 2):
        flow = f"flow.flows.{i}"
        yield from _conv(f"{flow}.pre", h, half, 1)
        for layer in range(layers):
            yield from _conv(f"{flow}.enc.in_layers.{layer}", 2 * h, h, a.flow_kernel_size)
            skip = h if layer == layers - 1 else 2 * h
            yield from _conv(f"{flow}.enc.res_skip_layers.{layer}", skip, h, 1)
        if a.n_speakers:
            yield from _conv(f"{flow}.enc.cond_layer", 2 * h * layers, a.gin, 1)
        yield from _conv(f"{flow}.post", half, h, 1)


def _generator(a: VitsArchitecture) -> _Named:
    channels = a.upsample_initial
    yield from _conv("dec.conv_pre", channels, a.inter, 7)
    branches = ("convs1", "convs2") if a.resblock == 1 else ("convs",)
    for stage, kernel in enumerate(a.upsample_kernels):
        yield from _conv(f"dec.ups.{stage}", channels, channels // 2, kernel, bias=channels // 2)
        channels //= 2
        for j, block_kernel in enumerate(a.resblock_kernels):
            block = f"dec.resblocks.{stage * len(a.resblock_kernels) + j}"
            for branch in branches:
                for i in range(len(a.resblock_dilations[j])):
                    yield from _conv(f"{block}.{branch}.{i}", channels, channels, block_kernel)
    yield "dec.conv_post.weight", (1, channels, 7)


def _speakers(a: VitsArchitecture) -> _Named:
    if a.n_speakers:
        yield "emb_g.weight", (a.n_speakers, a.gin)
        yield from _conv("dec.cond", a.upsample_initial, a.gin, 1)
        yield from _conv("dp.cond", a.dp_hidden, a.gin, 1)
