"""Small Sambert voices of two fixtures, as components and a manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.fakes.family import SYMBOLS
from tests.fakes.manifests import digest_of, make_manifest
from tests.families.kantts_fixtures import vocoder_fixture
from tests.families.sambert_fixtures import acoustic_fixture
from voxswap_families.importing.weights import fold_weight_norm, write_safetensors
from voxswap_families.sambert.architecture import AcousticArchitecture
from voxswap_families.sambert.config import CONTROLS
from voxswap_families.sambert.vocoder_weights import stored_tensors
from voxswap_registry.manifest import Audio, Component, Manifest
from voxswap_registry.progress import NullProgress

#: Rows of KAN-TTS's table of emotions, of which the fixtures' line has 0 and 5.
EMOTIONS = {"none": 0, "neutral": 1, "angry": 2, "happy": 5, "sad": 6}
#: What the fixtures' line has for its two pauses.
PAUSES = (142, 143)
#: An acoustic model and a vocoder whose frames have the same numbers, by what is special of them.
PAIRS = {
    "plain": ("sambert_tiny", "hifigan_noncausal_tiny"),
    "causal": ("sambert_tiny", "hifigan_causal_tiny"),
    "source": ("sambert_tiny_nsf_nomask", "hifigan_noncausal_nsf_tiny"),
    "vector": ("sambert_tiny_se_nsf", "hifigan_causal_nsf_24k_tiny"),
}


@dataclasses.dataclass(frozen=True)
class SambertVoiceFiles:
    """A voice that could be loaded: its manifest, its components, and a line of symbols."""

    manifest: Manifest
    files: Mapping[str, Path]
    ids: Sequence[int]
    n_symbols: int


def ids_of(a: AcousticArchitecture, rows: Tensor) -> list[int]:
    """Of ``(symbols, 4)`` rows of the four tables."""
    radices = [1, a.n_sy, a.n_sy * a.n_tone, a.n_sy * a.n_tone * a.n_syllable_flag]
    ids: list[int] = (rows.long() * torch.tensor(radices)).sum(1).tolist()
    return ids


def write_voice(folder: Path, kind: str, **changes: Any) -> SambertVoiceFiles:
    """One of `PAIRS`, with its components in ``folder``; ``changes`` are of its manifest."""
    acoustic, vocoder = (
        acoustic_fixture(PAIRS[kind][0]),
        vocoder_fixture(PAIRS[kind][1]),
    )
    folded = fold_weight_norm(vocoder.tensors, where="fixture")
    tensors = {
        "acoustic": acoustic.stored,
        "vocoder": stored_tensors(folded, vocoder.architecture),
    }
    if not acoustic.architecture.n_speakers:
        tensors["speaker"] = {"speaker": acoustic.found["speaker"][0].clone()}
    folder.mkdir(exist_ok=True)
    files = {role: folder / f"{role}.safetensors" for role in tensors}
    for role, found in tensors.items():
        write_safetensors(found, files[role], progress=NullProgress())
    files["symbols"] = folder / "symbols"
    files["symbols"].write_bytes(SYMBOLS)
    components = [
        Component(role, digest_of(f"{kind} {role}"), path.stat().st_size, "x/y")
        for role, path in files.items()
    ]
    config = {
        "acoustic": acoustic.architecture.to_config(),
        "vocoder": vocoder.architecture.to_config(),
        "emotions": EMOTIONS,
        "pauses": PAUSES,
    }
    n_speakers = acoustic.architecture.n_speakers
    manifest = dataclasses.replace(
        make_manifest(),
        engine="sambert",
        controls=CONTROLS,
        emotions=("angry", "happy", "sad"),
        engine_config=config,
        components=tuple(components),
        speakers={f"F{row}": row for row in range(n_speakers)},
        audio=Audio(vocoder.architecture.sample_rate_hertz, vocoder.architecture.hop_samples),
    )
    return SambertVoiceFiles(
        dataclasses.replace(manifest, **changes),
        files,
        ids_of(acoustic.architecture, acoustic.found["ling"]),
        acoustic.architecture.n_symbols,
    )
