"""Manifests: the round trip, and that foreign JSON gives `ManifestError` or a manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.families.vits_fakes import PRESETS, preset
from tests.registry.drafts import make_draft
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_registry.errors import ManifestError
from voxswap_registry.manifest import MAX_MANIFEST_BYTES, Component, Manifest

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def _manifest(folder: Path) -> Manifest:
    components = (
        Component("model", f"sha256:{'a' * 64}", 7, "application/vnd.safetensors"),
        Component("symbols", f"sha256:{'b' * 64}", 2, "application/json"),
    )
    return make_draft(folder, speakers={"ann": 0}, display_name="Schmied 铁匠").manifest(
        3, components
    )


@pytest.fixture
def raw(tmp_path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(_manifest(tmp_path).to_json())
    return loaded


def test_round_trip(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path)
    again = Manifest.from_json(manifest.to_json(), where="test")
    assert again == manifest
    assert again.to_json() == manifest.to_json()
    assert (again.ref, again.size_bytes) == ("npc/smith@3", 9)
    assert again.component("symbols").size_bytes == 2
    with pytest.raises(ManifestError, match="vocoder"):
        again.component("vocoder")


@given(st.binary(max_size=60) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bytes_give_manifest_errors_alone(data: bytes) -> None:
    with pytest.raises(ManifestError, match="here"):
        Manifest.from_json(data, where="here")


@given(st.data())
def test_one_arbitrary_entry_gives_a_manifest_or_its_error(data: st.DataObject) -> None:
    raw = json.loads(_TEMPLATE)
    target = raw
    while True:
        key = data.draw(st.sampled_from(sorted(target)))
        if not isinstance(target[key], dict) or not target[key] or data.draw(st.booleans()):
            break
        target = target[key]
    target[key] = data.draw(_JSON)
    try:
        manifest = Manifest.from_json(json.dumps(raw).encode(), where="here")
    except ManifestError as error:
        assert str(error).startswith("here: ")  # noqa: PT017 - either outcome is right
    else:
        assert Manifest.from_json(manifest.to_json(), where="here") == manifest


_TEMPLATE = json.dumps(
    {
        "audio": {"hop_length_samples": 256, "sample_rate_hertz": 22050},
        "components": [],
        "defaults": {"noise_w": 0.8},
        "display_name": "",
        "engine": "vits",
        "engine_config": {"x": [1]},
        "front_end": {"kind": "espeak", "options": {"voice": "en-us"}},
        "language": "en-US",
        "licence": "CC0",
        "provenance": {
            "created": "", "note": "", "source": "", "source_digests": {"a": "b"}, "tool": "",
        },
        "schema_version": 1,
        "speakers": {"ann": 0},
        "version": 1,
        "voice_id": "joe",
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (["schema_version"], 2, "schema_version 2 is not known here"),
        (["voice_id"], "../etc", "not a voice id: use lower-case"),
        (["version"], 0, r"version is 0; use 1 to 999999999\."),
        (["version"], True, "version is True; use 1 to"),
        (["audio", "sample_rate_hertz"], 10**400, "is a number of 1329 bits; use 8000 to"),
        (["defaults", "noise_scale"], 10**400, "is a number of 1329 bits; use 0 to 3"),
        (["defaults", "noise_scale"], float("inf"), "not JSON"),
        (["display_name"], "\ud800", "surrogates"),
        (["components", 0, "digest"], "sha256:" + "../" * 21 + "a", "hexadecimal"),
        (["components", 1, "role"], "model", "same role"),
        (["components", 0], [], "must be an object, found a list"),
        (["provenance", "created"], "0001-01-01T00:00:00+14:00", "must be a time"),
        (["provenance", "created"], "9999-12-31T23:59:59-12:00", "must be a time"),
        (["provenance", "created"], "2026-01-01T00:00:00", "must be a time"),
    ],
)
def test_fault_is_named(raw: dict[str, Any], path: list[Any], value: Any, expected: str) -> None:
    target: Any = raw
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(ManifestError, match=expected):
        Manifest.from_json(json.dumps(raw).encode(), where="here")


def test_torn_deep_and_huge_manifests_are_refused(tmp_path: Path) -> None:
    whole = _manifest(tmp_path).to_json()
    for data in (whole[:-30], b"[" * 100_000, b" " * (MAX_MANIFEST_BYTES + 1), b""):
        with pytest.raises(ManifestError):
            Manifest.from_json(data, where="here")


@pytest.mark.parametrize("levels", [31, 600])
@pytest.mark.parametrize("lists", [True, False])
def test_manifests_are_nested_to_a_limit(raw: dict[str, Any], levels: int, lists: bool) -> None:
    nested: Any = 1
    for _ in range(levels - 1):
        nested = [nested] if lists else {"a": nested}
    raw |= {"engine": "unheard_of", "engine_config": {"a": nested}}
    data = json.dumps(raw).encode()
    if levels < 32:
        manifest = Manifest.from_json(data, where="here")
        assert Manifest.from_json(manifest.to_json(), where="here") == manifest
    else:
        with pytest.raises(ManifestError, match="here: nested deeper than 32 levels"):
            Manifest.from_json(data, where="here")


@pytest.mark.parametrize("name", PRESETS)
def test_architecture_reads_back(name: str) -> None:
    architecture = preset(name, n_speakers=3)
    config = json.loads(json.dumps(architecture.to_config()))
    assert VitsArchitecture.from_config(config, where="here") == architecture


@pytest.mark.parametrize(
    "change",
    [{"hidden": [1]}, {"hidden": -1}, {"hidden": 1.0}, {"hidden": True}, {"upsample_rates": 8},
     {"resblock_dilations": [1, 2]}, {"extra": 1}, {"resblock_kernels": [[3]]}],
)  # fmt: skip
def test_wrong_architecture_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match="here: engine_config"):
        VitsArchitecture.from_config(preset("low").to_config() | change, where="here")


def test_missing_architecture_entry_is_refused() -> None:
    config = preset("low").to_config()
    del config["n_heads"]
    with pytest.raises(ManifestError, match="n_heads"):
        VitsArchitecture.from_config(config, where="here")
