"""FSMN: feed-forward layers with a filter over time behind each, whole or in pieces.

Zhang et al., "Feedforward Sequential Memory Networks" (2015); here with the filter of each layer
added to its input, and to the layer's where that is as wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from voxswap_families.layers.kernels import Filter, convolved
from voxswap_families.layers.rows import Linear, Named, joined

# So few are filtered by all windows beside each other: 0.1 ms for 12 rows of 256, where a tap at a
# time takes 0.23.
_FEW_ROWS = 24


class _Layer:
    """One layer. It looks ``behind`` and ``ahead`` by so many rows."""

    def __init__(self, feed: Named, memory: Named, shift: int) -> None:
        self._in, self._out = Linear(feed.at("w_1")), Linear(feed.at("w_2"), bias=False)
        # Stored (channels, taps, 1).
        self._filter = memory["conv_dw.weight"].transpose(1, 2)
        half = self._filter.shape[2] // 2
        self.behind, self.ahead = half + shift, half - shift
        self.width_in, self.width = self._in.weight.shape[1], self._filter.shape[0]
        self.has_shortcut = self.width_in == self.width

    def fed(self, x: Tensor) -> Tensor:
        """``(time, in)`` to ``(time, width)``."""
        return self._out(torch.relu(self._in(x)))

    def remembered(self, rows: Tensor) -> Tensor:
        """Of ``behind + time + ahead`` rows, ``time``: filtered, and added to themselves."""
        if rows.shape[0] - self.behind - self.ahead <= _FEW_ROWS:
            y = (rows.unfold(0, self._filter.shape[2], 1) * self._filter[:, 0]).sum(-1)
        else:
            kernel = Filter(self._filter, None, 1, self.width)
            y = convolved(rows.t()[None, :, None], kernel)[0, :, 0].t()
        return y + rows[self.behind : self.behind + y.shape[0]]


@dataclass(slots=True)
class _LayerState:
    """The rows behind what was given by now and those that came since; and of the layer's input."""

    rows: Tensor
    inputs: Tensor


#: What an `Fsmn` remembers of a signal.
FsmnState = list[_LayerState]


class Fsmn:
    """The layers. Immutable; what a signal leaves is in its state."""

    def __init__(self, named: Named, shifts: Sequence[int]) -> None:
        self._layers = [
            _Layer(named.at(f"ffn_lst.{i}"), named.at(f"memory_block_lst.{i}"), shift)
            for i, shift in enumerate(shifts)
        ]

    @property
    def kept_rows(self) -> int:
        """At most so many numbers are kept between pieces."""
        return sum(
            n.width * (n.behind + n.ahead) + n.width_in * n.ahead * n.has_shortcut
            for n in self._layers
        )

    def __call__(self, x: Tensor) -> Tensor:
        """``(time, in)`` to ``(time, width)``, zeros beyond both ends."""
        for layer in self._layers:
            y = layer.remembered(functional.pad(layer.fed(x), (0, 0, layer.behind, layer.ahead)))
            x = y + x if layer.has_shortcut else y
        return x

    def start(self, like: Tensor) -> FsmnState:
        """Before the first piece of a signal; ``like`` tells type and device."""
        return [
            _LayerState(
                like.new_zeros(layer.behind, layer.width), like.new_zeros(0, layer.width_in)
            )
            for layer in self._layers
        ]

    def piece(self, state: FsmnState, x: Tensor, *, is_last: bool) -> Tensor:
        """What can be given once ``x``, ``(time, in)``, has come; all that is left if it is last.

        Pieces joined are the whole, up to the rounding of products with another number of rows.
        """
        for layer, kept in zip(self._layers, state, strict=True):
            new = [kept.rows, layer.fed(x)] if x.shape[0] else [kept.rows]
            if is_last:
                new.append(kept.rows.new_zeros(layer.ahead, layer.width))
            rows = joined(new)
            given = max(0, rows.shape[0] - layer.behind - layer.ahead)
            y = layer.remembered(rows) if given else rows[:0]
            if layer.has_shortcut:
                inputs = joined([kept.inputs, x])
                y, kept.inputs = y + inputs[:given], inputs[given:]
            kept.rows = rows[given:]
            x = y
        return x
