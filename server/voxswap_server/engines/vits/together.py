"""Pieces of several streams through the same layers in one call, where that is faster.

A CPU gains by the flow alone, whose products are small: of four streams 7.5 ms in place of 20. A
GPU gains by whatever is one call in place of several and, if it turns out so when it is tried, by
calls for different voices as well, whose weights are stacked for the purpose.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from voxswap_server.engines.carry import Carry
from voxswap_server.engines.hifigan import Generator
from voxswap_server.engines.vits.flow import Coupling
from voxswap_server.engines.work import Steps

_VOICES, _FRAMES, _ROUNDS = 4, 128, 5

#: Into a coupling: latents ``(1, inter, 1, frames)``, and the speaker's condition.
Undoing = tuple[Coupling, Tensor, Tensor | None]
#: Into a generator: frames ``(1, inter, 1, frames)``, what it remembers, and the speaker.
Decoding = tuple[Tensor, Carry, Tensor | None]


@dataclass(frozen=True, slots=True)
class Batching:
    """What goes together besides pieces of one voice's flow."""

    decodes: bool = False
    across_voices: bool = False


def undone(inputs: Sequence[Undoing]) -> Sequence[Tensor]:
    """Pieces of one length through a coupling each: of one voice, or of voices of one shape."""
    first, z, speaker = inputs[0]
    if len(inputs) == 1:
        return (first(z, speaker),)
    if any(coupling is not first for coupling, _, _ in inputs):
        return _undone_stacked(inputs)
    latents = torch.cat([z for _, z, _ in inputs])
    return cast("Sequence[Tensor]", first(latents, _joined([s for _, _, s in inputs])).split(1))


def _undone_stacked(inputs: Sequence[Undoing]) -> Sequence[Tensor]:
    """The same with weights of their own: a batched product in place of each product."""
    couplings = [coupling for coupling, _, _ in inputs]
    stacked = {
        name: torch.stack([coupling.get_parameter(name) for coupling in couplings])
        for name, _ in couplings[0].named_parameters()
    }

    def one(weights: dict[str, Tensor], z: Tensor, speaker: Tensor | None) -> Tensor:
        return torch.func.functional_call(couplings[0], weights, (z, speaker))  # type: ignore[no-any-return]

    latents = torch.stack([z for _, z, _ in inputs])
    speakers = [speaker for _, _, speaker in inputs if speaker is not None]
    if not speakers:
        return torch.vmap(lambda w, z: one(w, z, None))(stacked, latents).unbind()
    return torch.vmap(one)(stacked, latents, torch.stack(speakers)).unbind()


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


def gains_from_stacking(coupling: Coupling, device: str) -> bool:
    """Whether stacking weights costs less than it saves; the best of several rounds of each.

    Blocks. ``coupling`` may be any voice's.
    """
    weight = coupling.pre.weight
    z = torch.zeros(1, 2 * weight.shape[1], 1, _FRAMES, device=device)
    inputs: list[Undoing] = [(coupling, z, None)] * _VOICES
    with torch.inference_mode():
        took_s = [
            (
                _took_s(lambda: _undone_stacked(inputs)[0]),
                _took_s(lambda: [undone([each])[0] for each in inputs][-1]),
            )
            for _ in range(_ROUNDS)
        ]
    return min(stacked for stacked, _ in took_s) < min(single for _, single in took_s)


def _took_s(compute: Callable[[], Tensor]) -> float:
    began = time.perf_counter()
    compute().flatten()[0].item()  # reading a value waits for a device that computes on its own
    return time.perf_counter() - began
