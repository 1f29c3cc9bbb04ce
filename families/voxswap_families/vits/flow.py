"""The prior flow, run backwards: a simple prior to the latents that the generator decodes.

Mean-only affine couplings on a non-causal WaveNet (Kim et al. 2021, appendix B).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from voxswap_families.layers.blocks import Conv, modules_of


class WaveNet(nn.Module):
    """Gated convolutions with shortcuts and skips, all of dilation 1."""

    def __init__(self, channels: int, kernel: int, layers: int, gin: int) -> None:
        super().__init__()
        self.channels = channels
        self.in_layers = nn.ModuleList(Conv(channels, 2 * channels, kernel) for _ in range(layers))
        # The last layer has no shortcut to feed, so it gives skips alone.
        self.res_skip_layers = nn.ModuleList(
            Conv(channels, 2 * channels if i < layers - 1 else channels) for i in range(layers)
        )
        self.cond_layer = Conv(gin, 2 * channels * layers) if gin else None

    def forward(self, x: Tensor, speaker: Tensor | None) -> Tensor:
        """``(batch, channels, 1, frames)`` to the same."""
        conditions: tuple[Tensor, ...] = ()
        if self.cond_layer is not None and speaker is not None:
            conditions = self.cond_layer(speaker).chunk(len(self.in_layers), dim=1)
        output: Tensor | None = None
        for i, (gate, res_skip) in enumerate(
            zip(self.in_layers, self.res_skip_layers, strict=True)
        ):
            y = gate(x)
            if conditions:
                y = y + conditions[i]
            # torch's tanh of bfloat16 takes twice the time of its tanh of float32.
            wave, sigma = y.float().chunk(2, dim=1)
            y = res_skip((wave.tanh_() * sigma.sigmoid_()).to(x.dtype))
            if i < len(self.in_layers) - 1:
                x = x + y[:, : self.channels]
                y = y[:, self.channels :]
            output = y if output is None else output.add_(y)
        assert output is not None  # noqa: S101 - a WaveNet has layers
        return output


class Coupling(nn.Module):
    """Shifts one half of the channels by what the other half says, undone."""

    def __init__(self, inter: int, hidden: int, kernel: int, layers: int, gin: int) -> None:
        super().__init__()
        self.pre = Conv(inter // 2, hidden)
        self.enc = WaveNet(hidden, kernel, layers, gin)
        self.post = Conv(hidden, inter // 2)

    def forward(self, z: Tensor, speaker: Tensor | None) -> Tensor:
        """Inverse of a coupling and of the flip that follows it; the shape stays."""
        kept, shifted = z.flip(1).chunk(2, dim=1)
        shift = self.post(self.enc(self.pre(kept.to(self.pre.weight.dtype)), speaker))
        return torch.cat([kept, shifted - shift.to(z.dtype)], dim=1)


class PriorFlow(nn.Module):
    """Couplings with the channels' order reversed between them.

    ``reach_frames`` is what one frame depends on at either side: run a window with that much
    context, cut the context off, and the cut is exact.
    """

    def __init__(
        self,
        *,
        inter: int,
        hidden: int,
        kernel: int,
        wavenet_layers: int,
        couplings: int,
        gin: int,
    ) -> None:
        super().__init__()
        stack: list[nn.Module] = []
        for _ in range(couplings):
            # Odd positions are the channel flips of the training code; they have no weights.
            stack += [Coupling(inter, hidden, kernel, wavenet_layers, gin), nn.Identity()]
        self.flows = nn.ModuleList(stack)
        self.reach_frames = couplings * wavenet_layers * (kernel - 1) // 2

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are, and the input must be."""
        return next(self.parameters()).dtype

    @property
    def inverse(self) -> Sequence[Coupling]:
        """The couplings in the order in which they are undone."""
        couplings = modules_of(self.flows, Coupling)
        return [couplings[i] for i in reversed(range(0, len(couplings), 2))]
