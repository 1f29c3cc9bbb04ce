"""A packed VITS voice where torch computes: what it says, what it takes, and what is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.hostile import manifests as hostile
from tests.families.files import mapped, read
from tests.families.native_kernels import TRIED
from tests.families.packable_voices import SMALL, packed_component, packed_manifest
from tests.families.vits_fakes import canonical, preset, write_piper
from tests.families.vits_voices import component, line, load, manifest_of, whole
from tests.registry.drafts import blob_path
from voxswap_families.contract import Delivery
from voxswap_families.importing.detect import import_voice
from voxswap_families.importing.weights import write_safetensors
from voxswap_families.vits.architecture import VitsArchitecture, may_be_rounded
from voxswap_families.vits.checkpoint import as_stored
from voxswap_families.vits.engine import VitsEngine
from voxswap_families.vits.packable import FORMS, PACKED_INT8
from voxswap_families.vits.packed import check_packed, pack, packed_shapes, unpack
from voxswap_families.vits.shapes import expected_shapes
from voxswap_families.vits.voice import VitsWeights
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import EngineError, InvalidInputError, ManifestError, VoxswapError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.progress import NullProgress
from voxswap_registry.store import Registry

pytestmark = pytest.mark.usefixtures("one_thread")

IDS = line(6, 3, 60)
# Quick: of random weights, a symbol may last for seconds.
LIVELY = Delivery(rate=8.0, seed=7, controls={"noise_scale": 0.667, "duration_noise_scale": 0.8})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", None])
def test_it_says_what_its_rounded_weights_say_unpacked(
    tmp_path: Path, dtype: str | None, form: str
) -> None:
    packed = packed_component(tmp_path, SMALL, form=form)
    kind = getattr(torch, dtype or "bfloat16")
    rounded = {
        name: tensor.float().to(kind if may_be_rounded(name) else torch.float32)
        for name, tensor in unpack(SMALL, mapped(packed), form=form).items()
    }
    plain = tmp_path / "plain"
    write_safetensors(as_stored(rounded), plain, progress=NullProgress())
    engine = VitsEngine(dtype=dtype)  # type: ignore[arg-type]
    packed_said, plain_said = (
        whole(load(engine, manifest(SMALL, path.stat().st_size), path), IDS, LIVELY)
        for manifest, path in ((partial(packed_manifest, form=form), packed), (manifest_of, plain))
    )
    np.testing.assert_array_equal(packed_said, plain_said)


def test_the_whole_of_it_is_counted_and_no_page_of_the_file_is_kept(tmp_path: Path) -> None:
    path = packed_component(tmp_path, SMALL)
    for dtype in ("float32", "bfloat16"):
        engine = VitsEngine(dtype=dtype)
        manifest = packed_manifest(SMALL, path.stat().st_size)
        host_part = read(engine, manifest, "model", path)
        weights = host_part.place()
        assert isinstance(weights, VitsWeights)
        parameters = sum(p.nbytes for p in weights.model.parameters())
        assert host_part.host_bytes >= parameters
        assert weights.allocated_bytes == weights.resident_bytes == host_part.host_bytes
        assert weights.file is None


def test_forms_of_one_component_are_parts_of_their_own() -> None:
    engine = VitsEngine()
    manifests = manifest_of(SMALL), *(packed_manifest(SMALL, form=form) for form in FORMS)
    assert len({engine.parts(manifest)[0].form for manifest in manifests}) == len(manifests)


@pytest.mark.parametrize("swapped", [True, False])
def test_a_component_of_the_other_form_is_refused(tmp_path: Path, swapped: bool) -> None:
    """As a server does that knows no forms, and as one that is told wrong."""
    path = component(tmp_path, SMALL) if swapped else packed_component(tmp_path, SMALL)
    manifest = (packed_manifest if swapped else manifest_of)(SMALL, path.stat().st_size)
    with pytest.raises(EngineError, match=r"weights do not fit .*; import the voice again"):
        load(VitsEngine(), manifest, path)


def test_a_packed_file_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = packed_component(tmp_path, SMALL)
    other = dataclasses.replace(SMALL, n_layers=2)
    with pytest.raises(EngineError, match="do not fit their manifest's architecture"):
        load(VitsEngine(), packed_manifest(other, path.stat().st_size), path)


def test_a_manifest_says_no_form_that_cannot_be(tmp_path: Path) -> None:
    manifest = packed_manifest(SMALL)
    manifest.check(where="here")
    with pytest.raises(
        ManifestError,
        match=r"components\[0\]\.form is packed, and hidden for each of n_heads is 8,",
    ):
        dataclasses.replace(
            manifest, engine_config=dataclasses.replace(SMALL, hidden=16).to_config()
        ).check(where="here")


def test_hostile_manifests_are_refused_or_of_what_can_be_packed() -> None:
    """Whatever passes is planned for from the manifest alone, and its tensors are known."""
    manifest = packed_manifest(dataclasses.replace(SMALL, n_speakers=0, gin=0))
    raw = json.loads(manifest.to_json())
    taken = 0
    documents = hostile.manifests(raw, seed=21, count=150), hostile.architectures(raw, 22, 150)
    for data in itertools.chain(*documents):
        try:
            found = Manifest.from_json(data, where="here")
        except ManifestError:
            continue
        if found.component("model").form is None:
            continue
        taken += 1
        architecture = VitsArchitecture.read(found.engine_config)
        assert packed_shapes(architecture)
        model, _ = VitsEngine(dtype="float32").parts(found)
        shapes = expected_shapes(architecture).values()
        assert model.footprint_bytes >= 4 * sum(map(math.prod, shapes))
    assert taken > 20


# Whatever is in a file, what comes of it is speech or an error with a remedy.


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kernels", ["torch", *TRIED])
def test_damage_anywhere_is_an_error_or_other_numbers(
    tmp_path: Path, form: str, kernels: str
) -> None:
    valid = packed_component(tmp_path, SMALL, form=form).read_bytes()
    path, spoke = tmp_path / "damaged", 0
    for data in hostile.safetensors(valid, seed=11, count=40):
        path.write_bytes(data)
        manifest = packed_manifest(SMALL, max(1, len(data)), form)
        with contextlib.suppress(VoxswapError), np.errstate(all="ignore"):
            # numpy would warn of infinities on their way to becoming an error.
            voice = load(VitsEngine(kernels=kernels), manifest, path)
            assert np.isfinite(whole(voice, [1, 2, 3, 4], LIVELY)).all()
            spoke += 1
    assert 0 < spoke < 40


def test_a_header_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    valid = packed_component(tmp_path, SMALL).read_bytes()
    header_bytes = 8 + int.from_bytes(valid[:8], "little")
    path, chance = tmp_path / "cut", random.Random(5)
    places = [0, 1, 7, 8, 9, header_bytes - 1, header_bytes, len(valid) - 1]
    for end in [*places, *chance.sample(range(header_bytes), 20)]:
        path.write_bytes(valid[:end])
        with pytest.raises(EngineError, match="import the voice again"):
            load(VitsEngine(), packed_manifest(SMALL, max(1, end)), path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_fail_where_they_would_sound(
    tmp_path: Path, value: float
) -> None:
    """A file that somebody else made: those that were packed here hold none."""
    packed = pack(SMALL, canonical(SMALL))
    for name in ("enc_p.proj.panels", "dp.proj.panels", "flow.flows.0.post.bias"):
        spoilt = dict(packed)
        spoilt[name] = packed[name].clone().fill_(value)
        path = tmp_path / name
        write_safetensors(spoilt, path, progress=NullProgress())
        voice = load(VitsEngine(), packed_manifest(SMALL, path.stat().st_size), path)
        with pytest.raises(EngineError):
            whole(voice, IDS, LIVELY)


@pytest.mark.parametrize("kernels", ["torch", *TRIED])
@pytest.mark.parametrize("kind", ["scale", "balance"])
def test_scales_of_int8_that_are_no_numbers_fail_as_weights_do(
    tmp_path: Path, kernels: str, kind: str
) -> None:
    packed = pack(SMALL, canonical(SMALL), form=PACKED_INT8)
    packed[f"enc_p.encoder.ffn_layers.0.conv_1.{kind}"][3] = float("nan")
    path = tmp_path / "spoilt"
    write_safetensors(packed, path, progress=NullProgress())
    manifest = packed_manifest(SMALL, path.stat().st_size, PACKED_INT8)
    with pytest.raises(EngineError, match="the weights are damaged"):
        whole(load(VitsEngine(kernels=kernels), manifest, path), IDS, LIVELY)


Header = dict[str, dict[str, Any]]


def other_type(header: Header) -> None:
    header["enc_p.proj.panels"]["dtype"] = "F16"


def other_types(header: Header) -> None:
    for entry in header.values():
        if entry["dtype"] == "BF16":
            entry["dtype"] = "F16"


def other_shape(header: Header) -> None:
    panels, pairs, *rest = header["enc_p.proj.panels"]["shape"]
    header["enc_p.proj.panels"]["shape"] = [pairs, panels, *rest]


def overlapping(header: Header) -> None:
    """Two of one size: the second is the first."""
    one, other = (header[f"enc_p.encoder.norm_layers_{i}.0.gamma"] for i in (1, 2))
    other["data_offsets"] = one["data_offsets"]


def exchanged(header: Header) -> None:
    """Two of one size in each other's place: other numbers, and no fault that could be seen."""
    one, other = (header[f"enc_p.encoder.norm_layers_{i}.0.gamma"] for i in (1, 2))
    one["data_offsets"], other["data_offsets"] = other["data_offsets"], one["data_offsets"]


