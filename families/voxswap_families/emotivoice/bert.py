"""The style encoder: a BERT whose pooled output says how a sentence, or a prompt, sounds.

SimBERT (Su 2020) trained on, as EmotiVoice has it. Devlin et al., "BERT: Pre-training of Deep
Bidirectional Transformers for Language Understanding" (2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from voxswap_families.emotivoice.architecture import StyleArchitecture
from voxswap_families.emotivoice.parts import EPSILON, Attention, FeedForward
from voxswap_families.emotivoice.shapes import style_shapes
from voxswap_families.layers.rows import Linear, Named, Norm, checked
from voxswap_families.work import Steps
from voxswap_registry.errors import EngineError


class _Layer:
    """Attention and a feed-forward layer, each with a shortcut around it and a norm behind."""

    def __init__(self, named: Named, heads: int) -> None:
        attention, out = named.at("attention"), named.at("output")
        own = [attention.at(f"self.{name}") for name in ("query", "key", "value")]
        self._attention = Attention([*own, attention.at("output.dense")], heads)
        self._feed = FeedForward(named.at("intermediate.dense"), out.at("dense"))
        self._norms = (
            Norm(attention.at("output.LayerNorm"), EPSILON),
            Norm(out.at("LayerNorm"), EPSILON),
        )

    def steps(self, x: Tensor, asking: int) -> Steps[Tensor]:
        """``(tokens, units)`` to the first ``asking`` rows of what it makes of them."""
        attended = yield from self._attention.steps(x, asking)
        x = self._norms[0](attended + x[:asking])
        return self._norms[1]((yield from self._feed.steps(x)) + x)


class StyleEncoder:
    """Immutable: any number of texts may be on their way through it."""

    def __init__(self, weights: Mapping[str, Tensor], architecture: StyleArchitecture) -> None:
        """``weights`` as a component stores them; nothing is copied.

        Raises `EngineError` for those of another architecture.
        """
        self.architecture = architecture
        named = checked(weights, style_shapes(architecture), "bert.")
        tables = named.at("embeddings")
        self._words = tables["word_embeddings.weight"]
        self._places = tables["position_embeddings.weight"]
        self._type = tables["token_type_embeddings.weight"][0]
        self._norm = Norm(tables.at("LayerNorm"), EPSILON)
        self._layers = [
            _Layer(named.at(f"encoder.layer.{i}"), architecture.heads)
            for i in range(architecture.layers)
        ]
        self._pooler = Linear(named.at("pooler.dense"))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._words.device

    def steps(self, ids: Sequence[int]) -> Steps[Tensor]:
        """Tokens, the first of which stands for all, to ``(units,)`` in (-1, 1).

        Raises `EngineError` for ids that are none of its vocabulary's, or too many.
        """
        a = self.architecture
        if not 0 < len(ids) <= a.positions or min(ids) < 0 or max(ids) >= a.vocabulary:
            raise EngineError(
                f"{len(ids)} tokens, of which some are outside the style encoder's 0 to "
                f"{a.vocabulary - 1}, or more than {a.positions}: the vocabulary belongs to "
                "another voice"
            )
        x = self._words[torch.tensor(ids, device=self.device)]
        x = self._norm(x + self._places[: len(ids)] + self._type)
        for layer in self._layers:
            # Of the last layer only the first row is read.
            x = yield from layer.steps(x, 1 if layer is self._layers[-1] else len(ids))
        pooled = torch.tanh(self._pooler(x[:1]))[0]
        if not bool(torch.isfinite(pooled).all()):
            raise EngineError("the style encoder gave NaN or infinity: the weights are damaged")
        return pooled
