"""Repacking: the next version is packed and nothing else, and what that costs is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.examples import NOON
from tests.families.files import mapped
from tests.families.packable_voices import SMALL
from tests.families.vits_fakes import canonical, preset, write_piper
from tests.registry.drafts import blob_path
from voxswap_families.comparing import Speak
from voxswap_families.importing.detect import import_voice
from voxswap_families.importing.weights import write_safetensors
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.checkpoint import as_stored
from voxswap_families.vits.packable import PACKED, PACKED_INT8
from voxswap_families.vits.packed import check_packed, pack, unpack
from voxswap_families.vits.repack import Repacked, from_packed, repack, why_not
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import DigestMismatchError, EngineError, InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.progress import NullProgress
from voxswap_registry.state import Edit
from voxswap_registry.store import Registry

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def draft(tmp_path: Path) -> VoiceDraft:
    source = write_piper(tmp_path / "piper", SMALL)
    return import_voice(source, "npc/smith", workdir=tmp_path / "work", licence="MIT")


@pytest.fixture
def plain(registry: Registry, draft: VoiceDraft) -> Manifest:
    return registry.publish(dataclasses.replace(draft, tags=("old",)), label="stable")


def repacked(registry: Registry, manifest: Manifest, folder: Path, form: str = PACKED) -> Repacked:
    workdir = folder / "repack"
    workdir.mkdir(exist_ok=True)
    return repack(registry, manifest, workdir=workdir, form=form, actor="me", clock=lambda: NOON)


def test_the_next_version_is_packed_and_all_else_stays(
    registry: Registry, plain: Manifest, tmp_path: Path
) -> None:
    done = repacked(registry, plain, tmp_path)
    after = registry.resolve(VoiceRef("npc/smith", version=2))
    assert (done.before, done.after, done.is_new) == (plain, after, True)
    model = after.component("model")
    assert model.form == "packed"
    assert after.component("symbols") == plain.component("symbols")
    assert after.provenance.created == "2026-01-02T12:00:00Z"
    assert after.provenance.note == "repacked from npc/smith@1, products stored as bfloat16"
    unchanged = {"components": (), "provenance": plain.provenance, "version": 1}
    assert dataclasses.replace(after, **unchanged) == dataclasses.replace(plain, components=())  # type: ignore[arg-type]
    # Its bytes are those of an import.
    tensors, wanted = mapped(blob_path(registry, model)), pack(SMALL, canonical(SMALL))
    check_packed(SMALL, tensors)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in tensors.items())
    assert registry.record("npc/smith").state.labels == {"stable": 1}
    assert done.size_bytes == (plain.component("model").size_bytes, model.size_bytes)


def test_what_it_costs_is_what_rounding_does(
    registry: Registry, plain: Manifest, tmp_path: Path
) -> None:
    found = repacked(registry, plain, tmp_path).comparison
    assert list(found.snr_db) == ["prior", "log durations", "latents", "audio"]
    # Eight bits of mantissa: 40 to 60 dB of a product, and less behind many.
    assert 35 < found.snr_db["prior"] < 65
    assert all(5 < db < 70 for db in found.snr_db.values())
    assert 0 < found.log_spectral_distance_db < 10
    assert found.durations > 100
    assert found.moved < found.durations / 4


@pytest.mark.parametrize("is_packed", [True, False])
def test_feed_forward_layers_become_int8_if_that_is_asked_for(
    registry: Registry, plain: Manifest, tmp_path: Path, is_packed: bool
) -> None:
    if is_packed:
        plain = repacked(registry, plain, tmp_path).after
    done = repacked(registry, plain, tmp_path, PACKED_INT8)
    model = done.after.component("model")
    assert model.form == "packed_int8"
    assert done.after.provenance.note.endswith("those of feed-forward layers as int8")
    check_packed(SMALL, mapped(blob_path(registry, model)), PACKED_INT8)
    # It is told what bytes cost, of weights and of what they are multiplied with.
    assert 25 < done.comparison.snr_db["prior"] < 60
    assert why_not(done.after, PACKED_INT8) == "is packed already"
    with pytest.raises(InvalidInputError, match="which cannot be undone; import the voice again"):
        repacked(registry, done.after, tmp_path)


def test_what_bytes_cost_is_told_of_them_and_of_nobody_else() -> None:
    """Whoever is compared shares a skeleton with everybody else."""
    tensors, ids = canonical(SMALL), (1, 2, 3, 4, 5, 6, 7)
    packed, bytes_too = pack(SMALL, tensors), pack(SMALL, tensors, form=PACKED_INT8)
    before = from_packed(SMALL, packed)(ids, None).parts["prior"]
    narrow = from_packed(SMALL, bytes_too, form=PACKED_INT8)(ids, None).parts["prior"]
    after = from_packed(SMALL, packed)(ids, None).parts["prior"]
    assert np.array_equal(before, after)
    assert not np.array_equal(before, narrow)


def test_weights_that_are_rounded_already_cost_nothing(
    registry: Registry, draft: VoiceDraft, tmp_path: Path
) -> None:
    exact = unpack(SMALL, pack(SMALL, canonical(SMALL)), lambda _: torch.float32)
    path = tmp_path / "exact"
    write_safetensors(as_stored(exact), path, progress=NullProgress())
    model, symbols = draft.components
    components = (dataclasses.replace(model, path=path), symbols)
    manifest = registry.publish(dataclasses.replace(draft, components=components))
    found = repacked(registry, manifest, tmp_path).comparison
    assert set(found.snr_db.values()) == {200.0}
    assert (found.log_spectral_distance_db, found.moved) == (0, 0)


def test_it_is_done_once(registry: Registry, plain: Manifest, tmp_path: Path) -> None:
    first = repacked(registry, plain, tmp_path)
    again = repacked(registry, plain, tmp_path)
    assert (again.after, again.is_new) == (first.after, False)
    with pytest.raises(InvalidInputError, match="voice: npc/smith@2 is packed already"):
        repacked(registry, first.after, tmp_path)
    assert registry.look("npc/smith").versions == (1, 2)


def test_whoever_speaks_is_given_the_packed_weights(
    registry: Registry, plain: Manifest, tmp_path: Path
) -> None:
    given = []

    def speaks(architecture: VitsArchitecture, packed: Mapping[str, Tensor]) -> Speak:
        check_packed(architecture, packed)
        given.append(architecture)
        return from_packed(architecture, packed)

    repack(registry, plain, workdir=tmp_path, speaks=speaks)
    assert given == [SMALL]


def test_voices_of_other_shapes_are_left_alone(registry: Registry, tmp_path: Path) -> None:
    narrow = write_piper(tmp_path / "narrow", preset("low"))
    manifest = registry.publish(import_voice(narrow, "npc/thin", workdir=tmp_path / "work"))
    assert why_not(manifest).startswith("cannot be packed: half of inter is 8")
    with pytest.raises(InvalidInputError, match="npc/thin@1 cannot be packed"):
        repacked(registry, manifest, tmp_path)
    tone = tmp_path / "robot.tone.json"
    tone.write_text("{}")
    other = registry.publish(import_voice(tone, "robot", workdir=tmp_path / "work"))
    assert why_not(other) == "is a tone voice; only VITS voices have a packed form"


def test_damaged_bytes_and_weights_publish_nothing(
    registry: Registry, plain: Manifest, tmp_path: Path
) -> None:
    path = blob_path(registry, plain.component("model"))
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole[:-4] + b"\x00\x00\xc0\x7f")  # NaN
    with pytest.raises(DigestMismatchError):
        repacked(registry, plain, tmp_path)
    assert registry.look("npc/smith").versions == (1,)


def test_weights_that_give_no_audio_publish_nothing(
    registry: Registry, plain: Manifest, tmp_path: Path
) -> None:
    def speaks(architecture: VitsArchitecture, packed: Mapping[str, Tensor]) -> Speak:
        wild = {n: t * 1e30 if n.startswith("dec.") else t for n, t in packed.items()}
        return from_packed(architecture, wild)

    with pytest.raises(EngineError, match="the generator gave NaN or infinity"):
        repack(registry, plain, workdir=tmp_path, speaks=speaks)
    assert registry.look("npc/smith").versions == (1,)


def test_other_labels_and_edits_are_the_voices_own(
    registry: Registry, plain: Manifest, tmp_path: Path
) -> None:
    registry.edit("npc/smith", Edit(display_name="Smith"), actor="me")
    repacked(registry, plain, tmp_path)
    assert registry.record("npc/smith").state.display_name == "Smith"
