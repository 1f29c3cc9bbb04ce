"""HiFi-GAN generators: latents or mel frames to a waveform.

Kong et al., "HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech
Synthesis" (2020). Weight norm is folded into the weights before they get here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxswap_server.engines.blocks import Conv, Upsample, typed
from voxswap_server.engines.carry import Carry
from voxswap_server.engines.work import Steps

_SLOPE = 0.1
# The activation before the last convolution kept torch's default slope in the original code.
_LAST_SLOPE = 0.01


class ResBlock1(nn.Module):
    """Pairs of a dilated and a plain convolution, each pair with a shortcut."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(Conv(channels, channels, kernel, dilation=d) for d in dilations)
        self.convs2 = nn.ModuleList(Conv(channels, channels, kernel) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, 1, time)`` to the same shape."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            y = dilated(functional.leaky_relu(x, _SLOPE))
            x = plain(functional.leaky_relu(y, _SLOPE)) + x
        return x

    def carried(self, x: Tensor, carry: Carry) -> Tensor:
        """A piece, as much as can be told by now."""
        convs1, convs2 = typed(self.convs1, Conv), typed(self.convs2, Conv)
        for dilated, plain in zip(convs1, convs2, strict=True):
            y = dilated.carried(functional.leaky_relu(x, _SLOPE), carry)
            y = plain.carried(functional.leaky_relu(y, _SLOPE), carry)
            x, y = carry.aligned(x, y)
            x = x + y
        return x

    @staticmethod
    def reach(kernel: int, dilations: Sequence[int]) -> int:
        """Samples that one output sample sees on either side."""
        return sum((kernel - 1) // 2 * (d + 1) for d in dilations)


class ResBlock2(nn.Module):
    """Dilated convolutions, each with a shortcut: the light variant."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Conv(channels, channels, kernel, dilation=d) for d in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, 1, time)`` to the same shape."""
        for dilated in self.convs:
            x = dilated(functional.leaky_relu(x, _SLOPE)) + x
        return x

    def carried(self, x: Tensor, carry: Carry) -> Tensor:
        """A piece, as much as can be told by now."""
        for dilated in typed(self.convs, Conv):
            whole = carry.with_context(x, dilated.reach)
            y = dilated.inner(functional.leaky_relu(whole, _SLOPE))
            x = y + whole[..., dilated.reach : dilated.reach + y.shape[3]]
        return x

    @staticmethod
    def reach(kernel: int, dilations: Sequence[int]) -> int:
        """Samples that one output sample sees on either side."""
        return sum((kernel - 1) // 2 * d for d in dilations)


class Generator(nn.Module):
    """Upsampling stages, each followed by the mean of parallel residual blocks.

    ``reach_frames`` says how many input frames on either side one output sample depends on: decode
    a window with that much context, cut the context off, and the cut is exact.
    """

    def __init__(
        self,
        *,
        channels_in: int,
        channels: int,
        rates: Sequence[int],
        kernels: Sequence[int],
        resblock: int,
        resblock_kernels: Sequence[int],
        resblock_dilations: Sequence[Sequence[int]],
        gin: int = 0,
    ) -> None:
        super().__init__()
        block = ResBlock1 if resblock == 1 else ResBlock2
        self.conv_pre = Conv(channels_in, channels, 7)
        self.cond = Conv(gin, channels) if gin else None
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        self.n_parallel = len(resblock_kernels)
        reach, step = 3.0, 1
        for rate, kernel in zip(rates, kernels, strict=True):
            self.ups.append(Upsample(channels, channels // 2, kernel, rate))
            channels //= 2
            reach += math.ceil(kernel / 2 / rate) / step
            step *= rate
            blocks = list(zip(resblock_kernels, resblock_dilations, strict=True))
            self.resblocks.extend(block(channels, k, d) for k, d in blocks)
            reach += max(block.reach(k, d) for k, d in blocks) / step
        reach += 3 / step
        self.reach_frames = math.ceil(reach)
        self.hop = step
        self.conv_post = Conv(channels, 1, 7, bias=False)

    def forward(self, x: Tensor, speaker: Tensor | None = None) -> Tensor:
        """``(batch, channels_in, 1, frames)`` to ``(batch, 1, 1, frames * hop)`` in [-1, 1]."""
        x = self.conv_pre(x)
        if self.cond is not None and speaker is not None:
            x = x + self.cond(speaker)
        for i, up in enumerate(self.ups):
            x = up(functional.leaky_relu(x, _SLOPE))
            blocks = self.resblocks[i * self.n_parallel : (i + 1) * self.n_parallel]
            total = blocks[0](x)
            for block in blocks[1:]:
                total = total + block(x)
            x = total / self.n_parallel
        return torch.tanh(self.conv_post(functional.leaky_relu(x, _LAST_SLOPE)))

    def carried(self, x: Tensor, carry: Carry, speaker: Tensor | None = None) -> Steps[Tensor]:
        """A piece of the frames to a piece of the audio, as much of it as can be told by now.

        Its steps are residual blocks. The last stage's are the longest, a sixth of the whole each.
        """
        x = self.conv_pre.carried(x, carry)
        if self.cond is not None and speaker is not None:
            x = x + self.cond(speaker)
        # Either kind: both carry.
        resblocks = typed(self.resblocks, ResBlock2)
        for i, up in enumerate(typed(self.ups, Upsample)):
            x = up.carried(functional.leaky_relu(x, _SLOPE), carry)
            blocks = resblocks[i * self.n_parallel : (i + 1) * self.n_parallel]
            told = []
            for block in blocks:
                told.append(block.carried(x, carry))
                yield None
            first, *others = carry.aligned(*told)
            for other in others:
                first = first + other
            x = first / self.n_parallel
        return torch.tanh(self.conv_post.carried(functional.leaky_relu(x, _LAST_SLOPE), carry))
