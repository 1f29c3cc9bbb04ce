"""EmotiVoice models with weights that are no voice's, and what the reference makes with them.

From EmotiVoice's own code (netease-youdao/EmotiVoice at bc2de8c) and transformers' BertModel, in
float32. Weights of the model of real size are a formula's, but for what durations depend on most.
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
from voxswap_families.emotivoice.acoustic import Asked
from voxswap_families.emotivoice.architecture import (
    AcousticArchitecture,
    StyleArchitecture,
    VocoderArchitecture,
)
from voxswap_families.importing.weights import fold_weight_norm
from voxswap_families.layers.stored import as_stored
from voxswap_families.work import Steps, Work, finished

FOLDER = Path(__file__).parent / "fixtures/emotivoice"
TINY, REAL = "emotivoice_tiny", "emotivoice_formula"


def run(steps: Steps[Any]) -> Any:
    """All of them, as a compute thread takes them."""
    return finished(Work(steps, around=torch.inference_mode))


@dataclass(frozen=True)
class JointFixture:
    """A joint model in the layout of a checkpoint, a line, and what was made of it."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    found: Mapping[str, Tensor]

    @property
    def acoustic(self) -> AcousticArchitecture:
        """Of its acoustic model."""
        m = self.config["model"]
        d = m["encoder_n_hidden"]
        parts: dict[str, int] = {}
        for which in ("encoder", "decoder"):
            parts[f"{which}_layers"] = m[f"{which}_n_layers"]
            parts[f"{which}_heads"] = m[f"{which}_n_heads"]
            parts[f"{which}_inner"] = 4 * d
            parts[f"{which}_kernel"] = m[f"{which}_kernel_size_conv_mod"]
        return AcousticArchitecture(
            n_symbols=self.config["n_vocab"],
            units=d,
            speaker_units=d,
            style_units=m["bert_embedding"],
            predictor_units=m["variance_n_hidden"],
            duration_layers=m["duration_n_layers"],
            duration_kernel=m["duration_kernel_size"],
            pitch_layers=m["variance_n_layers"],
            pitch_kernel=m["variance_kernel_size"],
            energy_layers=2,
            energy_kernel=3,
            embedding_kernel=m["variance_embed_kernel_size"],
            mels=self.config["n_mels"],
            f0_mean_hertz=225.089,
            f0_deviation_hertz=53.78,
            **parts,
        )

    @property
    def vocoder(self) -> VocoderArchitecture:
        """Of its vocoder."""
        m = self.config["model"]
        return VocoderArchitecture(
            mels=m["initial_channel"],
            channels=m["upsample_initial_channel"],
            rates=tuple(m["upsample_rates"]),
            kernels=tuple(m["upsample_kernel_sizes"]),
            resblock_kernels=tuple(m["resblock_kernel_sizes"]),
            resblock_dilations=tuple(map(tuple, m["resblock_dilation_sizes"])),
            sample_rate_hertz=self.config["sr"],
        )

    def stored(self, prefix: str) -> dict[str, Tensor]:
        """A component's tensors: those that begin so, ``am.`` or ``generator.``."""
        unused = ("am.alignment_module.", "am.spk_tokenizer.")
        kept = {
            name: tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix) and not name.startswith(unused)
        }
        return as_stored(fold_weight_norm(kept, where="fixture"))

    @property
    def speaker(self) -> Tensor:
        """The row of the one who speaks."""
        return self.tensors["am.spk_tokenizer.weight"][int(self.found["speaker"])]

    def asked(self, **changes: Any) -> Asked:
        """The line that the reference said."""
        style, content = self.found["style"], self.found["content"]
        return Asked(self.found["ids"].long(), self.speaker, style, content, **changes)


@dataclass(frozen=True)
class StyleFixture:
    """A style encoder, tokens, and what was made of them."""

    architecture: StyleArchitecture
    tensors: Mapping[str, Tensor]
    ids: list[int]
    pooled: Tensor

    @property
    def stored(self) -> dict[str, Tensor]:
        """A component's tensors."""
        return {n: t for n, t in self.tensors.items() if n.startswith("bert.")}


def _read(name: str) -> tuple[Any, dict[str, Tensor], dict[str, Tensor]]:
    with np.load(FOLDER / f"{name}.npz") as arrays:
        found = {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays.files}
    about = json.loads(bytes(found.pop("config_json").numpy()))
    tensors = {key[2:]: found.pop(key) for key in list(found) if key.startswith("w/")}
    return about, tensors, found


@lru_cache(maxsize=2)
def joint_fixture(name: str) -> JointFixture:
    """The one called so."""
    about, tensors, found = _read(name)
    if shapes := about.get("state_dict_shapes"):
        # What only training needs would take a second more.
        unneeded = {n for n in shapes if "alignment_module" in n} | tensors.keys()
        needed = {n: s for n, s in shapes.items() if n not in unneeded}
        made = formula_weights(needed, about["norm_keys"], about["formula"]["gain"])
        tensors = {key: torch.from_numpy(value) for key, value in made.items()} | tensors
    return JointFixture(about["config"], tensors, found)


def style_fixture() -> StyleFixture:
    """The only one."""
    about, tensors, found = _read("simbert_tiny")
    c = about["config"]
    architecture = StyleArchitecture(
        vocabulary=c["vocab_size"],
        positions=c["max_position_embeddings"],
        types=c["type_vocab_size"],
        units=c["hidden_size"],
        layers=c["num_hidden_layers"],
        heads=c["num_attention_heads"],
        inner=c["intermediate_size"],
    )
    tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return StyleFixture(architecture, tensors, found["ids"].tolist(), found["pooled"])
