"""The small parts that the acoustic model is made of. See `layers.rows`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from voxswap_families.layers import rows
from voxswap_families.layers.rows import Linear, Named, beside
from voxswap_families.work import Steps

_EPSILON = 1e-6
# Of more symbols, attention takes more than one step.
_LONG = 400


class Norm(rows.Norm):
    """With KAN-TTS's epsilon."""

    def __init__(self, named: Named) -> None:
        super().__init__(named, _EPSILON)


class Prenet:
    """Linear layers with a ReLU behind each; a last one without it where there is one."""

    def __init__(self, named: Named, activated: int, *, has_last: bool) -> None:
        # KAN-TTS counts the ReLU and the dropout behind a layer as well.
        self._layers = [Linear(named.at(f"fcs.{3 * i}")) for i in range(activated)]
        self._last = Linear(named.at(f"fcs.{3 * activated}")) if has_last else None

    def __call__(self, x: Tensor) -> Tensor:
        """``(time, in)`` to ``(time, out)``."""
        for layer in self._layers:
            x = torch.relu(layer(x))
        return x if self._last is None else self._last(x)


class FeedForward:
    """Norm, a convolution, ReLU, a matrix, and the shortcut."""

    def __init__(self, named: Named, width: int = 1) -> None:
        self._width = width
        self._norm = Norm(named.at("layer_norm"))
        self._in, self._out = Linear(named.at("w_1")), Linear(named.at("w_2"))

    def __call__(self, x: Tensor) -> Tensor:
        """``(time, channels)`` to the same."""
        y = self._norm(x)
        if self._width > 1:
            y = beside(y, self._width)
        return x + self._out(torch.relu_(self._in(y)))


class SelfAttention:
    """Norm and attention of all rows to all; a shortcut where input and output are equally wide."""

    def __init__(self, named: Named, heads: int) -> None:
        self._heads = heads
        self._norm = Norm(named.at("layer_norm"))
        self._qkv, self._out = Linear(named.at("w_qkv")), Linear(named.at("fc"))

    def steps(self, x: Tensor) -> Steps[Tensor]:
        """``(time, in)`` to ``(time, channels)``; long ones in parts: scores are a square."""
        time = x.shape[0]
        query, key, value = self._qkv(self._norm(x)).view(time, 3, self._heads, -1).unbind(1)
        query = query.transpose(0, 1) / math.sqrt(query.shape[2])
        scores = query @ key.permute(1, 2, 0)
        if time > _LONG:
            yield None
        weights = torch.softmax(scores, dim=-1)
        if time > _LONG:
            yield None
        y = self._out((weights @ value.transpose(0, 1)).transpose(0, 1).reshape(time, -1))
        return y + x if y.shape[1] == x.shape[1] else y


#: What an LSTM remembers: hidden and cell, ``(layers, 1, units)`` each.
LstmState = tuple[Tensor, Tensor]


class Lstm:
    """One layer of an LSTM, forward, or both ways side by side."""

    def __init__(self, named: Named, *, both_ways: bool = False) -> None:
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ways = ("", "_reverse") if both_ways else ("",)
        self._tensors = [named[f"{kind}_l0{way}"] for way in ways for kind in kinds]
        self._both_ways = both_ways

    @property
    def units(self) -> int:
        """Width of what one way gives."""
        return self._tensors[1].shape[1]

    def start(self) -> LstmState:
        """Zeros."""
        ways = 2 if self._both_ways else 1
        zeros = self._tensors[0].new_zeros(ways, 1, self.units)
        return zeros, zeros

    def __call__(self, x: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
        """``(time, in)`` to ``(time, units)``, twice as wide both ways, and what it remembers."""
        y, hidden, cell = torch.lstm(
            x.unsqueeze(1),
            state,
            self._tensors,
            has_biases=True,
            num_layers=1,
            dropout=0.0,
            train=False,
            bidirectional=self._both_ways,
            batch_first=False,
        )
        return y.squeeze(1), (hidden, cell)


class Cells:
    """LSTM layers, one above the other, that take one row at a time."""

    def __init__(self, named: Named, layers: int) -> None:
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self._layers = [[named[f"{kind}_l{n}"] for kind in kinds] for n in range(layers)]

    def start(self) -> list[tuple[Tensor, Tensor]]:
        """Zeros, ``(1, units)`` each."""
        return [(hh.new_zeros(1, hh.shape[1]),) * 2 for _, hh, _, _ in self._layers]

    def __call__(self, x: Tensor, states: list[tuple[Tensor, Tensor]]) -> Tensor:
        """``(1, in)`` to ``(1, units)``; ``states`` are put forward."""
        for n, (ih, hh, bias_ih, bias_hh) in enumerate(self._layers):
            states[n] = torch.lstm_cell(x, states[n], ih, hh, bias_ih, bias_hh)
            x = states[n][0]
        return x
