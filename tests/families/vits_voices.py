"""Manifests and voices for the tests of the VITS engine, and ways to let them speak."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.fakes.manifests import make_manifest
from tests.families.files import assembled, read
from tests.families.vits_fakes import canonical, preset
from voxswap_families.contract import Delivery, Utterance, Voice
from voxswap_families.importing.weights import write_safetensors
from voxswap_families.vits.architecture import CONTROLS, VitsArchitecture
from voxswap_families.vits.checkpoint import as_stored
from voxswap_families.vits.engine import VitsEngine
from voxswap_families.vits.model import VitsModel, load_model
from voxswap_families.vits.voice import VitsVoice, VitsWeights
from voxswap_families.work import Work, finished
from voxswap_registry.manifest import Audio, Manifest
from voxswap_registry.progress import NullProgress

SILENT_NOISE = Delivery(rate=1.0, seed=0)
LIVELY = Delivery(rate=1.0, seed=7, controls={"noise_scale": 0.667, "duration_noise_scale": 0.8})


def load(engine: VitsEngine, manifest: Manifest, path: Path) -> Voice:
    """A voice as residency makes it."""
    part = read(engine, manifest, "model", path).place()
    voice: Voice = assembled(engine, manifest, model=part)
    return voice


def line(length: int, seed: int, n_symbols: int = 130) -> list[int]:
    """Ids in Piper's layout: begin, then symbols and blanks in turn, then end."""
    symbols = np.random.default_rng(seed).integers(3, n_symbols, length)
    return [1, 0, *(i for symbol in symbols for i in (int(symbol), 0)), 2]


def manifest_of(architecture: VitsArchitecture, size_bytes: int = 10) -> Manifest:
    return dataclasses.replace(
        make_manifest(size=size_bytes, symbols=("table", 100)),
        engine="vits",
        controls=CONTROLS,
        engine_config=architecture.to_config(),
        audio=Audio(22050, architecture.hop_length_samples),
    )


def component(folder: Path, architecture: VitsArchitecture) -> Path:
    """A model component with random weights."""
    folder.mkdir(exist_ok=True)
    path = folder / "model.safetensors"
    write_safetensors(as_stored(canonical(architecture)), path, progress=NullProgress())
    return path


def whole(voice: Voice, ids: list[int], delivery: Delivery) -> npt.NDArray[np.float32]:
    utterance = finished(voice.prepare(ids, delivery))
    return finished(utterance.decode(0, utterance.frames))


def pieces(
    voice: Voice, ids: list[int], delivery: Delivery, sizes: list[int]
) -> npt.NDArray[np.float32]:
    utterance = finished(voice.prepare(ids, delivery))
    out, first = list[npt.NDArray[np.float32]](), 0
    while first < utterance.frames:
        last = min(utterance.frames, first + sizes[min(len(out), len(sizes) - 1)])
        out.append(finished(utterance.decode(first, last)))
        first = last
    return np.concatenate(out)


def random_voice(name: str, n_speakers: int = 0, seed: int = 0) -> VitsVoice:
    architecture = preset(name, n_speakers=n_speakers)
    model = load_model(architecture, canonical(architecture, seed=seed))
    return voice_of(model, architecture)


def voice_of(model: VitsModel, architecture: VitsArchitecture) -> VitsVoice:
    return VitsVoice(VitsWeights(model, architecture, "cpu"))


SIZES = (7, 16, 32, 64, 64, 64)


def decoded_together(
    utterances: list[Utterance], sizes: tuple[int, ...] = SIZES
) -> tuple[list[npt.NDArray[np.float32]], Counter[str]]:
    """All of them in rounds: whoever has a call in common makes it in one. And how often."""
    audio: list[list[npt.NDArray[np.float32]]] = [[] for _ in utterances]
    shared: Counter[str] = Counter()
    for size in [*sizes, 10_000]:
        works: dict[int, Work[Any]] = {}
        for i, utterance in enumerate(utterances):
            first = sum(len(a) for a in audio[i]) // 256
            if first < utterance.frames:
                works[i] = utterance.decode(first, min(utterance.frames, first + size))
        while pending := [work for work in works.values() if not work.is_done]:
            groups: dict[object, list[Work[Any]]] = {}
            for work in pending:
                groups.setdefault(work.key or work, []).append(work)
            for key, group in groups.items():
                if len(group) > 1:
                    assert isinstance(key, tuple)
                    shared["decode" if len(key) == 3 else "flow"] += 1
                    Work.step_together(group)
                else:
                    group[0].step()
        for i, work in works.items():
            audio[i].append(work.result())
    return [np.concatenate(a) for a in audio], shared
