"""Computing in another type than what is stored, several segments at a time, and in small steps."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.families.files import assembled, read
from tests.families.vits_fakes import canonical, preset
from tests.families.vits_voices import LIVELY, SILENT_NOISE, line, manifest_of, pieces, whole
from tests.registry.drafts import blob_path
from voxswap_families.arithmetic import Dtype, fastest_dtype
from voxswap_families.contract import Voice
from voxswap_families.errors import DeviceMemoryError
from voxswap_families.importing.weights import write_safetensors
from voxswap_families.vits.architecture import may_be_rounded
from voxswap_families.vits.checkpoint import as_stored, round_tensors
from voxswap_families.vits.engine import VitsEngine
from voxswap_families.vits.voice import VitsWeights
from voxswap_families.work import Work, finished
from voxswap_registry.manifest import Manifest
from voxswap_registry.progress import NullProgress
from voxswap_registry.store import Registry

DTYPES: list[Dtype] = ["float32", "bfloat16"]


def stored(folder: Path, dtype: Dtype) -> tuple[Manifest, Path]:
    architecture = preset("low")
    path = folder / "model.safetensors"
    tensors = round_tensors(canonical(architecture), dtype)
    write_safetensors(as_stored(tensors), path, progress=NullProgress())
    manifest = manifest_of(architecture)
    components = [
        dataclasses.replace(c, size_bytes=path.stat().st_size) if c.role == "model" else c
        for c in manifest.components
    ]
    return dataclasses.replace(manifest, components=tuple(components)), path


@pytest.mark.parametrize("kept", DTYPES)
@pytest.mark.parametrize("computed", DTYPES)
def test_what_is_stored_otherwise_is_converted_and_counted(
    tmp_path: Path, kept: Dtype, computed: Dtype
) -> None:
    manifest, path = stored(tmp_path, kept)
    engine = VitsEngine("cpu", computed)
    spec = engine.parts(manifest)[0]
    part = read(engine, manifest, "model", path).place()
    assert isinstance(part, VitsWeights)
    for name, parameter in part.model.named_parameters():
        wanted = getattr(torch, computed) if may_be_rounded(name) else torch.float32
        assert parameter.dtype == wanted, name
    assert part.resident_bytes <= spec.footprint_bytes
    # What was converted is memory of our own; the rest is the file's pages.
    assert (part.allocated_bytes > 0) == (kept != computed)
    assert part.allocated_bytes <= part.resident_bytes
    voice = assembled(engine, manifest, model=part)
    assert np.abs(whole(voice, line(20, 1), LIVELY)).max() > 0


def test_memory_that_the_system_refuses_is_the_devices_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Residency evicts and tries once more for this error alone."""
    manifest, path = stored(tmp_path, "float32")
    host_part = read(VitsEngine("cpu", "bfloat16"), manifest, "model", path)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("voxswap_families.layers.tensors.mmap.mmap", refuse)
    with pytest.raises(DeviceMemoryError, match=r"bytes for weights in torch\.bfloat16"):
        host_part.place()


def test_another_arithmetic_is_another_part(tmp_path: Path) -> None:
    manifest, _ = stored(tmp_path, "float32")
    forms = {VitsEngine("cpu", dtype).parts(manifest)[0].form for dtype in (None, *DTYPES)}
    assert len(forms) == 3


def test_a_voice_is_converted_to_the_very_weights_that_import_would_have_stored(
    tmp_path: Path,
) -> None:
    voices = []
    for dtype in DTYPES:
        folder = tmp_path / dtype
        folder.mkdir()
        manifest, path = stored(folder, dtype)
        engine = VitsEngine("cpu", "bfloat16")
        part = read(engine, manifest, "model", path).place()
        voices.append(assembled(engine, manifest, model=part))
    a, b = (whole(voice, line(20, 2), LIVELY) for voice in voices)
    assert np.array_equal(a, b)


@pytest.fixture(scope="module")
def rounded_joe(joe: Manifest, joe_registry: Registry) -> Voice:
    engine = VitsEngine("cpu", "bfloat16")
    path = blob_path(joe_registry, joe.component("model"))
    voice: Voice = assembled(engine, joe, model=read(engine, joe, "model", path).place())
    return voice


def test_pieces_in_bfloat16_are_the_whole_but_for_rounding(rounded_joe: Voice) -> None:
    ids = line(40, 5)
    full = whole(rounded_joe, ids, LIVELY)
    for sizes in ([7, 14, 28, 56], [33]):
        cut = pieces(rounded_joe, ids, LIVELY, sizes)
        assert cut.shape == full.shape
        assert np.abs(cut - full).max() < 0.02
        assert np.sqrt(np.mean((cut - full) ** 2)) < 0.02 * np.sqrt(np.mean(full**2))


def test_joe_in_bfloat16_is_joe(rounded_joe: Voice, joe: Manifest, joe_registry: Registry) -> None:
    engine = VitsEngine()
    path = blob_path(joe_registry, joe.component("model"))
    plain = assembled(engine, joe, model=read(engine, joe, "model", path).place())
    ids = line(40, 6)
    a, b = (finished(voice.prepare(ids, SILENT_NOISE)) for voice in (plain, rounded_joe))
    moved = [abs(x - y) for x, y in zip(a.durations_frames, b.durations_frames, strict=True)]
    assert max(moved) <= 1
    assert sum(map(bool, moved)) <= len(ids) // 20


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_segments_that_go_through_the_flow_together_are_each_their_own(
    joe: Manifest, joe_registry: Registry, dtype: Dtype | None
) -> None:
    """Four streams of one voice, whose calls are made together, and each by itself."""
    engine = VitsEngine("cpu", dtype)
    path = blob_path(joe_registry, joe.component("model"))
    voice = assembled(engine, joe, model=read(engine, joe, "model", path).place())
    lines = [line(30, seed) for seed in range(4)]
    alone = [whole(voice, ids, LIVELY) for ids in lines]
    utterances = [finished(voice.prepare(ids, LIVELY)) for ids in lines]
    works = [utterance.decode(0, utterance.frames) for utterance in utterances]
    together = 0
    while pending := [work for work in works if not work.is_done]:
        groups: dict[object, list[Work[Any]]] = {}
        for work in pending:
            groups.setdefault(work.key or work, []).append(work)
        for group in groups.values():
            if len(group) > 1:
                together += 1
                Work.step_together(group)
            else:
                group[0].step()
    assert together >= 4, "their first pieces have one length"
    bound = 0.0 if dtype is None else 0.02
    for work, before in zip(works, alone, strict=True):
        assert np.abs(work.result() - before).max() <= bound


def test_no_step_is_much_of_the_whole(rounded_joe: Voice) -> None:
    """Counted and not timed: a line of 80 symbols takes a hundred steps, and any text more."""
    preparation, steps = rounded_joe.prepare(line(40, 7), LIVELY), 0
    while not preparation.is_done:
        preparation.step()
        steps += 1
    assert steps >= 15
    utterance = preparation.result()
    decoding, decoded = utterance.decode(0, utterance.frames), 0
    while not decoding.is_done:
        decoding.step()
        decoded += 1
    assert decoded >= 13


def test_the_fastest_type_is_measured_once() -> None:
    fastest_dtype.cache_clear()
    found = fastest_dtype()
    assert found in DTYPES
    assert fastest_dtype() == found
    assert fastest_dtype.cache_info().misses == 1
