"""Pieces of several streams through the same layers in one call, where that is faster.

A CPU gains by the flow alone, whose products are small: of four streams 7.5 ms in place of 20. A
GPU gains by whatever is one call in place of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from voxswap_families.layers.carry import Carry
from voxswap_families.layers.hifigan import Generator
from voxswap_families.vits.flow import Coupling
from voxswap_families.work import Steps

#: Into a coupling: latents ``(1, inter, 1, frames)``, and the speaker's condition.
Undoing = tuple[Tensor, Tensor | None]
#: Into a generator: frames ``(1, inter, 1, frames)``, what it remembers, and the speaker.
Decoding = tuple[Tensor, Carry, Tensor | None]


def undone(coupling: Coupling, inputs: Sequence[Undoing]) -> Sequence[Tensor]:
    """Pieces of one length through one coupling."""
    z, speaker = inputs[0]
    if len(inputs) == 1:
        return (coupling(z, speaker),)
    latents = torch.cat([z for z, _ in inputs])
    return cast("Sequence[Tensor]", coupling(latents, _joined([s for _, s in inputs])).split(1))


def decoded(dec: Generator, inputs: Sequence[Decoding]) -> Sequence[tuple[Tensor, Carry]]:
    """Pieces of one length through one voice's generator, and what it remembers then.

    What they remember must be in one `Carry.state`, and none of them may be its signal's last.
    """
    x, carry, speaker = inputs[0]
    if len(inputs) > 1:
        x = torch.cat([x for x, _, _ in inputs])
        carry = Carry.joined([carry for _, carry, _ in inputs])
        speaker = _joined([speaker for _, _, speaker in inputs])
    carry.begin(last=False)
    made = _finished(dec.carried(x, carry, speaker))
    if len(inputs) == 1:
        return ((made, carry),)
    return list(zip(made.chunk(len(inputs)), carry.parted(), strict=True))


def _joined(speakers: Sequence[Tensor | None]) -> Tensor | None:
    found = [speaker for speaker in speakers if speaker is not None]
    return torch.cat(found) if found else None


def _finished(steps: Steps[Tensor]) -> Tensor:
    """All of them as one."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("Tensor", end.value)
