"""Voices that are made up: they pass for published ones, are heard, and bear their mark."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.families.files import assembled, read
from voxswap_families.contract import Delivery, EngineContext
from voxswap_families.emotivoice.fabricate import FABRICATORS as EMOTIVOICE
from voxswap_families.fabricating import fabricate
from voxswap_families.importing.detect import import_voice, members
from voxswap_families.importing.request import FABRICATED
from voxswap_families.register import fabricators, families
from voxswap_families.sambert.fabricate import FABRICATORS as SAMBERT
from voxswap_families.vits.fabricate import FABRICATORS as VITS
from voxswap_families.vits.huggingface import original_names
from voxswap_families.work import finished
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.store import Registry

# A vocoder is half a voice.
VOICES = sorted({*SAMBERT, *EMOTIVOICE, *VITS} - {"hifigan"})


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def ids_of(kind: str, count: int) -> Sequence[int]:
    """Symbols that any such voice can say."""
    generator = np.random.default_rng(0)
    most = {"vits": 25, "emotivoice": 300}.get(kind, 1_000)
    return [int(i) for i in generator.integers(1, most, count)]


@pytest.mark.parametrize("kind", VOICES)
def test_it_is_imported_and_heard(kind: str, tmp_path: Path) -> None:
    fabricate(kind, tmp_path / "voice", seed=5, size="tiny")
    style = (*members(tmp_path / "voice"), None)[0]
    draft = import_voice(tmp_path / "voice", "bench/x", style=style, workdir=tmp_path / "work")
    assert draft.fabricated is True
    registry = Registry(tmp_path / "registry")
    manifest = registry.publish(draft)
    assert manifest.fabricated is True
    assert registry.read("bench/x", 1).fabricated is True
    context = EngineContext("cpu", "float32", "torch", 1, 1, lambda *_: None)  # type: ignore[arg-type]
    engine = families()[draft.engine].engine(context)
    parts: dict[str, Any] = {
        part.role: read(engine, manifest, part.role, part.path).place()
        for part in draft.components
        if part.path is not None and part.role != "symbols"
    }
    voice = assembled(engine, manifest, **parts)
    delivery = Delivery(
        rate=1.0, seed=1, controls={"noise_scale": 0.667, "duration_noise_scale": 0.8}
    )
    utterance = finished(voice.prepare(ids_of(kind, 30), delivery))
    audio = finished(utterance.decode(0, utterance.frames))
    # As long as speech of so many symbols is, and about as loud.
    rate = manifest.audio.sample_rate_hertz
    assert 30 * 0.02 < len(audio) / rate < 30 * 0.3
    assert 0.01 < float(np.sqrt(np.mean(np.square(audio)))) < 0.5
    assert np.isfinite(audio).all()


@pytest.mark.parametrize("kind", ["emotivoice", "hifigan", "sambert-se", "vits"])
def test_a_seed_gives_the_same_bytes_and_another_one_others(kind: str, tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        fabricate(kind, tmp_path / name, seed=seed, size="tiny")
    first, again, other = (digests(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert FABRICATED in first
    assert first.keys() == other.keys()
    assert first != other


# Published acoustic models have 50.8 MB, of which 1.6 are a table that is computed here.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "role", "least", "most"),
    [("sambert", "acoustic", 49e6, 50e6), ("sambert", "vocoder", 18e6, 20e6),
     ("vits", "model", 110e6, 150e6)],
)  # fmt: skip
def test_a_real_one_is_as_large_as_published_ones(
    kind: str, role: str, least: float, most: float, tmp_path: Path
) -> None:
    fabricate(kind, tmp_path / "voice", seed=1, size="real")
    draft = import_voice(tmp_path / "voice", "bench/x", form="plain", workdir=tmp_path / "work")
    (path,) = (part.path for part in draft.components if part.role == role)
    assert path is not None
    assert least < path.stat().st_size < most


def test_names_of_a_published_vits_come_back(tmp_path: Path) -> None:
    import safetensors.torch

    from voxswap_families.vits.fabricate import _TINY
    from voxswap_families.vits.shapes import expected_shapes

    fabricate("vits", tmp_path / "voice", seed=1, size="tiny")
    published = safetensors.torch.load_file(tmp_path / "voice/model.safetensors")
    found = original_names(published)
    assert {name: tuple(t.shape) for name, t in found.items()} == expected_shapes(_TINY)
    # transformers' own model takes them under these names.
    from transformers import VitsConfig, VitsModel

    model = VitsModel(VitsConfig.from_pretrained(tmp_path / "voice"))
    names = {n.replace("parametrizations.weight.original1", "weight") for n in model.state_dict()}
    assert published.keys() <= names


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "nothing"}, "kind"),
        ({"size": "huge"}, "size"),
        ({"seed": -1}, "seed"),
        ({"folder": "full"}, "folder"),
    ],
)
def test_what_cannot_be_made_up_is_told(change: dict[str, Any], field: str, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter.txt").write_text("mine")
    asked: dict[str, Any] = {"kind": "vits", "size": "tiny", "seed": 1, "folder": "new"} | change
    with pytest.raises(InvalidInputError) as raised:
        fabricate(asked["kind"], tmp_path / asked["folder"], seed=asked["seed"], size=asked["size"])
    assert raised.value.violations[0].field == field
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["letter.txt"]


def test_a_real_voice_is_not_marked(model: Callable[..., Path], tmp_path: Path) -> None:
    folder = model()
    (folder / FABRICATED).unlink()
    draft = import_voice(folder, "zh/real", workdir=tmp_path / "work")
    assert draft.fabricated is None
    assert b"fabricated" not in Registry(tmp_path / "registry").publish(draft).to_json().replace(
        b"fabricated_emo", b""
    )


def test_all_of_them_are_offered() -> None:
    assert {*VOICES, "hifigan"} <= fabricators().keys()
    assert torch.get_default_dtype() == torch.float32
