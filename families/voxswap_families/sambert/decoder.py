"""The PNCA decoder: a few frames a step, from a band of the text and a band of its own past.

Each layer attends to what it made of the last ``band`` steps and of this one, and to what stands in
the text for this step and the ``band`` next ones. So two caches of ``band + 1`` steps are enough,
however long a line is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from voxswap_families.sambert.architecture import AcousticArchitecture
from voxswap_families.sambert.parts import FeedForward, Linear, Named, Norm, Prenet

# Keys and values are moved to the beginning of their memory after so many steps; and those of the
# text are made for so many steps in one product.
_ROOM_STEPS = 32

#: Rows of what a decoder attends to, of the steps ``[first, last)``: ``(steps, memory_units)``.
Memory = Callable[[int, int], Tensor]


class _Band:
    """Keys and values of the last steps, of every layer: contiguous in time, dropped in front."""

    def __init__(self, layers: int, heads: int, width: int, steps: int, like: Tensor) -> None:
        """``width`` is that of a head; at most ``steps`` are asked for at a time."""
        self._pairs = like.new_empty(layers, 2, heads, steps + _ROOM_STEPS, width)
        self._most = steps
        self._origin = self._end = 0

    @property
    def end(self) -> int:
        """The step after the last one that is there."""
        return self._end

    @property
    def size_bytes(self) -> int:
        """What it takes."""
        return self._pairs.nbytes

    def open(self, steps: int) -> None:
        """Make room for so many more, at most `_ROOM_STEPS`."""
        if self._end + steps - self._origin > self._pairs.shape[3]:
            first = max(self._origin, self._end - self._most)
            kept = self._pairs[:, :, :, first - self._origin : self._end - self._origin].clone()
            self._pairs[:, :, :, : kept.shape[3]] = kept
            self._origin = first
        self._end += steps

    def write(self, layer: int, pairs: Tensor) -> None:
        """``(steps, 2, heads, width)``: of the last steps that room was made for."""
        at = self._end - self._origin
        steps = pairs.shape[0]
        self._pairs[layer, :, :, at - steps : at] = pairs.permute(1, 2, 0, 3)

    def get(self, layer: int, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the steps ``[first, last)``, ``(heads, steps, width)`` each."""
        found = self._pairs[layer, :, :, first - self._origin : last - self._origin]
        return found[0], found[1]


class DecoderState:
    """One line on its way. Not thread-safe."""

    def __init__(self, a: AcousticArchitecture, memory: Memory, steps: int, band: int) -> None:
        """``steps`` in all, each of which attends to ``band`` others on either side in time."""
        self.memory, self.steps, self.band = memory, steps, min(band, steps)
        self.done = 0
        heads, width = a.decoder_heads, a.decoder_units // a.decoder_heads
        like = self._rows = memory(0, 1)[:0]
        self.last = like.new_zeros(1, a.mels)
        span = self.band + 1
        self.own = _Band(a.decoder_layers, heads, width, span, like)
        self.text = _Band(a.decoder_layers, heads, width, span, like)

    def row(self) -> Tensor:
        """What stands in the text for the next step, ``(1, memory_units)``."""
        place = self.done % _ROOM_STEPS
        if not place:
            self._rows = self.memory(self.done, min(self.steps, self.done + _ROOM_STEPS))
        return self._rows[place : place + 1]

    def coming(self) -> Tensor | None:
        """Rows that the next step attends to, and whose keys and values are not made yet."""
        first = self.text.end
        if first >= min(self.steps, self.done + self.band + 1):
            return None
        return self.memory(first, min(self.steps, first + _ROOM_STEPS))

    @property
    def size_bytes(self) -> int:
        """What it keeps between steps."""
        return self.own.size_bytes + self.text.size_bytes + _ROOM_STEPS * self._rows.shape[1] * 4


class _Layer:
    """Attention to the past and to the text with one query, then a feed-forward layer."""

    def __init__(self, named: Named, heads: int) -> None:
        attention = named.at("pnca_attn")
        self._heads = heads
        self._norm = Norm(attention.at("layer_norm"))
        self._qkv, self._text = Linear(attention.at("w_x_qkv")), Linear(attention.at("w_h_kv"))
        self._own_out, self._text_out = Linear(attention.at("fc_x")), Linear(attention.at("fc_h"))
        self._feed = FeedForward(named.at("pos_ffn"))

    def pairs(self, rows: Tensor) -> Tensor:
        """Keys and values of ``(steps, memory_units)``: ``(steps, 2, heads, width)``."""
        return self._text(rows).view(rows.shape[0], 2, self._heads, -1)

    def __call__(self, x: Tensor, layer: int, state: DecoderState) -> Tensor:
        """One step, ``(1, units)`` to the same."""
        told = self._qkv(self._norm(x)).view(1, 3, self._heads, -1)
        state.own.write(layer, told[:, 1:])
        query = told[0, 0].unsqueeze(1) / math.sqrt(told.shape[3])
        step, band = state.done, state.band
        past = _attended(query, *state.own.get(layer, max(0, step - band), step + 1))
        ahead = min(state.steps, step + band + 1)
        text = _attended(query, *state.text.get(layer, step, ahead))
        return self._feed(x + (self._own_out(past) + self._text_out(text)))


class Decoder:
    """Immutable; what a line leaves is in its state."""

    def __init__(self, named: Named, a: AcousticArchitecture) -> None:
        self._prenet = Prenet(named.at("prenet"), len(a.decoder_prenet), has_last=True)
        self._in = Linear(named.at("dec_in_proj"))
        self._scale = math.sqrt(a.decoder_units)
        self._layers = [
            _Layer(named.at(f"pnca.{i}"), a.decoder_heads) for i in range(a.decoder_layers)
        ]
        self._norm, self._out = Norm(named.at("ln")), Linear(named.at("dec_out_proj"))
        self._mels = a.mels

    def step(self, state: DecoderState) -> Tensor:
        """The next frames of a line, ``(step_frames, mels)``. There must be a step left."""
        while (rows := state.coming()) is not None:
            state.text.open(rows.shape[0])
            for n, layer in enumerate(self._layers):
                state.text.write(n, layer.pairs(rows))
        state.own.open(1)
        x = self._in(torch.cat([state.row(), self._prenet(state.last)], dim=1)) * self._scale
        for n, layer in enumerate(self._layers):
            x = layer(x, n, state)
        frames = self._out(self._norm(x)).view(-1, self._mels)
        state.last = frames[-1:]
        state.done += 1
        return frames


def _attended(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """``(heads, 1, width)`` of ``(heads, steps, width)``: ``(1, heads * width)``."""
    weights = torch.softmax(query @ keys.transpose(1, 2), dim=-1)
    return (weights @ values).view(1, -1)
