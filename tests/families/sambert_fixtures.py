"""Acoustic models with weights that are no voice's, and what the reference makes with them.

From KAN-TTS's own code (alibaba-damo-academy/KAN-TTS at 66202d0), in float32, with weights from a
formula; what durations depend on most is stored, lest all of them be the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.families.formula import formula_weights
from voxswap_families.layers.stored import as_stored
from voxswap_families.sambert.acoustic import Acoustic, Asked, Line
from voxswap_families.sambert.architecture import AcousticArchitecture
from voxswap_families.sambert.configuration import architecture_of
from voxswap_families.sambert.shapes import COMPUTED
from voxswap_families.work import Steps, Work, finished

FOLDER = Path(__file__).parent / "fixtures/kantts"
TINY = ("sambert_tiny", "sambert_tiny_se_nsf", "sambert_tiny_nsf_nomask")
REAL = "sambert_16k_formula"


def run(steps: Steps[Any]) -> Any:
    """All of them, as a compute thread takes them."""
    return finished(Work(steps, around=torch.inference_mode))


@dataclass(frozen=True)
class AcousticFixture:
    """An acoustic model in the layout of a checkpoint, symbols, and what was made of them."""

    params: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    found: Mapping[str, Tensor]

    @property
    def pitch(self) -> tuple[float, float] | None:
        """Mean and deviation, where a file would have them."""
        if self.params.get("nsf_norm_type") == "global" or "f0_feature" not in self.found:
            return None
        mean, deviation = self.found["f0_feature"].flatten().tolist()
        return mean, deviation

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all tensors."""
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}

    @property
    def architecture(self) -> AcousticArchitecture:
        """Read of it, as an importer does."""
        return architecture_of(self.params, self.shapes, self.pitch)

    @property
    def stored(self) -> dict[str, Tensor]:
        """As a component has them."""
        kept = {n: t for n, t in self.tensors.items() if not n.endswith(COMPUTED)}
        return as_stored(kept)

    def acoustic(self) -> Acoustic:
        """Ours, with its weights."""
        return Acoustic(self.stored, self.architecture)

    def asked(self, acoustic: Acoustic, rate: float = 1.0) -> Asked:
        """The line that the reference said; all of it has one speaker."""
        speaker = self.found["speaker"]
        if acoustic.speakers is not None:
            speaker = acoustic.speakers[speaker.long()]
        emotion = acoustic.emotions[self.found["emotion"].long()]
        return Asked(self.found["ling"].long(), speaker[:1], emotion, rate)

    def line(self, acoustic: Acoustic, rate: float = 1.0) -> Line:
        """The same with its durations."""
        line: Line = run(acoustic.prepare(self.asked(acoustic, rate)))
        return line


def frames_of(line: Line) -> Tensor:
    """All of a line's frames, ``(frames, mels)``."""
    pieces = [run(line.piece())]
    while sum(map(len, pieces)) < line.frames:
        pieces.append(run(line.piece()))
    return torch.cat(pieces)


@lru_cache(maxsize=4)
def acoustic_fixture(name: str) -> AcousticFixture:
    """The one called so."""
    with np.load(FOLDER / f"{name}.npz") as arrays:
        found = {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays.files}
    config = json.loads(bytes(found.pop("config_json").numpy()))
    tensors = {key[2:]: found.pop(key) for key in list(found) if key.startswith("w/")}
    if shapes := config.get("state_dict_shapes"):
        made = formula_weights(shapes, config["norm_keys"], config["formula"]["gain"])
        tensors = {key: torch.from_numpy(value) for key, value in made.items()} | tensors
    return AcousticFixture(config["params"], tensors, found)
