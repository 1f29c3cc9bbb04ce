"""An imported Hugging Face VITS voice says what transformers makes of the same checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.families.files import assembled, read
from tests.families.vits_fakes import make_hf_vits
from tests.registry.drafts import blob_path
from voxswap_families.contract import Delivery
from voxswap_families.importing.detect import import_voice
from voxswap_families.vits.engine import VitsEngine
from voxswap_families.work import finished
from voxswap_registry.store import Registry


@pytest.mark.parametrize("n_speakers", [1, 3])
@pytest.mark.parametrize("weights", ["safetensors", "bin"])
def test_parity_with_transformers(tmp_path: Path, n_speakers: int, weights: str) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    # Saved once as safetensors for the reference; the same seed gives the same weights.
    reference = make_hf_vits(tmp_path / "reference", seed=3, num_speakers=n_speakers)
    source = make_hf_vits(tmp_path / "source", seed=3, weights=weights, num_speakers=n_speakers)
    registry = Registry(tmp_path / "registry")
    with registry.workdir() as workdir:
        draft = import_voice(source, "x", workdir=workdir, licence="test", language="en")
        manifest = registry.publish(draft)
    path = blob_path(registry, manifest.component("model"))
    part = read(VitsEngine(), manifest, "model", path).place()
    voice = assembled(VitsEngine(), manifest, model=part)

    model = transformers.VitsModel.from_pretrained(reference).eval()
    model.noise_scale = model.noise_scale_duration = 0.0
    model.speaking_rate = 1.0
    ids = [0, 5, 0, 9, 0, 14, 0, 7, 0, 20, 0, 3, 0]
    speaker = n_speakers - 1
    with torch.no_grad():
        theirs = model(
            torch.tensor([ids]), speaker_id=speaker if n_speakers > 1 else None
        ).waveform[0]
    utterance = finished(voice.prepare(ids, Delivery(1.0, seed=0, speaker=speaker)))
    ours = finished(utterance.decode(0, utterance.frames))
    assert ours.shape == tuple(theirs.shape)
    assert np.abs(ours).max() > 1e-3
    assert np.abs(ours - theirs.numpy()).max() < 1e-4
