"""The variance adaptor: pitch and energy of each symbol, then how long it lasts."""

from __future__ import annotations

import torch
from torch import Tensor

from voxswap_families.layers.rows import Linear, Named, beside
from voxswap_families.sambert.architecture import EMBEDDING_KERNEL, AcousticArchitecture
from voxswap_families.sambert.fsmn import Fsmn
from voxswap_families.sambert.parts import Cells, Lstm, Prenet
from voxswap_families.work import Steps

_DURATION_LAYERS = 2
# Durations are predicted one after the other; so many are one step, 5 ms.
_DURATIONS_A_STEP = 32


class _Predictor:
    """One number for each symbol, from all of them."""

    def __init__(self, named: Named, a: AcousticArchitecture) -> None:
        self._fsmn = Fsmn(named.at("fsmn"), a.predictor_shifts)
        self._lstm = Lstm(named.at("blstm"), both_ways=True)
        self._out = Linear(named.at("fc"))

    def steps(self, x: Tensor) -> Steps[Tensor]:
        """``(symbols, predicted_from)`` to ``(symbols, 1)``."""
        x = self._fsmn(x)
        yield None
        x, _ = self._lstm(x, self._lstm.start())
        return self._out(x)


class VarianceAdaptor:
    """See `steps`. Immutable."""

    def __init__(self, named: Named, a: AcousticArchitecture) -> None:
        kinds = ("pitch", "energy")
        self._predictors = [_Predictor(named.at(f"{kind}_predictor"), a) for kind in kinds]
        self._embeddings = [Linear(named.at(f"{kind}_emb")) for kind in kinds]
        durations = named.at("duration_predictor")
        prenet = durations.at("prenet")
        self._prenet = Prenet(prenet, len(a.duration_prenet), has_last=False)
        self._cells = Cells(durations.at("lstm"), _DURATION_LAYERS)
        self._duration = Linear(durations.at("fc"))

    def steps(self, text: Tensor, condition: Tensor) -> Steps[tuple[Tensor, Tensor]]:
        """``(symbols, text_units)``, and speaker and emotion beside each other.

        Gives the text with pitch and energy in it, and ``(symbols,)`` logarithms of a frame more
        than each symbol lasts.
        """
        _, _, augmented = yield from self.coloured(text, condition)
        return augmented, (yield from self._durations(torch.cat([augmented, condition], dim=1)))

    def coloured(self, text: Tensor, condition: Tensor) -> Steps[tuple[Tensor, Tensor, Tensor]]:
        """Pitch and energy, ``(symbols, 1)`` each, and the text with both in it."""
        told, values = torch.cat([text, condition], dim=1), []
        for predictor in self._predictors:
            values.append((yield from predictor.steps(told)))
            yield None
        pitch, energy = values
        for embedding, value in zip(self._embeddings, values, strict=True):
            text = text + embedding(beside(value, EMBEDDING_KERNEL))
        return pitch, energy, text

    def _durations(self, told: Tensor) -> Steps[Tensor]:
        """Each hears the one before it, as the logarithm that it was predicted as."""
        states, last = self._cells.start(), told.new_zeros(1, 1)
        found = []
        for n in range(told.shape[0]):
            x = torch.cat([self._prenet(last), told[n : n + 1]], dim=1)
            last = torch.relu(self._duration(self._cells(x, states)))
            found.append(last)
            if n % _DURATIONS_A_STEP == _DURATIONS_A_STEP - 1:
                yield None
        return torch.cat(found)[:, 0]