def beyond(header: Header) -> None:
    last = max(header.values(), key=lambda entry: entry["data_offsets"])
    last["data_offsets"] = [offset + 4 for offset in last["data_offsets"]]


def longer(header: Header) -> None:
    header["dec.conv_post.taps"]["shape"][0] += 1


def renamed(header: Header) -> None:
    header["dec.conv_post.weight"] = header.pop("dec.conv_post.taps")


@pytest.mark.parametrize(
    "spoil", [other_type, other_types, other_shape, overlapping, beyond, longer, renamed]
)
def test_a_header_that_lies_is_refused(tmp_path: Path, spoil: Callable[[Header], None]) -> None:
    path = with_header(packed_component(tmp_path, SMALL), spoil)
    with pytest.raises(EngineError, match="import the voice again"):
        load(VitsEngine(), packed_manifest(SMALL, path.stat().st_size), path)


def test_a_header_that_is_merely_another_is_read_by_it(tmp_path: Path) -> None:
    """The test above refuses for what was spoilt, and not because anything was written anew."""
    path = with_header(packed_component(tmp_path, SMALL), exchanged)
    load(VitsEngine(), packed_manifest(SMALL, path.stat().st_size), path)


def with_header(path: Path, change: Callable[[Header], None]) -> Path:
    """The file at ``path`` with another header, and the same data."""
    whole_file = path.read_bytes()
    start = 8 + int.from_bytes(whole_file[:8], "little")
    header = json.loads(whole_file[8:start])
    change(header)
    encoded = json.dumps(header).encode()
    encoded += b" " * (-(8 + len(encoded)) % 64)
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + whole_file[start:])
    return path


