"""A Sambert voice whose vocoder native kernels compute, beside the one that torch computes."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.families.files import assembled, read
from tests.families.native_kernels import TRIED
from voxswap_families.contract import Delivery, Size
from voxswap_families.importing.detect import import_voice
from voxswap_families.sambert.engine import SambertEngine
from voxswap_families.sambert.fabricate import fabricate_model
from voxswap_families.sambert.native_generator import NativeGenerator
from voxswap_families.sambert.variants import Variant
from voxswap_families.work import finished
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.manifest import Manifest
from voxswap_registry.store import Registry

IDS = [int(i) for i in np.random.default_rng(0).integers(1, 1_000, 25)]


class Wide(Variant):
    """Small, with channels that kernels take."""

    def generator(self, size: Size) -> dict[str, Any]:
        """See `Variant`."""
        return {**Variant.generator(self, size), "channels": 64}


@pytest.fixture(scope="module", params=[True, False], ids=["causal", "ahead"])
def voice(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Manifest, VoiceDraft]:
    folder: Path = tmp_path_factory.mktemp("wide")
    variant = Wide(
        "wide",
        rate_hertz=16_000,
        rates=(20, 10),
        kernels=(40, 20),
        is_causal=request.param,
        source="mean_std",
    )
    fabricate_model(variant, folder / "model", 3, "tiny")
    draft = import_voice(folder / "model", "bench/x", workdir=folder / "work")
    return Registry(folder / "registry").publish(draft), draft


def said(
    kernels: str, voice: tuple[Manifest, VoiceDraft], cuts: tuple[int, ...] = ()
) -> tuple[tuple[int, ...], npt.NDArray[np.float32], dict[str, Any]]:
    manifest, draft = voice
    engine = SambertEngine(kernels=kernels)
    parts: dict[str, Any] = {
        part.role: read(engine, manifest, part.role, part.path).place()
        for part in draft.components
        if part.path is not None and part.role != "symbols"
    }
    for spec in engine.parts(manifest):
        if spec.role in parts:
            assert parts[spec.role].resident_bytes <= spec.footprint_bytes
    utterance = finished(
        assembled(engine, manifest, **parts).prepare(IDS, Delivery(rate=1.0, seed=4))
    )
    edges = [0, *[cut for cut in cuts if cut < utterance.frames], utterance.frames]
    audio = [finished(utterance.decode(a, b)) for a, b in itertools.pairwise(edges)]
    return tuple(utterance.durations_frames), np.concatenate(audio), parts


@pytest.mark.parametrize("isa", TRIED)
def test_it_says_what_torch_says(isa: str, voice: tuple[Manifest, VoiceDraft]) -> None:
    durations, expected, _ = said("torch", voice)
    natively, found, parts = said(isa, voice)
    assert isinstance(parts["vocoder"].network, NativeGenerator)
    assert parts["vocoder"].file is None
    assert natively == durations
    assert found.shape == expected.shape
    noise = float(np.square(found - expected).mean() / np.square(expected).mean())
    assert 10 * math.log10(noise) < -30


@pytest.mark.parametrize("isa", TRIED)
def test_pieces_joined_are_the_whole(isa: str, voice: tuple[Manifest, VoiceDraft]) -> None:
    whole, again, cut = (said(isa, voice, cuts)[1] for cuts in ((), (), (1, 7, 20, 21, 64)))
    assert np.array_equal(whole, again)
    assert float(np.abs(whole - cut).max()) < 1e-5


@pytest.mark.parametrize("isa", TRIED)
def test_it_is_another_part_than_torchs(isa: str, voice: tuple[Manifest, VoiceDraft]) -> None:
    forms = [
        {spec.role: spec.form for spec in SambertEngine(kernels=kernels).parts(voice[0])}
        for kernels in ("torch", isa)
    ]
    assert forms[0]["vocoder"] != forms[1]["vocoder"]
    assert forms[0]["acoustic"] == forms[1]["acoustic"]
    for kernels in ("torch", isa):
        assert SambertEngine(kernels=kernels).workspace_bytes(voice[0], largest_chunk_s=1.5) > 0
