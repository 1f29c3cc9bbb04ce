"""A packed VITS model as the native library takes it: its structures, filled in with addresses."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from torch import Tensor

from voxswap_families.layers.native import structures as c
from voxswap_families.vits.architecture import VitsArchitecture

Floats = npt.NDArray[np.float32]

# Speakers whose biases are kept: 30 KB and 0.2 ms each.
_MOST_SPEAKERS: Final = 8


@dataclass(frozen=True, slots=True)
class Spoken:
    """What depends on the speaker. ``biases`` are what its structures point to beside the file."""

    dp_pre: c.Product
    flow: c.Flow
    generator: c.Generator
    biases: tuple[Floats, ...] = ()


class NativeModel:
    """All structures of a model, and of each speaker who spoke lately. Immutable but for these.

    ``tensors`` must have passed `check_packed`: nothing is checked here, and what is not as large
    as it says would be read beyond its end.
    """

    def __init__(self, architecture: VitsArchitecture, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)  # what the addresses point to
        a = self.architecture = architecture
        self.embedding = self._floats("enc_p.emb.weight")
        self.encoder = (c.EncoderLayer * a.n_layers)(*map(self._encoder_layer, range(a.n_layers)))
        self.prior = self._product("enc_p.proj", 2 * a.inter, a.hidden)
        self.dp_convs = self._separable("dp.convs")
        self.dp_proj = self._product("dp.proj", a.dp_hidden, a.dp_hidden)
        # In the order in which they are undone.
        self.splines = [self._spline(f"dp.flows.{i}") for i in range(2 * a.dp_flows - 1, 2, -2)]
        self.affine_mean = self._floats("dp.flows.0.m").ravel()
        self.affine_logs = self._floats("dp.flows.0.logs").ravel()
        couplings = [
            self._coupling(f"flow.flows.{i}") for i in range(2 * a.flow_layers - 2, -1, -2)
        ]
        self._couplings = (c.Coupling * a.flow_layers)(*couplings)
        self._of_all = Spoken(
            self._product("dp.pre", a.dp_hidden, a.hidden),
            c.Flow(self._couplings, a.flow_layers, a.flow_wavenet_layers),
            self._generator(),
        )
        self._lock = threading.Lock()  # of the one below; a leaf
        self._of_speaker: dict[int, Spoken] = {}

    def spoken_by(self, speaker: int) -> Spoken:
        """Everything for a speaker, 0 if the model has just one. The first time takes 0.2 ms."""
        if not self.architecture.n_speakers:
            return self._of_all
        with self._lock:
            found = self._of_speaker.pop(speaker, None)
        if found is None:
            found = self._conditioned(speaker)
        with self._lock:
            self._of_speaker[speaker] = found  # the last one now
            while len(self._of_speaker) > _MOST_SPEAKERS:
                del self._of_speaker[next(iter(self._of_speaker))]
        return found

    # Of damaged weights the audio is refused.
    @np.errstate(over="ignore", invalid="ignore")
    def _conditioned(self, speaker: int) -> Spoken:
        """A speaker's vector as it is heard: added to biases, since it is the same in each row."""
        a, of_all = self.architecture, self._of_all
        vector = self._floats("emb_g.weight")[speaker]
        biases: list[Floats] = []

        def condition(name: str) -> Floats:
            made: Floats = self._floats(f"{name}.weight") @ vector + self._floats(f"{name}.bias")
            return made

        def biased(product: c.Product, name: str, more: Floats) -> None:
            biases.append(self._floats(f"{name}.bias") + more)
            product.bias = biases[-1].ctypes.data

        dp_pre = c.Product.from_buffer_copy(of_all.dp_pre)
        biased(dp_pre, "dp.pre", condition("dp.cond"))
        couplings = (c.Coupling * a.flow_layers).from_buffer_copy(self._couplings)
        for coupling, i in zip(couplings, range(2 * a.flow_layers - 2, -1, -2), strict=True):
            wave_net = f"flow.flows.{i}.enc"
            for layer, more in enumerate(
                np.split(condition(f"{wave_net}.cond_layer"), a.flow_wavenet_layers)
            ):
                # As gates lie: panels of tanh and of sigmoid in turn.
                in_turn = more.reshape(2, -1, c.PANEL).transpose(1, 0, 2).ravel()
                biased(coupling.gates[layer], f"{wave_net}.in_layers.{layer}", in_turn)
        generator = c.Generator.from_buffer_copy(of_all.generator)
        biased(generator.pre, "dec.conv_pre", condition("dec.cond"))
        flow = c.Flow(couplings, a.flow_layers, a.flow_wavenet_layers)
        return Spoken(dp_pre, flow, generator, tuple(biases))

    def _address(self, name: str) -> int:
        return self._tensors[name].data_ptr()

    def _floats(self, name: str) -> Floats:
        array: Floats = self._tensors[name].numpy()
        return array

    def _product(
        self, name: str, outputs: int, channels: int, taps: int = 1, *, bias: bool = True
    ) -> c.Product:
        address = self._address(f"{name}.bias") if bias else None
        return c.Product(self._address(f"{name}.panels"), address, outputs, taps, channels, 0)

    def _feed_forward(
        self, name: str, outputs: int, channels: int
    ) -> tuple[c.Product, c.ByteProduct]:
        """One of the two has weights."""
        taps = self.architecture.kernel_size
        if f"{name}.panels8" not in self._tensors:
            return self._product(name, outputs, channels, taps), c.ByteProduct()
        bias = self._address(f"{name}.bias")
        panels, scale = self._address(f"{name}.panels8"), self._address(f"{name}.scale")
        balance = f"{name}.balance"
        weighing = self._address(balance) if balance in self._tensors else None
        return (
            c.Product(None, bias, outputs, taps, channels, 0),
            c.ByteProduct(panels, scale, weighing, bias, outputs, taps, channels, 0),
        )

    def _norm(self, name: str) -> c.Norm:
        return c.Norm(self._address(f"{name}.gamma"), self._address(f"{name}.beta"))

    def _encoder_layer(self, i: int) -> c.EncoderLayer:
        a, encoder = self.architecture, "enc_p.encoder"
        attention, feed = f"{encoder}.attn_layers.{i}", f"{encoder}.ffn_layers.{i}"
        up, byte_up = self._feed_forward(f"{feed}.conv_1", a.filter_hidden, a.hidden)
        down, byte_down = self._feed_forward(f"{feed}.conv_2", a.hidden, a.filter_hidden)
        return c.EncoderLayer(
            self._product(f"{attention}.conv_qkv", 3 * a.hidden, a.hidden),
            self._product(f"{attention}.conv_o", a.hidden, a.hidden),
            up,
            down,
            self._address(f"{attention}.emb_rel_k.panels"),
            self._address(f"{attention}.emb_rel_v.panels"),
            self._norm(f"{encoder}.norm_layers_1.{i}"),
            self._norm(f"{encoder}.norm_layers_2.{i}"),
            a.n_heads,
            a.attention_window,
            byte_up,
            byte_down,
        )

    def _separable(self, name: str) -> c.Separable:
        a = self.architecture
        s = c.Separable(layers=a.dp_dds_layers, kernel=a.dp_kernel_size, channels=a.dp_hidden)
        for i in range(a.dp_dds_layers):
            s.taps[i] = self._address(f"{name}.convs_sep.{i}.taps")
            s.tap_biases[i] = self._address(f"{name}.convs_sep.{i}.bias")
            s.norms_1[i] = self._norm(f"{name}.norms_1.{i}")
            s.norms_2[i] = self._norm(f"{name}.norms_2.{i}")
            s.points[i] = self._product(f"{name}.convs_1x1.{i}", a.dp_hidden, a.dp_hidden)
        return s

    def _spline(self, name: str) -> c.SplineCoupling:
        a = self.architecture
        return c.SplineCoupling(
            self._separable(f"{name}.convs"),
            self._address(f"{name}.pre.weight"),
            self._address(f"{name}.pre.bias"),
            self._product(f"{name}.proj", 3 * a.dp_bins - 1, a.dp_hidden),
            a.dp_bins,
            0,
        )

    def _coupling(self, name: str) -> c.Coupling:
        a, hidden = self.architecture, self.architecture.hidden
        coupling = c.Coupling(
            self._product(f"{name}.pre", hidden, a.inter // 2),
            self._product(f"{name}.post", a.inter // 2, hidden),
        )
        for i in range(a.flow_wavenet_layers):
            gate, skip = f"{name}.enc.in_layers.{i}", f"{name}.enc.res_skip_layers.{i}"
            coupling.gates[i] = self._product(gate, 2 * hidden, hidden, a.flow_kernel_size)
            is_last = i == a.flow_wavenet_layers - 1
            coupling.res_skips[i] = self._product(skip, hidden if is_last else 2 * hidden, hidden)
        return coupling

    def _generator(self) -> c.Generator:
        a = self.architecture
        g = c.Generator(
            self._product("dec.conv_pre", a.upsample_initial, a.inter, 7),
            post=self._address("dec.conv_post.taps"),
            post_taps=7,
            count=len(a.upsample_rates),
            blocks=len(a.resblock_kernels),
        )
        channels, branches = a.upsample_initial, ("convs1", "convs2")[: 3 - a.resblock]
        for i, (rate, kernel) in enumerate(zip(a.upsample_rates, a.upsample_kernels, strict=True)):
            stage = g.stages[i]
            narrower = channels // 2
            taps = -(-kernel // rate)
            stage.up = self._product(f"dec.ups.{i}", rate * narrower, channels, taps)
            stage.rate, stage.cut = rate, (kernel - rate) // 2
            channels = narrower
            for j, size in enumerate(a.resblock_kernels):
                block, name = stage.blocks[j], f"dec.resblocks.{i * g.blocks + j}"
                convs = _convolutions(name, branches, a.resblock_dilations[j])
                for n, (conv, dilation) in enumerate(convs):
                    block.convs[n] = self._product(conv, channels, channels, size)
                    block.dilations[n] = dilation
                    block.count = n + 1
                block.span = len(branches)
        return g


def _convolutions(
    name: str, branches: tuple[str, ...], dilations: tuple[int, ...]
) -> Iterator[tuple[str, int]]:
    """Those of a residual block in order, each with its dilation."""
    for i, dilation in enumerate(dilations):
        if len(branches) == 1:
            yield f"{name}.convs.{i}", dilation
        else:
            yield f"{name}.convs1.{i}", dilation
            yield f"{name}.convs2.{i}", 1