# Import


def taken(source: Path, folder: Path, **options: Any) -> VoiceDraft:
    return import_voice(source, "fake", workdir=folder / "work", **options)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_piper(tmp_path / "piper", SMALL)


@pytest.mark.parametrize(
    ("options", "fastest", "form"),
    [
        ({"dtype": "bfloat16"}, "float32", "packed"),
        ({"dtype": "auto"}, "bfloat16", "packed"),
        ({"dtype": "auto"}, "float32", "packed"),
        ({"dtype": "auto", "form": "plain"}, "bfloat16", None),
        ({"dtype": "float32"}, "bfloat16", None),
        ({"dtype": "bfloat16", "form": "plain"}, "bfloat16", None),
        ({"dtype": "auto", "form": "packed"}, "float32", "packed"),
        ({"dtype": "auto", "form": "packed_int8"}, "float32", "packed_int8"),
        ({"dtype": "bfloat16", "form": "packed_int8"}, "float32", "packed_int8"),
        ({}, "bfloat16", None),
    ],
)
def test_an_import_packs_what_it_would_round(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, str],
    fastest: str,
    form: str | None,
) -> None:
    monkeypatch.setattr("voxswap_families.vits.draft.fastest_dtype", lambda: fastest)
    draft = taken(source, tmp_path, **options)
    model, symbols = draft.components
    assert (model.form, symbols.form) == (form, None)
    assert model.path is not None
    tensors = mapped(model.path)
    if form is None:
        assert tensors.keys() == expected_shapes(SMALL).keys()
    else:
        check_packed(SMALL, tensors, form)
        told = "products stored as bfloat16"
        told += ", those of feed-forward layers as int8" if form == PACKED_INT8 else ""
        assert draft.provenance.note.endswith(told)
        wanted = pack(SMALL, canonical(SMALL), form=form)
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in tensors.items())


def test_the_same_source_gives_the_same_packed_bytes(source: Path, tmp_path: Path) -> None:
    paths = [taken(source, tmp_path, dtype="bfloat16").components[0].path for _ in range(2)]
    first, second = (path.read_bytes() for path in paths if path)
    assert first == second


def test_a_published_voice_keeps_its_form_and_speaks(source: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    draft = taken(source, tmp_path, dtype="bfloat16")
    manifest = registry.publish(draft)
    assert [component.form for component in manifest.components] == ["packed", None]
    assert registry.resolve(VoiceRef("fake")) == manifest
    assert registry.publish_if_new(draft) == (manifest, False)
    plain = registry.publish(taken(source, tmp_path, dtype="bfloat16", form="plain"))
    assert plain.version == 2
    voice = load(VitsEngine(), manifest, blob_path(registry, manifest.component("model")))
    assert len(whole(voice, IDS, LIVELY)) > 0


def test_what_does_not_go_together_is_refused(source: Path, tmp_path: Path) -> None:
    narrow = write_piper(tmp_path / "narrow", preset("low"))
    for options, told in (
        ({"form": "packed", "dtype": "float32"}, "form: is 'packed', which is bfloat16"),
        ({"form": "packed_int8", "dtype": "float32"}, "form: is 'packed_int8', which is bfloat16"),
        ({"form": "odd"}, "form: is 'odd'; choose 'auto', 'plain', 'packed' or 'packed_int8'"),
    ):
        with pytest.raises(InvalidInputError, match=told):
            taken(source, tmp_path, **options)
    for form in FORMS:
        with pytest.raises(InvalidInputError, match=r"cannot be packed: half of inter is 8"):
            taken(narrow, tmp_path, form=form, dtype="auto")
    assert taken(narrow, tmp_path, dtype="bfloat16").components[0].form is None
    tone = tmp_path / "robot.tone.json"
    tone.write_text("{}")
    for form in FORMS:
        told = rf"form: is '{form}', for VITS voices; .*robot"
        with pytest.raises(InvalidInputError, match=told):
            taken(tone, tmp_path, form=form)
