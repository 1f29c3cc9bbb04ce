"""HiFi-GAN generators: latents or mel frames to a waveform.

Kong et al., "HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech
Synthesis" (2020). Weight norm is folded into the weights before they get here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxswap_families.layers.blocks import Conv, Upsample, modules_of
from voxswap_families.layers.carry import Carry, silenced
from voxswap_families.work import Steps

SLOPE: Final = 0.1
# The activation before the last convolution kept torch's default slope in the original code.
LAST_SLOPE: Final = 0.01


class ResBlock1(nn.Module):
    """Pairs of a dilated and a plain convolution, each pair with a shortcut."""

    def __init__(
        self, channels: int, kernel: int, dilations: Sequence[int], *, causal: bool = False
    ) -> None:
        super().__init__()
        self.whole_reach = self.reach(kernel, dilations)
        self.convs1 = nn.ModuleList(
            Conv(channels, channels, kernel, dilation=d, causal=causal) for d in dilations
        )
        self.convs2 = nn.ModuleList(
            Conv(channels, channels, kernel, causal=causal) for _ in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, 1, time)`` to the same shape."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            y = dilated(functional.leaky_relu(x, SLOPE))
            x = plain(functional.leaky_relu(y, SLOPE)) + x
        return x

    def carried(self, x: Tensor, carry: Carry) -> Tensor:
        """A piece: as much as can be emitted by now.

        Each convolution has a memory of its own, so nothing is computed twice, as it is in `inner`.
        """
        convs1, convs2 = modules_of(self.convs1, Conv), modules_of(self.convs2, Conv)
        for dilated, plain in zip(convs1, convs2, strict=True):
            y = silenced(dilated.carried(functional.leaky_relu(x, SLOPE), carry), carry.beyond)
            y = functional.leaky_relu(y, SLOPE)
            whole = carry.with_context(y, plain.before, plain.after)
            ready = max(0, whole.shape[3] - plain.before - plain.after)
            x = silenced(plain.inner(whole, plus=carry.delayed(x, ready)), carry.beyond)
        return x

    def inner(self, x: Tensor, active: Tensor, *, emitted: int, beyond: int | None) -> Tensor:
        """See `ResBlock2.inner`."""
        left = self.whole_reach
        convs1, convs2 = modules_of(self.convs1, Conv), modules_of(self.convs2, Conv)
        for i, (dilated, plain) in enumerate(zip(convs1, convs2, strict=True)):
            left -= dilated.reach
            y = dilated.inner(functional.leaky_relu(x, SLOPE) if i else active)
            _silence(y, left, emitted=emitted, beyond=beyond)
            left -= plain.reach
            y = functional.leaky_relu(y, SLOPE)
            x = plain.inner(y, plus=_within(x, dilated.reach + plain.reach))
            _silence(x, left, emitted=emitted, beyond=beyond)
        return x

    @staticmethod
    def reach(kernel: int, dilations: Sequence[int]) -> int:
        """Samples that one output sample sees on either side."""
        return sum((kernel - 1) // 2 * (d + 1) for d in dilations)


class ResBlock2(nn.Module):
    """Dilated convolutions, each with a shortcut: the light variant."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.whole_reach = self.reach(kernel, dilations)
        self.convs = nn.ModuleList(Conv(channels, channels, kernel, dilation=d) for d in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, 1, time)`` to the same shape."""
        for dilated in self.convs:
            x = dilated(functional.leaky_relu(x, SLOPE)) + x
        return x

    def inner(self, x: Tensor, active: Tensor, *, emitted: int, beyond: int | None) -> Tensor:
        """A piece without its context, which is ``whole_reach`` samples at either end of ``x``.

        ``active`` is ``x`` behind its activation. ``emitted`` samples of the signal came before; if
        it ends here, the last ``beyond`` ones of the piece are none of it, and otherwise that is
        None. What lies beyond either end is zero for each convolution.
        """
        left = self.whole_reach
        for i, dilated in enumerate(modules_of(self.convs, Conv)):
            left -= dilated.reach
            y = functional.leaky_relu(x, SLOPE) if i else active
            x = dilated.inner(y, plus=_within(x, dilated.reach))
            _silence(x, left, emitted=emitted, beyond=beyond)
        return x

    @staticmethod
    def reach(kernel: int, dilations: Sequence[int]) -> int:
        """Samples that one output sample sees on either side."""
        return sum((kernel - 1) // 2 * d for d in dilations)


def _within(x: Tensor, reach: int) -> Tensor:
    """``x`` without ``reach`` samples at either end."""
    return x[..., reach : x.shape[3] - reach] if reach else x


def _silence(x: Tensor, reach: int, *, emitted: int, beyond: int | None) -> None:
    """Zero what lies beyond the signal's ends of a piece and its context of ``reach`` samples."""
    if reach > emitted:
        x[..., : reach - emitted].zero_()
    if beyond is not None:
        silenced(x, reach + beyond)


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
        last_bias: bool = False,
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
        self.conv_post = Conv(channels, 1, 7, bias=last_bias)

    def forward(self, x: Tensor, speaker: Tensor | None = None) -> Tensor:
        """``(batch, channels_in, 1, frames)`` to ``(batch, 1, 1, frames * hop)`` in [-1, 1]."""
        x = self.conv_pre(x)
        if self.cond is not None and speaker is not None:
            x = x + self.cond(speaker)
        for i, up in enumerate(self.ups):
            x = up(functional.leaky_relu(x, SLOPE))
            blocks = self.resblocks[i * self.n_parallel : (i + 1) * self.n_parallel]
            total = blocks[0](x)
            for block in blocks[1:]:
                total = total + block(x)
            x = total / self.n_parallel
        return torch.tanh(self.conv_post(functional.leaky_relu(x, LAST_SLOPE)))

    def carried(self, x: Tensor, carry: Carry, speaker: Tensor | None = None) -> Steps[Tensor]:
        """A piece of the frames to a piece of the audio, as much of it as can be emitted by now.

        Frames beyond the end (`Carry.beyond`) must be zero, and become audio that is no part of it.

        Each stage remembers the context of its widest residual block; blocks compute that little
        anew, and so remember nothing. Its steps are blocks: the last stage's are the longest.
        """
        x = self.conv_pre.carried(x, carry)
        if self.cond is not None and speaker is not None:
            x = x + self.cond(speaker)
        x = silenced(x, carry.beyond)
        # Either kind: both have what is used here.
        resblocks = modules_of(self.resblocks, ResBlock2)
        for i, up in enumerate(modules_of(self.ups, Upsample)):
            x = up.carried(functional.leaky_relu(x, SLOPE), carry)
            blocks = resblocks[i * self.n_parallel : (i + 1) * self.n_parallel]
            reach = max(block.whole_reach for block in blocks)
            whole = carry.with_context(x, reach)
            if whole.shape[3] <= 2 * reach:
                return x.new_zeros(x.shape[0], 1, 1, 0)
            active = functional.leaky_relu(whole, SLOPE)
            total: Tensor | None = None
            for block in blocks:
                spare = reach - block.whole_reach
                y = block.inner(
                    _within(whole, spare),
                    _within(active, spare),
                    emitted=carry.emitted,
                    beyond=carry.beyond if carry.is_last else None,
                )
                total = y if total is None else total.add_(y)
                yield None
            assert total is not None  # noqa: S101 - a stage has blocks
            x = total.div_(self.n_parallel)
        return torch.tanh(self.conv_post.carried(functional.leaky_relu(x, LAST_SLOPE), carry))
