"""The PNCA decoder: a few frames a step, from a band of the text and a band of its own past.

Each layer attends to what it made of the last ``band`` steps and of this one, and to what stands in
the text for this step and the ``band`` next ones. So two caches of ``band + 1`` steps are enough,
however long a line is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from voxswap_families.layers.rows import Linear, Named
from voxswap_families.sambert.architecture import AcousticArchitecture
from voxswap_families.sambert.parts import FeedForward, Norm, Prenet

# Keys and values are moved to the beginning of their memory after so many steps; and those of the
# text are made for so many steps in one product.
_ROOM_STEPS = 32

#: Rows of what a decoder attends to, of the steps ``[first, last)``: ``(steps, memory_units)``.
Memory = Callable[[int, int], Tensor]


class _Band:
    """Keys and values of the last steps, of every layer: contiguous in time, dropped in front.

    What is looked up is looked up for all layers at once: a view takes as long as a small product.
    """

    def __init__(self, layers: int, heads: int, width: int, steps: int, like: Tensor) -> None:
        """``width`` is that of a head; at most ``steps`` are asked for at a time."""
        room = steps + _ROOM_STEPS
        self._keys = like.new_empty(layers, heads, width, room)
        self._values = like.new_empty(layers, heads, room, width)
        self._most = steps
        self._origin = self._end = 0

    @property
    def end(self) -> int:
        """The step after the last one that is there."""
        return self._end

    @property
    def size_bytes(self) -> int:
        """What it takes."""
        return self._keys.nbytes + self._values.nbytes

    def open(self, steps: int) -> _Pairs:
        """Where so many more are to be written, at most `_ROOM_STEPS`."""
        if self._end + steps - self._origin > self._keys.shape[3]:
            first = max(self._origin, self._end - self._most)
            for n, pairs in enumerate(self._between(first, self._end)):
                kept = pairs.clone()
                at = slice(0, self._end - first)
                (self._values[:, :, at] if n else self._keys[..., at]).copy_(kept)
            self._origin = first
        self._end += steps
        return self.get(self._end - steps, self._end)

    def get(self, first: int, last: int) -> _Pairs:
        """Of each layer keys ``(heads, width, steps)`` and values ``(heads, steps, width)``."""
        keys, values = self._between(first, last)
        return keys.unbind(), values.unbind()

    def _between(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        at = slice(first - self._origin, last - self._origin)
        return self._keys[..., at], self._values[:, :, at]


#: By layer.
_Pairs = tuple[Sequence[Tensor], Sequence[Tensor]]


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
        self._width = self._text.weight.shape[0] // (2 * heads)
        self._scale = 1 / math.sqrt(self._width)

    def keep(self, rows: Tensor, keys: Tensor, values: Tensor) -> None:
        """Write keys and values of ``(steps, memory_units)`` of the text."""
        pairs = self._text(rows).view(rows.shape[0], 2, self._heads, self._width)
        keys.copy_(pairs[:, 0].permute(1, 2, 0))
        values.copy_(pairs[:, 1].transpose(0, 1))

    def __call__(self, x: Tensor, new: _Pair, past: _Pair, text: _Pair) -> Tensor:
        """One step, ``(1, units)`` to the same; ``new``, where it is kept, ends ``past``."""
        told = self._qkv(self._norm(x)).view(3, self._heads, self._width, 1)
        query, key, value = told.unbind()
        new[0].copy_(key)
        new[1].copy_(value.transpose(1, 2))
        query = (query * self._scale).transpose(1, 2)
        attended = self._own_out(_attended(query, *past)) + self._text_out(_attended(query, *text))
        return self._feed(x + attended)


#: Keys and values.
_Pair = tuple[Tensor, Tensor]


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
            for layer, *pairs in zip(self._layers, *state.text.open(rows.shape[0]), strict=True):
                layer.keep(rows, *pairs)
        step, band = state.done, state.band
        new = zip(*state.own.open(1), strict=True)
        past = zip(*state.own.get(max(0, step - band), step + 1), strict=True)
        text = zip(*state.text.get(step, min(state.steps, step + band + 1)), strict=True)
        x = self._in(torch.cat([state.row(), self._prenet(state.last)], dim=1)) * self._scale
        for layer, *bands in zip(self._layers, new, past, text, strict=True):
            x = layer(x, *bands)
        frames = self._out(self._norm(x)).view(-1, self._mels)
        state.last = frames[-1:]
        state.done += 1
        return frames


def _attended(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """``(heads, 1, width)`` of so many steps: ``(1, heads * width)``."""
    weights = torch.softmax(torch.bmm(query, keys), dim=-1)
    return torch.bmm(weights, values).view(1, -1)
