"""Records: the bytes that are signed stay as they were; what is wrong is told in few words."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.registry.drafts import make_draft
from voxswap_registry.errors import ManifestError
from voxswap_registry.manifest import MANIFEST, Manifest
from voxswap_registry.state import VoiceState
from voxswap_registry.store import Registry

# As the first readers wrote them, before pydantic.
FOLDER = Path(__file__).parent / "records"
MANIFESTS = {
    "manifest": "500ec24584b4d68044ca9551fe1ea6c41337a9abc797be7042273790aae05c7c",
    "manifest_of_tomorrow": "fab594675134ae38b2fe58a843135ce1a8144b36ca5bc8c0820641cc71a156d1",
    "manifest_of_the_first": "d9c0cdb7382431cb513eecddcf98a54943082143e1933678a641e2e494b1fbd1",
}
STATES = {
    "state": "eea946e9cc23fe8d6b07d7f005011dfe9f1441bff13eb2264cfd4637faf3026e",
    "state_bare": "63b609933197ee9e9bbd065acae64c558c3da746d5ccf1698b1399004560db94",
}


def written(name: str) -> bytes:
    return (FOLDER / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_canonical_bytes_of_a_manifest_stay(name: str) -> None:
    """Digests and signatures are of them."""
    data = written(name)
    manifest = Manifest.from_json(data, where=name)
    assert hashlib.sha256(manifest.to_json()).hexdigest() == MANIFESTS[name] == manifest.digest
    # The first manifests lack what is younger; the others are canonical already.
    assert (manifest.to_json() == data) == (name != "manifest_of_the_first")
    assert manifest.faults() == ()


@pytest.mark.parametrize("name", STATES)
def test_the_canonical_bytes_of_a_state_stay(name: str) -> None:
    data = written(name)
    assert VoiceState.from_json(data, where=name).to_json() == data
    assert hashlib.sha256(data).hexdigest() == STATES[name]


def test_what_is_read_cannot_be_changed_and_nothing_is_converted() -> None:
    manifest = Manifest.from_json(written("manifest"), where="here")
    for value in (
        manifest.engine_config,
        manifest.front_end.options,
        manifest.speakers,
        manifest.defaults,
        manifest.provenance.source_digests,
    ):
        assert isinstance(value, MappingProxyType)
    state = VoiceState.from_json(written("state"), where="here")
    assert all(
        isinstance(value, MappingProxyType) for value in (state.labels, state.trail, state.traffic)
    )
    assert type(manifest.defaults["length_scale"]) is float
    assert type(manifest.components) is tuple
    config = json.loads(json.dumps(dict(manifest.engine_config)))
    assert config == manifest.engine_config


def test_the_published_schema_is_what_is_read() -> None:
    """Else run ``scripts/gen-schema``."""
    schema = MANIFEST.json_schema()
    published = Path(__file__).parents[2] / "docs" / "manifest.schema.json"
    assert json.loads(published.read_bytes()) == schema
    required = set(schema["required"])
    assert {f.name for f in dataclasses.fields(Manifest)} - required == {
        *("tags", "gender", "languages", "controls", "emotions", "fabricated", "delivery")
    }
    for name, field in schema["properties"].items():
        named = schema["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else field
        assert named["description"], name


def replaced(raw: Any, path: tuple[Any, ...], value: Any) -> Any:
    """``raw`` with ``value`` at ``path``."""
    if not path:
        return value
    copy = dict(raw) if isinstance(raw, dict) else list(raw)
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)
    return copy


def paths(raw: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a manifest whose type is known."""
    found = [prefix] if prefix else []
    if prefix in {("engine_config",)}:
        return found
    entries: Iterable[tuple[Any, Any]] = raw.items() if isinstance(raw, dict) else ()
    entries = enumerate(raw) if isinstance(raw, list) else entries
    return found + [inner for key, value in entries for inner in paths(value, (*prefix, key))]


RAW: dict[str, Any] = json.loads(written("manifest"))
HUGE = "\x1b[2J" + "y" * 9_000


@pytest.mark.parametrize("path", paths(RAW), ids=str)
def test_any_field_of_another_type_is_refused_by_its_path_in_few_words(
    path: tuple[Any, ...],
) -> None:
    """Neither pydantic's links nor much of what others wrote; null stands for nothing."""
    named = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)[1:]
    for wrong in (None, True, 1.5, [HUGE], {HUGE: HUGE}, HUGE):
        if path[0] == "defaults" and wrong == 1.5:
            continue
        data = json.dumps(replaced(RAW, path, wrong)).encode()
        with pytest.raises(ManifestError) as caught:
            Manifest.from_json(data, where="here")
        error = caught.value
        assert error.__cause__ is None
        assert error.__context__ is None or error.__suppress_context__
        assert len(error.message) < 600
        assert "pydantic" not in error.message
        assert "\x1b" not in error.message
        assert "yyyyy" * 20 not in error.message
        assert any(
            fault.field.startswith(named) or named.startswith(fault.field)
            for fault in error.violations
        )


def test_faults_are_counted_to_a_limit_and_told_at_once() -> None:
    speakers = {f"\n{n}": n for n in range(3_000)}
    raw = RAW | {"speakers": speakers, "tags": ["No!"] * 32, "language": 7}
    with pytest.raises(ManifestError) as caught:
        Manifest.from_json(json.dumps(raw).encode(), where="here")
    fields = [fault.field for fault in caught.value.violations]
    assert len(fields) == len(set(fields)) == 16
    assert fields[:2] == ["language", "speakers"]
    assert caught.value.message.endswith(MANIFEST._remedy)


@pytest.mark.parametrize("name", ["manifest_of_tomorrow"])
def test_of_an_engine_of_tomorrow_rows_are_its_own(name: str) -> None:
    assert Manifest.from_json(written(name), where="here").speakers == {"back": -1}


@pytest.mark.parametrize("list_of", ["components", "tags"])
def test_a_list_of_thousands_is_refused_before_each_of_its_faults_is_looked_for(
    tmp_path: Path, list_of: str
) -> None:
    raw = json.loads(Registry(tmp_path / "r").publish(make_draft(tmp_path)).to_json())
    raw[list_of] = [{}] * 15_000
    with pytest.raises(ManifestError, match="a list of 15000 entries, and 256 at most are read"):
        Manifest.from_json(json.dumps(raw).encode(), where="here")
    raw[list_of] = [{}] * 256
    with pytest.raises(ManifestError, match=list_of) as caught:
        Manifest.from_json(json.dumps(raw).encode(), where="here")
    assert len(caught.value.violations) <= 16


def test_the_mark_of_a_made_up_voice_is_true_or_away() -> None:
    raw = json.loads(written("manifest"))
    assert Manifest.from_json(json.dumps(raw).encode(), where="here").fabricated is None
    raw["fabricated"] = True
    marked = Manifest.from_json(json.dumps(raw).encode(), where="here")
    assert marked.fabricated is True
    assert json.loads(marked.to_json())["fabricated"] is True
    for wrong in (False, None, "yes"):
        with pytest.raises(ManifestError, match="fabricated"):
            Manifest.from_json(json.dumps({**raw, "fabricated": wrong}).encode(), where="here")
