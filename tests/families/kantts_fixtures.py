"""Vocoders with random weights, and what the reference implementation makes with them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voxswap_families.importing.weights import fold_weight_norm
from voxswap_families.layers.stored import in_canonical_shape
from voxswap_families.sambert.generator import Generator
from voxswap_families.sambert.vocoder_architecture import GeneratorArchitecture
from voxswap_families.sambert.vocoder_config import generator_architecture
from voxswap_families.sambert.vocoder_weights import stored_tensors

FOLDER = Path(__file__).parent / "fixtures/kantts"
VOCODERS = (
    "hifigan_causal_tiny",
    "hifigan_noncausal_tiny",
    "hifigan_noncausal_nsf_tiny",
    "hifigan_causal_nsf_24k_tiny",
)


@dataclass(frozen=True)
class VocoderFixture:
    """A vocoder, frames, and the audio that the reference makes of them."""

    params: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    frames: Tensor
    wave: Tensor
    drawn: tuple[Tensor, Tensor] | None

    @property
    def architecture(self) -> GeneratorArchitecture:
        """Read of its params, as an importer does."""
        return generator_architecture(self.params, where="fixture", sample_rate_hertz=self.rate)

    @property
    def rate(self) -> int:
        """Of its audio."""
        source = self.params.get("nsf_params")
        return 16_000 if source is None else source["sampling_rate"]

    def generator(self) -> Generator:
        """Ours, with its weights."""
        folded = fold_weight_norm(self.tensors, where="fixture")
        stored = stored_tensors(folded, self.architecture)
        return Generator(in_canonical_shape(stored), self.architecture)

    def draws(self) -> StoredDraws | None:
        """What was drawn for its audio."""
        return StoredDraws(*self.drawn) if self.drawn else None


class StoredDraws:
    """Draws that somebody else made; beyond their end there is silence."""

    def __init__(self, phases: Tensor, noise: Tensor) -> None:
        self._phases, self._noise, self._at = phases, noise, 0

    def phases(self, harmonics: int) -> Tensor:
        """All but the fundamental's, which is 0."""
        assert len(self._phases) == harmonics
        return torch.cat([torch.zeros(1), self._phases[1:]])

    def noise(self, harmonics: int, samples: int) -> Tensor:
        """The next ones."""
        found = self._noise[:, self._at : self._at + samples]
        self._at += samples
        return torch.cat([found, torch.zeros(harmonics, samples - found.shape[1])], dim=1)


def vocoder_fixture(name: str) -> VocoderFixture:
    """The one called so."""
    with np.load(FOLDER / f"{name}.npz") as arrays:
        found = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    params = json.loads(bytes(found["config_json"].numpy()))["params"]
    tensors = {key[2:]: value for key, value in found.items() if key.startswith("w/")}
    drawn = (found["phase_uniform"][:, 0], found["noise"]) if "noise" in found else None
    return VocoderFixture(params, tensors, found["input"].T.contiguous(), found["wave"], drawn)


def pieces(frames: Tensor, cuts: Sequence[int]) -> Iterator[tuple[Tensor, bool]]:
    """``frames`` cut there, each with whether it is the last."""
    edges = [0, *sorted(min(cut, len(frames)) for cut in cuts), len(frames)]
    for number, (first, last) in enumerate(itertools.pairwise(edges)):
        yield frames[first:last], number == len(edges) - 2
